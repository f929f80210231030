"""What may stand around a job: no two at once, so many a minute, a rest after failures, skipping.

A middleware is any callable `(job, next)` or an object with `handle(job, next)`. Waiting costs a
job no attempt here.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any, Self

from so.errors import QueueError
from so.support.signatures import call_with
from so.systems.queue.job import Job
from so.systems.queue.run.run import Run
from so.systems.queue.tables.locks import lock_name

Next = Callable[[Job], Any]
SYNC_LOCK_SECONDS = 3600


def _run_of(job: Job) -> Run:
    assert job._run is not None
    return job._run


def _seconds(value: float | timedelta | None) -> float | None:
    return value.total_seconds() if isinstance(value, timedelta) else value


class WithoutOverlapping:
    """Never two jobs of the class with this key at once; the second waits its turn.

    The lock is free as soon as its holder ends or its lease does, so a killed worker blocks
    nobody for long.
    """

    def __init__(
        self,
        key: object = "",
        release_after: float | timedelta | None = 1,
        expires_after: float | timedelta | None = None,
        *,
        shared: bool = False,
    ) -> None:
        """Look again after *release_after* seconds (None: drop the job instead).

        After *expires_after* seconds the lock is free even if its holder still runs. With
        *shared*, jobs of other classes with the same key count as well.
        """
        self.key = str(key)
        self.release_seconds = _seconds(release_after)
        self.expires_seconds = _seconds(expires_after)
        self.is_shared = shared

    def dont_release(self) -> Self:
        """Drop a job that would overlap."""
        self.release_seconds = None
        return self

    def shared(self) -> Self:
        """Count jobs of other classes with the same key as well."""
        self.is_shared = True
        return self

    def handle(self, job: Job, next: Next) -> Any:
        """Run *job* unless another holds the key."""
        run = _run_of(job)
        name = lock_name("overlap", "" if self.is_shared else type(job).alias, self.key)
        owner = f"{run.row.id}:{run.row.worker}" if run.row else f"sync:{run.uuid}"
        expires = self.expires_seconds
        if run.row is None and expires is None:
            expires = SYNC_LOCK_SECONDS
        locks, now = run.tables.locks, run.tables.clock.time()
        conn = run._own_connection()
        if not locks.take_overlap(conn, name, owner, now, expires):
            return self._wait(run)
        try:
            return next(job)
        finally:
            locks.drop_overlap(run._own_connection(), name, owner)

    def _wait(self, run: Run) -> None:
        if self.release_seconds is None:
            run.delete("skipped", "another one with its key runs")
        else:
            run.release(self.release_seconds, "nothing", "overlap")


class RateLimited:
    """At most so many in a window, as the limiter *name* says; the rest waits for the next."""

    def __init__(self, name: str, *, release: bool = True) -> None:
        """With *release* False, jobs over the limit are dropped."""
        self.name = name
        self.release = release

    def dont_release(self) -> Self:
        """Drop a job over the limit."""
        self.release = False
        return self

    def handle(self, job: Job, next: Next) -> Any:
        """Run *job* if every limit has room."""
        run = _run_of(job)
        for most, seconds, key in self._limits(run, job):
            window = run.tables.locks.hit(
                run._own_connection(),
                lock_name("limit", self.name, key),
                run.tables.clock.time(),
                most,
                seconds,
            )
            if not window.allowed:
                return self._wait(run, window.seconds)
        return next(job)

    def _limits(self, run: Run, job: Job) -> list[tuple[int, float, str]]:
        limiter = run.place.limiter(self.name)
        if limiter is None:
            raise QueueError(
                f"no rate limit named {self.name!r}: define it with limit({self.name!r}, …)"
            )
        found = limiter(job)
        several = found if isinstance(found, (list, tuple)) and not _is_triple(found) else [found]
        return [_limit(one) for one in several if one is not None]

    def _wait(self, run: Run, seconds: int) -> None:
        if self.release:
            run.release(seconds, "nothing", "rate limit")
        else:
            run.delete("skipped", "over its rate limit")


def _is_triple(found: Any) -> bool:
    return bool(found) and isinstance(found[0], int)


def _limit(found: Any) -> tuple[int, float, str]:
    """(most, seconds, key) from such a tuple, or from an object with attributes of those names."""
    if isinstance(found, (list, tuple)):
        most, seconds, *key = found
        return int(most), float(seconds), str(key[0]) if key else ""
    most = _attribute(found, "max_attempts", "max", "limit")
    seconds = _attribute(found, "decay_seconds", "decay", "seconds")
    return int(most), float(seconds), str(getattr(found, "key", "") or "")


def _attribute(found: Any, *names: str) -> Any:
    for name in names:
        if hasattr(found, name):
            return getattr(found, name)
    raise QueueError(f"cannot read {found!r} as a rate limit: give (most, seconds) or a Limit")


class ThrottlesExceptions:
    """A circuit breaker: after *most* exceptions in *decay* seconds, such jobs rest for as long."""

    def __init__(self, max: int = 10, decay: float | timedelta = 600) -> None:
        """Count per job class, unless `by()` says otherwise."""
        self.most = max
        self.decay = _seconds(decay) or 0
        self.key: str | None = None
        self.pause: float = 0
        self.predicate: Callable[[BaseException], bool] | None = None

    def by(self, key: object) -> Self:
        """Count together what has this key."""
        self.key = str(key)
        return self

    def backoff(self, seconds: float) -> Self:
        """Wait so long after each exception that did not yet open the circuit."""
        self.pause = seconds
        return self

    def when(self, predicate: Callable[[BaseException], bool]) -> Self:
        """Count only exceptions for which *predicate* is true."""
        self.predicate = predicate
        return self

    def handle(self, job: Job, next: Next) -> Any:
        """Run *job* while the circuit is closed; count what it raises."""
        run = _run_of(job)
        name = lock_name("throttle", type(job).alias if self.key is None else self.key)
        locks, clock = run.tables.locks, run.tables.clock
        closed = locks.seconds_closed(run._own_connection(), name, clock.time(), self.most)
        if closed:
            return run.release(closed, "nothing", "throttled")
        try:
            result = next(job)
        except Exception as error:
            if self.predicate is not None and not self.predicate(error):
                raise
            conn = run._own_connection()
            locks.hit(conn, name, clock.time(), 1_000_000_000, self.decay)
            closed = locks.seconds_closed(conn, name, clock.time(), self.most)
            return run.release(closed or self.pause, "exceptions", "throttled", error)
        locks.forget(run._own_connection(), name)
        return result


class Skip:
    """Drops a job without running it: `Skip.when(lambda job: …)`."""

    def __init__(self, condition: Any, wanted: bool) -> None:
        """Drop it when the truth of *condition* is *wanted*."""
        self.condition = condition
        self.wanted = wanted

    @classmethod
    def when(cls, condition: Any) -> Skip:
        """Drop the job if *condition*, a value or a callable (given the job), is true."""
        return cls(condition, True)

    @classmethod
    def unless(cls, condition: Any) -> Skip:
        """Drop the job unless *condition*, a value or a callable (given the job), is true."""
        return cls(condition, False)

    def handle(self, job: Job, next: Next) -> Any:
        """Run *job*, or drop it."""
        if bool(self._truth(job)) is self.wanted:
            return _run_of(job).delete("skipped", "skipped by its middleware")
        return next(job)

    def _truth(self, job: Job) -> Any:
        if not callable(self.condition):
            return self.condition
        return call_with(self.condition, job)
