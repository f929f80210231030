"""The JSON in `jobs.payload`, read: what decides when a job runs, and what comes of it.

One object with uuid, displayName, job, maxTries, timeout, backoff, data, createdAt and context.
Jobs are written down, and made of it again, in writer.py.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from so.errors import InvalidPayloadError
from so.systems.queue.delays import LONGEST_DELAY
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


as_json = _encoder()
_NUMBERS = ("maxTries", "maxExceptions", "maxCrashes", "timeout", "retryUntil")
_LARGEST = 2**32 - 1
_KEY_LENGTH = 64


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


def with_fields(text: str, **fields: Any) -> str:
    """The payload *text* with some of its top-level fields replaced."""
    return as_json({**json.loads(text), **fields})


def member(fields: Mapping[str, Any], **more: Any) -> str:
    """The payload of a job that waited inside another one's, as text."""
    return as_json({**fields, **more})


def plain(text: str) -> dict[str, Any]:
    """A payload text as the object that another payload can hold."""
    found: dict[str, Any] = json.loads(text)
    return found
