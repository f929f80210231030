"""The edges: numbers that grow, processes that die, keys that collide, rows nobody can read."""

from __future__ import annotations

import math
import multiprocessing
import os
import signal
import threading
import time
from datetime import timedelta

import pytest

from so.db import schema
from so.db.connection import Connection
from so.db.manager import Database
from so.errors import CacheError, CacheTypeError, LockLost, LockTimeout
from so.support.clock import Clock
from so.support.scope import Scope, entered
from so.systems.cache import (
    ArrayStore,
    Cache,
    DatabaseCounters,
    DatabaseLocks,
    DatabaseStore,
    FileLocks,
    FileStore,
    MemoryCounters,
    NullStore,
    RateLimiter,
    TieredStore,
)
from so.systems.cache.entry import LARGEST_NUMBER, Entry, stored_key
from so.systems.cache.turns import Turn, Turns


@pytest.fixture(params=["array", "file", "sqlite", "mysql", "tiered"])
def any_cache(request, clock, tmp_path):
    if request.param == "array":
        return Cache(ArrayStore(clock))
    if request.param == "file":
        return Cache(FileStore(tmp_path / "cache", clock))
    store = DatabaseStore(
        request.getfixturevalue("mysql_db" if request.param == "mysql" else "sqlite_db"), clock
    )
    return Cache(TieredStore(store) if request.param == "tiered" else store)


@pytest.fixture
def shared(db, clock):
    return Cache(DatabaseStore(db, clock))


# --- numbers ---


def test_a_counter_stops_before_it_would_overflow(any_cache):
    any_cache.put("n", LARGEST_NUMBER - 1, 60)
    assert any_cache.increment("n") == LARGEST_NUMBER

    with pytest.raises(CacheTypeError, match="64 bits"):
        any_cache.increment("n")

    assert any_cache.get("n") == LARGEST_NUMBER
    assert any_cache.decrement("n", LARGEST_NUMBER) == 0
    assert any_cache.decrement("n", LARGEST_NUMBER) == -LARGEST_NUMBER
    with pytest.raises(CacheTypeError, match="64 bits"):
        any_cache.decrement("n", 2)
    assert any_cache.increment("n", LARGEST_NUMBER) == 0
    assert any_cache.ttl("n") == 60


@pytest.mark.parametrize("value", [2**63, 2**70, -(2**64), 10**30])
def test_numbers_of_more_than_64_bits_are_stored_but_not_counted(any_cache, value):
    any_cache.put("n", value)

    with pytest.raises(CacheTypeError, match="not an integer"):
        any_cache.increment("n")
    assert any_cache.get("n") == value
    with pytest.raises(CacheTypeError, match="64 bits"):
        any_cache.increment("other", value)
    with pytest.raises(CacheTypeError):
        any_cache.decrement("other", "1")


def test_a_counter_that_ended_begins_anew_whatever_it_was(any_cache, clock):
    any_cache.put("n", "text", 5)
    clock.travel(6)

    assert any_cache.increment("n", -3) == -3
    assert any_cache.increment("n", -3) == -6
    assert any_cache.ttl("n") is None


# --- times to live ---


def test_a_ttl_of_zero_removes_in_the_middle_of_a_second_as_well(any_cache, clock):
    clock.travel(0.5)
    any_cache.put("a", 1)

    any_cache.put("a", 2, 0)

    assert any_cache.missing("a")
    assert not any_cache.add("a", 1, 0)
    any_cache.put("b", 1)
    any_cache.touch("b", 0)
    assert any_cache.missing("b")
    any_cache.put("c", 1, clock.now())
    assert any_cache.missing("c")


def test_nothing_ends_early_and_nothing_more_than_a_second_late(any_cache, clock):
    clock.travel(0.9)
    any_cache.put("a", 1, 0.2)
    clock.travel(0.15)
    assert any_cache.has("a")
    clock.travel(1)
    assert any_cache.missing("a")


def test_what_is_no_time_to_live_is_refused(any_cache):
    for ttl in ("soon", [1], math.nan):
        with pytest.raises(CacheError, match="no time to live"):
            any_cache.put("a", 1, ttl)
    any_cache.put("a", 1, math.inf)
    any_cache.put("b", 1, 1e300)
    assert any_cache.ttl("a") is any_cache.ttl("b") is None
    assert any_cache.missing("c")


