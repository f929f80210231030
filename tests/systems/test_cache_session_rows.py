"""What has broken caches, locks, limits and sessions elsewhere: 43 rows, each with its test.

Most are shown where their room is tested: `SHOWN` says where. What had no test stands here, named
by its number. Every test runs on both engines, where there are two ways to do it wrong.

1, 33 deadlocks and a million rows are in tests/chaos, small in every run. 18: a tagged and a plain
entry of one name have locks of their own, as the lock is named by the whole stored key. 26: forks
are the business of the connections.
"""

from __future__ import annotations

import multiprocessing
import re
import threading
from pathlib import Path
from typing import Any

import pytest

from so.db.manager import Database
from so.errors import QueryError
from so.support.clock import Clock
from so.systems.cache import Cache, DatabaseCounters, DatabaseStore, RateLimiter
from so.systems.cache.entry import NEVER
from so.systems.sessions import Sessions
from tests.systems.sessions.test_database_sessions import statements

ROOT = Path(__file__).resolve().parents[2]
CACHE, SESSIONS, AUTH = "tests/systems/cache", "tests/systems/sessions", "tests/systems/auth"
SHOWN = {
    1: ("tests/chaos/test_cache_and_session_chaos.py", "test_hot_locks_give_nobody_a_deadlock"),
    2: (f"{CACHE}/test_cache_edges.py", "test_the_queries_of_the_housekeeping_use_an_index"),
    3: (f"{CACHE}/test_every_call.py", "test_an_operation_is_one_statement"),
    4: (f"{CACHE}/test_cache.py", "test_gc_removes_every_expired_entry"),
    7: (f"{CACHE}/test_locks_and_limits.py", "test_a_lock_ends_by_itself_and_its_late_release"),
    8: (f"{CACHE}/test_locks_and_limits.py", "test_refresh_keeps_a_lock_even_twice"),
    9: (f"{CACHE}/test_locks_and_limits.py", "test_flushing_values_leaves_locks"),
    11: (f"{CACHE}/test_locks_and_limits.py", "test_the_window_does_not_slide"),
    12: (f"{CACHE}/test_locks_and_limits.py", "test_a_limit_lets_so_many_attempts_through"),
    13: (f"{CACHE}/test_locks_and_limits.py", "test_eight_processes_are_let_through_exactly"),
    14: (f"{CACHE}/test_cache.py", "test_none_is_a_value"),
    15: (f"{CACHE}/test_every_call.py", "test_cache_if_and_none_ttl_decide_what_is_kept"),
    17: (f"{CACHE}/test_cache.py", "test_one_row_holds_a_flexible_entry"),
    20: (f"{CACHE}/test_every_call.py", "test_large_texts_are_compressed_and_bytes_are_kept_raw"),
    21: (f"{CACHE}/test_cache.py", "test_increments_of_eight_processes_are_all_counted"),
    22: (f"{CACHE}/test_cache.py", "test_keys_are_exact_to_the_letter"),
    23: (f"{CACHE}/test_cache_edges.py", "test_a_bounded_cache_stays_bounded"),
    26: ("tests/db/test_connection_servers.py", "test_a_forked_child_gets_sessions_of_its_own"),
    27: ("tests/test_architecture.py", "test_no_module_reads_objects_back_by_running_them"),
    29: (f"{SESSIONS}/test_database_sessions.py", "test_26_parallel_requests_lose_nothing"),
    30: (f"{SESSIONS}/test_session.py", "test_reading_writes_nothing_but_the_activity"),
    31: (f"{SESSIONS}/test_database_sessions.py", "test_a_session_deleted_in_flight_is_not"),
    32: (f"{SESSIONS}/test_session.py", "test_regenerating_with_grace_leaves_requests_under_way"),
    33: ("tests/chaos/test_cache_and_session_chaos.py", "test_expired_rows_are_cleaned_away"),
    35: (f"{SESSIONS}/test_database_sessions.py", "test_a_visitor_without_a_session_costs"),
    36: (f"{SESSIONS}/test_session.py", "test_any_user_agent_can_be_stored"),
    37: (f"{SESSIONS}/test_session.py", "test_a_session_that_grows_too_large_is_refused"),
    38: (f"{AUTH}/test_remember.py", "test_each_device_has_a_series_of_its_own"),
    39: (f"{AUTH}/test_passwords.py", "test_after_the_strength_was_changed_no_wrong_password"),
    40: (f"{AUTH}/test_tokens.py", "test_its_use_is_noted_at_most_once_a_minute"),
    41: (f"{AUTH}/test_throttle.py", "test_all_spellings_of_a_user_share_five_guesses"),
    42: (f"{SESSIONS}/test_session.py", "test_the_token_is_stable_over_requests_and_tabs"),
    43: (f"{SESSIONS}/test_session.py", "test_parallel_requests_at_login_neither_lose"),
}


def test_every_row_is_shown_somewhere():
    here = {int(number) for number in re.findall(r"^def test_(\d+)_", source(__file__), re.M)}

    assert here | SHOWN.keys() == set(range(1, 44))
    assert not here & SHOWN.keys()
    for path, name in SHOWN.values():
        assert f"def {name}" in source(ROOT / path), f"{path} has no {name}"


def source(path: str | Path) -> str:
    return Path(path).read_text("utf-8")


@pytest.fixture
def cache(db: Database, clock: Clock) -> Cache:
    return Cache(DatabaseStore(db, clock))


