"""What it takes to run the jobs of one queue, besides a job."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from so.errors import (
    CodecError,
    InvalidPayloadError,
    QueueError,
    RecordNotFoundError,
    UnknownJobError,
)
from so.support.codec import Codec
from so.support.scope import Scope
from so.systems.queue.hooks import JobHooks
from so.systems.queue.job import Job, blueprint_of
from so.systems.queue.payload import Payload, as_json
from so.systems.queue.run.ending import Settler
from so.systems.queue.run.run import Place
from so.systems.queue.writer import made

log = logging.getLogger("so.queue")
HOPELESS = (CodecError, InvalidPayloadError, UnknownJobError, RecordNotFoundError)


@dataclass(frozen=True)
class Workshop:
    """Tables, endings and hooks; what makes jobs of payloads, and calls their methods."""

    place: Place
    settler: Settler
    hooks: JobHooks
    codec: Codec
    registry: Mapping[str, type[Job]]
    call: Callable[..., Any]
    restore: Callable[[Scope, Mapping[str, Any]], None]

    def make(self, payload: Payload) -> Job:
        """The job in *payload*; its models are fetched afresh."""
        return made(payload, self.codec, self.registry)

    def restore_context(self, scope: Scope, context: Mapping[str, Any]) -> None:
        """Give a job's scope what its dispatcher passed on; a causer who is gone is none."""
        if not context:
            return
        if any(isinstance(value, dict) for value in context.values()):
            decoded: dict[str, Any] = {}
            for key, value in context.items():
                with contextlib.suppress(RecordNotFoundError, CodecError):
                    decoded[key] = self.codec.decode(as_json(value))
            context = decoded
        try:
            self.restore(scope, context)
        except Exception:
            log.exception("queue: what a job takes over from its dispatcher cannot be restored")

    def call_failed(
        self, payload: Payload, exception: BaseException | None, job: Job | None = None
    ) -> None:
        """Call the job's own `failed()`; an error in it is logged."""
        try:
            if isinstance(exception, HOPELESS) and job is None:
                return  # it could not be made then and cannot be made now
            if job is None:
                job = self.make(payload)
            if blueprint_of(type(job)).has_failed:
                job.failed(exception or QueueError("the job failed"))
        except Exception:
            log.exception("queue: failed() of %s raised an error itself", payload.name)
