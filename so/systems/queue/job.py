"""`Job`: what an application subclasses, and the register of all its jobs.

A job is its constructor's arguments: they are the payload, and `handle()` is the work. Storing,
claiming and running jobs is the business of the rooms beside this one.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Self, TypeVar

from so.errors import InvalidPayloadError, QueueError
from so.support.current import current
from so.support.plain import MEND, is_lazy
from so.support.signatures import call_with
from so.systems.queue.delays import Backoff, Seconds
from so.systems.queue.tables.batches import CALLBACK

if TYPE_CHECKING:
    from so.systems.queue.batches import Batch
    from so.systems.queue.pending import PendingDispatch
    from so.systems.queue.run.run import Run

T = TypeVar("T")

JOBS: dict[str, type[Job]] = {}
"""Alias → class of every job that was ever defined: only these run."""

CALLBACKS: dict[str, Callable[..., Any]] = {}
"""Name → function for `catch()`, `then()` and their like, where a function stands for a job."""


class Blueprint:
    """What must be known about a job class again and again, worked out once."""

    def __init__(self, cls: type[Job]) -> None:
        """For *cls*, when it is first dispatched or run."""
        own = [base for base in cls.__mro__ if base not in (Job, object)]
        self.set_here = {name for base in own for name in vars(base)}
        self.has_unique_id = "unique_id" in self.set_here
        self.has_middleware = "middleware" in self.set_here
        self.has_failed = "failed" in self.set_here
        self.has_retry_until = "retry_until" in self.set_here
        self.has_tags = "tags" in self.set_here
        parameters = list(inspect.signature(cls.__init__).parameters.values())[1:]
        kinds = {parameter.kind for parameter in parameters}
        # Arguments that have no name of their own can only be kept by position.
        self.by_position = bool(
            kinds & {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.POSITIONAL_ONLY}
        )
        self.names = tuple(
            p.name for p in parameters if p.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
        )
        if is_lazy(cls.handle):
            raise QueueError(f"{cls.__name__}.handle() {MEND}")
        self.handle_wants = len(inspect.signature(cls.handle).parameters) > 1
        self.has_more = self.has_retry_until or self.has_tags
        self.settings: tuple[Any, str] | None = None

    def data(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        """The constructor's arguments as the payload keeps them."""
        if self.by_position:
            return {"args": list(args), "kwargs": kwargs}
        return {**dict(zip(self.names, args, strict=False)), **kwargs}

    def arguments(self, data: Any) -> tuple[list[Any], dict[str, Any]]:
        """The constructor's arguments from the payload; also as a plain list or by `args`."""
        if data is None:
            return [], {}
        if isinstance(data, list):
            return data, {}
        if not isinstance(data, dict):
            raise InvalidPayloadError(
                f"the payload's data is {type(data).__name__}: it must be an object of arguments"
            )
        wrapped = set(data) <= {"args", "kwargs"} and not set(self.names) & {"args", "kwargs"}
        if data and wrapped:
            return list(data.get("args") or ()), dict(data.get("kwargs") or {})
        return [], data


