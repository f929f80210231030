"""The JSON in `jobs.payload`: how a job is written down, and how it comes back.

One object with uuid, displayName, job, maxTries, timeout, backoff, data, createdAt and context.
Only registered job classes come back, and only registered types among their arguments.
"""

from __future__ import annotations

import inspect
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from math import ceil, isfinite
from typing import Any

from so.errors import InvalidPayloadError, QueueError, UnknownJobError
from so.support.clock import Clock
from so.support.codec import Codec
from so.support.ids import uuid as new_uuid
from so.support.ids import uuid_of
from so.systems.queue.job import JOBS, Backoff, Blueprint, Exponential, Job, blueprint_of
from so.systems.queue.run.failure_text import storable


def _encoder() -> Callable[[Any], str]:
    """Compact JSON; through the C encoder itself where there is one, which halves its cost."""
    slow = json.JSONEncoder(
        ensure_ascii=False, allow_nan=False, separators=(",", ":"), check_circular=False
    )
    make: Any = getattr(json.encoder, "c_make_encoder", None)
    if make is None:
        return slow.encode
    text = json.encoder.encode_basestring  # its quoting of strings
    encode = make(None, slow.default, text, None, ":", ",", False, False, False)
    return lambda value: "".join(encode(value, 0))


_write = _encoder()
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
_OWN_NAMES = {name for name, _ in (*_OPTIONS, *_RARE_OPTIONS)} | {"retry_until", "tags"}
_NUMBERS = ("maxTries", "maxExceptions", "maxCrashes", "timeout", "retryUntil")
_PLAIN = frozenset((str, int, float, bool, type(None)))
_LARGEST = 2**32 - 1
_KEY_LENGTH = 64
LONGEST_DELAY = 50 * 365 * 86_400
"""Seconds; moments are kept in 32 bits."""


def seconds_of(delay: Any, now: float) -> float:
    """Seconds from *now*, for seconds, a timedelta or a datetime (naive counts as UTC)."""
    if delay is None:
        return 0.0
    if isinstance(delay, timedelta):
        seconds: Any = delay.total_seconds()
    elif isinstance(delay, datetime):
        aware = delay if delay.tzinfo else delay.replace(tzinfo=UTC)
        seconds = aware.timestamp() - now
    else:
        seconds = delay
    number = isinstance(seconds, (int, float, Decimal)) and not isinstance(seconds, bool)
    if not number or not isfinite(seconds):
        raise QueueError(
            f"cannot delay a job by {delay!r}: give seconds, a timedelta or a datetime"
        )
    if seconds > LONGEST_DELAY:
        raise QueueError(f"cannot delay a job by {delay!r}: give at most 50 years")
    return float(seconds)


def plain_seconds(value: Any, setting: str) -> Any:
    """The *setting* of a job, given as seconds or a timedelta, in seconds; None stays None."""
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, bool) or not (value is None or isinstance(value, (int, float))):
        raise QueueError(f"cannot use {value!r} as {setting}: give seconds or a timedelta")
    return value


def given(job: Job, name: str) -> Any:
    """What *job* says under *name*, be it a method or a plain attribute."""
    value = getattr(job, name)
    return value() if callable(value) else value


def due_at(delay: Any, now: float) -> int:
    """The whole second in which something delayed by *delay* may start, never earlier."""
    seconds = seconds_of(delay, now)
    return int(now) if seconds <= 0 else ceil(now + seconds)


class Writer:
    """Turns jobs into payload texts, with one codec."""

    def __init__(self, codec: Codec, clock: Clock) -> None:
        """*codec* writes the arguments; it knows the application's models."""
        self.codec = codec
        self.clock = clock

    @staticmethod
    def tail(now: float, context: str) -> str:
        """The end of every payload written at *now*; *context* is JSON."""
        return f',"createdAt":{int(now)},"context":{context}'

    def write(
        self,
        job: Job,
        tail: str,
        extra: Mapping[str, Any] | None = None,
        uuid: str | None = None,
    ) -> tuple[str, str]:
        """The uuid and the payload of *job*; *tail* is its end, *extra* are more plain fields."""
        uuid = uuid or new_uuid()
        blueprint = blueprint_of(type(job))
        has_own = not vars(job).keys().isdisjoint(_OWN_NAMES)
        settings = self._settings(job, blueprint, has_own)
        text = f'{{"uuid":"{uuid}",{settings},"data":{self._data(job, blueprint)}{tail}'
        if extra or blueprint.has_more or has_own:
            more = {**self._rest(job), **(extra or {})}
            return uuid, f"{text},{_write(more)[1:]}" if more else text + "}"
        return uuid, text + "}"

    def _data(self, job: Job, blueprint: Blueprint) -> str:
        args, kwargs = job._arguments
        if kwargs or blueprint.by_position:
            data = blueprint.data(args, kwargs)
        else:
            data = dict(zip(blueprint.names, args, strict=False))
        if not _PLAIN.issuperset(map(type, data.values())):
            return self.codec.encode(data)
        try:
            return _write(data)
        except ValueError:  # infinity and NaN need the codec's form
            return self.codec.encode(data)

    def _settings(self, job: Job, blueprint: Blueprint, has_own: bool) -> str:
        """displayName to backoff; one text for all jobs of a class that set none themselves."""
        cls = type(job)
        if not has_own:
            # The values are compared because somebody may set them on the class later.
            now = (cls.tries, cls.timeout, cls.backoff, cls.max_exceptions, cls.on_crash)
            if blueprint.settings is None or blueprint.settings[0] != now:
                text = _write(_settings_of(job))[1:-1]
                if any(map(callable, now)):
                    return text  # a method may say something else for each job
                blueprint.settings = (now, text)
            return blueprint.settings[1]
        return _write(_settings_of(job))[1:-1]

    def _rest(self, job: Job) -> dict[str, Any]:
        blueprint, own = blueprint_of(type(job)), vars(job)
        rest: dict[str, Any] = {}
        if blueprint.has_retry_until or "retry_until" in own:
            rest["retryUntil"] = self._moment(given(job, "retry_until"))
        if blueprint.has_tags or "tags" in own:
            tags = given(job, "tags")
            rest["tags"] = [tags] if isinstance(tags, str) else list(tags or ())
        return rest

    def _moment(self, until: Any) -> Any:
        """A retry_until in seconds since the epoch; a timedelta counts from now."""
        if isinstance(until, datetime):
            return (until if until.tzinfo else until.replace(tzinfo=UTC)).timestamp()
        if isinstance(until, timedelta):
            return self.clock.time() + until.total_seconds()
        return plain_seconds(until, "retry_until")


