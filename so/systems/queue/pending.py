"""A dispatch on its way: say where and when, and it is stored when nobody holds it any more.

`dispatch(Report("2026-01")).on_queue("low").delay(60)`: the row is there when the statement ends.
One that is held longer is stored before the next is dispatched, after the commit of the
transaction it was made in (never after its rollback), and when the application or program ends.
"""

from __future__ import annotations

import atexit
import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol, Self
from weakref import ref

from so.errors import QueueError
from so.support.clock import Clock
from so.support.processes import after_fork
from so.systems.queue.delays import due_at
from so.systems.queue.job import Job, checked

log = logging.getLogger("so.queue")
SYNC = "sync"
Written = tuple[str, str, float]  # a job's uuid, its payload, and when that was written
# Those not yet sent, in the order they were made. A WeakSet would cost three times as much.
_held: dict[int, ref[PendingDispatch]] = {}


class Taker(Protocol):
    """What a dispatch asks of the queue that it goes to."""

    default: str
    clock: Clock
    caller: Any

    @property
    def fakes(self) -> Sequence[Any]: ...

    def check_queue(self, name: str) -> None: ...

    def check_connection(self, name: str) -> None: ...

    def written(self, job: Job, extra: Mapping[str, Any] | None = None) -> Written: ...

    def send(
        self,
        job: Job,
        *,
        queue: str | None = None,
        delay: Any = None,
        connection: str | None = None,
        after_commit: bool | None = None,
        written: Written | None = None,
    ) -> int | None: ...


class PendingDispatch:
    """One job about to be stored; `send()` stores it now and raises what goes wrong."""

    __slots__ = (
        "__weakref__",
        "_conn",
        "_delay",
        "_in_transaction",
        "_is_sent",
        "_queue",
        "_written",
        "after",
        "connection_name",
        "id",
        "job",
        "queue_name",
    )

    def __init__(self, queue: Taker, job: Job) -> None:
        """Raises QueueError for what is no Job or has settings that make no sense.

        CodecError for arguments that have no form in a payload.
        """
        self._is_sent = True  # until it is known to be good: __del__ runs after a failed __init__
        if not isinstance(job, Job):
            checked(job, "dispatch")
        connection, delay = job.connection, job.delay
        if job.queue != "default":
            queue.check_queue(job.queue)
        if connection is not None:
            queue.check_connection(connection)
        if delay is not None:
            due_at(delay, queue.clock.time())
        self._queue = queue
        self.job = job
        self.queue_name: str | None = None
        self.connection_name: str | None = connection
        self.after: bool | None = job.after_commit
        self.id: int | None = None
        self._delay: Any = delay
        self._written = None if queue.fakes else queue.written(job)
        self._conn = conn = queue.caller.connection()
        self._in_transaction: bool = conn.in_transaction
        if _held:
            self._send_earlier()
        me: ref[PendingDispatch] = ref(self)
        _held[id(self)] = me
        self._is_sent = False
        if self._in_transaction:
            conn.after_commit(partial(_end_of_transaction, me, True))
            conn.after_roll_back(partial(_end_of_transaction, me, False))

    def _send_earlier(self) -> None:
        """Send what this thread made before and still holds, lest it comes later than this one.

        Not what was made outside of the transaction that is open now: it is no part of that.
        """
        for held in list(_held.values()):
            earlier = held()
            if (
                earlier is not None
                and earlier._conn is self._conn  # each thread has its own
                and earlier._in_transaction == self._in_transaction
            ):
                earlier.send()

    def on_queue(self, name: str) -> Self:
        """Let it wait in the queue *name*."""
        if self._is_open():
            self._check(self._queue.check_queue, name)
            self.queue_name = name
        return self

    def on_connection(self, name: str) -> Self:
        """Send it to the queue connection *name*; to "sync" at once, except in a transaction."""
        if self._is_open():
            self._check(self._queue.check_connection, name)
            self.connection_name = name
            # In a transaction after_commit() may still follow; elsewhere nothing can change it.
            if name == SYNC and not self._in_transaction and not self._queue.fakes:
                self.send()
        elif name != SYNC:
            raise QueueError(
                f"{type(self.job).__name__} has run already, because the connection was 'sync' "
                f"when it was dispatched: say {name!r} before, with `connection` or "
                "on_connection() of the job itself"
            )
        return self

    def delay(self, delay: Any) -> Self:
        """Start it not before *delay*: seconds, a timedelta or a datetime."""
        if self._is_open():
            self._check(due_at, delay, self._queue.clock.time())
            self._delay = delay
        return self

    def after_commit(self) -> Self:
        """Store it only once the transaction around has been committed."""
        if self._is_open():
            self.after = True
        return self

    def before_commit(self) -> Self:
        """Store it in the transaction around, even if the job's class says otherwise."""
        if self._is_open():
            self.after = False
        return self

    def _check(self, test: Callable[..., Any], *values: Any) -> None:
        """Raise what *test* raises, and send nothing: the job must not run otherwise than meant."""
        try:
            test(*values)
        except QueueError:
            self.drop()
            raise

    def _is_open(self) -> bool:
        """Whether settings have an effect: not when it ran at once. QueueError if too late."""
        if self._is_sent and (self.connection_name or self._queue.default) != SYNC:
            raise QueueError(
                f"{type(self.job).__name__} has been sent already, or given up: say where and when "
                "in the statement that dispatches it, or before the next one is dispatched"
            )
        return not self._is_sent

    def send(self) -> int | None:
        """Store it now; its id, or None when it ran at once, was no news, or waits for a commit."""
        if self._is_sent:
            return self.id
        self._is_sent = True
        _held.pop(id(self), None)
        self.id = self._queue.send(
            self.job,
            queue=self.queue_name,
            delay=self._delay,
            connection=self.connection_name,
            after_commit=self.after,
            written=self._written,
        )
        return self.id

    def __repr__(self) -> str:
        """`<dispatch of Report: job 5>`."""
        told = f"job {self.id}" if self.id else "sent" if self._is_sent else "not sent yet"
        return f"<dispatch of {type(self.job).__name__}: {told}>"

    def drop(self) -> None:
        """Let it not be sent."""
        self._is_sent = True
        _held.pop(id(self), None)

    def __del__(self) -> None:
        if self._is_sent:
            return
        try:
            self.send()
        except BaseException as error:
            # Python swallows what is raised here, so it must at least be told in full. Whoever
            # has to know uses send() or push().
            _tell_lost(self.job, error)
            raise