def together(work: Any, times: int) -> list[BaseException]:
    """What *work* raised in so many threads at once."""
    gate, raised = threading.Barrier(times), []

    def one() -> None:
        gate.wait()
        try:
            work()
        except BaseException as error:
            raised.append(error)

    threads = [threading.Thread(target=one) for _ in range(times)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return raised


def test_5_reading_deletes_nothing_and_cleaning_spares_what_was_renewed(
    db: Database, cache: Cache, clock: Clock
):
    cache.put("ended", 1, 5)
    cache.put("renewed", 1, 5)
    clock.travel(10)
    seen = statements(db, lambda: cache.many(["ended", "renewed"]))
    assert [sql.split()[0] for sql in seen] == ["select"]
    is_new: list[bool] = []

    def renewed_first(sql: str, bindings: Any, connection: Any) -> None:
        if sql.startswith("delete") and not is_new:
            is_new.append(cache.put("renewed", 2, 60))

    db.connection().before_executing(renewed_first)

    assert cache.gc() == 1
    assert cache.get("renewed") == 2


def test_6_an_error_that_is_no_conflict_ends_the_wait_for_a_lock_at_once(
    db: Database, cache: Cache
):
    db.connection().statement("drop table cache_locks")

    with pytest.raises(QueryError):
        cache.lock("l", 5).block(60)


def test_10_every_row_of_a_limit_has_an_end_whatever_happened_to_it(db: Database, clock: Clock):
    limiter = RateLimiter(DatabaseCounters(db, clock))
    limiter.hit("hit", 60)
    limiter.attempt("attempt", 5, lambda: 1)
    for name, settle in (("kept", "count"), ("given", "give_back")):
        place = limiter.reserve(name, 5, 60)
        assert place is not None
        getattr(place, settle)()
    late = limiter.reserve("late", 5, 60)
    clock.travel(61)
    assert late is not None
    late.count()
    limiter.hit("hit", 60)

    rows = db.select("select expiration from rate_limits")

    assert len(rows) == 5
    assert all(0 < int(row["expiration"]) < NEVER for row in rows)


def test_16_a_cold_flexible_value_is_computed_once_by_sixteen_threads(cache: Cache, db: Database):
    made, got = [], []

    def ask() -> None:
        got.append(cache.flexible("f", (5, 60), lambda: made.append(1) or "made"))
        db.close()

    assert together(ask, 16) == []
    assert (len(made), set(got)) == (1, {"made"})


def test_18_a_stale_tagged_value_and_a_plain_one_of_its_name_are_renewed_apart(
    cache: Cache, clock: Clock
):
    tagged = cache.tags("a")
    for store in (cache, tagged):
        store.flexible("f", (5, 600), lambda: "old")
    clock.travel(10)

    asked: list[str] = []
    cache.flexible("f", (5, 600), lambda: tagged.flexible("f", (5, 600), lambda: asked.append("t")))

    assert asked == ["t"]


def test_19_the_cache_works_within_a_read_only_transaction(mysql_config: dict[str, Any]):
    """SQLite has none: what is rolled back there is in tests/application/test_homes.py."""
    with Database({"default": mysql_config, "cache": mysql_config}) as db:
        cache = Cache(DatabaseStore(db.source("cache")))
        db.connection().statement("start transaction read only")

        assert cache.put("a", 1, 60)
        assert cache.increment("n") == 1
        assert cache.lock("l", 5).acquire()

        db.connection().statement("rollback")
        assert cache.get("a") == 1


def test_24_what_the_cache_does_is_in_no_query_log_of_the_application(
    db: Database, db_config: dict[str, Any]
):
    with Database({"default": db_config, "cache": db_config}) as own:
        own.connection().enable_query_log()
        cache = Cache(DatabaseStore(own.source("cache")))
        cache.put("a", 1)
        cache.get("a")

        assert own.connection().get_query_log() == []
    assert db.select("select * from activity_log") == []


def begin(number: int, config: dict[str, Any]) -> None:
    with Database({"default": config}) as db:
        cache = Cache(DatabaseStore(db))
        assert cache.put(f"p{number}", number)
        assert cache.increment("n")


@pytest.mark.usefixtures("db")
def test_25_many_threads_and_processes_that_begin_at_once_are_in_nobodys_way(
    db_config: dict[str, Any],
):
    context = multiprocessing.get_context("fork")
    children = [context.Process(target=begin, args=(n, db_config)) for n in range(4)]
    for child in children:
        child.start()

    assert together(lambda: begin(threading.get_ident(), db_config), 12) == []

    for child in children:
        child.join(60)
    assert [child.exitcode for child in children] == [0] * 4
    with Database({"default": db_config}) as db:
        assert Cache(DatabaseStore(db)).get("n") == 16


def test_28_every_connection_of_sqlite_is_in_wal_mode_and_waits_its_turn(tmp_path: Path):
    with Database({"default": str(tmp_path / "fresh.sqlite")}) as db:
        [[mode]] = db.connection().select_tuples("pragma journal_mode")
        [[wait]] = db.connection().select_tuples("pragma busy_timeout")

    assert mode == "wal"
    assert wait > 0


def test_34_cleanups_at_once_remove_each_session_once(db: Database, clock: Clock):
    sessions = Sessions(db, clock=clock)
    for _ in range(40):
        session = sessions.open()
        session.put("a", 1)
        session.save()
    clock.travel(3 * 3600)
    removed: list[int] = []

    def clean() -> None:
        removed.append(sessions.cleanup(batch=7))
        db.close()

    assert together(clean, 3) == []
    assert sum(removed) == 40
