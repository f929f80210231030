"""A queue that only takes notes, for tests: `with queue_fake() as q: … q.assert_pushed(Report)`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from so.systems.queue.batches import Batch
from so.systems.queue.groups import Groups, Member, PendingBatch, PendingChain
from so.systems.queue.intake import Intake
from so.systems.queue.job import Job

Test = Callable[[Any], Any]


@dataclass
class Pushed:
    """One dispatch."""

    job: Job
    queue: str
    delay: Any


@dataclass
class Batched:
    """One batch that was dispatched, as the test of `assert_batched` sees it."""

    name: str
    jobs: list[Member]
    queue: str | None
    connection: str | None
    allows_failures: bool
    callbacks: dict[str, list[Job]]
    """By what they follow: then, catch, finally, progress."""

    @classmethod
    def of(cls, pending: PendingBatch) -> Batched:
        """What *pending* was when it was dispatched."""
        return cls(
            pending.label,
            list(pending.jobs),
            pending.queue_name,
            pending.connection_name,
            bool(pending.options.get("allowFailures")),
            {event: list(jobs) for event, jobs in pending.callbacks.items()},
        )


class QueueFake:
    """What was dispatched while it stood in for the queue."""

    def __init__(self, queue: Intake) -> None:
        """In place of *queue*."""
        self._queue = queue
        self.pushed: list[Pushed] = []
        self.chains: list[list[Job]] = []
        self.batches: list[Batched] = []

    # --- taking notes ---

    def record(self, job: Job, queue: str, delay: Any) -> None:
        """Note a dispatch."""
        self.pushed.append(Pushed(job, queue, delay))

    def record_chain(self, pending: PendingChain) -> None:
        """Note a chain; its first job counts as pushed."""
        first = pending.jobs[0]
        self.chains.append(pending.jobs)
        asked = pending.queue_name if first.queue == "default" else None
        self.record(first, self._queue.queue_of(first, asked), pending.delay_of_first)

    def record_batch(self, pending: PendingBatch) -> Batch:
        """Note a batch; it is never run."""
        self.batches.append(Batched.of(pending))
        total = sum(len(m.jobs) if isinstance(m, PendingChain) else 1 for m in pending.jobs)
        number = f"fake-{len(self.batches)}"
        label, options = pending.label, dict(pending.options)
        return Batch(
            self._queue.tables,
            Groups(self._queue).add_to_batch,
            number,
            label,
            total,
            total,
            0,
            options,
            None,
            self._queue.clock.now(),
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
            found = any(wanted(batch) for batch in self.batches)
        else:
            found = any(_matches(batch.jobs, wanted) for batch in self.batches)
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
    if isinstance(job, PendingChain):
        return isinstance(wanted, (list, tuple)) and _matches(job.jobs, wanted)
    return type(job) is type(wanted) and job._arguments == wanted._arguments
