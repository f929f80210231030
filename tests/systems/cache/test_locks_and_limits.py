"""Locks, semaphores and rate limits, on both engines and across processes."""

from __future__ import annotations

import multiprocessing

import pytest

from so.db.manager import Database
from so.errors import CacheError, ConfigError, LockTimeout
from so.support.scope import Scope, entered
from so.systems.cache import (
    ArrayStore,
    Cache,
    Caches,
    DatabaseLocks,
    DatabaseStore,
    Limit,
    MemoryLocks,
    RateLimiter,
)
from so.systems.cache.limits import DatabaseCounters, MemoryCounters


@pytest.fixture(params=["sqlite", "mysql", "memory"])
def cache(request, clock):
    if request.param == "memory":
        return Cache(ArrayStore(clock), locks=MemoryLocks(clock))
    db = request.getfixturevalue(f"{request.param}_db")
    return Cache(DatabaseStore(db, clock), locks=DatabaseLocks(db, clock))


@pytest.fixture(params=["sqlite", "mysql", "memory"])
def limiter(request, clock):
    if request.param == "memory":
        return RateLimiter(MemoryCounters(clock), "so")
    return RateLimiter(
        DatabaseCounters(request.getfixturevalue(f"{request.param}_db"), clock), "so"
    )


def test_a_lock_has_one_holder(cache):
    lock, other = cache.lock("report", 60), cache.lock("report", 60)

    assert lock.acquire()
    assert not other.acquire()
    assert not other.release()
    assert lock.is_locked()
    assert lock.is_acquired()
    assert lock.is_owned_by_current_process()
    assert not other.is_owned_by_current_process()
    assert lock.release()
    assert not lock.release()
    assert other.acquire()


def test_a_lock_ends_by_itself_and_its_late_release_leaves_the_successor_alone(cache, clock):
    lock, other = cache.lock("report", 10), cache.lock("report", 10)
    lock.acquire()
    clock.travel(10)

    assert not lock.is_locked()
    assert other.acquire()
    assert not lock.release()
    assert not lock.refresh()
    assert other.is_owned_by_current_process()


def test_a_lock_of_zero_seconds_ends_only_by_a_release(cache, clock):
    lock, other = cache.lock("report"), cache.lock("report", 5)
    assert lock.acquire()
    clock.travel(10**9)

    assert lock.is_locked()
    assert not other.acquire()
    lock.release()
    assert other.acquire()


def test_refresh_keeps_a_lock_even_twice_in_one_second(cache, clock):
    lock = cache.lock("report", 10)
    lock.acquire()
    assert lock.refresh()
    assert lock.refresh(100)
    clock.travel(50)
    assert lock.is_locked()


def test_tokens_grow_with_every_acquisition(cache, clock):
    tokens = []
    for _ in range(4):
        lock = cache.lock("report", 10)
        assert lock.acquire()
        tokens.append(lock.token)
        lock.release()
    clock.travel(3 * 86_400)
    cache.locks.gc()
    lock = cache.lock("report", 10)
    lock.acquire()

    assert [*tokens, lock.token] == sorted({*tokens, lock.token})


def test_block_waits_runs_and_releases(cache, clock):
    holder, lock = cache.lock("report", 3), cache.lock("report", 60)
    holder.acquire()

    assert lock.block(10, lambda: "done") == "done"
    assert not lock.is_locked()
    holder.acquire()
    with pytest.raises(LockTimeout, match="report"):
        cache.lock("report", 60).block(1)
    assert lock.block(10) is True


def test_with_holds_the_lock_for_the_block(cache):
    with cache.lock("report", 60) as lock:
        assert lock.is_owned_by_current_process()
    assert not lock.is_locked()
    with cache.lock("report") as lock:  # without an end: as long as the block
        assert lock.is_locked()
    assert not lock.is_locked()


def test_a_lock_can_be_released_elsewhere_by_its_owner(cache):
    lock = cache.lock("report", 60)
    lock.acquire()

    assert cache.restore_lock("report", lock.owner).release()
    lock.acquire()
    cache.lock("report").force_release()
    assert not lock.is_locked()


def test_flushing_values_leaves_locks_and_flushing_locks_frees_them(cache):
    lock = cache.lock("report", 60)
    lock.acquire()
    cache.flush()
    assert lock.is_locked()

    cache.locks.flush(cache.prefix)

    assert not lock.is_locked()


def test_gc_leaves_live_locks(cache, clock):
    cache.lock("old", 10).acquire()
    kept = cache.lock("kept", 10**6)
    kept.acquire()
    clock.travel(2 * 86_400)

    assert cache.gc() == 1
    assert kept.is_locked()


