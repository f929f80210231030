"""What happens to logins is told to listeners, and stands in the activity log."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from so import Activity, accounts, auth, sessions
from so.application import Application
from so.errors import AuthError
from so.support.signing import Signer
from tests.systems.auth.accounts.conftest import NEW, browser, log_in, worker


@pytest.fixture
def heard(erp: Application) -> list[Any]:
    events: list[Any] = []
    auth().listen(events.append)
    return events


def names(events: list[Any]) -> list[str]:
    return [event.name for event in events]


def test_a_login_a_failure_and_a_logout_are_told_with_who_and_from_where(erp, ada, heard):
    client = browser(erp)
    client.post(
        "/login",
        {"email": "ada@x.y", "password": "wrong"},
        headers={"User-Agent": "Firefox", "X-Request-Id": "abcdefgh"},
    )
    log_in(client)
    client.post("/logout")

    assert names(heard) == ["failed", "login", "logout"]
    assert all(event.user.id == ada.id for event in heard)
    assert heard[0].agent == "Firefox"
    assert heard[0].address == "127.0.0.1"
    assert heard[0].request_id
    assert len({event.request_id for event in heard}) == 3


def test_a_failure_of_nobody_is_told_without_a_user(erp, heard):
    assert log_in(browser(erp), "nobody@x.y") is False

    assert [(event.name, event.user) for event in heard] == [("failed", None)]


def test_a_lockout_is_told(erp, ada, heard):
    client = browser(erp)
    for _ in range(6):
        client.post("/login", {"email": "ada@x.y", "password": "wrong"})

    assert names(heard) == ["failed"] * 5 + ["lockout"]
    assert heard[-1].wait == 60


def test_on_hears_of_one_name_and_refuses_one_there_is_not(erp, ada):
    logins: list[Any] = []
    auth().on("login", logins.append)

    log_in(browser(erp))

    assert names(logins) == ["login"]
    with pytest.raises(AuthError, match="did you mean 'login'"):
        auth().on("logn", logins.append)


def test_a_listener_that_fails_stops_no_login(erp, ada):
    auth().on("login", lambda event: 1 / 0)

    assert log_in(browser(erp)) is True


def test_ending_sessions_and_a_new_password_are_told(erp, ada, heard):
    client = browser(erp)
    log_in(client)
    handle = sessions().for_user(ada)[0].handle
    sessions().revoke(handle, ada)
    log_in(client)
    sessions().logout_everywhere(ada)
    accounts().change_password(ada, NEW)
    ada.update({"password": ada.password + "x"})

    assert names(heard) == [
        "login", "ended", "login", "ended", "password_changed", "password_changed",
    ]  # fmt: skip
    assert heard[1].user.id == ada.id


def test_events_are_written_into_the_log_auth_with_address_and_agent(erp, ada):
    client = browser(erp)
    client.post(
        "/login",
        {"email": "ada@x.y", "password": "wrong"},
        headers={"User-Agent": "Firefox", "X-Request-Id": "abcdefgh"},
    )
    log_in(client)

    failed, login = Activity.in_log("auth").order_by("id").get()
    assert (failed.event, login.event) == ("failed", "login")
    assert (failed.subject_type, failed.subject_id) == ("worker", str(ada.id))
    assert login.causer_id == str(ada.id)
    assert failed.context["ip"] == "127.0.0.1"
    assert failed.context["user_agent"] == "Firefox"
    assert failed.context["request_id"]
    assert "wrong" not in str(failed.properties)


def test_the_log_can_be_switched_off(make_app: Callable[..., Application]):
    erp = make_app(log_events=False)
    worker("ada@x.y")
    log_in(browser(erp))

    assert Activity.in_log("auth").count() == 0


def test_a_login_from_a_device_not_seen_before_is_told_to_its_user(erp, ada):
    first, other = browser(erp), browser(erp)
    log_in(first)
    assert ada.notifications().count() == 0  # the very first one is no news

    log_in(other)
    log_in(first)

    [told] = ada.notifications().get()
    assert told.type == "NewDevice"
    assert isinstance(erp.make("signer"), Signer)


def test_that_notification_can_be_switched_off(make_app: Callable[..., Application]):
    erp = make_app(new_device=False)
    ada = worker("ada@x.y")
    log_in(browser(erp))
    log_in(browser(erp))

    assert ada.notifications().count() == 0


def test_a_login_that_is_one_too_many_tells_that_it_ended_the_oldest(make_app):
    erp = make_app(more={"session": {"max_per_user": 1}})
    worker("ada@x.y")
    events: list[Any] = []
    auth().on("ended", events.append)
    first, second = browser(erp), browser(erp)
    log_in(first)

    log_in(second)

    assert [(event.user.email, event.reason) for event in events] == [
        ("ada@x.y", "too many sessions")
    ]
    assert first.get("/me").status in (302, 401)
    assert second.get("/me").status == 200
    assert Activity.in_log("auth").where("event", "ended").count() == 1
