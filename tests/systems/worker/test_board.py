"""The memory that a crew shares with its children."""

from __future__ import annotations

import os

from so.systems.worker.board import BUSY, IDLE, CrewBoard


def test_a_child_writes_and_the_crew_reads() -> None:
    board = CrewBoard(2)
    seat = board.enter(1)

    idle = board.of(1, os.getpid())
    assert idle is not None
    assert not idle.is_busy
    seat.write_name("low", "app.jobs.Importé")
    seat.write_name("low", "app.jobs.Importé")
    seat.write(7, 2, BUSY, 1.5, 3.5, 10, 1)
    doing = board.of(1, os.getpid())
    assert doing is not None
    assert (doing.job_id, doing.attempts, doing.is_busy) == (7, 2, True)
    assert (doing.started, doing.deadline, doing.done, doing.failed) == (1.5, 3.5, 10, 1)
    assert (doing.queue, doing.name) == ("low", "app.jobs.Importé")
    assert doing.is_same_run(board.of(1, os.getpid()))
    assert not doing.is_same_run(idle)
    assert not doing.is_same_run(None)


def test_two_children_of_one_slot_have_records_of_their_own() -> None:
    board = CrewBoard(1)
    board.enter(0)._pid = 1
    other = board.enter(0)
    other.write(5, 1, IDLE, 0, 0, 0, 0)

    assert board.of(0, 4711) is None
    board.clear(0, os.getpid())
    board.clear(0, os.getpid())
    assert board.of(0, os.getpid()) is None
    for _ in range(6):
        board.enter(0)  # never without a place


def test_a_pause_reaches_every_seat() -> None:
    board = CrewBoard(1)
    seat = board.enter(0)
    assert not seat.paused
    board.paused = True
    assert seat.paused
    assert board.paused