class Undispatched(PendingDispatch):
    """Stands for a dispatch whose condition was not met: false, and all that is said is ignored."""

    __slots__ = ()

    def __init__(self) -> None:
        """Of no job."""
        self._is_sent = True
        self.id = None

    def __bool__(self) -> bool:
        return False

    def on_connection(self, name: str) -> Self:
        """Nothing."""
        return self

    def _is_open(self) -> bool:
        return False


def _end_of_transaction(held: ref[PendingDispatch], committed: bool) -> None:
    """Send what was made in the transaction and is held beyond its end, if that was a commit."""
    pending = held()
    if pending is None:
        return
    if committed:
        pending.send()
    else:
        pending.drop()


def send_held(queue: Taker | None = None) -> None:
    """Send every dispatch (of *queue*) that somebody still holds; errors are logged."""
    for held in list(_held.values()):
        pending = held()
        if pending is not None and queue in (None, pending._queue):
            try:
                pending.send()
            except Exception as error:
                _tell_lost(pending.job, error)


def _tell_lost(job: Job, error: BaseException) -> None:
    args, kwargs = job._arguments
    told = f"{job.alias} {args!r} {kwargs!r}"[:2000]
    log.critical("queue: %r could not be queued: %s", told, error)


def _leave_to_parent() -> None:
    """In a forked child: what the parent holds is the parent's to send."""
    for held in list(_held.values()):
        pending = held()
        if pending is not None:
            pending.drop()


atexit.register(send_held)
after_fork(_leave_to_parent)
