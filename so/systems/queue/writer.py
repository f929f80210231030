"""Writes jobs down as payloads, and makes them of payloads again.

A job is its constructor's arguments. Only registered job classes come back, and only registered
types among their arguments.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from so.errors import InvalidPayloadError, UnknownJobError
from so.support.clock import Clock
from so.support.codec import Codec
from so.support.ids import uuid as new_uuid
from so.support.ids import uuid_of
from so.systems.queue.delays import plain_backoff, plain_count, plain_seconds
from so.systems.queue.job import JOBS, Blueprint, Job, blueprint_of
from so.systems.queue.payload import Payload, as_json

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
_PLAIN = frozenset((str, int, float, bool, type(None)))


def given(job: Job, name: str) -> Any:
    """What *job* says under *name*, be it a method or a plain attribute."""
    value = getattr(job, name)
    return value() if callable(value) else value


def uuids(count: int) -> list[str]:
    """Several random UUIDs of version 4 from one reading of the system's random source."""
    digits = os.urandom(16 * count).hex()
    return [uuid_of(digits[start : start + 32]) for start in range(0, 32 * count, 32)]


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
            return uuid, f"{text},{as_json(more)[1:]}" if more else text + "}"
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
            return as_json(data)
        except ValueError:  # infinity and NaN need the codec's form
            return self.codec.encode(data)

    def _settings(self, job: Job, blueprint: Blueprint, has_own: bool) -> str:
        """displayName to backoff; one text for all jobs of a class that set none themselves."""
        cls = type(job)
        if not has_own:
            # The values are compared because somebody may set them on the class later.
            now = (cls.tries, cls.timeout, cls.backoff, cls.max_exceptions, cls.on_crash)
            if blueprint.settings is None or blueprint.settings[0] != now:
                text = as_json(_settings_of(job))[1:-1]
                if any(map(callable, now)):
                    return text  # a method may say something else for each job
                blueprint.settings = (now, text)
            return blueprint.settings[1]
        return as_json(_settings_of(job))[1:-1]

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
            value = getattr(job, name)
            settings[key] = plain_count(value, name) if name == "max_crashes" else value
    return settings


def _plain_option(job: Job, name: str) -> Any:
    value = given(job, name)
    if name == "backoff":
        return plain_backoff(value)
    if name == "timeout":
        # 0 is "no limit" in a payload, where null leaves it to the worker.
        return 0 if value is None else plain_seconds(value, name, least=0)
    return plain_count(value, name)


def job_class(payload: Payload, registry: Mapping[str, type[Job]] = JOBS) -> type[Job]:
    """The class of the job in *payload*; raises UnknownJobError unless that is a registered Job."""
    found = registry.get(payload.fields["job"])
    if found is None:
        raise UnknownJobError(
            f"no job named {payload.fields['job']!r} is registered here: define a subclass of Job "
            "of that name in a module that workers import"
        )
    return found


def made(payload: Payload, codec: Codec, registry: Mapping[str, type[Job]] = JOBS) -> Job:
    """The job in *payload* with its arguments as they were; models are fetched afresh."""
    cls = job_class(payload, registry)
    args, kwargs = blueprint_of(cls).arguments(_data(payload, codec))
    try:
        return cls(*args, **kwargs)
    except TypeError as error:
        if _fits(cls, args, kwargs):
            raise
        raise InvalidPayloadError(f"the arguments do not fit {cls.alias}: {error}") from error


def _data(payload: Payload, codec: Codec) -> Any:
    data = payload.fields.get("data")
    # Without a tag anywhere there is nothing for the codec to do.
    return codec.decode(as_json(data)) if '"$"' in payload.text else data


def _fits(cls: type[Job], args: list[Any], kwargs: dict[str, Any]) -> bool:
    try:
        inspect.signature(cls.__init__).bind(None, *args, **kwargs)
    except TypeError:
        return False
    return True
