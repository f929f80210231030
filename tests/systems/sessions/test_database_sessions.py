"""Sessions in real tables: what SQL sees, what it costs, and what happens at the same moment."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from so.db.manager import Database
from so.support.clock import Clock
from so.systems.sessions import Sessions, SessionTable, id_of


@pytest.fixture(params=["sqlite", "mysql"])
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def begin(sessions: Sessions, **values: Any) -> str:
    session = sessions.open()
    session.put(values or {"begun": True})
    session.save()
    cookie = session.cookie_change()
    assert cookie
    return cookie


def log_in(sessions: Sessions, user: object) -> str:
    session = sessions.open()
    session.sign_in({"id": user})
    session.save()
    cookie = session.cookie_change()
    assert cookie
    return cookie


def statements(db: Database, work: Callable[[], object]) -> list[str]:
    """The first words of the statements that *work* runs."""
    connection = db.connection()
    connection.enable_query_log()
    connection.flush_query_log()
    work()
    log = [str(entry["query"]).split()[0].lower() for entry in connection.get_query_log()]
    connection.disable_query_log()
    return log


# --- what an administrator does by SQL ---


def test_deleting_a_users_rows_logs_him_out_at_his_next_request(db: Database, clock: Clock):
    """features.md: DB.table('sessions').where('user_id', 42).delete()"""
    sessions = Sessions(db, clock=clock)
    mine, theirs = log_in(sessions, 42), log_in(sessions, 7)

    assert db.table("sessions").where("user_id", 42).delete() == 1

    session = sessions.open(mine)
    assert session.identity() is None
    session.save()
    assert session.cookie_change() == ""
    assert sessions.open(theirs).identity() == {"id": 7}


def test_active_sessions_are_counted_by_sql(db: Database, clock: Clock):
    """features.md: DB.table('sessions').where('last_activity', '>', time() - 7200).count()"""
    sessions = Sessions(db, clock=clock)
    begin(sessions)
    clock.travel(7200)
    begin(sessions)
    begin(sessions)

    assert db.table("sessions").where("last_activity", ">", int(clock.time()) - 7200).count() == 2


def test_a_row_shows_who_from_where_with_what(db: Database, clock: Clock):
    sessions = Sessions(db, clock=clock)
    session = sessions.open(ip_address="10.1.2.3", user_agent="Firefox")
    session.sign_in({"id": 42})
    session.save()

    row = db.table("sessions").first()

    assert row is not None
    assert (row["user_id"], row["ip_address"], row["user_agent"], row["last_activity"]) == (
        "42",
        "10.1.2.3",
        "Firefox",
        int(clock.time()),
    )
    assert row["id"] == id_of(session.cookie_change() or "")


def test_a_row_with_the_originals_columns_alone_is_a_session(db: Database, clock: Clock):
    sessions, secret = Sessions(db, clock=clock), "C" * 43
    db.table("sessions").insert(
        {
            "id": id_of(secret),
            "user_id": 42,
            "ip_address": "127.0.0.1",
            "user_agent": "by hand",
            "payload": '{"a": 1}',
            "last_activity": int(clock.time()),
        }
    )

    session = sessions.open(secret)
    assert session.increment("a") == 2
    session.save()

    assert sessions.open(secret).get("a") == 2


def test_ids_that_most_collations_take_for_equal_are_different(db: Database, clock: Clock):
    store = SessionTable(db)
    sessions = Sessions(db, clock=clock)
    id = id_of(begin(sessions))

    assert store.read(id) is not None
    assert store.read(id.upper()) is None


# --- what it costs ---


def test_a_request_that_reads_its_session_costs_one_select(db: Database, clock: Clock):
    sessions = Sessions(db, clock=clock)
    cookie = begin(sessions, cart=[1])

    def read_only() -> None:
        session = sessions.open(cookie)
        session.get("cart")
        session.save()

    assert statements(db, read_only) == ["select"]


def test_a_request_that_changes_its_session_costs_one_select_and_one_update(
    db: Database, clock: Clock
):
    sessions = Sessions(db, clock=clock)
    cookie = begin(sessions, n=1)

    def change() -> None:
        session = sessions.open(cookie)
        session.increment("n")
        session.save()

    assert statements(db, change) == ["select", "update"]


def test_a_visitor_without_a_session_costs_nothing(db: Database, clock: Clock):
    sessions = Sessions(db, clock=clock)

    def visit() -> None:
        session = sessions.open()
        session.get("x")
        session.save()

    assert statements(db, visit) == []


def test_cleaning_up_and_finding_a_users_sessions_use_an_index(db: Database, clock: Clock):
    sessions = Sessions(db, clock=clock)
    log_in(sessions, 42)
    sql = {
        "last_activity": "select id from sessions where last_activity <= 5 limit 9",
        "user_id": "select id from sessions where user_id = '42'",
    }

    for column, text in sql.items():
        explain = "explain query plan" if db.connection().dialect.name == "sqlite" else "explain"
        plan = str(db.connection().select_tuples(f"{explain} {text}"))
        assert f"sessions_{column}_index" in plan


# --- the same moment ---


def test_a_save_meeting_another_save_merges_both(db: Database, clock: Clock):
    sessions = Sessions(db, clock=clock)
    cookie = begin(sessions, n=0, log=[])
    first, second = sessions.open(cookie), sessions.open(cookie)
    for name, session in (("first", first), ("second", second)):
        session.increment("n")
        session.push("log", name)
        session.put(name, True)

    first.save()
    second.save()

    assert sessions.open(cookie).all() == {
        "n": 2,
        "log": ["first", "second"],
        "first": True,
        "second": True,
    }
    assert second.get("log") == ["first", "second"]


def test_a_request_that_others_overtake_again_and_again_gets_its_turn(
    db: Database, clock: Clock, monkeypatch
):
    sessions = Sessions(db, clock=clock)
    cookie = begin(sessions, n=0)
    slow = sessions.open(cookie)
    slow.increment("n")
    replace = slow._store.replace
    overtakers = []

    def overtaken(*arguments: Any) -> bool:
        if len(overtakers) < 3:
            overtakers.append(1)
            other = Sessions(db, clock=clock).open(cookie)
            other.increment("n")
            other.save()
        return replace(*arguments)

    monkeypatch.setattr(slow._store, "replace", overtaken)
    slow.save()

    assert Sessions(db, clock=clock).open(cookie).get("n") == 4


def test_a_rotation_that_others_overtake_again_and_again_gets_its_turn(
    db: Database, clock: Clock, monkeypatch
):
    sessions = Sessions(db, clock=clock)
    cookie = begin(sessions, n=0)
    slow = sessions.open(cookie)
    slow.regenerate(destroy=False)
    monkeypatch.setattr(slow._store, "replace", lambda *arguments: False)

    slow.save()

    other = Sessions(db, clock=clock)
    assert other.open(slow.cookie_change()).get("n") == 0
    assert other.open(cookie).get("n") == 0
    assert db.table("sessions").count() == 1


def test_a_session_deleted_while_others_overtake_stays_deleted(
    db: Database, clock: Clock, monkeypatch
):
    sessions = Sessions(db, clock=clock)
    slow = sessions.open(begin(sessions, n=0))
    slow.increment("n")
    monkeypatch.setattr(slow._store, "replace", lambda *arguments: False)
    lock = slow._store.replace_locked

    def deleted_first(*arguments: Any) -> Any:
        db.table("sessions").delete()
        return lock(*arguments)

    monkeypatch.setattr(slow._store, "replace_locked", deleted_first)
    slow.save()

    assert slow.cookie_change() == ""
    assert db.table("sessions").count() == 0


@pytest.mark.parametrize("change", ["write", "read"])
def test_a_session_deleted_in_flight_is_not_revived_and_its_cookie_is_taken_back(
    db: Database, clock: Clock, change: str
):
    sessions = Sessions(db, clock=clock)
    session = sessions.open(log_in(sessions, 42))
    session.identity()
    clock.travel(61)  # so that a mere read would note its activity

    db.table("sessions").where("user_id", 42).delete()
    if change == "write":
        session.put("x", 1)
    session.save()

    assert db.table("sessions").count() == 0
    assert session.cookie_change() == ""
    assert session.identity() is None


def test_noting_activity_of_a_rotated_session_goes_on_under_its_new_id(db: Database, clock: Clock):
    sessions, eager = Sessions(db, clock=clock), Sessions(db, clock=clock, touch_seconds=1)
    cookie = begin(sessions, a=1)
    reading, rotating = eager.open(cookie), sessions.open(cookie)
    reading.get("a")
    rotating.regenerate(destroy=False)
    rotating.save()
    clock.travel(15)

    reading.save()

    assert reading.cookie_change() is None
    assert reading.id() == rotating.id()


def test_a_logout_among_fifty_requests_under_way_leaves_no_session(db: Database, clock: Clock):
    sessions = Sessions(db, clock=clock)
    cookie = log_in(sessions, 42)
    under_way = [sessions.open(cookie) for _ in range(50)]
    for number, session in enumerate(under_way):
        session.put(f"k{number}", number)
    leaving = sessions.open(cookie)
    leaving.sign_out()

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(lambda session: session.save(), [*under_way[:9], leaving, *under_way[9:]]))

    assert db.table("sessions").count() == 0
    assert {session.cookie_change() for session in under_way} <= {"", None}
    assert leaving.cookie_change() == ""


def test_26_parallel_requests_lose_nothing_and_increments_add_up(db: Database, clock: Clock):
    sessions = Sessions(db, clock=clock)
    cookie = begin(sessions, n=0)
    together = threading.Barrier(26)

    def request(letter: str) -> None:
        session = sessions.open(cookie)
        session.get("n")
        together.wait(60)
        session.put(letter, letter.upper())
        session.increment("n")
        session.push("order", letter)
        session.save()

    letters = "abcdefghijklmopqrstuvwxyz" + "ä"
    with ThreadPoolExecutor(26) as pool:
        list(pool.map(request, letters))

    found = sessions.open(cookie)
    assert found.get("n") == 26
    assert sorted(found.get("order")) == sorted(letters)
    assert {found.get(letter) for letter in letters} == set(letters.upper())


def _count_up(config: dict[str, Any], cookie: str, name: str, times: int) -> None:
    with Database({"default": config}) as db:
        for number in range(times):
            session = Sessions(db).open(cookie)
            session.increment("n")
            session.put(f"{name}-{number}", True)
            session.save()


def test_processes_that_share_a_session_lose_nothing(db_config: dict[str, Any]):
    with Database({"default": db_config}) as db:
        cookie = begin(Sessions(db), n=0)
    context = multiprocessing.get_context("spawn")
    workers = [
        context.Process(target=_count_up, args=(db_config, cookie, f"p{number}", 20))
        for number in range(3)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)

    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    with Database({"default": db_config}) as db:
        session = Sessions(db).open(cookie)
        assert session.get("n") == 60
        assert len(session.all()) == 61


def test_a_session_written_inside_the_callers_transaction_does_not_wait_for_itself(
    db: Database, clock: Clock
):
    sessions = Sessions(db, clock=clock)
    cookie = begin(sessions, n=0)

    with db.transaction():
        db.table("cache").insert({"key": "k", "value": "1", "expiration": 0})
        session = sessions.open(cookie)
        session.increment("n")
        session.save()

    assert sessions.open(cookie).get("n") == 1
