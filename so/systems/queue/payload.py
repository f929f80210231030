"""The JSON in `jobs.payload`: how a job is written down, and how it comes back.

One object with uuid, displayName, job, maxTries, timeout, backoff, data, createdAt and context.
Only registered job classes come back, and only registered types among their arguments.
"""

from __future__ import annotations

import contextlib
import inspect
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import ceil
from typing import Any

from so.errors import InvalidPayloadError, QueueError, UnknownJobError
from so.support.codec import Codec
from so.support.ids import uuid as new_uuid
from so.systems.queue.job import JOBS, Backoff, Exponential, Job, blueprint_of

_write = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, separators=(",", ":"), check_circular=False
).encode
_OPTIONS = (
    ("tries", "maxTries"),
    ("max_exceptions", "maxExceptions"),
    ("timeout", "timeout"),
    ("backoff", "backoff"),
)
_RARE_OPTIONS = (
    ("max_crashes", "maxCrashes"),
    ("on_crash", "onCrash"),
    ("fail_on_timeout", "failOnTimeout"),
)
_OPTION_NAMES = {name for name, _ in (*_OPTIONS, *_RARE_OPTIONS)}
_NUMBERS = ("maxTries", "maxExceptions", "maxCrashes", "timeout", "retryUntil")
_PLAIN = (str, int, float, bool, type(None))


def seconds_of(delay: Any, now: float) -> float:
    """Seconds from *now*, for seconds, a timedelta or a datetime (naive counts as UTC)."""
    if delay is None:
        return 0.0
    if isinstance(delay, timedelta):
        return delay.total_seconds()
    if isinstance(delay, datetime):
        aware = delay if delay.tzinfo else delay.replace(tzinfo=UTC)
        return aware.timestamp() - now
    if isinstance(delay, bool) or not isinstance(delay, (int, float)):
        raise QueueError(
            f"cannot delay a job by {delay!r}: give seconds, a timedelta or a datetime"
        )
    return float(delay)


def due_at(delay: Any, now: float) -> int:
    """The whole second in which something delayed by *delay* may start, never earlier."""
    seconds = seconds_of(delay, now)
    return int(now) if seconds <= 0 else ceil(now + seconds)


class Writer:
    """Turns jobs into payload texts, with one codec."""

    def __init__(self, codec: Codec) -> None:
        """*codec* writes the arguments; it knows the application's models."""
        self.codec = codec

    def write(
        self, job: Job, now: float, context: str = "{}", extra: Mapping[str, Any] | None = None
    ) -> tuple[str, str]:
        """The uuid and the payload of *job*; *context* is JSON, *extra* more plain fields."""
        uuid = new_uuid()
        text = (
            f'{{"uuid":"{uuid}",{self._settings(job)},"data":{self._data(job)},'
            f'"createdAt":{int(now)},"context":{context}'
        )
        more = {**self._rest(job), **(extra or {})}
        return uuid, f"{text},{_write(more)[1:]}" if more else text + "}"

    def _data(self, job: Job) -> str:
        args, kwargs = job._arguments
        data = blueprint_of(type(job)).data(args, kwargs)
        if all(type(value) in _PLAIN for value in data.values()):
            with contextlib.suppress(ValueError):  # infinity and NaN need the codec's form
                return _write(data)
        return self.codec.encode(data)

    def _settings(self, job: Job) -> str:
        """displayName to backoff; one text for all jobs of a class that set none themselves."""
        own = vars(job)
        blueprint = blueprint_of(type(job))
        key = tuple((n, repr(own[n])) for n in _OPTION_NAMES if n in own) if own else ()
        text = blueprint.texts.get(key)
        if text is None:
            text = _write(_settings_of(job))[1:-1]
            if len(blueprint.texts) < 64:
                blueprint.texts[key] = text
        return text

    def _rest(self, job: Job) -> dict[str, Any]:
        blueprint = blueprint_of(type(job))
        rest: dict[str, Any] = {}
        if blueprint.has_retry_until:
            until = job.retry_until()
            if isinstance(until, datetime):
                until = (until if until.tzinfo else until.replace(tzinfo=UTC)).timestamp()
            rest["retryUntil"] = until
        if blueprint.has_tags:
            rest["tags"] = list(job.tags())
        return rest


def _settings_of(job: Job) -> dict[str, Any]:
    blueprint = blueprint_of(type(job))
    chosen = blueprint.set_here | set(vars(job))
    settings: dict[str, Any] = {"displayName": type(job).alias, "job": type(job).alias}
    for name, key in _OPTIONS:
        settings[key] = _plain_option(job, name) if name in chosen else None
    for name, key in _RARE_OPTIONS:
        if name in chosen:
            settings[key] = getattr(job, name)
    return settings