def test_touching_without_a_ttl_is_for_ever(any_cache, clock):
    any_cache.put("a", 1, 5)
    assert any_cache.touch("a")
    clock.travel(10**9)
    assert any_cache.get("a") == 1


# --- keys ---


def test_no_key_can_be_written_to_look_like_a_long_one(any_cache):
    long = "k" * 500
    crafted = stored_key(any_cache.prefix, long).removeprefix(any_cache.prefix)

    any_cache.put(long, "long")
    any_cache.put(crafted, "crafted")

    assert any_cache.get(long) == "long"
    assert any_cache.get(crafted) == "crafted"


@pytest.mark.parametrize("key", ["", " ", "\n", "\x00", "ä" * 5_000, "🙂" * 2_500, "../../x", "%_"])
def test_any_text_is_a_key(any_cache, key):
    any_cache.put(key, key)

    assert any_cache.pull(key) == key
    assert any_cache.lock(key, 5).acquire()


def test_a_prefix_may_be_empty_or_of_any_letters_but_not_endless(clock):
    store = ArrayStore(clock)
    bare, accents = Cache(store, ""), Cache(store, "ünï" * 10)
    bare.put("a", 1)
    accents.put("ä" * 80, 2)

    assert accents.get("ä" * 80) == 2
    accents.flush()
    assert accents.missing("ä" * 80)
    assert bare.get("a") == 1
    bare.flush()
    assert bare.missing("a")
    with pytest.raises(CacheError, match="prefix"):
        Cache(store, "x" * 101)


# --- stores by themselves ---


def test_two_lines_are_enough_for_a_script():
    db = Connection(":memory:")
    schema.install(db)

    cache = Cache(DatabaseStore(db))
    cache.put("a", {"b": 1}, 60)
    assert cache.get("a") == {"b": 1}
    assert cache.tags("t").remember("x", 60, lambda: 5) == 5
    with cache.lock("l", 5):
        assert not Cache(DatabaseStore(db)).lock("l", 5).acquire()
    assert RateLimiter(DatabaseCounters(db)).hit("k") == 1
    db.close()


def test_a_cache_alone_locks_as_far_as_its_entries_reach(shared, db, tmp_path, clock):
    assert isinstance(shared.locks, DatabaseLocks)
    assert isinstance(Cache(TieredStore(DatabaseStore(db, clock))).locks, DatabaseLocks)
    assert isinstance(Cache(FileStore(tmp_path)).locks, FileLocks)
    assert shared.lock("a", 60).acquire()
    assert not Cache(DatabaseStore(db, clock)).lock("a", 60).acquire()
    with pytest.raises(CacheError, match="stands alone"):
        shared.store("array")


def test_file_locks_are_like_all_others(tmp_path, clock):
    cache, other = (Cache(FileStore(tmp_path, clock)) for _ in range(2))
    first, second = cache.lock("a", 10), other.lock("a", 10)

    assert first.acquire()
    assert not second.acquire()
    assert not second.release()
    assert not second.refresh()
    assert first.refresh(20)
    assert other.restore_lock("a", first.owner).is_owned_by_current_process()
    clock.travel(15)
    assert first.is_locked()
    assert first.release()
    assert second.acquire()
    assert second.token > first.token
    second.force_release()
    assert not first.is_locked()
    first.acquire()
    cache.locks.flush(cache.prefix)
    assert not first.is_locked()
    assert cache.locks.gc() == 1


def test_crashed_writers_leave_nothing_in_the_files_store(tmp_path, clock):
    cache = Cache(FileStore(tmp_path, clock))
    cache.put("a", 1)
    (folder,) = {file.parent for file in tmp_path.glob("[0-9a-f][0-9a-f]/*")}
    left, fresh = folder / ".left", folder / ".fresh"
    for part in (left, fresh):
        part.write_text("half")
    os.utime(left, (0, 0))
    (folder / "broken").write_text("no entry")

    assert cache.gc() == 1
    assert [left.exists(), fresh.exists()] == [False, True]
    assert cache.get("a") == 1


def test_a_write_while_another_thread_reads_is_seen_at_once_by_its_own_process(clock):
    class Slow(ArrayStore):
        meanwhile = None

        def get(self, key):
            found = super().get(key)
            if self.meanwhile:
                work, self.meanwhile = self.meanwhile, None
                work()
            return found

    below = Slow(clock)
    cache = Cache(TieredStore(below, stale_seconds=100))
    cache.put("a", "old")
    below.meanwhile = lambda: cache.put("a", "new")

    assert cache.get("a") == "old"
    assert cache.get("a") == "new"


