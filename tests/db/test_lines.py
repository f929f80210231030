"""Threads that wait for one SQLite file stand in a line."""

from __future__ import annotations

import os
import threading
import time

import pytest

from so.db import lines
from so.db.connection import Connection
from so.errors import LockTimeoutError


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "one.sqlite")


def until(check):
    deadline = time.monotonic() + 10
    while not check():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_who_begins_goes_behind_one_who_has_waited(path):
    done, held = [], Connection({"driver": "sqlite", "database": path})
    held.unprepared("create table t (x int)")

    def write(name):
        with Connection({"driver": "sqlite", "database": path}) as own, own.transaction():
            done.append(name)

    waiting = threading.Thread(target=write, args=("waited",))
    with held.transaction():
        waiting.start()
        until(lambda: lines.is_overdue(path))
    with held.transaction():
        done.append("came later")
    waiting.join()
    held.close()

    assert done == ["waited", "came later"]


def test_a_turn_that_does_not_come_in_time_ends_the_waiting(path):
    quick = {"driver": "sqlite", "database": path, "busy_timeout": 20}
    with Connection({"driver": "sqlite", "database": path}) as held, held.transaction():
        with Connection(quick) as late, pytest.raises(LockTimeoutError), late.transaction():
            raise AssertionError("two wrote at once")
        assert not lines.is_overdue(path), "it has left the line"


def test_nobody_gives_up_while_the_line_moves(path):
    entered = threading.Event()

    def wait_without_patience():
        with lines.turn(path, 0):
            entered.set()

    last = threading.Thread(target=wait_without_patience)
    with lines.turn(path, 10):
        lines._lines[path].moved_at = time.monotonic() + 10  # as if others had their turns
        last.start()
        assert not entered.wait(0.05)
    last.join()

    assert entered.is_set()


def test_turns_come_in_the_order_of_coming(path):
    order, threads = [], []

    def stand(number):
        with lines.turn(path, 10):
            order.append(number)

    with lines.turn(path, 10):
        for number in range(8):
            threads.append(threading.Thread(target=stand, args=(number,)))
            threads[-1].start()
            until(lambda number=number: len(lines._lines[path]._waiting) > number)
    for thread in threads:
        thread.join()

    assert order == list(range(8))


def test_who_reads_does_not_stand_in_line(path):
    with Connection({"driver": "sqlite", "database": path}) as held:
        held.unprepared("create table t (x int)")
        with lines.turn(path, 10):
            until(lambda: lines.is_overdue(path))
            with held.transaction(mode="read"):
                assert held.scalar("select count(*) from t") == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_forked_child_stands_in_no_line_of_its_parent(path):
    with lines.turn(path, 10):
        until(lambda: lines.is_overdue(path))
        child = os.fork()
        if not child:
            os._exit(int(lines.is_overdue(path)))
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
