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


@pytest.mark.parametrize("name", ["user", "description", "key", "shipping", "keyboard"])
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


@pytest.mark.parametrize(
    "text",
    [
        "mailto:ada@x.example",
        "told to:ada@x.example at 10:30",
        "http://x.example:80/a?to=ada@x.example",
        "ssh://git@x.example/erp.git",
        "bearer shares were sold, as Basic information says",
        "Bearer token missing, Basic authentication refused",
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


@pytest.mark.parametrize("part", ["x", "x.", "a:", "://", "a@", "Basic ", "=;"])
def test_a_long_text_is_masked_in_time_proportional_to_it(part):
    assert Masker().text(part * 20_000 + "@ token='y'").endswith(" token='***'")