def test_tiered_staleness_counts_from_before_the_read(clock):
    class Slow(ArrayStore):
        def get(self, key):
            found = super().get(key)
            clock.travel(2)
            return found

    below = Slow(clock)
    cache = Cache(TieredStore(below, stale_seconds=3))
    cache.put("a", "old")
    assert cache.get("a") == "old"
    below.put({"so_cache:a": Entry('"new"', 1 << 62)})
    clock.travel(1.5)
    assert cache.get("a") == "new"


def test_the_null_store_remembers_nothing_but_everything_works(clock):
    cache = Cache(NullStore(clock))
    assert cache.tags("a").remember("x", 60, lambda: 1) == 1
    assert cache.tags("a").get("x") is None
    assert cache.flexible("x", (1, 2), lambda: 5) == 5
    assert cache.lock("a", 5).acquire()
    assert cache.stats() == {"hits": 0, "misses": 3, "entries": 0, "bytes": 0}


# --- rows nobody can read ---


def test_an_unreadable_row_is_computed_again_and_can_be_overwritten(shared, db, caplog):
    for text in ("{", '{"$":"model","v":1}', "", "nan", "[" * 5000):
        shared.put("a", 1)
        db.table("cache").update({"value": text})

        assert shared.get("a", "gone") == "gone"
        assert shared.many(["a"]) == {"a": None}
        assert not shared.has("a")
        assert shared.pull("a") is None
        db.table("cache").insert({"key": "so_cache:a", "value": text, "expiration": 1 << 40})
        assert shared.remember("a", 60, lambda: "new") == "new"
        assert shared.get("a") == "new"
    assert "cannot be read" in caplog.text


def test_rows_of_the_originals_columns_are_read(shared, db):
    db.table("cache").insert({"key": "so_cache:x", "value": '{"a": 1}', "expiration": 1 << 40})
    db.table("cache").insert({"key": "so_cache:n", "value": "5", "expiration": 1 << 40})

    assert shared.get("x") == {"a": 1}
    assert shared.increment("n") == 6


# --- computed once ---


def test_turns_are_one_after_the_other_and_leave_nothing(clock):
    turns, inside, most = Turns(), [], []
    barrier = threading.Barrier(8)

    def work():
        barrier.wait()
        for _ in range(50):
            with turns.taken("k", 60):
                inside.append(1)
                most.append(len(inside))
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert max(most) == 1
    assert len(turns) == 0
    with turns.taken("k", 0) as free, turns.taken("k", 0) as again:
        assert (free, again) == (Turn.AT_ONCE, Turn.IN_VAIN)
    with turns.taken("k", math.inf):
        pass
    assert len(turns) == 0


def test_who_waits_in_vain_never_computes_beside_the_one_who_does(shared, clock):
    shared.put("r", "old", 1)
    busy = shared._compute_lock("r")
    busy.acquire()
    clock.travel(2)

    with pytest.raises(LockTimeout, match="still being computed elsewhere"):
        shared.remember("r", 60, lambda: "mine", wait=1)
    assert shared.remember("r", 60, lambda: "mine", wait=1, stale=True) == "old"
    busy.release()
    assert shared.remember("r", 60, lambda: "mine", wait=1) == "mine"


def test_an_error_while_computing_is_everybodys_own(any_cache):
    any_cache.clock.unfreeze()
    calls, errors = [], []
    barrier = threading.Barrier(4)

    def fail():
        calls.append(1)
        raise ValueError("no report")

    def work():
        barrier.wait()
        try:
            any_cache.remember("r", 60, fail)
        except ValueError as error:
            errors.append(str(error))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (len(calls), errors) == (4, ["no report"] * 4)
    assert any_cache.remember("r", 60, lambda: "later") == "later"


def test_waiting_for_a_value_is_one_miss(shared):
    shared.remember("r", 60, lambda: 1)
    shared.remember("r", 60, lambda: 1)

    assert (shared._reads.hits, shared._reads.misses) == (1, 1)


def test_what_cannot_be_stored_is_an_error_that_frees_the_lock(shared):
    with pytest.raises(Exception, match="cannot write object"):
        shared.remember("r", 60, object)
    assert shared.remember("r", 60, lambda: 1) == 1


