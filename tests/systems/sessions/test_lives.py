"""Whose session it is, and how long it lives: logins at once, changes of user, guests."""

from __future__ import annotations

from enum import Enum, StrEnum
from typing import Any

import pytest

from so.db.manager import Database
from so.errors import CodecError
from so.support.clock import Clock
from so.systems.sessions import Sessions, id_of
from tests.systems.sessions.test_database_sessions import statements

MINUTE = 60


@pytest.fixture(params=["sqlite", "mysql"])
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def alive(sessions: Sessions, cookie: str) -> bool:
    return sessions.open(cookie).identity() is not None


def log_in(sessions: Sessions, user: object, cookie: str | None = None) -> str:
    session = sessions.open(cookie)
    session.sign_in({"id": user})
    session.save()
    found = session.cookie_change()
    assert found
    return found


# --- logins ---


@pytest.mark.parametrize("times", [2, 5])
def test_logins_at_once_from_one_page_all_hold(sessions: Sessions, started, times: int):
    guest = started(cart=3)
    clicks = [sessions.open(guest) for _ in range(times)]
    for click in clicks:
        assert click.get("cart") == 3
        click.sign_in({"id": 42})
    for click in clicks:
        click.save()

    cookies = [click.cookie_change() for click in clicks]

    assert None not in cookies
    assert len(set(cookies)) == times
    for cookie in cookies:
        session = sessions.open(cookie)
        assert session.identity() == {"id": 42}
        assert session.get("cart") == 3
    assert not sessions.open(guest).started


def test_a_login_holds_even_if_its_guest_session_is_ended_meanwhile(
    sessions: Sessions, started, db: Database
):
    session = sessions.open(started(cart=3))
    session.sign_in({"id": 42})
    session.put("seen", 1)
    db.table("sessions").delete()
    session.save()

    again = sessions.open(session.cookie_change())
    assert again.identity() == {"id": 42}
    assert again.get("seen") == 1
    assert again.get("cart") is None  # what was ended is not brought back


def test_a_login_at_the_same_moment_takes_nothing_of_another_users_session(sessions: Sessions):
    first = log_in(sessions, 1)
    with_data = sessions.open(first)
    with_data.put("draft", "of 1")
    with_data.save()
    one, two = sessions.open(first), sessions.open(first)
    one.sign_in({"id": 1})
    two.sign_in({"id": 2})
    one.save()
    two.save()

    assert sessions.open(one.cookie_change()).get("draft") == "of 1"
    second = sessions.open(two.cookie_change())
    assert (second.identity(), second.get("draft")) == ({"id": 2}, None)


def test_without_a_login_a_session_that_was_ended_is_never_revived(
    sessions: Sessions, db: Database
):
    session = sessions.open(log_in(sessions, 42))
    session.put("x", 1)
    db.table("sessions").delete()
    session.save()

    assert db.table("sessions").count() == 0
    assert session.cookie_change() == ""


def test_a_change_of_user_empties_the_session(sessions: Sessions):
    cookie = log_in(sessions, 1)
    session = sessions.open(cookie)
    session.put({"draft": "secret", "cart": [1]})
    token = session.token()
    session.save()

    cookie = log_in(sessions, 2, cookie)

    session = sessions.open(cookie)
    assert session.all() == {}
    assert session.identity() == {"id": 2}
    assert session.token() != token


def test_the_same_user_again_keeps_his_values_and_a_guest_keeps_his_cart(
    sessions: Sessions, started
):
    cookie = log_in(sessions, 1, started(cart=1))
    assert sessions.open(cookie).get("cart") == 1

    cookie = log_in(sessions, "1", cookie)
    assert sessions.open(cookie).get("cart") == 1


# --- watching ---


def test_counting_active_sessions_reads_none_of_them(sessions: Sessions, db: Database):
    for user in range(5):
        log_in(sessions, user)

    log = []
    db.listen(lambda event: log.append(event.sql))
    assert sessions.active().count() == 5

    assert len(log) == 1
    assert "count(" in log[0]


def test_the_list_of_active_sessions_reads_them_once(sessions: Sessions, db: Database):
    log_in(sessions, 1)
    devices = sessions.active()

    def look() -> None:
        assert len(devices) == 1
        assert [device.user_id for device in devices] == ["1"]
        assert devices[0] in devices
        assert devices == [devices[0]]
        assert devices.count() == 1
        assert devices

    assert statements(db, look) == ["select"]


