"""What an application hears of its jobs: before and after each, and when one fails or is lost."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from so.support.plain import plain
from so.systems.queue.job import Job
from so.systems.queue.payload import Payload
from so.systems.queue.tables.jobs import Reserved

log = logging.getLogger("so.queue")


@dataclass(frozen=True, slots=True)
class JobEvent:
    """What hooks are told: `queue().after(lambda event: …)`."""

    kind: str
    queue: str
    id: int | None
    uuid: str
    name: str
    job: Job | None = None
    attempts: int = 1
    exception: BaseException | None = None
    reason: str = ""


class JobHooks:
    """The functions to call, by the kind of event; the part of `Queue` that tells."""

    def __init__(self) -> None:
        self._hooks: dict[str, list[Callable[..., Any]]] = {}

    def hooks_by_kind(self) -> dict[str, list[Callable[..., Any]]]:
        """Every hook by what it is told about."""
        return {kind: list(found) for kind, found in self._hooks.items()}

    def before(self, fn: Callable[[JobEvent], Any]) -> Callable[[JobEvent], Any]:
        """Call *fn* before each job."""
        return self.listen("before", fn)

    def after(self, fn: Callable[[JobEvent], Any]) -> Callable[[JobEvent], Any]:
        """Call *fn* after each job that has succeeded."""
        return self.listen("after", fn)

    def failing(self, fn: Callable[[JobEvent], Any]) -> Callable[[JobEvent], Any]:
        """Call *fn* when a job has failed for good."""
        return self.listen("failing", fn)

    def looping(self, fn: Callable[[], Any]) -> Callable[[], Any]:
        """Call *fn* in a worker each time before it looks for work."""
        return self.listen("looping", fn)

    def listen(self, kind: str, fn: Callable[..., Any]) -> Callable[..., Any]:
        """Call *fn* at events of *kind*: also skipped, released, retrying, lost."""
        self._hooks.setdefault(kind, []).append(plain(fn, f"the listener of {kind!r}"))
        return fn

    def emit(
        self,
        kind: str,
        payload: Payload | None,
        row: Reserved | None,
        job: Job | None,
        exception: BaseException | None = None,
        reason: str = "",
    ) -> None:
        """Tell the hooks of *kind* about a job."""
        if kind not in self._hooks:
            return
        self.tell(
            JobEvent(
                kind,
                row.queue if row else (job.queue if job else ""),
                row.id if row else None,
                (row.uuid if row else "") or (payload.uuid if payload else ""),
                payload.name if payload else "",
                job,
                row.runs if row else 1,
                exception,
                reason,
            )
        )

    def tell(self, event: JobEvent) -> None:
        """Call the hooks; an error in one of them is logged and stops nothing."""
        for fn in self._hooks.get(event.kind, ()):
            try:
                fn(event)
            except Exception:
                log.exception("queue: a hook for %r raised an error", event.kind)

    def loop(self) -> None:
        """Call the looping hooks."""
        for fn in self._hooks.get("looping", ()):
            try:
                fn()
            except Exception:
                log.exception("queue: a looping hook raised an error")
