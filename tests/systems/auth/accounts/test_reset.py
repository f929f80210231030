"""Forgotten passwords: the same answer for everybody, and a link that counts once."""

from __future__ import annotations

import re
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from so import DB, ResetPassword, accounts, auth, notification_fake
from so.errors import LockoutException, ValidationException
from so.systems.auth import accounts as module
from tests.systems.auth.accounts.conftest import (
    JSON,
    NEW,
    PASSWORD,
    Worker,
    browser,
    log_in,
    worker,
)


@pytest.fixture(autouse=True)
def no_padding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SAME_SECONDS", 0.0)


def token_of(fake: Any, user: Any) -> str:
    [sent] = fake.sent_to(user, ResetPassword)
    found = re.search(r"/reset-password/([\w-]+)$", sent.url)
    assert found, sent.url
    return found[1]


def test_the_link_sets_a_new_password(erp, ada):
    with notification_fake() as fake:
        assert accounts().send_reset("ada@x.y") is None
    token = token_of(fake, ada)
    assert len(token) == 43

    assert accounts().reset(token, NEW).id == ada.id

    assert log_in(browser(erp), password=PASSWORD) is False
    assert log_in(browser(erp), password=NEW) is True


@pytest.mark.parametrize(
    "email", ["nobody@x.y", "", None, 0, False, [], {}, ["ada@x.y"], "ádà@x.y"]
)
def test_for_anybody_else_nothing_is_sent_and_nothing_said(erp, ada, email: Any):
    with notification_fake() as fake:
        assert accounts().send_reset(email) is None

    fake.assert_nothing_sent()


@pytest.mark.parametrize("email", ["ada@x.y", "nobody@x.y"])
def test_asking_takes_the_same_time_whoever_it_is(erp, ada, monkeypatch, email: str):
    monkeypatch.setattr(module, "SAME_SECONDS", 0.1)
    times = []
    for _ in range(3):
        begun = time.monotonic()
        accounts().send_reset(email)
        times.append(time.monotonic() - begun)

    assert statistics.median(times) >= 0.1


def test_only_the_hash_of_the_token_is_stored(erp, ada):
    token = accounts().reset_token(ada)

    assert token not in str(DB.table("password_resets").get().to_list())


def test_a_link_counts_once(erp, ada):
    token = accounts().reset_token(ada)
    accounts().reset(token, NEW)

    with pytest.raises(ValidationException) as caught:
        accounts().reset(token, NEW + "!")
    assert "token" in caught.value.errors


def test_of_two_resets_at_once_one_counts(erp, ada):
    token = accounts().reset_token(ada)

    def reset(number: int) -> bool:
        try:
            accounts().reset(token, f"{NEW} {number}")
        except ValidationException:
            return False
        return True

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(reset, range(6))).count(True) == 1


def test_a_newer_link_ends_the_one_before(erp, ada):
    first = accounts().reset_token(ada)
    second = accounts().reset_token(ada)

    assert accounts().can_reset(first) is False
    assert accounts().can_reset(second) is True


@pytest.mark.parametrize("why", ["time", "password", "address", "locked", "left", "gone"])
def test_a_link_ends_with(erp, ada, why: str):
    token = accounts().reset_token(ada)
    if why == "time":
        erp.clock.travel(3600)
    elif why == "password":
        ada.update({"password": erp.make("hasher").make(NEW)})
    elif why == "address":
        with notification_fake():
            accounts().verify(accounts().verify_token(ada, "new@x.y"))
    elif why == "locked":
        accounts().lock(ada)
    elif why == "left":
        ada.force_fill({"active": 0}).save()
    else:
        ada.delete()

    with pytest.raises(ValidationException):
        accounts().reset(token, NEW)


@pytest.mark.parametrize("token", ["", None, 5, [], "x", "a" * 43, "é" * 43])
def test_what_is_no_token_is_refused(erp, ada, token: Any):
    with pytest.raises(ValidationException):
        accounts().reset(token, NEW)


def test_a_locked_user_is_sent_nothing(erp, ada):
    accounts().lock(ada)
    with notification_fake() as fake:
        accounts().send_reset("ada@x.y")

    fake.assert_nothing_sent()


def test_a_password_that_will_not_do_leaves_the_link_good(erp, ada):
    token = accounts().reset_token(ada)
    with pytest.raises(ValidationException) as caught:
        accounts().reset(token, "short")

    assert "password" in caught.value.errors
    assert accounts().reset(token, NEW).id == ada.id


def test_it_ends_sessions_devices_and_tokens_and_is_told(erp, ada):
    heard: list[str] = []
    auth().on("password_reset", lambda event: heard.append(event.user.email))
    client = browser(erp)
    log_in(client, remember=1)
    ada.create_token("scanner")

    accounts().reset(accounts().reset_token(ada), NEW)

    assert client.get("/me", headers=JSON).status == 401
    assert erp.make("db").table("remember_tokens", connection="cache").count() == 0
    assert ada.tokens() == []
    assert heard == ["ada@x.y"]


def test_asking_too_often_is_refused_known_or_not(erp, ada):
    for email in ("ada@x.y", "nobody@x.y"):
        with notification_fake():
            for _ in range(5):
                accounts().send_reset(email)
            with pytest.raises(LockoutException):
                accounts().send_reset(email.upper())


def test_what_fails_for_a_known_address_does_not_show(erp, ada, monkeypatch):
    def down(*_: Any) -> None:
        raise OSError("no mail server")

    monkeypatch.setattr("so.application.logins.AccountPost.reset", down)

    assert accounts().send_reset("ada@x.y") is None


def test_links_whose_time_is_over_are_swept_away(erp, ada):
    accounts().reset_token(ada)
    accounts().reset_token(worker("bob@x.y"))
    erp.clock.travel(3601)

    assert accounts().prune() == 2
    assert Worker.count() == 2
