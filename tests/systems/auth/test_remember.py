"""Remember-me: one series a device, a new validator each time, theft noticed."""

from __future__ import annotations

from typing import Any

import pytest

from so.db.manager import Database
from so.support.clock import Clock
from so.systems.auth import RememberTokens, Terms
from so.systems.sessions import Sessions
from tests.systems.auth.conftest import Browser, Person

HOUR, DAY = 3600, 86_400


def test_a_remembered_device_comes_back_after_its_session_has_ended(
    browser: Browser, clock: Clock, people: Database
):
    browser.login(remember=True)
    first = browser.remember_cookie
    clock.travel(5 * HOUR)

    assert browser.user().email == "ada@x.y"

    assert browser.request(lambda auth, _: auth.via_remember()) is True
    assert browser.remember_cookie not in (None, first)
    assert people.table("sessions").count() == 1


def test_a_login_with_the_password_is_not_via_remember(browser: Browser):
    browser.login(remember=True)

    assert browser.request(lambda auth, _: auth.via_remember()) is False


def test_without_being_asked_nobody_is_remembered(browser: Browser, clock: Clock):
    browser.login()
    assert browser.remember_cookie is None
    clock.travel(5 * HOUR)

    assert browser.user() is None


def test_a_remembered_session_survives_cleaning_up(
    browser: Browser, clock: Clock, sessions: Sessions
):
    browser.login(remember=True)
    clock.travel(5 * DAY)
    sessions.cleanup()

    assert browser.user() is not None


def test_a_closed_browser_loses_only_the_session_cookie(browser: Browser):
    browser.login(remember=True)
    browser.session_cookie = None

    assert browser.user() is not None


def test_after_its_time_a_device_is_forgotten(browser: Browser, clock: Clock):
    browser.login(remember=True)
    clock.travel(30 * DAY)

    assert browser.user() is None
    assert browser.remember_cookie is None


def test_a_series_ends_with_its_time_and_not_with_its_cookie(people: Database, clock: Clock):
    """Who kept the cookie longer than the browser would has nothing of it."""
    tokens = RememberTokens(people, lifetime_days=30, clock=clock)
    _, cookie = tokens.begin(7, None)

    clock.travel(30 * DAY - 1)
    found = tokens.find(cookie)
    clock.travel(1)

    assert found is not None
    assert found.state == "current"
    assert tokens.find(cookie) is None


def test_the_absolute_lifetime_counts_from_the_password_whatever_is_remembered(
    make_authentication, people: Database, clock: Clock
):
    sessions = Sessions(people, absolute_lifetime_minutes=60 * 24, clock=clock)
    authentication = make_authentication(terms=Terms(absolute_lifetime_minutes=60 * 24))
    browser = Browser(authentication, sessions)
    browser.login(remember=True)
    for _ in range(7):
        clock.travel(3 * HOUR)
        assert browser.user() is not None

    clock.travel(3 * HOUR)

    assert browser.user() is None
    assert people.table("remember_tokens").count() == 0


def test_each_device_has_a_series_of_its_own(
    browser: Browser, other_browser: Browser, clock: Clock
):
    browser.login(remember=True)
    other_browser.login(remember=True)
    clock.travel(5 * HOUR)
    assert browser.user() is not None

    browser.request(lambda auth, _: auth.logout())

    assert browser.remember_cookie is None
    assert other_browser.user() is not None


def test_a_dump_of_the_table_opens_nothing(browser: Browser, other_browser, people: Database):
    browser.login(remember=True)
    row = people.table("remember_tokens").first()
    assert row is not None

    other_browser.remember_cookie = f"{row['series']}.{row['validator'][:43]}"

    assert other_browser.user() is None


def test_a_stolen_cookie_used_after_its_owner_ends_the_series_and_its_sessions(
    browser: Browser, other_browser: Browser, clock: Clock, people: Database, caplog
):
    browser.login(remember=True)
    other_browser.remember_cookie = stolen = browser.remember_cookie
    browser.session_cookie = None
    assert browser.user() is not None
    clock.travel(11)

    assert other_browser.user() is None

    assert "a used remember-me cookie" in caplog.text
    assert str(stolen) not in caplog.text
    assert people.table("remember_tokens").count() == 0
    assert browser.user() is None
    assert browser.remember_cookie is None