def _plain_option(job: Job, name: str) -> Any:
    value = getattr(job, name)
    if name == "backoff":
        return plain_backoff(value() if callable(value) else value)
    # 0 is "no limit" in a payload, where null leaves it to the worker.
    return 0 if name == "timeout" and value is None else value


def plain_backoff(backoff: Backoff) -> Any:
    """*backoff* as JSON has it."""
    if isinstance(backoff, Exponential):
        return {
            "base": backoff.base,
            "factor": backoff.factor,
            "cap": backoff.cap,
            "jitter": backoff.jitter,
        }
    return list(backoff) if isinstance(backoff, (list, tuple)) else backoff


def backoff_seconds(backoff: Any, attempt: int) -> float:
    """The pause after the failed attempt number *attempt*, from what the payload says."""
    if isinstance(backoff, Mapping):
        return Exponential(**backoff).seconds(attempt)
    if isinstance(backoff, (list, tuple)):
        return float(backoff[min(attempt, len(backoff)) - 1]) if backoff else 0.0
    return float(backoff or 0)


@dataclass(slots=True)
class Payload:
    """A payload that was read: the fields that decide what happens to the job."""

    text: str
    fields: dict[str, Any]

    @classmethod
    def read(cls, text: str) -> Payload:
        """Read *text*; raises InvalidPayloadError if it is not a job's payload."""
        try:
            fields = json.loads(text)
        except (ValueError, TypeError, RecursionError) as error:
            raise InvalidPayloadError(f"the payload is not JSON: {error}") from error
        if not isinstance(fields, dict):
            raise InvalidPayloadError(
                f"the payload is {type(fields).__name__}: it must be one JSON object"
            )
        if not isinstance(fields.get("job"), str) or not fields["job"]:
            raise InvalidPayloadError("the payload names no job: it needs a field `job`")
        _check(fields)
        return cls(text, fields)

    @property
    def uuid(self) -> str:
        """The id that stays through retries."""
        return str(self.fields.get("uuid") or "")

    @property
    def name(self) -> str:
        """The class, for people."""
        return str(self.fields.get("displayName") or self.fields["job"])

    @property
    def context(self) -> dict[str, Any]:
        """Request id, batch and causer of the dispatcher."""
        found = self.fields.get("context")
        return found if isinstance(found, dict) else {}

    def job_class(self, registry: Mapping[str, type[Job]] = JOBS) -> type[Job]:
        """Its class; raises UnknownJobError unless that is a registered Job."""
        found = registry.get(self.fields["job"])
        if found is None:
            raise UnknownJobError(
                f"no job named {self.fields['job']!r} is registered here: define a subclass of Job "
                "of that name in a module that workers import"
            )
        return found

    def make(self, codec: Codec, registry: Mapping[str, type[Job]] = JOBS) -> Job:
        """The job with its arguments as they were; models are fetched afresh."""
        cls = self.job_class(registry)
        args, kwargs = blueprint_of(cls).arguments(self._data(codec))
        try:
            return cls(*args, **kwargs)
        except TypeError as error:
            if _fits(cls, args, kwargs):
                raise
            raise InvalidPayloadError(f"the arguments do not fit {cls.alias}: {error}") from error

    def _data(self, codec: Codec) -> Any:
        data = self.fields.get("data")
        # Without a tag anywhere there is nothing for the codec to do.
        return codec.decode(_write(data)) if '"$"' in self.text else data


def _check(fields: Mapping[str, Any]) -> None:
    """Refuse settings of a wrong kind: what a hand wrote must not stop a worker later on."""
    for name in _NUMBERS:
        if not _is_number(fields.get(name)):
            raise InvalidPayloadError(f"the payload's {name} is {fields[name]!r}: give a number")
    backoff = fields.get("backoff")
    parts = backoff if isinstance(backoff, list) else [backoff]
    if not isinstance(backoff, dict) and not all(map(_is_number, parts)):
        raise InvalidPayloadError(f"the payload's backoff is {backoff!r}: give seconds")
    for name in ("chained", "chainCatch"):
        for link in fields.get(name) or ():
            if not (isinstance(link, dict) and link.get("uuid") and link.get("job")):
                raise InvalidPayloadError(f"the payload's {name} holds something that is no job")


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, (int, float)) and not isinstance(value, bool))


def _fits(cls: type[Job], args: list[Any], kwargs: dict[str, Any]) -> bool:
    try:
        inspect.signature(cls.__init__).bind(None, *args, **kwargs)
    except TypeError:
        return False
    return True


def with_fields(text: str, **fields: Any) -> str:
    """The payload *text* with some of its top-level fields replaced."""
    return _write({**json.loads(text), **fields})


def member(fields: Mapping[str, Any], **more: Any) -> str:
    """The payload of a job that waited inside another one's, as text."""
    return _write({**fields, **more})


def plain(text: str) -> dict[str, Any]:
    """A payload text as the object that another payload can hold."""
    found: dict[str, Any] = json.loads(text)
    return found
