"""A queue that only takes notes, for tests: `with queue_fake() as q: … q.assert_pushed(Report)`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from so.systems.queue.batches import Batch, PendingBatch
from so.systems.queue.job import Job

if TYPE_CHECKING:
    from so.systems.queue.queue import Queue

Test = Callable[[Any], Any]


@dataclass
class Pushed:
    """One dispatch."""

    job: Job
    queue: str
    delay: Any


class QueueFake:
    """What was dispatched while it stood in for the queue."""

    def __init__(self, queue: Queue) -> None:
        """In place of *queue*."""
        self._queue = queue
        self.pushed: list[Pushed] = []
        self.chains: list[list[Job]] = []
        self.batches: list[PendingBatch] = []

    # --- taking notes ---

    def record(self, job: Job, queue: str, delay: Any) -> None:
        """Note a dispatch."""
        self.pushed.append(Pushed(job, queue, delay))

    def record_chain(self, jobs: Sequence[Job]) -> None:
        """Note a chain; its first job counts as pushed."""
        self.chains.append(list(jobs))
        self.record(jobs[0], jobs[0].queue, None)

    def record_batch(self, pending: PendingBatch) -> Batch:
        """Note a batch; it is never run."""
        self.batches.append(pending)
        total = len(pending.jobs)
        return Batch(
            self._queue,
            f"fake-{len(self.batches)}",
            pending.label,
            total,
            total,
            0,
            {},
            None,
            None,
            None,
        )

    # --- asking ---

    def of(self, cls: type[Job], fn: Test | None = None) -> list[Job]:
        """The jobs of *cls* that were pushed and for which *fn* is true."""
        found = [entry.job for entry in self.pushed if isinstance(entry.job, cls)]
        return [job for job in found if fn is None or fn(job)]

    def assert_pushed(
        self, cls: type[Job], fn: Test | int | None = None, times: int | None = None
    ) -> None:
        """Fail unless a *cls* (for which *fn* is true) was pushed, exactly *times* if given."""
        if isinstance(fn, int):
            fn, times = None, fn
        count = len(self.of(cls, fn))
        if times is not None:
            assert count == times, (
                f"{cls.__name__} was pushed {count} time(s), not {times}{self._all()}"
            )
        assert times is not None or count, f"{cls.__name__} was not pushed{self._all()}"

    def assert_not_pushed(self, cls: type[Job], fn: Test | None = None) -> None:
        """Fail if a *cls* (for which *fn* is true) was pushed."""
        count = len(self.of(cls, fn))
        assert not count, f"{cls.__name__} was pushed {count} time(s)"

    def assert_nothing_pushed(self) -> None:
        """Fail if anything was pushed."""
        assert not self.pushed, f"something was pushed{self._all()}"

    def assert_count(self, times: int) -> None:
        """Fail unless exactly so many jobs were pushed."""
        count = len(self.pushed)
        assert count == times, f"{count} job(s) were pushed, not {times}{self._all()}"

    def assert_pushed_on(self, queue: str, cls: type[Job], fn: Test | None = None) -> None:
        """Fail unless a *cls* (for which *fn* is true) was pushed on *queue*."""
        found = [
            entry
            for entry in self.pushed
            if isinstance(entry.job, cls) and (fn is None or fn(entry.job))
        ]
        names = sorted({entry.queue for entry in found})
        assert queue in names, f"{cls.__name__} was pushed on {names or 'no queue'}, not on {queue}"

    def assert_chained(self, expected: Sequence[type[Job] | Job]) -> None:
        """Fail unless a chain of these classes (or of jobs with these arguments) was dispatched."""
        assert any(_matches(chain, expected) for chain in self.chains), (
            f"no such chain was dispatched: {[[type(j).__name__ for j in c] for c in self.chains]}"
        )

    def assert_batched(self, wanted: Test | Sequence[type[Job] | Job]) -> None:
        """Fail unless a batch of these jobs, or for which *wanted* is true, was dispatched."""
        if callable(wanted):
            found = any(wanted(pending) for pending in self.batches)
        else:
            found = any(_matches(pending.jobs, wanted) for pending in self.batches)
        assert found, f"no such batch among the {len(self.batches)} that were dispatched"

    def assert_nothing_batched(self) -> None:
        """Fail if a batch was dispatched."""
        assert not self.batches, f"{len(self.batches)} batch(es) were dispatched"

    def _all(self) -> str:
        names = [type(entry.job).__name__ for entry in self.pushed]
        return f"; pushed: {', '.join(names) or 'nothing'}"


def _matches(jobs: Sequence[Any], expected: Sequence[Any]) -> bool:
    return len(jobs) == len(expected) and all(map(_same, jobs, expected))


def _same(job: Any, wanted: Any) -> bool:
    if isinstance(wanted, type):
        return isinstance(job, wanted)
    return type(job) is type(wanted) and job._arguments == wanted._arguments