def test_a_semaphore_lets_so_many_in(cache, clock):
    places = [cache.semaphore("printers", 2, 30) for _ in range(3)]

    assert [place.acquire() for place in places] == [True, True, False]
    assert places[0].release()
    assert not places[0].release()
    assert not places[0].refresh()
    assert places[2].acquire()
    assert places[2].refresh(60)
    with pytest.raises(LockTimeout):
        places[0].block(1)
    clock.travel(31)
    with places[0]:
        pass
    with pytest.raises(CacheError, match="at least 1"):
        cache.semaphore("printers", 0, 1)


def test_a_limit_lets_so_many_attempts_through_a_window(limiter, clock):
    ran = []
    results = [limiter.attempt("send", 2, lambda: ran.append(1), 60) for _ in range(3)]

    assert results == [True, True, False]
    assert limiter.too_many_attempts("send", 2)
    assert limiter.remaining("send", 2) == 0
    assert limiter.available_in("send") == 60
    clock.travel(60)
    assert not limiter.too_many_attempts("send", 2)
    assert limiter.available_in("send") == 0
    assert limiter.attempt("send", 2, lambda: 7, 60) == 7


def test_the_window_does_not_slide(limiter, clock):
    for _ in range(4):
        limiter.hit("k", 60)
        clock.travel(14)
    assert limiter.attempts("k") == 4
    clock.travel(10)
    assert limiter.hit("k", 60, by=2) == 2


def test_clear_forgets_the_attempts(limiter):
    limiter.hit("k")
    limiter.clear("k")

    assert limiter.attempts("k") == 0


def test_named_limits_are_found_by_name(limiter):
    limiter.limit("api", lambda request: Limit.per_minute(60).by(request))

    assert limiter.limiter("api")("ada") == Limit(60, 60, "ada")
    assert limiter.limiter("none") is None


def test_the_ways_to_write_a_limit():
    assert Limit.per_second(5) == Limit(5, 1)
    assert Limit.per_hour(5) == Limit(5, 3600)
    assert Limit.per_day(5) == Limit(5, 86_400)
    assert Limit.none().max_attempts > 10**15


def test_ended_windows_are_swept_and_all_can_be_flushed(limiter, clock):
    limiter.hit("a", 10)
    limiter.hit("b", 100)
    clock.travel(11)

    assert limiter.gc() == 1
    assert limiter.attempts("b") == 1
    limiter.flush()
    assert limiter.attempts("b") == 0


def _attempt(config, times, allowed):
    limiter = RateLimiter(DatabaseCounters(Database({"default": config})), "so")
    count = sum(bool(limiter.attempt("k", 40, lambda: True, 3600)) for _ in range(times))
    allowed.put(count)


def _hold(config, rounds):
    db = Database({"default": config})
    cache = Cache(DatabaseStore(db), locks=DatabaseLocks(db))
    for _ in range(rounds):
        with cache.lock("counter", 60):
            number = cache.get("n", 0)
            cache.put("n", number + 1)


def spawn(target, count, *args):
    context = multiprocessing.get_context("fork")
    children = [context.Process(target=target, args=args) for _ in range(count)]
    for child in children:
        child.start()
    for child in children:
        child.join(90)
    assert [child.exitcode for child in children] == [0] * count


def test_eight_processes_are_let_through_exactly_as_often_as_the_limit_says(db, db_config):
    allowed = multiprocessing.get_context("fork").SimpleQueue()

    spawn(_attempt, 8, db_config, 25, allowed)

    assert sum(allowed.get() for _ in range(8)) == 40


def test_a_lock_keeps_four_processes_apart(db, db_config):
    spawn(_hold, 4, db_config, 15)

    assert Cache(DatabaseStore(db)).get("n") == 60


def test_stores_are_found_by_name_and_a_typo_names_the_nearest(clock):
    caches = Caches({"array": lambda: Cache(ArrayStore(clock))}, "array")

    assert caches.store() is caches.store("array")
    with pytest.raises(ConfigError, match="did you mean 'array'"):
        caches.store("arary")
    caches.extend("own", lambda: Cache(ArrayStore(clock)))
    assert caches.store("own") is not caches.store()
    caches.close()


def test_a_request_that_counts_or_locks_leaves_its_session_to_the_next_one(mysql_db, clock):
    cache = Cache(DatabaseStore(mysql_db, clock))
    limiter = RateLimiter(DatabaseCounters(mysql_db, clock), "so")
    uses = [
        lambda: cache.increment("visits"),
        lambda: cache.add("once", 1, 60),
        lambda: cache.lock("report", 60).acquire(),
        lambda: limiter.hit("login", 60),
        lambda: limiter.reserve("login", 5, 60),
    ]

    with entered(Scope("request")):
        before = mysql_db.scalar("select connection_id()")
    for use in uses:
        with entered(Scope("request")):
            use()

        with entered(Scope("request")):
            assert mysql_db.scalar("select connection_id()") == before
