"""A value is computed once: threads × processes, slow producers, producers that die."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time

import pytest

from so.db.manager import Database
from so.errors import LockTimeout
from so.support.clock import Clock
from so.support.scope import Scope, entered
from so.systems.cache import ArrayStore, Cache, DatabaseStore, NullStore
from so.systems.cache.heartbeat import Heartbeat

context = multiprocessing.get_context("fork")
THREADS = 4  # of a process


def ask(config, answers, gate, seconds, options, tags):
    database = Database({"default": config})
    cache = Cache(DatabaseStore(database), **options)
    some = cache.tags(*tags) if tags else cache

    def produce():
        answers.put(("ran", os.getpid()))
        time.sleep(seconds)
        return "made"

    def work():
        database.scalar("select 1")  # connected: that may take as long as the producer
        gate.wait(30)
        try:
            answers.put(("got", some.remember("slow", 60, produce)))
        except LockTimeout:
            answers.put(("timeout", None))

    threads = [threading.Thread(target=work) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def run(config, processes=2, seconds=1.2, tags=(), **options):
    answers, gate = context.Queue(), context.Barrier(processes * THREADS)
    children = [
        context.Process(target=ask, args=(config, answers, gate, seconds, options, tags))
        for _ in range(processes)
    ]
    for child in children:
        child.start()
    return children, answers


def collected(children, answers, expected):
    found = [answers.get(timeout=30) for _ in range(expected)]
    for child in children:
        child.join(30)
    return [kind for kind, _ in found]


@pytest.mark.parametrize("tags", [(), ("a", "b")])
def test_a_producer_slower_than_its_lock_is_the_only_one(db_config, db, tags):
    children, answers = run(db_config, tags=tags, compute_seconds=1, seconds=1.6)

    found = collected(children, answers, 9)

    assert found.count("ran") == 1
    assert found.count("got") == 8


def test_who_waits_in_vain_gets_a_timeout_and_computes_nothing(db_config, db):
    children, answers = run(db_config, seconds=1.2, wait_seconds=0.4)

    found = collected(children, answers, 9)

    assert found.count("ran") == 1
    assert found.count("got") == 1
    assert found.count("timeout") == 7


def test_a_producer_that_is_killed_is_replaced_when_its_lock_ends(db_config, db):
    children, answers = run(db_config, seconds=0.8, compute_seconds=1)
    kind, pid = answers.get(timeout=30)
    assert kind == "ran"
    time.sleep(0.3)  # until it has let go of the queue
    begun = time.monotonic()
    os.kill(pid, signal.SIGKILL)

    found = collected(children, answers, 1 + 4)

    assert found.count("ran") == 1
    assert found.count("got") == 4
    assert (
        time.monotonic() - begun < 1 + 1 + 0.8 + 2
    )  # its lock, a second, the work, a busy machine


@pytest.mark.parametrize("store", [ArrayStore, NullStore])
def test_stores_that_share_nothing_make_nobody_wait(store):
    cache, inside, most = Cache(store(Clock())), [], []
    gate = threading.Barrier(4, timeout=10)

    def produce():
        inside.append(1)
        most.append(len(inside))
        gate.wait()  # would break if they came one after the other
        return 1

    def work():
        with entered(Scope()):
            cache.remember("k", 60, produce)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert max(most) == 4


def test_an_error_of_the_producer_frees_the_key_at_once(db):
    cache = Cache(DatabaseStore(db, Clock()))
    with pytest.raises(ZeroDivisionError):
        cache.remember("k", 60, lambda: 1 / 0)

    assert cache.remember("k", 60, lambda: 2, wait=0) == 2
    assert cache.locks.owner(cache.stored("k") + "\x1fcompute") is None


def test_a_heartbeat_beats_while_there_is_something_to_keep_and_its_thread_ends(monkeypatch):
    monkeypatch.setattr("so.systems.cache.heartbeat.IDLE_SECONDS", 0.05)
    heartbeat, beats = Heartbeat(), threading.Semaphore(0)
    for _ in range(2):
        with heartbeat.keeping(beats.release, 0.01):
            assert all(beats.acquire(timeout=5) for _ in range(3))
        thread = heartbeat._thread
        if thread is not None:
            thread.join(5)
        assert heartbeat._thread is None


def test_a_beat_that_fails_stops_no_other(monkeypatch):
    heartbeat, beats = Heartbeat(), threading.Semaphore(0)

    def fail():
        raise OSError

    with heartbeat.keeping(fail, 0.005), heartbeat.keeping(beats.release, 0.01):
        assert all(beats.acquire(timeout=5) for _ in range(3))


# --- clocks ---


def test_a_clock_moved_by_an_hour_frees_no_lock(db):
    mine, theirs = Clock(), Clock()
    here = Cache(DatabaseStore(db, mine))
    there = Cache(DatabaseStore(db, theirs))
    assert here.lock("a", 60).acquire()
    assert not there.lock("a", 60).acquire()

    theirs.adjust(3600)
    assert not there.lock("a", 60).acquire()
    theirs.adjust(-7200)
    assert there.put("k", 1, 60)
    assert here.get("k") == 1
    mine.adjust(3600)
    assert here.get("k") == 1
    assert not Cache(DatabaseStore(db, mine)).lock("a", 60).acquire()