class Job:
    """Subclass, take what you need in `__init__`, do the work in `handle`."""

    queue: str = "default"
    """The queue it waits in; "default" is the default queue of the connection."""
    connection: str | None = None
    """The queue connection (None: the default one)."""
    tries: int | None = None
    """Attempts before it has failed; 0 is without end, None what the worker or config says."""
    timeout: Seconds | None = 60
    """Seconds (or a timedelta, here and below) until a run is killed; None is no limit."""
    backoff: Backoff = 0
    """Seconds before the next attempt: one number, one for each attempt, or `exponential()`."""
    max_exceptions: int | None = None
    """Exceptions before it has failed, where `tries` also counts releases."""
    max_crashes: int | None = None
    """Deaths of its worker before it has failed (config `queue.max_crashes` when None)."""
    on_crash: str = "retry"
    """When its worker died: "retry" or "fail"."""
    fail_on_timeout: bool = False
    """Whether the first timeout is the last attempt."""
    transactional: bool = False
    """Handler and removal in one database transaction: its effects there happen exactly once."""
    after_commit: bool | None = None
    """True: stored only after the caller's transaction; else it joins that transaction."""
    delay: Any = None
    """Seconds, timedelta or datetime until it may start."""
    unique_for: Seconds | None = None
    """Seconds in which no second one with the same `unique_id()` is queued."""
    unique_until_start: bool = False
    """Whether the next one may be queued as soon as this one has started."""
    delete_when_missing_models: bool = False
    """Whether to drop it quietly when a model among its arguments is gone."""
    alias: str = ""
    """The name in the payload; the default is module and class. Keep it when you move the class."""

    _arguments: tuple[tuple[Any, ...], dict[str, Any]]
    _run: Run | None = None

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Remember the arguments: they are the payload."""
        job = super().__new__(cls)
        job._arguments = (args, kwargs)
        return job

    def __init__(self) -> None:
        """A job without arguments."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Register the class under its alias."""
        super().__init_subclass__(**kwargs)
        if "alias" not in vars(cls) or not cls.alias:
            cls.alias = f"{cls.__module__}.{cls.__qualname__}"
        other = JOBS.get(cls.alias)
        if other is not None and other.__module__ != cls.__module__:
            raise QueueError(
                f"{cls.__module__}.{cls.__qualname__} and {other.__module__}.{other.__qualname__} "
                f"are both called {cls.alias!r}, and one would run in place of the other: set "
                "another alias on one of them"
            )
        JOBS[cls.alias] = cls

    # --- what a subclass may write ---

    def handle(self, *injected: Any) -> Any:
        """The work; annotated parameters come from the container."""
        raise NotImplementedError(f"{type(self).__name__} has no handle(): write what it does")

    def failed(self, exception: BaseException) -> None:
        """Called once, after the last attempt failed."""

    def middleware(self) -> Iterable[Any]:
        """What stands around `handle`, outermost first."""
        return ()

    def tags(self) -> list[str] | str:
        """Words to find this job by."""
        return []

    def unique_id(self) -> str:
        """What makes it the same job as another of its class."""
        return ""

    def retry_until(self) -> datetime | timedelta | float | None:
        """The moment after which it is not tried again, instead of counting attempts.

        A timedelta counts from the dispatch. This, `tags` and `unique_id` may be plain attributes.
        """
        return None

    # --- dispatching ---

    @classmethod
    def dispatch(cls, *args: Any, **kwargs: Any) -> PendingDispatch:
        """Make one with these arguments and queue it."""
        found: PendingDispatch = current("queue").dispatch(cls(*args, **kwargs))
        return found

    @classmethod
    def dispatch_if(cls, condition: object, *args: Any, **kwargs: Any) -> PendingDispatch:
        """`dispatch` if *condition* is true (or returns true when called).

        Otherwise the result is false, and `.on_queue()` and the like do nothing.
        """
        from so.systems.queue.pending import Undispatched

        wanted = condition() if callable(condition) else condition
        return cls.dispatch(*args, **kwargs) if wanted else Undispatched()

    @classmethod
    def dispatch_unless(cls, condition: object, *args: Any, **kwargs: Any) -> PendingDispatch:
        """`dispatch` unless *condition* is true (or returns true when called)."""
        unwanted = condition() if callable(condition) else condition
        return cls.dispatch_if(not unwanted, *args, **kwargs)

    @classmethod
    def dispatch_sync(cls, *args: Any, **kwargs: Any) -> Any:
        """Run one here and now; its exceptions are raised."""
        return current("queue").dispatch_sync(cls(*args, **kwargs))

    def on_queue(self, name: str) -> Self:
        """Let this one wait in the queue *name*."""
        self.queue = name
        return self

    def on_connection(self, name: str) -> Self:
        """Send this one to the queue connection *name*."""
        self.connection = name
        return self

    # --- inside handle ---

    @property
    def job_id(self) -> int | None:
        """The row in `jobs`; None when it runs at once."""
        return self._run.row.id if self._run and self._run.row else None

    @property
    def job_uuid(self) -> str | None:
        """The id that stays with it through retries; None outside a run."""
        return self._run.uuid if self._run else None

    def attempts(self) -> int:
        """The number of this attempt, 1 for the first; crashes of the worker do not count."""
        return self._run.attempts if self._run else 0

    def release(self, delay: Any = 0) -> None:
        """Put it back into its queue when `handle` returns, *delay* later; the attempt counts."""
        self._running("release").release(delay)

    def fail(self, exception: BaseException | str | None = None) -> None:
        """Let it end in `failed_jobs` when `handle` returns, without another attempt."""
        self._running("fail").fail(exception)

    def delete(self) -> None:
        """Be done with it when `handle` returns, whatever else happens there."""
        self._running("delete").delete()

    def batch(self) -> Batch | None:
        """The batch it belongs to, as it is now."""
        return self._run.batch() if self._run else None

    def progress(self, done: int, total: int | None = None, message: str | None = None) -> None:
        """Say how far it is, for pages and `queue:status`; written at most twice a second.

        Raises JobCancelled when the job was cancelled meanwhile.
        """
        if self._run:
            self._run.progress(done, total, message)

    def cancelled(self) -> bool:
        """Whether somebody has asked to cancel it; looked up at most twice a second."""
        return self._run.cancelled() if self._run else False

    def still_mine(self) -> bool:
        """Whether this worker still holds the job: False after it was cut off for too long."""
        return self._run.still_mine() if self._run else True

    def resume(
        self, iterable: Iterable[T], every: int = 500, *, transaction: bool = False
    ) -> Iterator[T]:
        """Loop over *iterable*, going on after a crash, deploy or retry where it stopped.

        The place is stored after each *every* items, so that up to that many are seen again. With
        *transaction* each such group is one database transaction, which stores the place as well:
        then no item takes effect twice. *iterable* must yield the same items in the same order.
        """
        return self._running("resume").resume(iterable, every, transaction)

    def complete_in(self, connection: Any) -> None:
        """Remove the job in the caller's own transaction on *connection*, with its effects."""
        self._running("complete_in").complete_in(connection)

    def _running(self, what: str) -> Run:
        if self._run is None:
            raise QueueError(
                f"{type(self).__name__}.{what}() works inside handle() only: the job is not running"
            )
        return self._run


