"""With the database away: reads are misses, writes do nothing, locks raise; one warning."""

from __future__ import annotations

import logging
import sqlite3
import time
from pathlib import Path

import pytest

from so.db.manager import Database
from so.errors import ConcurrencyError, LostConnectionError, QueryError, ReadOnlyError
from so.systems.cache import (
    Cache,
    DatabaseCounters,
    DatabaseStore,
    RateLimiter,
    SteadyCounters,
    sharing,
)


class Broken:
    """A source of connections whose statements fail like those of a real one."""

    def __init__(self, db: Database) -> None:
        self.db, self.error, self.asked = db, None, 0

    def connection(self):
        if self.error is None:
            return self.db.connection()
        self.asked += 1
        raise self.error


def lost(kind=LostConnectionError):
    return kind("select 1", (), "cache", OSError("connection refused"))


@pytest.fixture(params=["sqlite_db", "mysql_db"])
def source(request):
    return Broken(request.getfixturevalue(request.param))


@pytest.fixture
def cache(source, clock):
    return Cache(DatabaseStore(source, clock))


@pytest.fixture(params=["plain", "tags"])
def some(request, cache):
    return cache if request.param == "plain" else cache.tags("a")


@pytest.mark.parametrize("kind", [LostConnectionError, ReadOnlyError, ConcurrencyError])
def test_reads_are_misses_and_writes_do_nothing(source, cache, some, kind, caplog):
    some.put("k", "kept")
    source.error, source.asked = lost(kind), 0

    with caplog.at_level(logging.WARNING, "so.cache"):
        assert some.get("k") is None
        assert some.get("k", "default") == "default"
        assert some.many(["k"]) == {"k": None}
        assert some.has("k") is False
        assert some.ttl("k") is None
        assert some.put("k", 1) is False
        assert some.put_many({"k": 1}, 60) is False
        assert some.add("k", 1) is False
        assert some.pull("k", 7) == 7
        assert some.touch("k", 60) is False
        assert some.forget("k") is False
        assert some.forget_many(["k"]) == 0
        assert some.increment("n", 3) == 3
        assert some.remember("k", 60, lambda: "made") == "made"
        assert some.flexible("k", (5, 60), lambda: "made") == "made"
        assert some.remember_forever("k", lambda: None) is None

    assert source.asked == 1  # the others did not wait to find out
    warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert "reads are misses and nothing is stored" in caplog.text

    source.error = None
    cache._outage._until = 0
    assert some.get("k") == "kept"
    assert some.put("k", 2) is True
    assert some.get("k") == 2


def test_locks_raise_and_so_does_a_flush(source, cache):
    source.error = lost()

    for work in (
        cache.lock("a", 5).acquire,
        cache.lock("a", 5).release,
        cache.lock("a", 5).is_locked,
        cache.semaphore("a", 2, 5).acquire,
        cache.flush,
        cache.gc,
    ):
        with pytest.raises(LostConnectionError):
            work()


def test_the_producer_of_a_value_still_says_what_went_wrong(source, cache):
    source.error = lost()

    with pytest.raises(ZeroDivisionError):
        cache.remember("k", 60, lambda: 1 / 0)


def test_a_missing_table_is_no_outage(source, cache):
    source.db.connection().unprepared("alter table cache rename to elsewhere")
    try:
        with pytest.raises(QueryError, match=r"cache"):
            cache.get("k")
    finally:
        source.db.connection().unprepared("alter table elsewhere rename to cache")


def test_an_outage_is_found_over_within_seconds_and_warned_of_again_after_a_minute(
    source, cache, monkeypatch, caplog
):
    now = [1000.0]
    monkeypatch.setattr(sharing.time, "monotonic", lambda: now[0])
    source.error = lost()
    with caplog.at_level(logging.WARNING, "so.cache"):
        for _ in range(140):
            cache.get("k")
            now[0] += 0.5
    assert 12 <= source.asked <= 15  # one in five seconds finds out
    assert len(caplog.records) == 2

    source.error = None
    now[0] += sharing.RETRY_SECONDS
    assert cache.put("k", 1) is True


def test_limits_go_on_in_the_process(source, clock):
    limiter = RateLimiter(SteadyCounters(DatabaseCounters(source, clock), clock), "so")
    source.error = lost()

    assert [limiter.attempt("login", 3, lambda: "in") for _ in range(5)] == ["in"] * 3 + [False] * 2
    assert source.asked == 1


# --- the real thing ---


def test_a_locked_file_holds_a_request_up_once(tmp_path, request, clock):
    path = tmp_path / "cache.sqlite"
    path.write_bytes(Path(request.getfixturevalue("_sqlite_template")).read_bytes())
    config = {"driver": "sqlite", "database": str(path), "busy_timeout": 100}
    cache = Cache(DatabaseStore(Database({"default": config}), clock))
    cache.put("k", 1)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("begin immediate")

    begun = time.monotonic()
    assert [cache.put("k", 2) for _ in range(20)] == [False] * 20
    assert time.monotonic() - begun < 5

    other.execute("rollback")
    other.close()
    cache._outage._until = 0
    assert cache.get("k") == 1
    assert cache.put("k", 2) is True


def test_no_server_at_all(clock):
    config = {"driver": "mysql", "host": "127.0.0.1", "port": 1, "database": "x"}
    store = DatabaseStore.__new__(DatabaseStore)
    with pytest.raises(LostConnectionError):
        Database({"default": config}).connection().select("select 1")
    store.__init__(Database({"default": config}), clock)  # making one asks nothing
    cache = Cache(store)

    assert cache.get("k", "default") == "default"
    assert cache.remember("k", 60, lambda: 5) == 5
    with pytest.raises(LostConnectionError):
        cache.lock("a", 5).acquire()
    limiter = RateLimiter(SteadyCounters(DatabaseCounters(Database({"default": config})), clock))
    assert [limiter.attempt("login", 2, lambda: "in") for _ in range(3)] == ["in", "in", False]


def test_a_file_that_cannot_be_read_is_a_miss(tmp_path, clock, caplog):
    from so.systems.cache import FileStore

    (tmp_path / "cache").write_text("a file where a folder should be")
    cache = Cache(FileStore(tmp_path / "cache", clock))

    assert cache.put("k", 1) is False
    assert cache.get("k") is None
    assert cache.remember("k", 60, lambda: 2) == 2
    assert len([r for r in caplog.records if r.name == "so.cache"]) == 1