def test_flexible_in_a_request_gives_one_computation_after_it(shared, clock):
    shared.flexible("f", (10, 60), lambda: "old")
    clock.travel(11)
    calls = []

    with entered(Scope()):
        for _ in range(3):
            assert shared.flexible("f", (10, 60), lambda: calls.append(1) or "new") == "old"
        assert calls == []

    assert calls == [1]
    assert shared.flexible("f", (10, 60), lambda: "newer") == "new"
    assert shared.flexible("g", (0, 0), lambda: "not kept") == "not kept"
    assert shared.missing("g")


def _produce(config, started, seconds):
    with Database({"default": config}) as db:
        cache = Cache(DatabaseStore(db), compute_seconds=1)

        def compute():
            started.set()
            time.sleep(seconds)
            return "never"

        cache.remember("r", 60, compute)


def test_a_producer_that_was_killed_is_replaced_when_its_lock_ends(db_config, db):
    context = multiprocessing.get_context("fork")
    started = context.Event()
    child = context.Process(target=_produce, args=(db_config, started, 60))
    child.start()
    assert started.wait(30)
    os.kill(child.pid, signal.SIGKILL)
    child.join(30)

    with Database({"default": db_config}) as own:
        began = time.monotonic()
        cache = Cache(DatabaseStore(own), compute_seconds=1)
        assert cache.remember("r", 60, lambda: "mine", wait=30) == "mine"
        assert time.monotonic() - began < 20  # far below `wait`: the lock ended, not the patience