_blueprints: dict[type[Job], Blueprint] = {}


def blueprint_of(cls: type[Job]) -> Blueprint:
    """The blueprint of *cls*, made at the first call."""
    try:
        return _blueprints[cls]
    except KeyError:
        found = _blueprints[cls] = Blueprint(cls)
        return found


def checked(work: Any, doing: str) -> Job:
    """*work* if it is a job; QueueError that says so if not. *doing* is what is done with it."""
    if isinstance(work, Job):
        return work
    if isinstance(work, type) and issubclass(work, Job):
        raise QueueError(
            f"cannot {doing} the class {work.__name__}: give an instance, {work.__name__}(…)"
        )
    raise QueueError(f"cannot {doing} {work!r}: give an instance of a Job subclass")


def callback(fn: Callable[..., Any]) -> Callable[..., Any]:
    """Let *fn* stand for a job in `catch()`, `then()` and `finally_()`; usable as a decorator.

    Functions beside jobs, at the top level of their module, need it not. Put it on those of other
    modules that workers import: only such functions are ever called. Raises QueueError for a
    lambda or a function within another, which have no name of their own.
    """
    CALLBACKS[_name_of(fn)] = fn
    return fn


def _name_of(fn: Callable[..., Any]) -> str:
    name = getattr(fn, "__qualname__", "")
    if not name or "<" in name:
        raise QueueError(
            f"cannot queue {name or repr(fn)}: a worker finds a function by its name, so give one "
            "from the top level of a module that defines jobs, or a Job with what it needs"
        )
    return f"{fn.__module__}.{name}"


def _function(name: str) -> Callable[..., Any] | None:
    """The function *name* if it may be called: marked, or beside a job of the application.

    Nothing is imported for it: *name* may come from a row that anybody wrote.
    """
    if name in CALLBACKS:
        return CALLBACKS[name]
    module, _, short = name.rpartition(".")
    if module.startswith("so.") or all(cls.__module__ != module for cls in JOBS.values()):
        return None
    found = getattr(sys.modules.get(module), short, None)
    if not inspect.isfunction(found) or found.__module__ != module:
        return None
    return found


class CallbackJob(Job):
    """Runs a function that stands for a job; made by `as_job`."""

    alias = CALLBACK
    tries = 1

    def __init__(self, name: str, reason: str | None = None) -> None:
        """Call the function *name*; *reason* tells what went wrong, for `catch`."""
        self.name = name
        self.reason = reason

    def handle(self) -> None:
        """Call it with what it has room for: the batch or the failure."""
        fn = _function(self.name)
        if fn is None:
            raise QueueError(
                f"no callback named {self.name!r} is registered here: put the function beside a "
                "job, or @callback on it in a module that workers import"
            )
        offered = [QueueError(self.reason)] if self.reason is not None else []
        found = self.batch()
        call_with(fn, *[item for item in [found, *offered] if item is not None])


def as_job(work: Job | Callable[..., Any]) -> Job:
    """*work* itself, or a job that calls it; QueueError for what no worker would find."""
    if isinstance(work, Job) or not callable(work) or isinstance(work, type):
        return checked(work, "queue")
    name = _name_of(work)
    if _function(name) is not work:
        raise QueueError(
            f"cannot queue {name}: no worker would find it; move it to a module that defines jobs, "
            "or put @so.callback on it in a module that workers import"
        )
    return CallbackJob(name)