def test_a_thief_who_is_first_is_noticed_when_the_owner_comes(
    browser: Browser, other_browser: Browser, clock: Clock
):
    browser.login(remember=True)
    other_browser.remember_cookie = browser.remember_cookie
    browser.session_cookie = None
    assert other_browser.user() is not None
    clock.travel(11)

    assert browser.user() is None

    assert other_browser.user() is None


def test_honest_requests_at_the_same_moment_all_succeed_and_share_one_session(
    browser: Browser, clock: Clock, people: Database
):
    browser.login(remember=True)
    browser.session_cookie = None
    cookie = browser.remember_cookie

    def tab() -> Browser:
        other = Browser(browser.authentication, browser.sessions)
        other.remember_cookie = cookie
        return other

    first, second, third = tab(), tab(), tab()
    assert first.user() is not None
    clock.travel(5)
    assert second.request(lambda auth, session: session.put("x", 1) or auth.user()) is not None
    assert third.user() is not None

    assert (second.session_cookie, second.remember_cookie) == (None, cookie)
    assert first.request(lambda _, session: session.get("x")) == 1
    assert people.table("sessions").count() == 1


def test_two_requests_that_read_the_same_validator_change_it_once(
    browser: Browser, people: Database, monkeypatch
):
    browser.login(remember=True)
    browser.session_cookie = None
    late = Browser(browser.authentication, browser.sessions)
    late.remember_cookie = browser.remember_cookie
    tokens = browser.authentication.remember
    assert tokens is not None
    change = tokens.change
    overtaken: list[Any] = []

    def change_late(row: Any) -> str | None:
        monkeypatch.setattr(tokens, "change", change)
        overtaken.append(browser.user())
        return change(row)

    monkeypatch.setattr(tokens, "change", change_late)

    assert late.user() is not None
    assert overtaken[0] is not None
    assert late.remember_cookie is not None
    assert people.table("sessions").count() == 1


def test_deleting_a_users_sessions_forgets_his_devices(
    browser: Browser, clock: Clock, people: Database, ada: Any
):
    """Force logout is more than a moment's interruption."""
    browser.login(remember=True)
    clock.travel(5 * HOUR)

    people.table("sessions").where("user_id", ada.id).delete()

    assert browser.user() is None
    assert browser.remember_cookie is None
    assert people.table("remember_tokens").count() == 0


def test_revoking_a_device_forgets_it(
    browser: Browser, other_browser: Browser, sessions: Sessions, clock: Clock, ada: Any
):
    browser.login(remember=True)
    handle = sessions.for_user(ada)[0].handle
    clock.travel(1)
    other_browser.login(remember=True)

    sessions.revoke(handle, ada)

    assert browser.user() is None
    assert other_browser.user() is not None


def test_a_new_password_forgets_every_device(browser: Browser, clock: Clock, ada: Any):
    browser.login(remember=True)
    clock.travel(5 * HOUR)

    Person.where("id", ada.id).update({"password": "$new"})

    assert browser.user() is None


def test_logging_in_anew_ends_the_series_before(browser: Browser, people: Database):
    browser.login(remember=True)
    browser.login(remember=True)
    assert people.table("remember_tokens").count() == 1

    browser.login()
    assert people.table("remember_tokens").count() == 0
    assert browser.remember_cookie is None


@pytest.mark.parametrize("cookie", ["", "x", "a.b", "0" * 32 + "." + "A" * 43, "é" * 32, "." * 80])
def test_a_cookie_of_rubbish_is_taken_back(browser: Browser, cookie: str):
    browser.remember_cookie = cookie or None

    assert browser.user() is None
    assert browser.remember_cookie is None


def test_where_nobody_is_remembered_the_cookie_means_nothing(
    make_authentication, sessions: Sessions
):
    browser = Browser(make_authentication(remember=None), sessions)
    browser.login(remember=True)

    assert browser.remember_cookie is None
    assert browser.user() is not None
    assert browser.request(lambda auth, _: auth.remember_seconds) == 0
    assert browser.request(lambda auth, _: auth.logout_other_devices("secret")) is True
    browser.request(lambda auth, _: auth.logout())
    assert browser.user() is None


def test_what_is_over_is_pruned_in_batches(people: Database, clock: Clock):
    tokens = RememberTokens(people, lifetime_days=1, clock=clock)
    for user in range(7):
        tokens.begin(user, None)
    clock.travel(DAY)
    tokens.begin(99, None)

    assert tokens.prune(batch=3) == 7
    assert tokens.prune() == 0
    assert people.table("remember_tokens").count() == 1
