"""Secrets, known by name or by value, stay out of what people read."""

from __future__ import annotations

import pytest

from so.support.masking import Masker


@pytest.mark.parametrize(
    "name",
    [
        "password",
        "DB_PASSWORD",
        "X-Api-Key",
        "csrf_token",
        "Authorization",
        "Set-Cookie",
        "APP_KEY",
    ],
)
def test_a_secret_is_known_by_its_name(name):
    assert Masker().is_secret(name)
    assert Masker().mask({name: "x1"}) == {name: "***"}


@pytest.mark.parametrize("name", ["user", "description", "key", "shipping", "api_bandwidth"])
def test_other_names_are_shown(name):
    assert Masker().mask({name: "x1"}) == {name: "x1"}


def test_nested_entries_are_masked_and_the_shape_is_kept():
    data = {"user": {"name": "Ann", "password": "p"}, "items": [{"token": "t"}, 5], "secret": None}

    assert Masker().mask(data) == {
        "user": {"name": "Ann", "password": "***"},
        "items": [{"token": "***"}, 5],
        "secret": None,
    }


def test_a_learned_value_is_masked_wherever_it_stands():
    masker = Masker(values=["longsecret", "abc", None])

    assert masker.text("abc longsecret!") == "abc ***!"


def test_the_long_word_of_a_secret_is_a_secret_too():
    masker = Masker()
    masker.learn_from({"headers": [{"Authorization": "Bearer 0123456789abcdef"}]})

    assert masker.text("got 0123456789abcdef") == "got ***"


def test_secrets_in_lists_and_mappings_under_a_secret_name_are_learned():
    masker = Masker()
    masker.learn_from({"tokens": ["first-token", {"x": "second-token"}], "name": "visible"})

    assert masker.text("first-token second-token visible") == "*** *** visible"


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("password = 'hunter2'", "password = '***'"),
        ('{"api_key": "k-1", "n": 5}', '{"api_key": "***", "n": 5}'),
        ("os.environ['DB_PASSWORD'] = b\"x y\"", "os.environ['DB_PASSWORD'] = b\"***\""),
        ("password = read()", "password = read()"),
    ],
)
def test_assignments_in_code_are_covered(line, shown):
    assert Masker().text(line) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgres://erp:hunter2@db/erp", "postgres://erp:***@db/erp"),
        ("redis://:hunter2@cache:6379/0", "redis://:***@cache:6379/0"),
        ("at https://u:h@nter2@x.example/a?b=c@d.", "at https://u:***@x.example/a?b=c@d."),
        ("erp:hunter2@tcp(10.0.0.1:3306)/db", "erp:***@tcp(10.0.0.1:3306)/db"),
        ("erp:hunter2@10.0.0.1:3306", "erp:***@10.0.0.1:3306"),
        ("host=db password=hunter2 dbname=erp", "host=db password=*** dbname=erp"),
        ("Server=x;Uid=sa;Pwd=hunter2;Encrypt=yes", "Server=x;Uid=sa;Pwd=***;Encrypt=yes"),
        ("Authorization: Bearer eyJh.bGci.OiJI", "Authorization: Bearer ***"),
        ("sent bearer abc123, and more", "sent bearer ***, and more"),
        ("Bearer averylongwordofasecret", "Bearer ***"),
        ("login(user, password=given, n=1)", "login(user, password=***, n=1)"),
        ("Authorization: Basic dXNlcjpwYXNz", "Authorization: Basic ***"),
    ],
)
def test_credentials_in_a_text_are_covered(text, shown):
    assert Masker().text(text) == shown


SECRET = "Zx7pQ9vLk2Wm"


@pytest.mark.parametrize(
    "text",
    [
        "jdbc:oracle:thin:scott/{}@dbhost:1521:ORCL",
        "jdbc:oracle:thin:scott/{}@//dbhost/svc",
        "jdbc:sqlserver://h:1433;user=sa;password={};",
        "sqlplus scott/{}@orcl",
        "Driver={{ODBC Driver 17}};Server=h;UID=sa;PWD={}",
        "Provider=SQLOLEDB;Password = {} ;x",
        "AccountName=a;AccountKey={}==;EndpointSuffix=x",
        "https://{}@git.example/x.git",
        "https://x.example/#access_token={}&x",
        "https://x.example/?sv=1&sig={}",
        "curl -u user:{} https://x.example",
        "tool --api-key {} run",
        "Authorization: Token {}",
        "Authorization: {}",
        'Authorization: Digest username="u", response="{}"',
        "X-Api-Key: {}",
        "Cookie: theme=dark; PHPSESSID={}",
        '-H "X-Auth-Token: {}"',
        '{{\\"password\\": \\"{}\\"}}',
        '{{"password": "a\\"{}"}}',
        "password => '{}'",
        "password: {}",
        "(password={})",
        "'secret': '{}",
        "<db:password type='x'>{}</db:password>",
        "-----BEGIN RSA PRIVATE KEY-----\n{}\n-----END RSA PRIVATE KEY-----",
        "-----BEGIN OPENSSH PRIVATE KEY-----\n{}",
        "ghp_{0}{0}{0}",
        "xoxb-1234567890-{}",
        "sk_live_{0}{0}",
        "sk-proj-{0}{0}",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.{}",
    ],
)
def test_what_looks_like_a_secret_is_covered_whatever_is_around_it(text):
    assert SECRET not in Masker().text(f"before {text.format(SECRET)} after")
    assert Masker().text(text.format(SECRET)).count("***") == 1


