"""The cache: the same behaviour from every store."""

from __future__ import annotations

import multiprocessing
import shutil
import threading
from datetime import timedelta
from decimal import Decimal

import pytest

from so.db.manager import Database
from so.errors import CacheError, CacheTypeError
from so.support.scope import Scope, entered
from so.systems.cache import (
    ArrayStore,
    Cache,
    DatabaseLocks,
    DatabaseStore,
    FileStore,
    NullStore,
    TieredStore,
    cached,
)


@pytest.fixture
def db_on_two_connections(db_config, tmp_path, _sqlite_template, clock):
    other = dict(db_config)
    if db_config["driver"] == "sqlite":
        other["database"] = str(tmp_path / "cache.sqlite")
        shutil.copyfile(_sqlite_template, other["database"])
    database = Database({"default": db_config, "cache": other}, clock=clock)
    yield database, Cache(DatabaseStore(database.source("cache"), clock))
    database.close()


@pytest.fixture(params=["array", "file", "sqlite", "mysql", "tiered"])
def any_cache(request, clock, tmp_path):
    """A cache on each kind of store."""
    if request.param == "array":
        return Cache(ArrayStore(clock), "so_cache")
    if request.param == "file":
        return Cache(FileStore(tmp_path / "cache", clock), "so_cache")
    name = "mysql_db" if request.param == "mysql" else "sqlite_db"
    db = request.getfixturevalue(name)
    store = DatabaseStore(db, clock)
    if request.param == "tiered":
        store = TieredStore(store)
    return Cache(store, "so_cache", locks=DatabaseLocks(db, clock))


@pytest.fixture
def shared(db, clock):
    """A cache in the database of each engine."""
    return Cache(DatabaseStore(db, clock), "so_cache", locks=DatabaseLocks(db, clock))


def test_a_stored_value_comes_back_as_what_it_was(any_cache):
    value = {"price": Decimal("1.10"), "tags": ("a", "b"), "none": None, "text": "ä🙂", "n": 5}

    any_cache.put("product", value, 60)

    assert any_cache.get("product") == value
    assert any_cache.has("product")
    assert "other" not in any_cache


def test_a_default_is_given_or_called_when_there_is_no_value(any_cache):
    assert any_cache.get("x") is None
    assert any_cache.get("x", 5) == 5
    assert any_cache.get("x", lambda: 6) == 6


def test_none_is_a_value(any_cache):
    any_cache.put("nothing", None, 60)

    assert any_cache.has("nothing")
    assert any_cache.get("nothing", "default") is None
    assert any_cache.remember("nothing", 60, lambda: "computed") is None


def test_a_value_ends_with_its_time_to_live(any_cache, clock):
    any_cache.put("a", 1, 60)
    any_cache.put("b", 2, timedelta(minutes=2))
    any_cache.put("c", 3, clock.now() + timedelta(seconds=30))
    any_cache.forever("d", 4)

    clock.travel(61)

    assert any_cache.many(["a", "b", "c", "d"]) == {"a": None, "b": 2, "c": None, "d": 4}
    assert any_cache.missing("a")
    assert any_cache.ttl("b") == 59
    assert any_cache.ttl("d") is None
    assert any_cache.ttl("a") is None


@pytest.mark.parametrize("ttl", [0, -5])
def test_a_time_to_live_of_nothing_removes(any_cache, ttl):
    any_cache.put("a", 1)
    any_cache.put("a", 2, ttl)

    assert any_cache.missing("a")
    assert not any_cache.add("a", 3, ttl)
    any_cache.put("b", 1)
    assert any_cache.touch("b", ttl)
    assert any_cache.missing("b")


def test_many_values_are_stored_and_read_at_once(any_cache):
    values = {f"k{i}": i for i in range(1200)}
    any_cache.put_many(values, 60)

    assert any_cache.many(values) == values
    assert any_cache.many({"k1": 0, "zz": "d", "yy": lambda: "c"}) == {
        "k1": 1,
        "zz": "d",
        "yy": "c",
    }
    assert any_cache.forget_many(["k1", "k2", "nope"]) == 2
    assert any_cache.missing("k1")


def test_add_stores_only_what_is_not_there(any_cache, clock):
    assert any_cache.add("a", 1, 10)
    assert not any_cache.add("a", 2, 10)
    assert any_cache.get("a") == 1

    clock.travel(11)

    assert any_cache.add("a", 3, 10)
    assert any_cache.get("a") == 3


