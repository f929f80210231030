"""Chaos: many processes on one key, one lock, one session, and a cleaner beside those who serve.

Small in the normal run; `make chaos` (SIXORBIT_CHAOS=1) runs it at full size and prints figures:
a producer of 12 seconds under 64 readers, 8 processes on 4 locks for SIXORBIT_CHAOS_SECONDS (600),
100 rounds of 64 requests on one session, and SIXORBIT_CHAOS_ROWS (1,000,000) expired sessions and
cache rows cleaned away while requests are served.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from so.db.connection import Connection
from so.db.manager import Database
from so.errors import LockTimeout
from so.systems.cache import Cache, DatabaseStore
from so.systems.sessions import Sessions

FULL = os.environ.get("SIXORBIT_CHAOS") == "1"
SECONDS = float(os.environ.get("SIXORBIT_CHAOS_SECONDS", "600" if FULL else "1"))
ROWS = int(os.environ.get("SIXORBIT_CHAOS_ROWS", "1000000" if FULL else "3000"))
LOCKS = 4
fork = multiprocessing.get_context("fork")


def say(text: str) -> None:
    if FULL:
        print(f"\n  {text}", flush=True)


def processes(count: int, target: Callable[..., None], *args: Any) -> None:
    """Run *target* in so many processes at once; all of them must end well."""
    children = [fork.Process(target=target, args=(number, *args)) for number in range(count)]
    for child in children:
        child.start()
    for child in children:
        child.join(SECONDS + 300)
    assert [child.exitcode for child in children] == [0] * count


# --- one producer ---


def ask(number: int, config: dict[str, Any], gate: Any, made: Any, how: dict[str, float]) -> None:
    threads, wrong = [], []
    with Database({"default": config}) as db:
        compute_seconds = how["compute_seconds"]
        cache = Cache(DatabaseStore(db), compute_seconds=compute_seconds, wait_seconds=how["wait"])

        def produce() -> str:
            made.put(os.getpid())
            time.sleep(how["producer"])
            return "made"

        def one() -> None:
            db.scalar("select 1")  # all are connected before the race begins
            gate.wait()
            if cache.remember("cold", 600, produce) != "made":
                wrong.append(number)
            db.close()

        threads = [threading.Thread(target=one) for _ in range(int(how["threads"]))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not wrong


@pytest.mark.usefixtures("db")
def test_a_producer_that_outlasts_its_lock_many_times_runs_once(db_config: dict[str, Any]):
    # At full size all of it by default: a lock of 10 seconds, readers that wait for 60.
    # A small lock is still longer than its keeper takes to shake hands with a busy server by TLS.
    small = {"compute_seconds": 0.8, "wait": 30.0, "producer": 2.0, "threads": 8}
    large = {"compute_seconds": 10, "wait": 60.0, "producer": 12.0, "threads": 16}
    how = large if FULL else small
    count = 4 if FULL else 2
    gate, made = fork.Barrier(count * int(how["threads"])), fork.SimpleQueue()
    begun = time.monotonic()

    processes(count, ask, db_config, gate, made, how)

    made.get()
    assert made.empty()
    say(f"{count} × {how['threads']} readers, one run, {time.monotonic() - begun:.1f} s in all")


# --- four locks ---


def fight(number: int, config: dict[str, Any], seconds: float, seen: Any) -> None:
    found: Counter[str] = Counter()
    dice, until = random.Random(number), time.monotonic() + seconds
    with Database({"default": config}) as db:
        cache = Cache(DatabaseStore(db))
        while time.monotonic() < until:
            name = f"hot{dice.randrange(LOCKS)}"
            lock = cache.lock(name, 30)
            try:
                if not (lock.block(5) if dice.random() < 0.5 else lock.acquire()):
                    found["taken by another"] += 1
                    continue
                # Not atomic on purpose: only the lock keeps two from writing the same number.
                row = "select batch from migrations where migration = ?"
                held = int(db.connection().scalar(row, (name,), use_read=False))
                db.connection().update(
                    "update migrations set batch = ? where migration = ?", (held + 1, name)
                )
                if dice.random() < 0.2 and not lock.refresh():
                    found["lost"] += 1
                found["held"] += 1
                if not lock.release():
                    found["lost"] += 1
            except LockTimeout:
                found["waited in vain"] += 1
            except Exception as error:
                found[f"error {type(error).__name__}: {error}"[:200]] += 1
    seen.put(dict(found))


def test_hot_locks_give_nobody_a_deadlock_and_none_is_left(db: Database, db_config: dict[str, Any]):
    if FULL and db_config["driver"] == "sqlite":
        pytest.skip("at full size on the server, where deadlocks are")
    for number in range(LOCKS):
        db.insert("insert into migrations (migration, batch) values (?, 0)", [f"hot{number}"])
    count, seen = (8 if FULL else 3), fork.Queue()

    processes(count, fight, db_config, SECONDS, seen)

    found: Counter[str] = sum((Counter(seen.get(timeout=30)) for _ in range(count)), Counter())
    say(f"{count} processes on {LOCKS} locks for {SECONDS:.0f} s: {dict(found)}")
    assert not [name for name in found if name.startswith(("error", "lost"))], found
    rows = db.select("select batch from migrations where migration like 'hot%'")
    assert sum(int(row["batch"]) for row in rows) == found["held"]
    cache = Cache(DatabaseStore(db))
    assert not any(cache.lock(f"hot{number}").is_locked() for number in range(LOCKS))


# --- one session ---


@contextmanager
def browsers(config: dict[str, Any], count: int) -> Iterator[tuple[Sessions, ThreadPoolExecutor]]:
    with Database({"default": config}) as db, ThreadPoolExecutor(count) as pool:
        yield Sessions(db), pool
        gate = threading.Barrier(count)
        list(pool.map(lambda _: (gate.wait(), db.close()), range(count)))


@pytest.mark.usefixtures("db")
def test_parallel_requests_lose_nothing_and_revive_nothing(db_config: dict[str, Any]):
    count, rounds = (64, 100) if FULL else (16, 3)
    begun = time.monotonic()
    with browsers(db_config, count) as (sessions, pool):
        cookie = logged_in(sessions, "ada")

        def change(place: tuple[int, int]) -> None:
            session = sessions.open(cookie)
            session.put(f"key.{place[0]}.{place[1]}", place[1])
            session.increment("sum")
            session.save()

        for turn in range(rounds):
            list(pool.map(change, [(turn, number) for number in range(count)]))
        left = sessions.open(cookie)
        assert left.get("sum") == rounds * count
        assert [len(part) for part in left.get("key").values()] == [count] * rounds
        say(f"{rounds} × {count} requests on one session: {time.monotonic() - begun:.1f} s")

        ended, revived = 0, 0
        for turn in range(rounds):
            cookie = logged_in(sessions, "bob")
            work = [(turn, number) for number in range(count)]
            running = [pool.submit(change, place) for place in work]
            ended += sessions.logout_everywhere("bob")
            for one in running:
                one.result()
            revived += len(sessions.for_user("bob"))
        assert (ended, revived) == (rounds, 0)
        say(f"{rounds} force logouts under {count} requests each: none revived")


def logged_in(sessions: Sessions, user: str) -> str:
    session = sessions.open()
    session.sign_in({"id": user})
    session.save()
    cookie = session.cookie_change()
    assert cookie
    return cookie


# --- a million rows ---


def fill(connection: Connection, rows: int) -> None:
    """So many sessions and cache rows that ended an hour ago."""
    then = int(time.time()) - 86_400
    step = 500
    for at in range(0, rows, step):
        some = range(at, min(at + step, rows))
        connection.insert(
            "insert into sessions (id, payload, last_activity, created_at) values "
            + ", ".join(["(?, '{}', ?, ?)"] * len(some)),
            [
                value
                for n in some
                for value in (f"{n * 2654435761 % 2**32:08x}{n:056x}", then, then)
            ],
        )
        key = "`key`" if connection.dialect.name == "mysql" else '"key"'
        connection.insert(
            f"insert into cache ({key}, value, expiration) values "  # constants
            + ", ".join(["(?, '1', ?)"] * len(some)),
            [value for n in some for value in (f"so_cache:old:{n}", then)],
        )


def clean(number: int, config: dict[str, Any], done: Any) -> None:
    with Database({"default": config}) as db:
        begun = time.monotonic()
        removed = Sessions(db).cleanup() if number else Cache(DatabaseStore(db)).gc()
        done.put((removed, time.monotonic() - begun))


def served(sessions: Sessions, cache: Cache, cookies: list[str], go_on: Callable[[], bool]) -> Any:
    """Milliseconds of requests that read a session, write it, read the cache and write it."""
    took: list[float] = []
    while go_on():
        cookie = random.choice(cookies)
        begun = time.perf_counter()
        session = sessions.open(cookie)
        session.increment("visits")
        cache.get("page")
        cache.put(f"page:{len(took) % 50}", "text", 600)
        session.save()
        took.append((time.perf_counter() - begun) * 1000)
    return took


def spread(took: list[float]) -> str:
    ordered = sorted(took)
    at = {part: ordered[min(len(ordered) - 1, int(len(ordered) * part))] for part in (0.5, 0.99)}
    return f"{len(took)} requests, p50 {at[0.5]:.1f} ms, p99 {at[0.99]:.1f} ms"


def test_expired_rows_are_cleaned_away_beside_requests(db: Database, db_config: dict[str, Any]):
    fill(db.connection(), ROWS)
    with Database({"default": db_config}) as own:
        sessions, cache = Sessions(own), Cache(DatabaseStore(own))
        cookies = [logged_in(sessions, f"user{number}") for number in range(20)]
        cache.put("page", "text")

        def quiet(seconds: float) -> list[float]:
            until = time.monotonic() + seconds
            return served(sessions, cache, cookies, lambda: time.monotonic() < until)

        say(f"{ROWS:,} rows of each kind, nobody cleans: {spread(quiet(15 if FULL else 0.1))}")
        done = fork.SimpleQueue()
        cleaners = [fork.Process(target=clean, args=(n, db_config, done)) for n in range(2)]
        for cleaner in cleaners:
            cleaner.start()
        beside = served(sessions, cache, cookies, lambda: any(one.is_alive() for one in cleaners))
        say(f"beside the cleaners: {spread(beside)}")
        removed = sorted(done.get() for _ in cleaners)
        say(f"cleaned: {[(count, f'{seconds:.0f} s') for count, seconds in removed]}")
        say(f"afterwards: {spread(quiet(15 if FULL else 0.1))}")

        assert [count for count, _ in removed] == [ROWS, ROWS]
        assert all(sessions.open(cookie).identity() for cookie in cookies)
        assert cache.get("page") == "text"
