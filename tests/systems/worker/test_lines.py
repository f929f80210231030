"""The line that a worker prints for a job: what it tells, and when it cannot be printed."""

from __future__ import annotations

import json
import re
import threading

import pytest

from so.systems.queue import Job, Queue
from so.systems.worker import Worker, WorkerOptions
from tests.systems.queue.jobs import DIARY, Fails, Note


def test_the_line_of_a_job_is_printed_while_it_runs(queue: Queue) -> None:
    texts: list[str] = []

    class Looks(Note):
        def handle(self) -> None:
            DIARY.append("".join(texts))

    queue.push(Looks("a"))
    # As in a child of a crew, where no second thread watches a job that is alone.
    Worker(queue, out=texts.append, keeps_leases=False).run_one()

    assert "attempt 1 RUNNING" in DIARY[0]


def test_the_lines_tell_time_id_class_queue_attempt_and_outcome(queue: Queue) -> None:
    lines: list[str] = []
    worker = Worker(queue, out=lines.append)
    job_id = queue.push(Note("a"))
    queue.push(Fails())
    worker.run_one()
    worker.run_one()

    text = "".join(lines)
    assert (
        f"2026-01-15 12:00:00 {job_id} tests.systems.queue.jobs.Note default attempt 1 RUNNING"
        in text
    )
    assert re.search(r"Note default attempt 1 DONE \d+\.\d\d ms\n", text)
    assert re.search(r"Fails default attempt 1 RETRY \d+\.\d\d ms ValueError: no luck\n", text)


def test_the_lines_may_be_json(queue: Queue) -> None:
    lines: list[str] = []
    options = WorkerOptions(as_json=True)
    worker = Worker(queue, options, out=lines.append)
    queue.push(Fails())
    worker.run_one()

    started, ended = (json.loads(line) for line in "".join(lines).splitlines())
    assert started["status"] == "RUNNING"
    assert (ended["status"], ended["attempt"]) == ("RETRY", 1)
    assert ended["note"] == "ValueError: no luck"
    assert ended["ms"] >= 0


def test_lines_that_cannot_be_printed_are_lost_and_no_job_is(
    queue: Queue, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(text: str) -> None:
        raise BrokenPipeError("nobody reads")

    for word in "abc":
        queue.push(Note(word))
    worker = Worker(queue, out=broken)
    worker.run_all()

    assert DIARY == ["a", "b", "c"]
    assert queue.failed_jobs.count() == 0
    assert caplog.text.count("what the worker prints is lost") == 1


def test_a_line_that_a_job_starts_is_printed_while_it_runs(queue: Queue) -> None:
    printed = threading.Event()

    class Waits(Job):
        def handle(self) -> None:
            DIARY.append(printed.wait(10))

    queue.push(Waits())
    options = WorkerOptions(stop_when_empty=True)
    Worker(queue, options, out=lambda text: printed.set(), keeps_leases=False).run()

    assert DIARY == [True]