# --- cleaning up ---


def test_guests_may_live_shorter_than_users(make_sessions, clock: Clock, db: Database):
    sessions = make_sessions(guest_lifetime_minutes=30)
    guest, user = sessions.open(), log_in(sessions, 42)
    guest.put("x", 1)
    guest.save()
    clock.travel(31 * MINUTE)

    assert not sessions.open(guest.cookie_change()).started
    assert alive(sessions, user)
    assert sessions.cleanup() == 1
    assert db.table("sessions").count() == 1


def test_cleaning_up_never_looks_through_remembered_rows(
    sessions: Sessions, db: Database, clock: Clock
):
    now, rows = int(clock.time()), []
    for number in range(400):
        until = now + 10**6 if number % 4 else 0
        rows.append(
            {
                "id": id_of(str(number)),
                "user_id": "1",
                "payload": "{}",
                "last_activity": now - 10_000,
                "remembered_until": until,
            }
        )
    db.table("sessions").insert(rows)
    handled = []

    def note(event) -> None:
        if event.sql.startswith("select id from sessions"):
            handled.append((event.sql, event.bindings))

    db.listen(note)
    assert sessions.cleanup(batch=10) == 100

    assert db.table("sessions").count() == 300
    for sql, bindings in handled:
        plan = db.connection().select(f"explain {_plan(db)}{sql}", bindings)
        assert "sessions_remembered_until_index" in str([dict(row) for row in plan])


def _plan(db: Database) -> str:
    return "query plan " if db.connection().dialect.name == "sqlite" else ""


def test_a_remembered_row_goes_when_its_device_is_forgotten_and_it_is_idle(
    sessions: Sessions, clock: Clock, db: Database
):
    session = sessions.open()
    session.sign_in({"id": 1}, series="s", remembered_until=int(clock.time()) + 86_400)
    session.save()
    clock.travel(80_000)
    assert sessions.cleanup() == 0
    clock.travel(7_000)
    assert sessions.cleanup() == 1


# --- keys ---


class Key(Enum):
    CART = "cart"


class Word(StrEnum):
    CART = "cart"


@pytest.mark.parametrize("key", [Key.CART, Word.CART])
def test_an_enum_as_a_key_is_its_value(sessions: Sessions, key):
    session = sessions.open()
    session.put(key, 1)
    session.increment(key)
    session.save()

    again = sessions.open(session.cookie_change())
    assert again.all() == {"cart": 2}
    assert again.get(key) == 2
    assert again.has(key)
    assert again.only(key) == {"cart": 2}
    assert again.pull(key) == 2
    again.save()
    assert sessions.open(session.cookie_change()).get("cart") is None


@pytest.mark.parametrize("by", ["5", None, True, b"1", [], float("nan"), float("inf")], ids=repr)
def test_what_is_no_number_is_not_added(sessions: Sessions, by: Any):
    session = sessions.open()

    for call in (session.increment, session.decrement):
        with pytest.raises(TypeError):
            call("n", by)

    assert session.missing("n")


def test_several_values_are_put_all_or_none(sessions: Sessions):
    session = sessions.open()

    with pytest.raises(CodecError):
        session.put({"good": 1, "bad": object()})
    with pytest.raises(TypeError):
        session.put({"good": 1, 5: 1})

    assert session.all() == {}


@pytest.mark.parametrize("handle", [None, 5, b"a" * 24, []], ids=repr)
def test_what_is_no_handle_revokes_nothing(sessions: Sessions, handle: Any):
    assert sessions.revoke(handle) is False
    assert sessions.revoke(handle, 1) is False


def test_users_whose_long_keys_begin_alike_are_told_apart(sessions: Sessions):
    one, other = "k" * 70 + "1", "k" * 70 + "2"
    cookies = {}
    for user in (one, other):
        session = sessions.open()
        session.sign_in({"id": user})
        session.save()
        cookies[user] = session.cookie_change()

    assert (len(sessions.for_user(one)), sessions.logout_everywhere(one)) == (1, 1)
    assert sessions.open(cookies[one]).identity() is None
    assert sessions.open(cookies[other]).identity() == {"id": other}