def _settings_of(job: Job) -> dict[str, Any]:
    blueprint = blueprint_of(type(job))
    own = vars(job)

    def chosen(name: str) -> bool:
        said = name in blueprint.set_here or name in own
        return said or getattr(job, name) != getattr(Job, name)

    settings: dict[str, Any] = {"displayName": type(job).alias, "job": type(job).alias}
    for name, key in _OPTIONS:
        settings[key] = _plain_option(job, name) if chosen(name) else None
    for name, key in _RARE_OPTIONS:
        if chosen(name):
            settings[key] = getattr(job, name)
    return settings


def _plain_option(job: Job, name: str) -> Any:
    value = given(job, name)
    if name == "backoff":
        return plain_backoff(value)
    if name == "timeout":
        # 0 is "no limit" in a payload, where null leaves it to the worker.
        return 0 if value is None else plain_seconds(value, name)
    return value


def plain_backoff(backoff: Backoff) -> Any:
    """*backoff* as JSON has it."""
    if isinstance(backoff, Exponential):
        return {
            "base": backoff.base,
            "factor": backoff.factor,
            "cap": backoff.cap,
            "jitter": backoff.jitter,
        }
    if isinstance(backoff, (list, tuple)):
        return [plain_seconds(seconds, "backoff") for seconds in backoff]
    return plain_seconds(backoff, "backoff")


def backoff_seconds(backoff: Any, attempt: int) -> float:
    """The pause after the failed attempt number *attempt*, from what the payload says."""
    seconds = backoff
    if isinstance(backoff, Mapping):
        try:
            seconds = Exponential(**backoff).seconds(attempt)
        except OverflowError:
            seconds = backoff.get("cap", LONGEST_DELAY)
    elif isinstance(backoff, (list, tuple)):
        seconds = backoff[min(attempt, len(backoff)) - 1] if backoff else 0
    return float(min(seconds or 0, LONGEST_DELAY))


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
        return storable(str(self.fields.get("displayName") or self.fields["job"]))

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
        if not (fields.get(name) is None or _is_number(fields[name])):
            raise InvalidPayloadError(f"the payload's {name} is {fields[name]!r}: give a number")
    if not (fields.get("backoff") is None or _is_backoff(fields["backoff"])):
        raise InvalidPayloadError(f"the payload's backoff is {fields['backoff']!r}: give seconds")
    if not is_key(str(fields.get("uuid"))):
        raise InvalidPayloadError(
            f"the payload's uuid is {fields['uuid']!r}: give at most {_KEY_LENGTH} ASCII characters"
        )
    for name in ("chained", "chainCatch"):
        links = fields.get(name) or []
        if not (isinstance(links, list) and all(map(_is_link, links))):
            raise InvalidPayloadError(f"the payload's {name} holds something that is no job")


def is_key(text: str) -> bool:
    """Whether *text* fits into the columns of uuids, batch ids and queues."""
    return len(text) <= _KEY_LENGTH and text.isascii()


def _is_number(value: Any, most: int = _LARGEST) -> bool:
    # Infinity, NaN and what no column holds are none: they would stop a worker far from here.
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= most


def _is_backoff(value: Any) -> bool:
    if isinstance(value, dict):
        numbers = [number for name, number in value.items() if name != "jitter"]
        return value.keys() <= {"base", "factor", "cap", "jitter"} and all(map(_is_number, numbers))
    return all(map(_is_number, value if isinstance(value, list) else [value]))


def _is_link(link: Any) -> bool:
    """Whether *link* is the payload of a job, with a place to wait in."""
    if not (isinstance(link, dict) and link.get("uuid") and link.get("job")):
        return False
    delay = link.get("delay") or 0
    keys = [link["uuid"], link.get("onQueue") or "", link.get("batchId") or ""]
    return _is_number(delay, LONGEST_DELAY) and all(isinstance(k, str) and is_key(k) for k in keys)


def _fits(cls: type[Job], args: list[Any], kwargs: dict[str, Any]) -> bool:
    try:
        inspect.signature(cls.__init__).bind(None, *args, **kwargs)
    except TypeError:
        return False
    return True


def uuids(count: int) -> list[str]:
    """Several random UUIDs of version 4 from one reading of the system's random source."""
    digits = os.urandom(16 * count).hex()
    return [uuid_of(digits[start : start + 32]) for start in range(0, 32 * count, 32)]


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
