"""The second factor: codes of an app, recovery codes, and where it is asked for."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import zxingcpp

from so import DB, Role, Router, auth
from so.systems.auth import qr, totp
from tests.systems.auth.accounts.conftest import (
    JSON,
    NOW,
    PASSWORD,
    Worker,
    browser,
    log_in,
    worker,
)

RFC_SECRET = b"12345678901234567890"
SCALE, EDGE = 4, 4


def test_hotp_gives_the_values_of_rfc_4226():
    codes = [totp.hotp(RFC_SECRET, counter) for counter in range(10)]

    assert codes == [
        "755224", "287082", "359152", "969429", "338314",
        "254676", "287922", "162583", "399871", "520489",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("seconds", "code"),
    [
        (59, "94287082"),
        (1111111109, "07081804"),
        (1111111111, "14050471"),
        (1234567890, "89005924"),
        (2000000000, "69279037"),
        (20000000000, "65353130"),
    ],
)
def test_totp_gives_the_values_of_rfc_6238(seconds: int, code: str):
    secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"

    assert totp.totp(secret, seconds, digits=8) == code


@pytest.mark.parametrize("size", [1, 14, 15, 26, 62, 106, 122, 152, 180, 213, 214, 412, 666])
def test_a_qr_code_says_what_it_was_made_of(size: int):
    text = ("otpauth://totp/ERP:ada@x.y?secret=" * 20)[:size]

    assert decoded(qr.matrix(text.encode())) == text


def test_a_qr_code_that_would_be_too_large_is_refused():
    with pytest.raises(ValueError, match="667 bytes"):
        qr.svg("x" * 667)


def decoded(rows: list[list[bool]]) -> str:
    """What a real decoder reads from the picture of *rows*."""
    size = (len(rows) + 2 * EDGE) * SCALE
    pixels = bytearray(b"\xff" * size * size)
    for y, row in enumerate(rows):
        for x, is_dark in enumerate(row):
            for line in range(SCALE if is_dark else 0):
                at = ((y + EDGE) * SCALE + line) * size + (x + EDGE) * SCALE
                pixels[at : at + SCALE] = b"\x00" * SCALE
    image = memoryview(pixels).cast("B", shape=[size, size])
    [found] = zxingcpp.read_barcodes(image, formats=zxingcpp.BarcodeFormat.QRCode)
    return str(found.text)


def modules(svg: str) -> list[list[bool]]:
    """The modules that *svg* shows, without its edge."""
    found = re.search(r'viewBox="0 0 (\d+)', str(svg))
    assert found
    size = int(found[1]) - 2 * EDGE
    dark = {(int(x) - EDGE, int(y) - EDGE) for x, y in re.findall(r"M(\d+),(\d+)h1v1h-1z", svg)}
    return [[(x, y) in dark for x in range(size)] for y in range(size)]


# --- setting it up ---


def code_of(secret: str, app: Any, steps: int = 0) -> str:
    return totp.totp(secret, app.clock.time() + 30 * steps)


def enrolled(app: Any, user: Any) -> tuple[str, list[str]]:
    """A second factor that is on: the secret and the recovery codes."""
    secret = user.two_factor().start().secret
    codes = user.two_factor().confirm(code_of(secret, app, -1))
    assert len(codes) == 10
    return secret, codes


def test_setting_it_up_gives_a_secret_a_url_and_a_qr_code_that_a_camera_reads(erp, ada):
    secret, url, svg = ada.two_factor().start()

    assert len(totp.decoded(secret)) == 20
    assert url.startswith("otpauth://totp/")
    assert f"secret={secret}" in url
    assert "ada@x.y" in url
    assert decoded(modules(svg)) == url


def test_it_counts_once_a_code_was_seen_and_not_before(erp, ada):
    secret = ada.two_factor().start().secret
    assert ada.two_factor().is_on() is False
    assert log_in(browser(erp)) is True

    assert ada.two_factor().confirm("000000") == []
    assert ada.two_factor().is_on() is False
    assert len(set(ada.two_factor().confirm(code_of(secret, erp)))) == 10
    assert ada.two_factor().is_on() is True


def test_neither_secret_nor_recovery_codes_stand_in_the_database_as_they_are(erp, ada):
    secret, codes = enrolled(erp, ada)

    rows = str(DB.table("recovery_codes").get().to_list())
    assert not any(code in rows or code.replace("-", "") in rows for code in codes)
    stored = DB.table("user_security").value("two_factor_secret")
    assert stored.startswith("sig:")


def test_a_secret_in_the_row_of_another_user_is_worth_nothing(erp, ada):
    secret, _ = enrolled(erp, ada)
    bob = worker("bob@x.y")
    enrolled(erp, bob)
    stolen = DB.table("user_security").where("user_id", str(ada.id)).value("two_factor_secret")
    DB.table("user_security").where("user_id", str(bob.id)).update({"two_factor_secret": stolen})

    assert bob.two_factor().takes(code_of(secret, erp, 1)) is False


def test_with_a_cipher_the_secret_is_encrypted(erp, ada):
    class Reversed:
        def encrypt(self, text: str) -> str:
            return text[::-1]

        decrypt = encrypt

    erp.instance("cipher", Reversed())
    secret, _ = enrolled(erp, ada)

    stored = DB.table("user_security").value("two_factor_secret")
    assert stored.startswith("enc:")
    assert secret not in stored
    assert ada.two_factor().takes(code_of(secret, erp, 1)) is True


# --- logging in with it ---


def test_a_login_waits_for_the_code(erp, ada):
    secret, _ = enrolled(erp, ada)
    client = browser(erp)

    assert log_in(client) == "two_factor"
    assert client.get("/me", headers=JSON).status == 401
    assert client.post("/code", {"code": "000000"}).json() == {"ok": False}
    assert client.get("/me", headers=JSON).status == 401
    assert client.post("/code", {"code": code_of(secret, erp)}).json() == {"ok": True}
    assert client.get("/me").json()["email"] == "ada@x.y"


def test_a_code_without_the_password_before_it_opens_nothing(erp, ada):
    secret, codes = enrolled(erp, ada)
    client = browser(erp)

    assert client.post("/code", {"code": code_of(secret, erp)}).json() == {"ok": False}
    assert client.post("/code", {"code": codes[0]}).json() == {"ok": False}


def test_a_wrong_password_asks_for_no_code(erp, ada):
    enrolled(erp, ada)

    assert log_in(browser(erp), password="wrong") is False


def test_nothing_that_checks_a_password_alone_gets_past_the_second_factor(erp, ada):
    enrolled(erp, ada)
    right = {"email": "ada@x.y", "password": PASSWORD}
    with Router.group(middleware="web"):
        Router.post("/once", lambda: {"ok": auth().once(right), "in": auth().check()})
        Router.post("/valid", lambda: {"ok": auth().validate(right), "in": auth().check()})

    assert browser(erp).post("/once").json() == {"ok": False, "in": False}
    assert browser(erp).post("/valid").json() == {"ok": True, "in": False}


@pytest.mark.parametrize(
    ("steps", "passes"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)]
)
def test_codes_count_one_step_before_and_after_their_own(erp, ada, steps: int, passes: bool):
    secret, _ = enrolled(erp, ada)
    erp.clock.travel(300)

    assert ada.two_factor().takes(code_of(secret, erp, steps)) is passes


def test_no_code_counts_twice_nor_one_before_it(erp, ada):
    secret, _ = enrolled(erp, ada)
    erp.clock.travel(300)
    factor = ada.two_factor()

    assert factor.takes(code_of(secret, erp)) is True
    assert factor.takes(code_of(secret, erp)) is False
    assert factor.takes(code_of(secret, erp, -1)) is False
    assert factor.takes(code_of(secret, erp, 1)) is True


def test_the_code_that_turned_it_on_is_used_up(erp, ada):
    secret = ada.two_factor().start().secret
    code = code_of(secret, erp)
    ada.two_factor().confirm(code)

    assert ada.two_factor().takes(code) is False


@pytest.mark.parametrize("kind", ["app", "recovery"])
def test_of_two_requests_with_one_code_at_once_one_is_let_in(erp, ada, kind: str):
    secret, codes = enrolled(erp, ada)
    erp.clock.travel(300)
    code = code_of(secret, erp) if kind == "app" else codes[0]

    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(lambda _: Worker.find(ada.id).two_factor().takes(code), range(8)))

    assert taken.count(True) == 1


def test_a_recovery_code_stands_in_once_however_it_is_typed(erp, ada):
    _, codes = enrolled(erp, ada)
    client = browser(erp)
    log_in(client)

    assert client.post("/code", {"code": f" {codes[3].upper()} "}).json() == {"ok": True}
    assert ada.two_factor().recovery_codes_left() == 9
    log_in(client)
    assert client.post("/code", {"code": codes[3]}).json() == {"ok": False}


def test_new_recovery_codes_end_the_old_ones(erp, ada):
    _, codes = enrolled(erp, ada)

    new = ada.two_factor().new_recovery_codes()

    assert ada.two_factor().takes(codes[0]) is False
    assert ada.two_factor().takes(new[0]) is True


@pytest.mark.parametrize(
    "code", [None, 0, 123456, [], {}, "", "12345", "1234567", "x" * 100, "١٢٣٤٥٦"]
)
def test_what_is_no_code_is_no_code(erp, ada, code: Any):
    enrolled(erp, ada)
    client = browser(erp)
    log_in(client)

    assert client.post("/code", json={"code": code}).json() == {"ok": False}


def test_codes_are_guessed_five_times_a_minute(erp, ada):
    secret, _ = enrolled(erp, ada)
    client = browser(erp)
    log_in(client)

    for _ in range(5):
        assert client.post("/code", {"code": "000000"}).json() == {"ok": False}
    assert client.post("/code", {"code": code_of(secret, erp)}, headers=JSON).status == 429


def test_a_login_waits_ten_minutes_and_ends_with_the_password(erp, ada):
    secret, _ = enrolled(erp, ada)
    late, changed = browser(erp), browser(erp)
    log_in(late)
    log_in(changed)
    ada.update({"password": erp.make("hasher").make("another one, much longer")})
    assert changed.post("/code", {"code": code_of(secret, erp)}).json() == {"ok": False}

    erp.clock.travel(601)
    assert late.post("/code", {"code": code_of(secret, erp)}).json() == {"ok": False}


def test_the_session_has_another_id_after_each_step(erp, ada):
    secret, _ = enrolled(erp, ada)
    client = browser(erp)
    log_in(client)
    waiting = client.cookies["so_session"]
    client.post("/code", {"code": code_of(secret, erp)})

    assert client.cookies["so_session"] != waiting
    assert browser(erp).get("/me", cookies={"so_session": waiting}, headers=JSON).status == 401


def test_turning_it_off_ends_the_codes(erp, ada):
    secret, codes = enrolled(erp, ada)
    heard: list[str] = []
    auth().listen(lambda event: heard.append(event.name))

    assert ada.two_factor().off() is True
    assert ada.two_factor().off() is False
    assert ada.two_factor().takes(codes[0]) is False
    assert log_in(browser(erp)) is True
    assert heard == ["two_factor_off", "login"]


# --- the middleware ---


@pytest.fixture
def guarded(erp: Any) -> Any:
    with Router.group(middleware="web"):
        Router.get("/books", lambda: "open").middleware("auth", "two_factor")
        Router.get("/safe", lambda: "open").middleware("auth", "two_factor:controller")
    return erp


def test_who_needs_none_and_has_none_passes(guarded, ada):
    client = browser(guarded)
    log_in(client)

    assert client.get("/books").text == client.get("/safe").text == "open"


def test_who_has_one_must_have_given_it(guarded, ada):
    client = browser(guarded)
    log_in(client)
    secret, _ = enrolled(guarded, ada)

    assert client.get("/books", headers=JSON).status == 423
    client.get("/books").assert_redirect("/two-factor-challenge")
    client.post("/code", {"code": code_of(secret, guarded)})
    assert client.get("/books").text == "open"


@pytest.mark.parametrize("where", ["in the route", "in the table"])
def test_whose_role_demands_one_is_sent_to_set_it_up(guarded, ada, where: str):
    ada.assign_role("controller")
    if where == "in the table":
        Role.named("controller").demand_two_factor()
    client = browser(guarded)
    log_in(client)
    page = "/safe" if where == "in the route" else "/books"

    assert client.get(page, headers=JSON).status == 403
    client.get(page).assert_redirect("/two-factor")


def test_the_clock_of_the_tests_stands(erp):
    assert erp.clock.time() == NOW


def test_check_names_secrets_that_are_not_encrypted(erp, ada):
    import io

    from so.console import Kernel
    from so.console.output import Output

    def said() -> str:
        out = io.StringIO()
        Kernel(erp).run(["check"], Output(out, out))
        return out.getvalue()

    assert "signed, not encrypted" not in said()
    enrolled(erp, ada)
    assert "signed, not encrypted" in said()