def _remember_all(config, gate, made):
    gate.wait(30)
    threads = []
    with Database({"default": config}) as db:
        cache = Cache(DatabaseStore(db))

        def compute():
            made.put(os.getpid())
            time.sleep(0.1)
            return "x"

        def work():
            assert cache.remember("cold", 60, compute, wait=30) == "x"
            db.close()

        threads = [threading.Thread(target=work) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def test_four_processes_of_six_threads_compute_a_cold_key_once(db_config, db):
    context = multiprocessing.get_context("fork")
    gate, made = context.Event(), context.SimpleQueue()
    children = [
        context.Process(target=_remember_all, args=(db_config, gate, made)) for _ in range(4)
    ]
    for child in children:
        child.start()
    gate.set()
    for child in children:
        child.join(60)

    assert [child.exitcode for child in children] == [0] * 4
    made.get()
    assert made.empty()


# --- tags ---


def test_tags_and_keys_of_any_name_are_told_apart(any_cache):
    any_cache.put("tag:people", "a user's own")
    any_cache.tags("a|b").put("k", 1)
    any_cache.tags("a", "b").put("k", 2)
    any_cache.tags("a").put("b:k", 3)
    any_cache.tags("a:b").put("k", 4)
    any_cache.tags('a","b').put("k", 5)
    any_cache.tags("people").put("k", 6)

    assert any_cache.tags("a|b").get("k") == 1
    assert any_cache.tags("b", "a").get("k") == 2
    assert any_cache.tags("a").get("b:k") == 3
    assert any_cache.tags("a:b").get("k") == 4
    assert any_cache.tags('a","b').get("k") == 5
    any_cache.tags("people").flush()
    assert any_cache.get("tag:people") == "a user's own"


def test_tagged_caches_do_what_caches_do(any_cache, clock):
    tagged = any_cache.tags("t")

    assert tagged.missing("a")
    assert tagged.add("a", 1, 60)
    assert not tagged.add("a", 2, 60)
    assert not tagged.add("b", 2, 0)
    assert tagged.put_many({"x": 1, "y": None}, 60)
    assert tagged.many({"x": 0, "y": 0, "z": lambda: 5}) == {"x": 1, "y": None, "z": 5}
    assert tagged.pull("x") == 1
    assert tagged.pull("x", "gone") == "gone"
    assert tagged.sear("s", lambda: None) is None
    assert tagged.remember("r", 60, lambda: [], cache_if=bool) == []
    assert tagged.missing("r")
    tagged.remember("r", lambda value: value, lambda: 10)
    tagged.remember("nobody", 60, lambda: None, none_ttl=5)
    assert tagged.has("nobody")
    clock.travel(11)
    assert tagged.missing("r")
    assert tagged.missing("nobody")
    tagged.flush()
    assert tagged.add("a", 3, 60)
    assert tagged.get("a") == 3
    assert not tagged.forget("zz")


def test_a_tagged_counter_is_what_get_gives_and_keeps_its_end(any_cache, clock):
    tagged = any_cache.tags("t")
    tagged.put("n", 5, 10)

    assert tagged.increment("n") == 6
    assert tagged.get("n") == 6
    assert tagged.decrement("new") == -1
    clock.travel(11)
    assert tagged.increment("n") == 1
    tagged.put("text", "x")
    for bad in ("text", "y"):
        tagged.put("y", True)
        with pytest.raises(CacheTypeError, match="not an integer"):
            tagged.increment(bad)


def test_a_tagged_cold_key_is_computed_once_by_many_threads(any_cache):
    any_cache.clock.unfreeze()
    calls = []
    barrier = threading.Barrier(6)

    def work():
        barrier.wait()
        assert any_cache.tags("t").remember("k", 60, lambda: calls.append(1) or "v") == "v"

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert calls == [1]


# --- locks ---


def test_the_edges_of_locks(any_cache, clock):
    lock = any_cache.lock("a", 10)
    assert lock.acquire()
    assert not lock.acquire()
    with pytest.raises(CacheError, match="0 or more"):
        any_cache.lock("a", -1)
    restored = any_cache.restore_lock("a", lock.owner)
    assert restored.is_owned_by_current_process()
    with pytest.raises(CacheError, match="how many seconds"):
        restored.refresh()
    assert restored.refresh(20)
    clock.travel(15)
    assert lock.is_acquired()
    assert lock.refresh(0)
    clock.travel(10**8)
    assert lock.is_acquired()
    with pytest.raises(LockTimeout):
        any_cache.lock("a", 1).block(0)
    assert restored.release()
    assert any_cache.lock("a", 1).block(0, lambda: None) is None


def test_a_block_that_lost_its_lock_to_another_one_learns_so(any_cache, clock, caplog):
    def lose(to_another):
        with any_cache.lock("a", 10):
            clock.travel(11)
            if to_another:
                any_cache.lock("a", 10).acquire()

    lose(to_another=False)
    assert "ended before" in caplog.text
    with pytest.raises(LockLost, match="refresh"):
        lose(to_another=True)
    clock.travel(11)
    with pytest.raises(KeyError, match="its own error"), any_cache.lock("a", 1):
        raise _stolen(any_cache)


def _stolen(cache):
    cache.lock("a").force_release()
    cache.lock("a", 60).acquire()
    return KeyError("its own error")


def test_a_place_of_a_semaphore_is_taken_once_by_one_holder(any_cache, clock):
    place = any_cache.semaphore("s", 2, 10)
    assert place.acquire()
    assert not place.acquire()
    clock.travel(11)
    assert place.acquire()
    assert place.release()
    with any_cache.semaphore("s", 1, 0) as forever:
        clock.travel(10**6)
        assert forever.refresh()


# --- limits ---


@pytest.mark.parametrize("kind", ["database", "memory"])
def test_flushing_limits_leaves_the_neighbours(db, clock, kind):
    counters = DatabaseCounters(db, clock) if kind == "database" else MemoryCounters(clock)
    ours, theirs = RateLimiter(counters, "ours"), RateLimiter(counters, "theirs")
    ours.hit("a", timedelta(minutes=1))
    theirs.hit("a", 0.2)

    ours.flush()

    assert (ours.attempts("a"), theirs.attempts("a")) == (0, 1)
    clock.travel(1)
    assert theirs.attempts("a") == 0


# --- counted ---


def test_hits_and_misses_are_added_up_over_processes_without_a_write_per_read(db, clock):
    statements = []
    one, other = (Cache(DatabaseStore(db, clock)) for _ in range(2))
    one.put("a", 1)
    db.listen(lambda query: statements.append(query.sql))
    for _ in range(50):
        one.get("a")
        other.get("b")
    assert all(sql.startswith("select") for sql in statements)

    one.close()
    other.put_many({"x": 1})
    stats = other.stats()

    assert (stats["hits"], stats["misses"]) == (50, 50)
    assert stats["entries"] == 2
    assert stats["bytes"] == 2
    other.flush()
    assert other.stats() == {"hits": 0, "misses": 0, "entries": 0, "bytes": 0}


def test_counts_are_noted_after_the_response_and_never_within_a_call(db, clock):
    here, elsewhere = (Cache(DatabaseStore(db, clock)) for _ in range(2))
    statements = []
    db.listen(lambda query: statements.append(query.sql))
    with entered(Scope()):
        for _ in range(130):
            here.get("a")
        here.put("a", 1)
        assert len(statements) == 131
    assert len(statements) == 132
    assert elsewhere.stats()["misses"] == 130


def test_counts_that_cannot_be_noted_harm_nobody(db, clock, caplog):
    cache = Cache(DatabaseStore(db, clock))
    cache.get("a")
    db.connection().unprepared("alter table cache rename to elsewhere")
    try:
        with caplog.at_level("DEBUG", "so.cache"):
            cache.close()
    finally:
        db.connection().unprepared("alter table elsewhere rename to cache")
    assert cache.get("a", "nothing") == "nothing"
    assert "hits and misses were not noted" in caplog.text


# --- room ---


def test_a_bounded_cache_stays_bounded_with_little_work_per_write(db, clock):
    cache = Cache(DatabaseStore(db, clock, max_bytes=50_000))
    most = 0
    for i in range(1500):
        clock.travel(1)
        cache.put(f"k{i}", "x" * 100)
        if i % 100 == 0:
            most = max(most, cache.stats()["bytes"])
    whole = db.table("cache").sum("bytes")
    assert most <= 30_000  # of values; a row has a key, and indexes that hold it
    assert 40_000 < whole <= 55_000
    assert cache.has("k1499")
    assert cache.missing("k0")

    statements = []
    db.listen(lambda query: statements.append(query.sql))
    cache.add("new", "y" * 30_000)
    assert len(statements) < 15
    for i in range(300):
        cache.put(f"again{i}", "x" * 100)
    assert db.table("cache").sum("bytes") <= 55_000


def test_counters_make_room_as_all_that_is_written_does(db, clock):
    cache = Cache(DatabaseStore(db, clock, max_bytes=20_000))

    for number in range(400):
        cache.increment(f"seen:{number}")
        clock.travel(1)

    assert cache.stats()["entries"] <= 200
    assert cache.get("seen:399") == 1


def test_the_queries_of_the_housekeeping_use_an_index(db, clock):
    from so.systems.cache.sharing import key_of

    store = DatabaseStore(db, clock, max_bytes=10**9)
    store.put({f"so:{i}": Entry("1", int(clock.time()) + i % 7) for i in range(2000)})
    connection = db.connection()
    key = key_of(connection)
    is_sqlite = connection.dialect.name == "sqlite"
    explain = "explain query plan " if is_sqlite else "explain "
    by, path = (key, "PRIMARY KEY (key>") if is_sqlite else ("expiration", "cache_expiration")
    for sql, index in (
        (f"select {key} from cache where expiration <= 5 and {by} > 1 order by {by} limit 10",
         path),
        (f"select {key}, bytes, created_at from cache where created_at > 0 order by created_at"
         " limit 10", "cache_created_at"),
        ("select sum(bytes) from cache where created_at > 0", "cache_created_at"),
    ):  # fmt: skip
        plan = str([list(row.values()) for row in connection.select(explain + sql)])
        assert index in plan


def test_statements_carry_no_more_than_a_server_takes(db, clock, monkeypatch):
    from so.systems.cache import database as module

    monkeypatch.setattr(module, "CHUNK_BYTES", 1000)
    cache = Cache(DatabaseStore(db, clock))
    values = {f"k{i}": "ä" * 300 for i in range(10)}

    cache.put_many(values)

    assert cache.many(values) == values


def test_the_clock_of_the_database_follows_a_moved_one(mysql_db, clock):
    cache = Cache(DatabaseStore(mysql_db, clock))
    shared = cache.clock
    assert shared.is_frozen
    shared.travel(10)
    assert shared.time() == clock.time()
    shared.freeze(5.0)
    shared.sleep(1)
    assert (clock.time(), shared.monotonic()) == (6.0, 6.0)
    shared.unfreeze()
    assert abs(shared.time() - Clock().time()) < 30
    assert Cache(DatabaseStore(mysql_db, shared)).clock is shared


# --- decorator ---


def test_the_same_call_has_one_entry_however_it_is_written(clock):
    from so.systems.cache import cached

    cache, calls = Cache(ArrayStore(clock)), []

    @cached(60, "price", cache=lambda: cache)
    def price(sku, *more, quantity=1, **options):
        calls.append(sku)
        return quantity

    assert [price("A"), price(sku="A"), price("A", quantity=1)] == [1, 1, 1]
    assert calls == ["A"]
    assert price("A", 2, quantity=3, x=1) == 3
    assert price.forget(sku="A")
    price("A")
    assert calls == ["A", "A", "A"]
