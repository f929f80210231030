"""A dispatch on its way: say where and when, and it is stored when nobody holds it any more.

`dispatch(Report("2026-01")).on_queue("low").delay(60)`: the row is there when the statement ends.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Self

from so.errors import QueueError
from so.systems.queue.job import Job, as_job, checked

if TYPE_CHECKING:
    from so.systems.queue.queue import Queue

log = logging.getLogger("so.queue")


class PendingDispatch:
    """One job about to be stored; `send()` stores it now and raises what goes wrong."""

    __slots__ = ("_delay", "_queue", "_sent", "after", "connection_name", "id", "job", "queue_name")

    def __init__(self, queue: Queue, job: Job) -> None:
        """Raises QueueError for something that is no Job."""
        self._sent = True  # until it is known to be good: __del__ runs after a failed __init__
        checked(job, "dispatch")
        self._queue = queue
        self._delay: Any = job.delay
        self._sent = False
        self.job = job
        self.queue_name: str | None = None
        self.connection_name: str | None = job.connection
        self.after: bool | None = job.after_commit
        self.id: int | None = None

    def on_queue(self, name: str) -> Self:
        """Let it wait in the queue *name*."""
        self.queue_name = name
        return self

    def on_connection(self, name: str) -> Self:
        """Send it to the queue connection *name*."""
        self.connection_name = name
        return self

    def delay(self, delay: Any) -> Self:
        """Start it not before *delay*: seconds, a timedelta or a datetime."""
        self._delay = delay
        return self

    def after_commit(self) -> Self:
        """Store it only once the transaction around has been committed."""
        self.after = True
        return self

    def before_commit(self) -> Self:
        """Store it in the transaction around, even if the job's class says otherwise."""
        self.after = False
        return self

    def _taken(self) -> Job:
        """The job, which then is not sent."""
        self._sent = True
        return self.job

    def send(self) -> int | None:
        """Store it now; its id, or None when it ran at once, was no news, or waits for a commit."""
        if self._sent:
            return self.id
        self._sent = True
        self.id = self._queue.send(
            self.job,
            queue=self.queue_name,
            delay=self._delay,
            connection=self.connection_name,
            after_commit=self.after,
        )
        return self.id

    def __del__(self) -> None:
        if self._sent:
            return
        try:
            self.send()
        except BaseException as error:
            # Python swallows what is raised here, so it must at least be told in full. Whoever
            # has to know uses send() or push().
            log.critical("queue: %r could not be queued: %s", _told(self.job), error)
            raise


def _told(job: Job) -> str:
    args, kwargs = job._arguments
    return f"{job.alias} {args!r} {kwargs!r}"[:2000]


class PendingChain:
    """Jobs that run one after the other: `chain([A(), B()]).catch(fn).dispatch()`."""

    def __init__(self, queue: Queue, jobs: Iterable[Job]) -> None:
        """Each starts when the one before it has succeeded; QueueError for what is no Job."""
        self.jobs = [checked(job, "chain") for job in jobs]
        if not self.jobs:
            raise QueueError("cannot chain nothing: give at least one job")
        self.catches: list[Job] = []
        self.queue_name: str | None = None
        self.connection_name: str | None = None
        self.delay_of_first: Any = None
        self._queue = queue

    def catch(self, work: Job | Callable[..., Any]) -> Self:
        """Queue *work* when one of them has failed; the rest is then not run."""
        self.catches.append(as_job(work))
        return self

    def on_queue(self, name: str) -> Self:
        """Let those without a queue of their own wait in the queue *name*."""
        self.queue_name = name
        return self

    def on_connection(self, name: str) -> Self:
        """Send it to the queue connection *name*."""
        self.connection_name = name
        return self

    def delay(self, delay: Any) -> Self:
        """Start the first one not before *delay*."""
        self.delay_of_first = delay
        return self

    def all_jobs(self) -> list[Job]:
        """Every job of it: links and callbacks."""
        return [*self.jobs, *self.catches]

    def dispatch(self) -> int | None:
        """Store the first one, the others inside it; its id."""
        return self._queue.start_chain(self)