def test_a_number_under_a_secret_name_is_covered_and_the_key_of_a_maker():
    assert Masker().text('{"token": 12345678901}') == '{"token": ***}'
    assert Masker().text("key AKIAIOSFODNN7EXAMPLE") == "key ***"


@pytest.mark.parametrize("name", ["accessKey", "sessionId", "AccountKey", "cardNumber"])
def test_a_name_in_camel_case_is_a_secret_as_well(name):
    assert Masker().is_secret(name)


@pytest.mark.parametrize(
    "text",
    [
        "password: must be at least 8 characters",
        "token: Token = made(user)",
        "token = self.token[1:]",
        "authorization: missing",
        "tokens: 1532 of 4096",
        "lib/erp@1.2.3 and scott/tiger",
        "Password</th><td>tokens</td>",
        "use --password to give it",
        "mailto:ada@x.example",
        "told to:ada@x.example at 10:30",
        "http://x.example:80/a?to=ada@x.example",
        "ssh://git@x.example/erp.git",
        "bearer shares were sold, as Basic information says",
        "Bearer token missing, Basic authentication refused",
        'constraint "pk_purchase_order_items" failed',
        "duplicate key in sk_customer_dimension_key",
        "shelf sk-large-blue-metal-cupboard",
    ],
)
def test_what_only_looks_like_credentials_stays(text):
    assert Masker().text(text) == text


def test_bindings_are_masked_when_the_statement_names_a_secret_column():
    masker = Masker()

    assert masker.bindings("update users set password = ? where id = ?", ["h", 5]) == ["***", 5]
    assert masker.bindings("select * from users where id = ?", ["a", 5]) == ["a", 5]


def test_endless_nesting_ends():
    circle: dict[str, object] = {}
    circle["inner"] = circle

    shown = repr(Masker().mask(circle))
    Masker().learn_from(circle)

    assert "…" in shown


@pytest.mark.parametrize(
    "part",
    [
        "x",
        "x.",
        "a:",
        "://",
        "a@",
        "Basic ",
        "=;",
        "token",
        "token: ",
        "<token>",
        "-",
        "jdbc:oracle:a:b/",
    ],
)
def test_a_long_text_is_masked_in_time_proportional_to_it(part):
    assert Masker().text(part * 20_000 + "@ token='y'").endswith(" token='***'")


@pytest.mark.parametrize("name", ["pin", "userPin", "card_pin", "PIN", "otp", "otpCode", "pin_hash",
                                  "user_ssn", "recovery_codes", "social_security_no"])  # fmt: skip
def test_a_short_word_is_secret_where_it_ends_the_name(name):
    assert Masker().mask({name: 1234}) == {name: "***"}


@pytest.mark.parametrize("name", ["spinner", "option", "shipping_pinned", "pin_code", "secretary",
                                  "password_changed_at", "tokenExpiresAt", "token_count",
                                  "has_password", "has_pin"])  # fmt: skip
def test_a_name_that_only_sounds_secret_is_shown_everywhere(name):
    assert Masker().mask({name: "2026-01-01"}) == {name: "2026-01-01"}
    for text in (f"{name}: 2026-01-01", f"{name} = '2026-01-01'", f"?{name}=2026-01-01&x=1"):
        assert Masker().text(text) == text


def test_a_word_of_the_settings_is_secret_in_any_name():
    masker = Masker(("password", "salary"))

    assert masker.is_secret("salary_changed_at")
    assert not masker.is_secret("password_changed_at")


def test_a_pin_in_an_address_or_in_code_is_covered():
    assert Masker().text("?pin=1234&spinner=1234") == "?pin=***&spinner=1234"
    assert Masker().text("pin = '1234', spinner = '1'") == "pin = '***', spinner = '1'"


def test_values_bound_beside_a_secret_column_are_covered_whatever_the_statement_ends_with():
    sql = "update users set password = ? where id = 1 order by created_at"

    assert Masker().bindings(sql, ["hunter2"]) == ["***"]
    assert Masker().bindings("select spinner from t where password_changed_at > ?", ["x1"]) == [
        "x1"
    ]