def test_pull_and_forget(any_cache):
    any_cache.put("a", 1)

    assert any_cache.pull("a") == 1
    assert any_cache.pull("a", "gone") == "gone"
    assert any_cache.pull("a", lambda: "called") == "called"
    any_cache.put("b", 1)
    assert any_cache.forget("b") is True
    assert any_cache.forget("b") is False


def test_touch_extends_only_what_is_alive(any_cache, clock):
    any_cache.put("a", 1, 10)
    assert any_cache.touch("a", 100)
    assert any_cache.touch("a", 100)

    clock.travel(50)

    assert any_cache.get("a") == 1
    assert not any_cache.touch("nothing", 100)
    clock.travel(100)
    assert not any_cache.touch("a", 100)


def test_increment_counts_keeps_the_end_and_begins_at_zero(any_cache, clock):
    assert any_cache.increment("n") == 1
    assert any_cache.increment("n", 5) == 6
    assert any_cache.decrement("n", 10) == -4
    any_cache.put("m", 7, 10)
    assert any_cache.increment("m") == 8
    assert any_cache.get("m") == 8

    clock.travel(11)

    assert any_cache.increment("m", 2) == 2
    assert any_cache.get("n") == -4


@pytest.mark.parametrize("value", ["text", 1.5, True, None, "5", [1]])
def test_increment_refuses_what_is_no_integer(any_cache, value):
    any_cache.put("x", value)

    with pytest.raises(CacheTypeError, match="'x'"):
        any_cache.increment("x")
    assert any_cache.get("x") == value
    with pytest.raises(CacheTypeError, match="integer"):
        any_cache.increment("y", 1.5)


def test_flush_ends_this_prefix_and_nothing_else(any_cache):
    neighbours = [Cache(any_cache.backend, name) for name in ("so_cache2", "soXcache", "so_cach")]
    for cache in (any_cache, *neighbours):
        cache.put("a", 1)

    any_cache.flush()

    assert any_cache.missing("a")
    assert all(cache.get("a") == 1 for cache in neighbours)


PAIRS = [
    ("User:1", "user:1"), ("café", "cafe"), ("a", "a "), ("straße", "strasse"), ("😀", "😁"),
    ("a\u200bb", "ab"), ("a%", "ab"), ("n_m", "nxm"),
]  # fmt: skip


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_keys_are_exact_to_the_letter_the_accent_and_the_space(any_cache, one, other):
    any_cache.put(one, 1)
    any_cache.put(other, 2)

    assert any_cache.many([one, other]) == {one: 1, other: 2}


def test_long_keys_work_and_longer_ones_are_refused(any_cache):
    long, similar = "k" * 5000 + "1", "k" * 5000 + "2"
    any_cache.put_many({long: 1, similar: 2})

    assert any_cache.get(long) == 1
    assert any_cache.get(similar) == 2
    with pytest.raises(CacheError, match="10240 at most"):
        any_cache.get("k" * 10_241)
    with pytest.raises(CacheError, match="must be a text"):
        any_cache.get(5)
    with pytest.raises(CacheError, match="Unicode"):
        any_cache.get("\ud800")


def test_remember_computes_once(any_cache):
    calls = []

    def compute():
        calls.append(1)
        return ["x"]

    for _ in range(3):
        assert any_cache.remember("r", 60, compute) == ["x"]
    assert any_cache.remember_forever("r", compute) == any_cache.sear("r", compute) == ["x"]
    assert len(calls) == 1


def test_remember_leaves_out_what_cache_if_refuses_and_gives_none_its_own_end(any_cache, clock):
    any_cache.remember("a", 60, lambda: [], cache_if=bool)
    assert any_cache.missing("a")

    any_cache.remember("b", 600, lambda: None, none_ttl=5)
    assert any_cache.has("b")
    clock.travel(6)
    assert any_cache.missing("b")
    any_cache.remember("c", lambda value: value, lambda: 30)
    assert any_cache.ttl("c") == 30


def test_an_error_while_computing_reaches_the_caller_and_frees_the_lock(any_cache):
    with pytest.raises(ZeroDivisionError):
        any_cache.remember("r", 60, lambda: 1 / 0)

    assert any_cache.remember("r", 60, lambda: 5) == 5


