"""Every call of the cache on every driver, under tags or not: same answers, one statement."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from so.errors import CacheTypeError
from so.support.scope import Scope, entered
from so.systems.cache import (
    ArrayStore,
    Cache,
    DatabaseStore,
    FileStore,
    NullStore,
    TaggedCache,
    TieredStore,
)

DRIVERS = ["sqlite", "mysql", "array", "file", "tiered", "tiered-mysql"]
VALUES = [
    None,
    False,
    0,
    -1,
    2**63 - 1,
    2**200,
    0.1,
    "",
    "ä" * 3000,
    b"",
    b"\x00\xff" * 5000,
    "x" * 100_000,
    [],
    {"a": [1, (2, 3), {Decimal("1.10")}], "at": datetime(2026, 1, 1, tzinfo=UTC)},
    [{"row": number, "text": "again and again"} for number in range(500)],
]


@pytest.fixture(params=DRIVERS)
def cache(request, clock, tmp_path):
    if request.param == "array":
        return Cache(ArrayStore(clock))
    if request.param == "file":
        return Cache(FileStore(tmp_path / "cache", clock))
    engine = "mysql_db" if "mysql" in request.param else "sqlite_db"
    store = DatabaseStore(request.getfixturevalue(engine), clock)
    return Cache(TieredStore(store) if "tiered" in request.param else store)


@pytest.fixture(params=["plain", "tagged"])
def any_cache(request, cache):
    return cache if request.param == "plain" else cache.tags("prices", "eu")


@pytest.mark.parametrize("value", VALUES, ids=lambda value: repr(value)[:12])
def test_a_value_comes_back_as_it_was_put(any_cache, value):
    any_cache.put("a", value)
    any_cache.put_many({"b": value, "c": value}, 60)

    assert any_cache.get("a", "missing") == value
    assert type(any_cache.get("a")) is type(value)
    assert any_cache.many(["a", "b"]) == {"a": value, "b": value}
    assert any_cache.has("c")
    assert any_cache.pull("a", "missing") == value
    assert any_cache.pull("a", "missing") == "missing"
    assert any_cache.remember("d", 60, lambda: value) == value
    assert any_cache.remember("d", 60, lambda: "another") == value


def test_every_call_answers_alike(any_cache, clock):
    c = any_cache
    assert c.put("a", 1, 60) is True
    assert c.add("a", 2) is False
    assert c.add("b", 2, timedelta(seconds=30)) is True
    assert c.ttl("a") == 60
    assert c.touch("a", 90) is True
    assert c.touch("none", 90) is False
    assert c.ttl("a") == 90
    assert c.ttl("none") is None
    assert c.increment("a", 4) == 5
    assert c.ttl("a") == 90
    assert c.increment("new") == 1
    assert c.increment("new", -3) == -2
    assert c.decrement("new", 3) == -5
    assert c.ttl("new") is None
    assert c.forget("a") is True
    assert c.forget("a") is False
    assert c.forget_many(["b", "new", "none"]) == 2
    assert c.missing("b")
    assert "b" not in c
    assert c.forever("f", [1]) is True
    with pytest.raises(CacheTypeError):
        c.increment("f")
    with pytest.raises(CacheTypeError):
        c.put("bytes", b"12") and c.increment("bytes")
    assert c.get("f") == [1]
    assert c.put("f", 1, 0) is True
    assert c.get("f", lambda: "default") == "default"
    assert c.flush() is True
    assert c.get("bytes") is None


def test_what_has_ended_is_added_and_counted_anew(any_cache, clock):
    any_cache.put_many({"a": 7, "b": 7, "c": 7}, 10)
    clock.travel(11)

    assert any_cache.touch("a", 60) is False
    assert any_cache.forget("b") is False
    assert any_cache.add("a", 1) is True
    assert any_cache.increment("c") == 1
    assert any_cache.many(["a", "b", "c"]) == {"a": 1, "b": None, "c": 1}


def test_flexible_serves_what_is_stale_and_renews_it(any_cache, clock):
    assert any_cache.flexible("r", (10, 60), lambda: "first") == "first"
    clock.travel(11)
    of_requests = entered(Scope()) if any_cache.backend.durable else nullcontext()
    with of_requests:
        served = any_cache.flexible("r", (10, 60), lambda: "second")
    assert served == ("first" if any_cache.backend.durable else "second")
    assert any_cache.flexible("r", (10, 60), lambda: "third") == "second"
    clock.travel(11)
    assert any_cache.flexible("r", (10, 60), lambda: "third") == "third"


def test_flexible_keeps_the_stale_value_when_the_refresh_fails(any_cache, clock, caplog):
    any_cache.flexible("r", (10, 60), lambda: "first")
    clock.travel(11)

    assert any_cache.flexible("r", (10, 60), lambda: 1 / 0) == "first"
    assert "could not be computed anew" in caplog.text
    clock.travel(60)
    with pytest.raises(ZeroDivisionError):
        any_cache.flexible("r", (10, 60), lambda: 1 / 0)


@pytest.mark.parametrize(
    ("ttl", "end"),
    [
        (lambda: 60, 60),
        (lambda value: 10 * value, 70),
        (lambda value=6: 10 * value, 70),
        (lambda *values: 30, 30),
        (timedelta(minutes=1), 60),
        (None, None),
    ],
)
def test_a_time_to_live_may_be_a_function_of_the_value_or_of_nothing(any_cache, ttl, end):
    any_cache.remember("r", ttl, lambda: 7)

    assert any_cache.ttl("r") == end


def test_cache_if_and_none_ttl_decide_what_is_kept(any_cache):
    assert any_cache.remember("a", 60, lambda: 0, cache_if=bool) == 0
    assert any_cache.missing("a")
    assert any_cache.remember("b", 60, lambda: None, none_ttl=5) is None
    assert any_cache.ttl("b") == 5
    assert any_cache.remember_forever("c", lambda: None) is None
    assert any_cache.has("c")


# --- tags ---


def test_one_write_ends_every_entry_of_a_tag_whatever_the_call(cache):
    both, one, other = cache.tags("a", "b"), cache.tags(["a"]), cache.tags("c")
    for some in (cache, both, one, other):
        some.put("k", 5)

    cache.tags("b").flush()

    assert [some.get("k") for some in (cache, both, one, other)] == [5, None, 5, 5]
    assert both.touch("k", 60) is False
    assert both.forget("k") is False
    assert both.pull("k") is None
    assert both.ttl("k") is None
    assert both.many(["k"]) == {"k": None}
    assert both.increment("k") == 1
    cache.tags("a").flush()
    assert both.add("k", "new") is True
    assert one.get("k") is None
    assert other.get("k") == 5
    assert cache.get("k") == 5


def test_a_value_that_a_flush_overtook_is_never_fresh(cache):
    tagged = cache.tags("a")

    def compute():
        cache.tags("a").flush()
        return "old"

    assert tagged.remember("k", 60, compute) == "old"
    assert tagged.missing("k")
    assert tagged.flexible("f", (10, 60), compute) == "old"
    assert tagged.missing("f")


def test_the_order_of_tags_does_not_matter_and_names_never_run_together(cache):
    cache.tags("a", "b").put("k", 1)

    assert cache.tags("b", "a").get("k") == 1
    assert cache.tags("b").tags("a", "b").get("k") == 1
    assert cache.tags("a,b").get("k") is None
    assert cache.tags("a", "b", "c").get("k") is None
    assert isinstance(cache.tags("a"), TaggedCache)


# --- one statement an operation ---


@pytest.fixture(params=["sqlite_db", "mysql_db"])
def counted(request, clock):
    """A cache on a database, and the statements that were run on it."""
    db = request.getfixturevalue(request.param)
    cache, statements = Cache(DatabaseStore(db, clock)), []
    cache.pull("warm")
    db.listen(lambda event: statements.append(event.sql))
    return cache, statements, db.connection().server


CALLS = {
    "get": lambda c: c.get("int"),
    "get of nothing": lambda c: c.get("none"),
    "many": lambda c: c.many(["int", "text", "none"]),
    "has": lambda c: c.has("int"),
    "ttl": lambda c: c.ttl("int"),
    "put": lambda c: c.put("int", 2, 60),
    "put of a new one": lambda c: c.put("new", 2),
    "put_many": lambda c: c.put_many({f"k{i}": i for i in range(100)}, 60),
    "put of bytes": lambda c: c.put("new", b"x" * 5000),
    "add": lambda c: c.add("new", 1),
    "add of what is there": lambda c: c.add("int", 1),
    "increment": lambda c: c.increment("int"),
    "increment of a new one": lambda c: c.increment("new"),
    "decrement": lambda c: c.decrement("int", 5),
    "pull": lambda c: c.pull("int"),
    "pull of nothing": lambda c: c.pull("none"),
    "touch": lambda c: c.touch("int", 5),
    "touch of nothing": lambda c: c.touch("none", 5),
    "forget": lambda c: c.forget("int"),
    "forget of nothing": lambda c: c.forget("none"),
    "forget_many": lambda c: c.forget_many(["int", "text", "none"]),
    "remember of what is there": lambda c: c.remember("int", 60, lambda: 1),
    "flexible of what is fresh": lambda c: c.flexible("flexible", (5, 60), lambda: 1),
    "flush": lambda c: c.flush(),
}


@pytest.mark.parametrize("under", ["plain", "tags", "flushed tags"])
@pytest.mark.parametrize("call", CALLS)
def test_an_operation_is_one_statement(counted, call, under):
    cache, statements, server = counted
    some = cache if under == "plain" else cache.tags("a", "b", "c")
    if under == "flushed tags":
        cache.tags("a", "c").flush()
    some.put_many({"int": 1, "text": "x"}, 600)
    some.flexible("flexible", (5, 60), lambda: 1)
    for _ in range(300):  # whatever was counted before
        cache._is_hit(1)
    statements.clear()

    CALLS[call](some)

    looks_first = call == "pull" and not server.returns_rows
    assert len(statements) == 1 + looks_first, statements


def test_a_cold_key_costs_a_look_a_lock_another_look_a_write_and_a_release(counted):
    cache, statements, _ = counted
    for some in (cache, cache.tags("a")):
        statements.clear()
        some.remember("cold", 60, lambda: 1)
        assert len(statements) == 5


# --- prefixes ---


def test_a_flush_leaves_prefixes_alone_that_begin_alike(cache):
    store = cache.backend
    names = ["so", "so:x", "so:x:y", "so2", "s", "SO", "so ", "so;"]
    caches = {name: Cache(store, name) for name in names}
    for name, one in caches.items():
        one.put("k", name)
        one.put("x:k", name)

    caches["so"].flush()

    assert {name: one.get("k") for name, one in caches.items()} == {
        name: None if name == "so" else name for name in names
    }
    assert caches["so:x"].get("x:k") == "so:x"


def test_the_null_store_takes_every_call(clock):
    for some in (Cache(NullStore(clock)), Cache(NullStore(clock)).tags("a")):
        for name, call in CALLS.items():
            assert call(some) is not NotImplemented, name


# --- size and form ---


def test_large_texts_are_compressed_and_bytes_are_kept_raw(counted):
    cache, *_ = counted
    rows = [{"article": "screw", "price": Decimal("1.20"), "stock": 7}] * 1000
    cache.put("rows", rows)
    assert cache.stats()["bytes"] < 4_000
    cache.flush()
    cache.put("pdf", bytes(range(256)) * 120)
    assert cache.stats()["bytes"] == 30_721
    cache.flush()
    cache.put("small", "x" * 100)
    assert cache.stats()["bytes"] == 102
    assert Cache(cache.backend, compress_bytes=0).put("rows", rows)
    assert cache.stats()["bytes"] > 50_000
    assert cache.get("rows") == rows


@pytest.mark.parametrize("broken", [b"", b"?", b"z", b"zxx", b"z" + b"\x78\x9c"])
def test_data_that_cannot_be_read_is_a_miss_and_a_warning(counted, broken, caplog):
    cache, *_ = counted
    cache.put("k", b"x")
    db = cache.backend.db
    db.table("cache").update({"data": broken})

    assert cache.get("k") is None
    assert "counts as missing" in caplog.text
    assert cache.remember("k", 60, lambda: 1) == 1


def test_small_values_under_long_keys_count_whole(counted, clock):
    cache, *_ = counted
    bounded = Cache(DatabaseStore(cache.backend.db, clock, max_bytes=100_000))
    for number in range(2000):
        clock.travel(1)
        bounded.put(f"{number}:{'k' * 55}", number)
    rows = bounded.backend.db.table("cache").count()

    assert 250 < rows < 450  # of about 250 bytes each
    assert bounded.has(f"1999:{'k' * 55}")


def test_a_flushed_tag_stays_flushed_however_little_room_there_is(counted, clock):
    cache, *_ = counted
    bounded = Cache(DatabaseStore(cache.backend.db, clock, max_bytes=20_000))
    old = Cache(DatabaseStore(cache.backend.db, clock))
    old.tags("a").put("k", "flushed")
    bounded.tags("a").flush()
    for number in range(500):
        clock.travel(1)
        bounded.put(f"k{number}", "x" * 200)

    assert bounded.tags("a").get("k") is None


def test_files_the_array_and_the_near_layer_stay_within_bounds(sqlite_db, clock, tmp_path):
    files = Cache(FileStore(tmp_path / "files", clock, max_bytes=50_000), compress_bytes=0)
    for number in range(300):
        files.put(f"k{number}", "x" * 1000)
    size = sum(f.stat().st_size for f in (tmp_path / "files").rglob("*") if f.is_file())
    assert size < 60_000
    assert files.has("k299")

    array = ArrayStore(clock, max_entries=100)
    for number in range(300):
        Cache(array).put(f"k{number}", number)
    assert array.size("")[0] == 100
    assert Cache(array).has("k299")

    near = TieredStore(DatabaseStore(sqlite_db, clock), near_bytes=50_000, max_entries=1000)
    cache = Cache(near, compress_bytes=0)
    for number in range(100):
        cache.put(f"k{number}", "x" * 2000)
        cache.get(f"k{number}")
    assert near._bytes <= 50_000
    assert 10 < len(near._near) < 30


def test_a_hit_near_asks_the_database_nothing_under_tags_too(sqlite_db, clock):
    cache = Cache(TieredStore(DatabaseStore(sqlite_db, clock), stale_seconds=5))
    some = cache.tags("a", "b")
    cache.put("k", 1)
    some.put("k", 2)
    assert (cache.get("k"), some.get("k")) == (1, 2)
    statements = []
    sqlite_db.listen(lambda event: statements.append(event.sql))

    assert [(cache.get("k"), some.get("k")) for _ in range(10)] == [(1, 2)] * 10
    assert statements == []
