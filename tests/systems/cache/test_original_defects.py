"""What the original's cache got wrong, each as a test: it must not come back."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

import pytest

from so.errors import QueryError
from so.support.clock import Clock
from so.systems.cache import (
    Cache,
    DatabaseCounters,
    DatabaseLocks,
    DatabaseStore,
    Limit,
    RateLimiter,
)
from so.systems.cache.entry import NEVER


@pytest.fixture
def cache(db, clock):
    return Cache(DatabaseStore(db, clock), "so_cache")


def rows(db):
    return db.table("cache").count()


def test_1_for_ever_goes_on_after_2028_and_after_2038(cache, clock):
    cache.forever("a", 1)
    cache.put("b", 2, datetime(2045, 1, 1, tzinfo=UTC))
    clock.freeze(datetime(2044, 12, 31, tzinfo=UTC))

    assert (cache.get("a"), cache.get("b")) == (1, 2)
    assert cache.entry("a").expiration == NEVER


def test_2_an_expired_row_can_be_deleted_by_its_key(cache, db, clock):
    cache.put("a", 1, 10)
    clock.travel(11)

    assert cache.get("a") is None
    assert cache.forget("a") is False
    if not db.connection().server.returns_rows:
        cache.gc()  # MySQL, which cannot tell what it deleted, leaves it to the sweep
    assert rows(db) == 0


def test_3_increments_lose_nothing_and_leave_the_end_alone(db_config, clock):
    from so.db.manager import Database

    db = Database({"default": db_config})
    cache = Cache(DatabaseStore(db))
    cache.put("n", 0, 3600)

    def count():
        for _ in range(25):
            cache.increment("n")
        db.close()

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert cache.get("n") == 100
    assert 3500 < cache.ttl("n") <= 3600
    db.close()


def test_4_a_lock_without_an_end_is_taken_once_and_never_stolen(cache, clock):
    mine, other = cache.lock("report", 0), cache.lock("report", 0)

    assert mine.acquire()
    clock.travel(10**9)
    assert mine.is_acquired()
    assert not other.acquire()
    assert not other.is_owned_by_current_process()


def test_5_only_the_owner_releases_and_a_dead_database_is_an_error(cache, empty_db, clock):
    mine, other = cache.lock("report", 60), cache.lock("report", 60)
    mine.acquire()

    assert other.release() is False
    assert mine.is_acquired()
    assert len(mine.owner) >= 20
    assert mine.owner != other.owner
    without_tables = Cache(DatabaseStore(empty_db, clock))
    for operation in (
        lambda: without_tables.put("a", 1),
        lambda: without_tables.get("a"),
        lambda: without_tables.lock("a").acquire(),
    ):
        with pytest.raises(QueryError):
            operation()


def test_6_flushing_takes_no_neighbours_values(cache, db, clock):
    names = ("soXcache", "so_cache2", "so", "so_cach", "so%cache")
    neighbours = [Cache(DatabaseStore(db, clock), name) for name in names]
    for each in (cache, *neighbours):
        each.put("a", 1)

    cache.flush()

    assert cache.missing("a")
    assert [each.get("a") for each in neighbours] == [1] * len(names)


@pytest.mark.parametrize(
    ("one", "other"),
    [("User:1", "user:1"), ("café", "cafe"), ("a", "a "), ("straße", "strasse"), ("😀", "😁"),
     ("a\u200bb", "ab"), ("i", "İ"), ("a\x00", "a")],
)  # fmt: skip
def test_7_locks_and_limits_are_as_exact_as_keys(db, cache, clock, one, other):
    limiter = RateLimiter(DatabaseCounters(db, clock), "so")

    cache.put(one, 1)
    limiter.hit(one)

    assert cache.missing(other)
    assert cache.lock(one, 60).acquire()
    assert cache.lock(other, 60).acquire()
    assert limiter.attempts(other) == 0


def test_8_none_is_remembered_and_a_default_is_called(cache):
    calls = []

    for _ in range(2):
        assert cache.remember("nobody", 60, lambda: calls.append(1)) is None
    assert calls == [1]
    assert cache.get("x", lambda: "made") == "made"


def test_13_what_one_request_keeps_in_memory_no_other_sees(clock):
    from so.support.scope import Scope, entered
    from so.systems.cache import ArrayStore

    cache = Cache(ArrayStore(clock))
    with entered(Scope()):
        cache.put("token", "of user A")
        cache.increment("n")
    with entered(Scope()):
        assert cache.get("token") is None
        assert cache.increment("n") == 1


def test_14_steady_traffic_does_not_keep_a_window_open(db, clock):
    limiter = RateLimiter(DatabaseCounters(db, clock))
    for _ in range(7):
        limiter.hit("login", 60)
        clock.travel(9)

    assert limiter.attempts("login") == 0
    assert Limit.per_minute(5).by(7) == Limit(5, 60, "7")


def test_42_a_server_whose_clock_is_wrong_steals_no_lock_and_ends_no_value(mysql_config):
    from so.db.manager import Database

    class Ahead(Clock):
        def time(self):
            return super().time() + 7200

    with (
        Database({"default": mysql_config}) as here,
        Database({"default": mysql_config}, clock=Ahead()) as there,
    ):
        lock = Cache(DatabaseStore(here)).lock("report", 60)
        ahead = Cache(DatabaseStore(there, Ahead()))
        assert lock.acquire()
        Cache(DatabaseStore(here)).put("a", 1, 60)

        assert not ahead.lock("report", 60).acquire()
        assert DatabaseLocks(there, Ahead()).owner("so_cache:report") == lock.owner
        assert ahead.get("a") == 1
        assert 55 < ahead.ttl("a") <= 61
        limiter = RateLimiter(DatabaseCounters(here))
        limiter.hit("k", 60)
        assert RateLimiter(DatabaseCounters(there, Ahead())).attempts("k") == 1