def test_sixteen_threads_on_a_cold_key_compute_once(any_cache):
    any_cache.clock.unfreeze()
    calls, results = [], []
    barrier = threading.Barrier(16)

    def work():
        barrier.wait()
        results.append(any_cache.remember("cold", 60, lambda: calls.append(1) or len(calls)))

    threads = [threading.Thread(target=work) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (len(calls), results) == (1, [1] * 16)


def test_flexible_serves_the_stale_value_while_one_computes(any_cache, clock):
    numbers = iter(range(1, 10))

    def read():
        return any_cache.flexible("f", (10, 60), lambda: next(numbers))

    assert (read(), read()) == (1, 1)
    clock.travel(11)
    with entered(Scope("request")):
        if isinstance(any_cache.backend, ArrayStore):
            read()
            clock.travel(11)
            assert read() == 2
        else:
            assert (read(), read()) == (1, 1)
    if not isinstance(any_cache.backend, ArrayStore):
        assert read() == 2
    clock.travel(61)
    assert read() > 2


@pytest.mark.parametrize("ttl", [(20, 10), 10, (1,), (1, 2, 3), "ab", None])
def test_flexible_refuses_what_is_no_pair_of_windows_in_order(any_cache, ttl):
    any_cache.put("a", 1)

    with pytest.raises(CacheError, match="fresh"):
        any_cache.flexible("a", ttl, lambda: 2)


def test_flexible_computes_at_once_outside_a_request(any_cache, clock):
    any_cache.flexible("f", (10, 60), lambda: "old")
    clock.travel(11)

    assert any_cache.flexible("f", (10, 60), lambda: "new") == "new"
    lock = any_cache._compute_lock("f")
    clock.travel(11)
    assert lock.acquire()
    assert any_cache.flexible("f", (10, 60), lambda: "newer") == "new"


def test_one_row_holds_a_flexible_entry(any_cache):
    any_cache.flexible("f", (10, 60), lambda: "x")

    any_cache.forget("f")

    assert any_cache.stats()["entries"] == 0


def test_flushing_a_tag_ends_its_entries_and_no_others(any_cache):
    tagged = any_cache.tags("people", "artists")
    tagged.put("john", "John", 60)
    any_cache.tags(["people"]).put("anne", "Anne", 60)
    any_cache.put("john", "untagged", 60)
    assert any_cache.tags("artists", "people").get("john") == "John"
    assert tagged.has("john")

    any_cache.tags("artists").flush()

    assert tagged.get("john", "gone") == "gone"
    assert tagged.get("john", lambda: "gone") == "gone"
    assert any_cache.tags("people").get("anne") == "Anne"
    assert any_cache.get("john") == "untagged"
    with pytest.raises(CacheError, match="at least one"):
        any_cache.tags()


def test_tagged_entries_remember_forget_and_count(any_cache):
    tagged = any_cache.tags("t")
    assert tagged.remember("a", 60, lambda: 5) == 5
    assert tagged.remember("a", 60, lambda: 6) == 5
    assert tagged.remember_forever("b", lambda: None) is None
    assert tagged.has("b")
    assert tagged.forget("a")
    assert not tagged.has("a")
    tagged.forever("c", 1)
    assert tagged.increment("n") == 1
    assert tagged.decrement("n", 3) == -2
    tagged.flush()
    assert tagged.increment("n") == 1


def test_a_value_computed_before_a_flush_is_not_fresh_after_it(any_cache):
    tagged = any_cache.tags("stock")

    def compute():
        tagged.flush()
        return "overtaken"

    assert tagged.remember("a", 60, compute) == "overtaken"
    assert tagged.get("a") is None


def test_gc_removes_every_expired_entry(any_cache, clock):
    any_cache.put_many({f"old{i}": i for i in range(50)}, 10)
    any_cache.put("kept", 1, 100)
    clock.travel(11)

    assert any_cache.gc(batch=7) == 50
    assert any_cache.stats()["entries"] == 1
    assert any_cache.get("kept") == 1


def test_stats_count_hits_misses_and_bytes(any_cache):
    any_cache.put("a", "text")
    any_cache.get("a")
    any_cache.get("b")

    stats = any_cache.stats()

    assert (stats["hits"], stats["misses"], stats["entries"]) == (1, 1, 1)
    assert stats["bytes"] >= 6
    any_cache.close()


def test_an_unreadable_entry_is_a_miss_and_a_warning(shared, db, caplog):
    shared.put("a", 1)
    column = "`key`" if db.connection().dialect.name == "mysql" else '"key"'
    db.connection().run(f"update cache set value = '{{\"$\": \"evil\"}}' where {column} <> ''")

    assert shared.get("a", "default") == "default"
    assert "cannot be read" in caplog.text


def test_another_process_of_the_tiered_store_is_seen_after_the_stale_time(sqlite_db, clock):
    below = DatabaseStore(sqlite_db, clock)
    here, there = (Cache(TieredStore(below, stale_seconds=1, max_entries=2)) for _ in range(2))
    here.put("a", 1)
    assert there.get("a") == 1

    here.put("a", 2)
    here.put_many({"b": 1, "c": 2})

    assert (here.get("a"), there.get("a")) == (2, 1)
    clock.travel(1.5)
    assert there.get("a") == 2


def test_the_array_store_is_emptied_with_its_scope(clock):
    cache = Cache(ArrayStore(clock))
    with entered(Scope("request")):
        cache.put("a", 1)
        assert cache.get("a") == 1
    with entered(Scope("request")):
        assert cache.missing("a")


def test_the_null_store_keeps_nothing(clock):
    cache = Cache(NullStore(clock))
    cache.put("a", 1)

    assert cache.missing("a")
    assert cache.add("a", 1)
    assert cache.increment("a", 4) == 4
    assert cache.remember("a", 60, lambda: 2) == 2
    assert cache.many(["a"]) == {"a": None}
    assert (cache.forget("a"), cache.pull("a"), cache.touch("a", 5)) == (False, None, False)
    assert cache.gc() == 0
    assert cache.stats()["entries"] == 0
    cache.flush()
    cache.close()


def test_the_oldest_go_first_when_max_bytes_is_reached(db, clock):
    cache = Cache(DatabaseStore(db, clock, max_bytes=20_000))
    for i in range(400):
        clock.travel(1)
        cache.put(f"k{i:03}", "x" * 200)

    assert cache.stats()["bytes"] <= 24_000
    assert cache.missing("k000")
    assert cache.has("k399")


def test_cached_keeps_a_functions_results_for_each_set_of_arguments(clock):
    cache = Cache(ArrayStore(clock))
    calls = []

    @cached(60, cache=lambda: cache)
    def double(n, plus=0):
        """Twice as much."""
        calls.append(n)
        return 2 * n + plus

    assert [double(2), double(2), double(2, plus=1), double(3)] == [4, 4, 5, 6]
    assert calls == [2, 2, 3]
    assert double.forget(2)
    assert double(2) == 4
    assert calls == [2, 2, 3, 2]
    assert double.__doc__ == "Twice as much."


def test_a_cache_write_survives_the_rollback_of_the_callers_transaction(db_on_two_connections):
    db, cache = db_on_two_connections

    def work():
        cache.put("a", 1)
        cache.increment("n")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        db.transaction(work)
    assert cache.get("a") == 1
    assert cache.get("n") == 1


def _count(settings, times):
    cache = Cache(DatabaseStore(Database({"default": settings})))
    for _ in range(times):
        cache.increment("n")


def _compute(settings, results):
    db = Database({"default": settings})
    cache = Cache(DatabaseStore(db), locks=DatabaseLocks(db))

    def work():
        db.connection().run("insert into migrations (migration, batch) values (?, 1)", ["ran"])
        return "made"

    results.put(cache.remember("cold", 60, work, wait=30))


def spawn(target, count, *args):
    context = multiprocessing.get_context("fork")
    children = [context.Process(target=target, args=args) for _ in range(count)]
    for child in children:
        child.start()
    for child in children:
        child.join(60)
    assert [child.exitcode for child in children] == [0] * count


def test_increments_of_eight_processes_are_all_counted(db, db_config):
    spawn(_count, 8, db_config, 50)

    assert Cache(DatabaseStore(db)).get("n") == 400


def test_four_processes_on_a_cold_key_compute_once(db, db_config):
    results = multiprocessing.get_context("fork").SimpleQueue()

    spawn(_compute, 4, db_config, results)

    assert [results.get() for _ in range(4)] == ["made"] * 4
    rows = db.select("select * from migrations where migration = 'ran'")
    assert len(rows) == 1
