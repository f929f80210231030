"""Metrics: what is counted of each queue, and what holds a job up is told."""

from __future__ import annotations

from typing import Any

import pytest

from so.db.manager import Database
from so.errors import LockTimeoutError
from so.support.clock import Clock
from so.systems.queue import (
    JobEvent,
    Queue,
    RateLimited,
    Skip,
    ThrottlesExceptions,
    WithoutOverlapping,
)
from so.systems.queue.tables.locks import lock_name
from so.systems.worker import Worker, WorkerOptions
from tests.systems.queue.conftest import beat
from tests.systems.queue.jobs import Fails, Note


def test_the_state_of_each_queue_is_counted(queue: Queue, worker: Worker, clock: Clock) -> None:
    queue.push(Note("done"))
    worker.run_one()
    queue.push(Note("a"))
    queue.later(60, Note("b"))
    queue.push(Note("c"), "low")
    queue.control.pause("low")
    clock.travel(5)
    beat(queue, clock, current=[{"id": 1, "queue": "default", "job": "X", "seconds": 1}])

    default, low = queue.metrics.states()
    assert (default.name, default.pending, default.oldest_seconds) == ("default", 1, 5)
    assert (default.done_last_hour, default.failed_last_hour, default.reserved) == (1, 0, 1)
    assert (low.pending, low.paused, low.delayed) == (1, True, 0)
    assert low.to_dict()["name"] == "low"


def test_counters_are_written_as_open_metrics(queue: Queue, worker: Worker, clock: Clock) -> None:
    queue.push(Note("a"))
    queue.push(Fails())
    worker.run_all()
    beat(queue, clock)

    text = queue.metrics.open_metrics()
    assert 'so_queue_done_total{queue="default"} 1' in text
    assert 'so_queue_retried_total{queue="default"} 2' in text
    assert 'so_queue_failed_total{queue="default"} 1' in text
    assert 'so_queue_run_seconds_count{queue="default"} 4' in text
    assert 'so_queue_run_seconds_bucket{queue="default",le="+Inf"} 4' in text
    assert "so_queue_workers 2" in text
    assert text.endswith("# EOF\n")


def test_counters_are_kept_when_they_cannot_be_written(queue: Queue, db: Database) -> None:
    queue.metrics.count("default", "done")

    class Broken:
        def transaction(self) -> Any:
            raise LockTimeoutError()

    with pytest.raises(LockTimeoutError):
        queue.metrics.flush(Broken())
    queue.metrics.flush(db.connection())
    queue.metrics.flush(db.connection())

    assert queue.metrics.totals() == {"default": {"done": 1}}


class Held(Note):
    """Meets one of the middlewares that may hold a job up."""

    def __init__(self, how: str, key: str = "a") -> None:
        self.how, self.key = how, key

    def middleware(self) -> list[Any]:
        return {
            "skip": [Skip.when(lambda job: True)],
            "limit": [RateLimited("supplier")],
            "drop": [RateLimited("supplier").dont_release()],
            "overlap": [WithoutOverlapping("x")],
            "throttle": [ThrottlesExceptions(1, 60)],
        }.get(self.how, [])

    def handle(self) -> None:
        if self.how == "snooze":
            self.release(60)
        if self.how == "throttle":
            raise ValueError("closed")


class Only(Note):
    unique_for = 60


@pytest.mark.parametrize(
    ("how", "kind", "reason"),
    [
        ("skip", "skipped", "skipped by its middleware"),
        ("limit", "released", "rate limit"),
        ("drop", "skipped", "over its rate limit"),
        ("overlap", "released", "overlap"),
        ("throttle", "released", "throttled ValueError: closed"),
        ("snooze", "released", "released"),
        ("unique", "skipped", "another one is queued already"),
    ],
)
def test_36_what_is_held_up_is_told_by_event_counter_and_log(
    queue: Queue, worker: Worker, caplog: pytest.LogCaptureFixture, how: str, kind: str, reason: str
) -> None:
    caplog.set_level("INFO", "so.queue")
    events: list[JobEvent] = []
    queue.listen(kind, events.append)
    queue.limit("supplier", lambda job: (0, 60))
    if how == "overlap":
        queue.push(Note("runs elsewhere"), "other")
        (row,) = Worker(queue, WorkerOptions(queues=["other"]))._claim(1)
        name, owner = lock_name("overlap", Held.alias, "x"), f"{row.id}:{row.worker}"
        conn, now = queue.source.connection(), queue.clock.time()
        assert queue.locks.take_overlap(conn, name, owner, now, None)
    if how == "unique":
        queue.push(Only("a"))
        queue.push(Only("a"))
    else:
        queue.push(Held(how))
        worker.run_one()

    assert [event.reason for event in events] == [reason]
    assert queue.metrics.totals()["default"][kind] == 1
    assert f'so_queue_{kind}_total{{queue="default"}} 1' in queue.metrics.open_metrics()
    assert reason in caplog.text
