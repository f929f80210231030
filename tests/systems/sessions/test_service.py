"""All sessions together: devices, ending them, cleaning up."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from so.support.clock import Clock
from so.support.scope import Scope, entered
from so.systems.sessions import Session, Sessions, id_of

MINUTE, DAY = 60, 86_400


@pytest.fixture
def log_in(sessions: Sessions) -> Callable[..., str]:
    """Begins a session of a user → its cookie."""

    def begin(user: object, agent: str = "Firefox", **options: object) -> str:
        session = sessions.open(user_agent=agent, ip_address="10.0.0.1")
        session.sign_in({"id": user}, **options)
        session.save()
        cookie = session.cookie_change()
        assert cookie
        return cookie

    return begin


class User:
    def __init__(self, key: object) -> None:
        self.key = key

    def get_key(self) -> object:
        return self.key


def is_alive(sessions: Sessions, cookie: str) -> bool:
    return sessions.open(cookie).identity() is not None


def test_a_user_sees_his_own_devices_newest_first(sessions, log_in, clock: Clock):
    log_in(42, "Phone")
    log_in(7, "Somebody else")
    clock.travel(10)
    here = log_in(42, "Laptop")

    with entered(Scope()) as scope:
        scope.session = sessions.open(here)
        devices = sessions.for_user(User(42))

    assert [(d.user_agent, d.current) for d in devices] == [("Laptop", True), ("Phone", False)]
    assert devices.count() == 2
    assert devices[0].to_dict() == {
        "handle": id_of(here)[:24],
        "user_id": "42",
        "ip": "10.0.0.1",
        "user_agent": "Laptop",
        "last_activity": int(clock.time()),
        "created_at": int(clock.time()),
        "current": True,
        "remembered": False,
    }


def test_a_device_is_revoked_by_its_handle_and_by_its_owner_only(sessions, log_in):
    mine, theirs = log_in(42), log_in(7)
    handle = sessions.for_user(42)[0].handle

    assert sessions.revoke(handle, owner=7) is False
    assert is_alive(sessions, mine)
    assert sessions.revoke(handle, owner=User(42)) is True
    assert not is_alive(sessions, mine)
    assert is_alive(sessions, theirs)
    assert sessions.revoke(handle, owner=42) is False


@pytest.mark.parametrize("handle", ["", "%", "a" * 23, "g" * 24, "' or 1=1 --", "0" * 24])
def test_a_handle_that_was_made_up_revokes_nothing(sessions, log_in, handle):
    cookie = log_in(42)

    assert sessions.revoke(handle) is False
    assert is_alive(sessions, cookie)


def test_an_administrator_revokes_without_an_owner(sessions, log_in):
    cookie = log_in(42)

    assert sessions.revoke(sessions.for_user(42)[0].handle) is True
    assert not is_alive(sessions, cookie)


def test_revoking_a_remembered_device_ends_every_row_of_its_series(sessions, log_in, clock):
    until = int(clock.time()) + DAY
    log_in(42, series="s1", remembered_until=until)
    log_in(42, series="s2", remembered_until=until)

    sessions.revoke(sessions.for_user(42)[0].handle)

    assert len(sessions.for_user(42)) == 1


def test_logging_out_everywhere_ends_all_of_a_users_sessions(sessions, log_in):
    mine = [log_in(42), log_in(42)]
    theirs = log_in(7)

    assert sessions.logout_everywhere(User(42)) == 2

    assert not any(is_alive(sessions, cookie) for cookie in mine)
    assert is_alive(sessions, theirs)


def test_logging_out_others_keeps_this_one(sessions, log_in):
    here, there = log_in(42), log_in(42)

    with entered(Scope()) as scope:
        scope.session = sessions.open(here)
        assert sessions.logout_others(42) == 1

    assert is_alive(sessions, here)
    assert not is_alive(sessions, there)


def test_logging_out_others_may_be_told_which_session_stays(sessions, log_in):
    here, there = log_in(42), log_in(42)

    assert sessions.logout_others(42, sessions.open(there)) == 1
    assert not is_alive(sessions, here)


def test_the_key_of_a_user_may_be_a_uuid(sessions, log_in):
    uuid = "9b2f1e0a-0000-4000-8000-000000000001"
    cookie = log_in(uuid)

    assert len(sessions.for_user(uuid)) == 1
    assert sessions.logout_everywhere(uuid) == 1
    assert not is_alive(sessions, cookie)


def test_an_application_may_name_the_user_itself(sessions):
    session = sessions.open()
    session.put("user_id", 42)
    session.save()

    assert len(sessions.for_user(42)) == 1

    session = sessions.open(session.cookie_change())
    session.put("user_id", {"not": "a key"})
    session.save()
    assert sessions.for_user(42) == []


def test_active_sessions_are_counted_and_listed(sessions, log_in, clock: Clock):
    log_in(42)
    clock.travel(100 * MINUTE)
    log_in(7)

    assert sessions.active().count() == 2
    assert [d.user_id for d in sessions.active(minutes=30)] == ["7"]
    assert sessions.active(minutes=30).count(None) == 0


def test_cleaning_up_removes_what_is_over_and_nothing_else(sessions, log_in, clock: Clock):
    for user in range(25):
        log_in(user)
    clock.travel(60 * MINUTE)
    alive = log_in(99)
    clock.travel(60 * MINUTE)

    assert sessions.cleanup(batch=10) == 25
    assert sessions.cleanup() == 0
    assert is_alive(sessions, alive)


def test_cleaning_up_leaves_remembered_devices_until_they_are_forgotten(
    sessions, log_in, clock: Clock
):
    until = int(clock.time()) + 30 * DAY
    log_in(42, series="s1", remembered_until=until)

    clock.travel(10 * DAY)
    assert sessions.cleanup() == 0
    assert [d.remembered for d in sessions.for_user(42)] == [True]
    assert sessions.open().has_series(42, "s1")

    clock.travel(20 * DAY)
    assert sessions.cleanup() == 1


def test_cleaning_up_forgets_where_sessions_went(sessions, log_in, clock: Clock):
    session = sessions.open(log_in(42))
    old = session.id()
    session.regenerate(destroy=False)
    session.save()
    sessions.cleanup()
    assert sessions._store.moved(old)

    clock.travel(301)
    sessions.cleanup(batch=1)

    assert sessions._store.moved(old) is None


def test_cleaning_up_spares_a_session_that_comes_back_to_life_in_between(
    sessions, log_in, clock: Clock
):
    cookie = log_in(42)
    clock.travel(119 * MINUTE)
    returning = sessions.open(cookie)
    returning.put("x", 1)
    clock.travel(MINUTE)

    def save_before_the_delete(sql: str, bindings: object, connection: object) -> None:
        if sql.startswith("delete from sessions where id in"):
            returning.save()

    sessions._store._db.connection().before_executing(save_before_the_delete)

    assert sessions.cleanup() == 0
    assert is_alive(sessions, cookie)


# --- remember-me series, for so/systems/auth ---


def test_a_new_login_by_a_series_takes_the_place_of_its_old_row(sessions, log_in, clock: Clock):
    until = int(clock.time()) + 30 * DAY
    log_in(42, series="s1", remembered_until=until)
    clock.travel(DAY)

    session = sessions.open()
    session.sign_in({"id": 42}, series="s1", remembered_until=until, since=1000)
    session.save()

    devices = sessions.for_user(42)
    assert [d.created_at for d in devices] == [1000]


def test_joining_a_series_takes_part_in_its_live_session_without_its_cookie(
    sessions: Sessions, log_in, clock: Clock
):
    cookie = log_in(42, series="s1", remembered_until=int(clock.time()) + DAY)

    session = sessions.open()
    assert session.join_series(42, "s1") is True
    session.put("x", 1)
    session.save()

    assert session.cookie_change() is None
    assert sessions.open(cookie).get("x") == 1


def test_joining_a_series_that_is_not_stored_yet_keeps_nothing(sessions: Sessions, log_in, clock):
    log_in(42, series="s1", remembered_until=int(clock.time()) + DAY)
    clock.travel(3 * 60 * MINUTE)

    session = sessions.open()
    assert session.join_series(42, "s1") is False
    session.put("x", 1)
    session.save()

    assert session.cookie_change() is None
    assert len(sessions.for_user(42)) == 1


def test_ending_a_series_and_ending_others(sessions: Sessions, log_in, clock: Clock):
    until = int(clock.time()) + DAY
    one, two, here = (
        log_in(42, series="s1", remembered_until=until),
        log_in(42),
        log_in(42),
    )
    session: Session = sessions.open(here)
    session.identity()

    session.end_series(42, "s1")
    assert not is_alive(sessions, one)

    assert session.end_others(42) == 1
    assert not is_alive(sessions, two)
    assert is_alive(sessions, here)


def test_updating_the_identity_is_no_new_login(sessions: Sessions, log_in):
    cookie = log_in(42)
    session = sessions.open(cookie)

    session.update_identity({"id": 42, "mark": "new"})
    session.save()

    assert sessions.open(cookie).identity() == {"id": 42, "mark": "new"}


def test_signing_out_ends_the_session(sessions: Sessions, log_in):
    cookie = log_in(42)
    session = sessions.open(cookie)

    session.sign_out()
    session.save()

    assert not is_alive(sessions, cookie)
    assert session.cookie_change() == ""
