"""Kinds of faults that people report of other queues: each test is named for its kind."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from so.support.clock import Clock
from so.systems.queue import Job, JobEvent, Queue
from so.systems.worker import Worker
from tests.systems.queue.jobs import DIARY, Note

NOON = datetime(2026, 1, 15, 12, tzinfo=UTC)


class Until(Job):
    """May be tried until a moment that the test gives."""

    def __init__(self, until: Any = None) -> None:
        self.retry_until = until

    def handle(self) -> None:
        DIARY.append("ran")

    def failed(self, exception: BaseException) -> None:
        DIARY.append(f"failed: {type(exception).__name__}")


@pytest.mark.parametrize(
    "until",
    [
        NOON + timedelta(seconds=30),
        (NOON + timedelta(seconds=30)).replace(tzinfo=None),
        (NOON + timedelta(seconds=30)).timestamp(),
        int(NOON.timestamp()) + 30,
        timedelta(seconds=30),
    ],
    ids=["aware", "naive", "float", "int", "timedelta"],
)
@pytest.mark.parametrize("has_passed", [False, True])
def test_a_moment_to_try_until_that_has_passed_fails_the_job_unrun(
    queue: Queue, worker: Worker, clock: Clock, until: Any, has_passed: bool
) -> None:
    queue.push(Until(until))
    clock.travel(60 if has_passed else 20)

    worker.run_all()

    assert queue.size() == 0
    if not has_passed:
        assert DIARY == ["ran"]
        return
    assert DIARY == ["failed: MaxAttemptsExceeded"]
    (failed,) = queue.failed()
    assert failed.reason == (
        f"MaxAttemptsExceeded: {Until.alias} was to be tried until 2026-01-15 12:00:30 UTC, "
        "which has passed"
    )


def test_a_moment_to_try_until_holds_while_a_job_waits_without_being_run(
    queue: Queue, worker: Worker, clock: Clock
) -> None:
    class Waits(Until):
        def middleware(self) -> list[Any]:
            return [lambda job, _: job._run.release(20, cost="nothing")]

    queue.push(Waits(timedelta(seconds=30)))
    for _ in range(3):
        worker.run_all()
        clock.travel(20)

    assert DIARY == ["failed: MaxAttemptsExceeded"]


HOOKS: dict[str, Any] = {
    "delete": lambda event: event.job.delete(),
    "release": lambda event: event.job.release(60),
    "fail": lambda event: event.job.fail("not today"),
}


class Careful(Note):
    """Says when it has failed."""

    def failed(self, exception: BaseException) -> None:
        DIARY.append(f"failed: {exception}")


@pytest.mark.parametrize("transactional", [False, True])
@pytest.mark.parametrize("how", list(HOOKS))
def test_a_before_hook_that_ends_a_job_keeps_it_from_running(
    queue: Queue, worker: Worker, how: str, transactional: bool
) -> None:
    told: list[str] = []
    queue.before(HOOKS[how])
    queue.after(lambda event: told.append(event.kind))
    queue.failing(lambda event: told.append(event.kind))
    job = Careful("ran")
    job.transactional = transactional
    queue.push(job)

    assert worker.run_one()

    left = (queue.delayed_size(), queue.failed_jobs.count())
    expected = {"delete": (0, 0), "release": (1, 0), "fail": (0, 1)}
    assert left == expected[how]
    if how == "fail":
        assert (DIARY, told) == (["failed: not today"], ["failing"])
    else:
        assert (DIARY, told) == ([], [])
    assert queue.reserved_size() == 0


def test_a_before_hook_ends_one_job_and_the_next_one_runs(queue: Queue, worker: Worker) -> None:
    def only_b(event: JobEvent) -> None:
        if event.job is not None and event.job.word == "a":  # type: ignore[attr-defined]
            event.job.delete()

    queue.before(only_b)
    queue.bulk([Note("a"), Note("b")])

    worker.run_all()

    assert DIARY == ["b"]
    assert queue.size() == 0


def test_a_before_hook_keeps_a_job_that_runs_at_once_from_running(queue: Queue) -> None:
    queue.before(lambda event: event.job.delete() if event.job else None)

    assert queue.dispatch_sync(Note("a")) is None
    assert DIARY == []
