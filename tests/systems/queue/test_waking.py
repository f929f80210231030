"""Waking: a bell for all workers of this machine, a glance for what no bell tells."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from so.db.manager import Database
from so.support.clock import Clock
from so.systems.queue import (
    Queue,
)
from so.systems.queue.waking import Bell, Ear, Watch
from tests.systems.queue.jobs import Note


def test_the_bell_wakes_every_worker_of_the_machine(tmp_path: Path) -> None:
    folder = str(tmp_path / ("deep" * 20) / "bells")
    bell = Bell(folder)
    bell.ring()  # nobody has ever listened
    ears = [bell.listen(), bell.listen()]

    for ear in ears:
        assert ear is not None
    bell.ring()
    for ear in ears:
        assert ear is not None
        assert ear._socket.recv(8) == b"\n"
        ear.pass_on()
        ear.drain()
        with pytest.raises(BlockingIOError):
            ear._socket.recv(8)
        ear.close()
    assert list(Path(folder).iterdir()) == []


def test_a_bell_left_by_a_killed_worker_is_cleared_away(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as dead:
        dead.bind(str(tmp_path / "1-x.bell"))
    Bell(str(tmp_path)).ring()

    assert list(tmp_path.iterdir()) == []


def test_a_full_bell_and_a_missing_folder_hold_nobody_up(tmp_path: Path) -> None:
    bell = Bell(str(tmp_path))
    ear = bell.listen()
    for _ in range(1000):
        bell.ring()
    assert ear is not None
    ear.close()

    assert Bell(None).listen() is None
    Bell(None).ring()
    assert Bell("/proc/nowhere").listen() is None
    assert Ear(str(tmp_path)).fileno() > 0


def test_a_dispatch_rings(db: Database, clock: Clock, tmp_path: Path) -> None:
    queue = Queue(db, clock=clock, wake_folder=str(tmp_path))
    ear = queue.bell.listen()
    assert ear is not None

    queue.push(Note("a"))
    assert ear._socket.recv(8) == b"\n"
    with db.transaction():
        queue.push(Note("b"))
        with pytest.raises(BlockingIOError):
            ear._socket.recv(8)
    assert ear._socket.recv(8) == b"\n"
    ear.close()


def test_the_glance_sees_what_no_bell_tells(queue: Queue, db: Database, clock: Clock) -> None:
    conn = queue.worker_connection()
    watch = Watch(queue.store, conn, clock, 3.0)

    assert not watch.look(["default"])
    queue.later(60, Note("a"))
    assert not watch.look(["default"])
    clock.travel(60)
    assert watch.look(["default"])
    assert watch.look(["default"])
    assert not watch.look(["other"])
    assert not watch.look([])
    conn.close()


def test_pauses_grow_while_nothing_happens(queue: Queue, clock: Clock, engine: str) -> None:
    watch = Watch(queue.store, queue.worker_connection(), clock, 0.6)
    pauses = [watch.pause() for _ in range(20)]
    watch.note_activity()

    assert max(pauses) <= 0.6
    assert watch.pause() == pauses[0]
    if engine == "mysql":
        assert pauses[-1] == 0.6
    watch._active_at -= 100
    assert watch.pause() > 0
    watch._conn.close()
