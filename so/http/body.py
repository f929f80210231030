"""The body of a request as bytes and as JSON: never more than was announced, or than allowed."""

from __future__ import annotations

import codecs
import io
import json
import math
import re
from collections.abc import Mapping
from typing import Any, Protocol

from so.errors import BadRequestException, PayloadTooLargeException
from so.http.forms import too_large
from so.http.settings import HttpSettings

CHUNK_BYTES = 64 * 1024
_TO_SQUARE = bytes.maketrans(b"{}", b"[]")
_OPENS = ord("[")
# What may be beyond a float, which ends at 309 digits: fewer than 200 and up to e99 stay below.
_LARGE_NUMBER = re.compile(rb"[eE]\+?[0-9]{3}|[0-9]{200}")
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


class Readable(Protocol):
    """What we need of wsgi.input."""

    def read(self, size: int, /) -> bytes:
        """Up to *size* bytes; none at the end."""


def content_length(environ: Mapping[str, Any]) -> int | None:
    """The announced length; None if there is none. BadRequestException if it is no number."""
    given = environ.get("CONTENT_LENGTH")
    if given is None or given == "":
        return None
    if not isinstance(given, str) or not (given.isascii() and given.isdigit()):
        raise BadRequestException("The Content-Length is not a whole number.")
    # 18 digits are more than any limit, and int() of millions of them would take a while.
    return int(given) if len(given) <= 18 else 10**18


def check_length(environ: Mapping[str, Any], settings: HttpSettings) -> None:
    """Raise for a Content-Length that is no number (400) or over the limit (413)."""
    length = content_length(environ)
    if length is not None and length > settings.max_body_bytes:
        raise PayloadTooLargeException(
            f"The request body is larger than {settings.max_body_bytes} bytes "
            "(http.max_body_bytes)."
        )


class BodyStream:
    """wsgi.input up to the announced length; `read` never waits for more than the client owes."""

    def __init__(self, environ: Mapping[str, Any], settings: HttpSettings) -> None:
        check_length(environ, settings)
        length = content_length(environ)
        self._input: Readable | None = environ.get("wsgi.input")
        self._settings = settings
        self._open_ended = length is None and bool(environ.get("wsgi.input_terminated"))
        # Without a length there is no body, unless the server vouches that reading will end.
        self._left = settings.max_body_bytes + 1 if self._open_ended else length or 0

    def read(self, size: int = -1) -> bytes:
        """Up to *size* bytes, everything without; fewer only at the end.

        BadRequestException if the body ends before its announced length.
        """
        wanted = self._left if size < 0 else min(size, self._left)
        chunks = []
        while wanted > 0:
            chunk = self._some(min(wanted, CHUNK_BYTES))
            if not chunk:
                break
            chunks.append(chunk)
            wanted -= len(chunk)
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def _some(self, size: int) -> bytes:
        try:
            chunk = b"" if self._input is None else self._input.read(size)
        except (OSError, ValueError) as error:
            raise BadRequestException("The request body could not be read.") from error
        if chunk:
            self._left -= len(chunk)
            if self._open_ended and self._left <= 0:
                raise too_large("The request body is", "max_body_bytes", self._settings)
        elif self._open_ended:
            self._left = 0
        else:
            raise BadRequestException(
                f"The request body ends {self._left} bytes before its Content-Length."
            )
        return chunk

    def begin_again(self, body: bytes) -> None:
        """Give *body*, which was read from it, once more."""
        self._input, self._left, self._open_ended = io.BytesIO(body), len(body), False

    def read_all(self, limit: str) -> bytes:
        """Everything; PayloadTooLargeException above the setting called *limit*."""
        most: int = getattr(self._settings, limit)
        if not self._open_ended and self._left > most:
            raise too_large("The request body is", limit, self._settings)
        body = self.read(most + 1)
        if len(body) > most:
            raise too_large("The request body is", limit, self._settings)
        return body


def parse_json(body: bytes, settings: HttpSettings) -> Any:
    """*body* as JSON, strictly; {} for an empty one. BadRequestException says what is wrong."""
    if not body.strip():
        return {}
    if nests_deeper(body, settings.max_json_depth):
        raise BadRequestException(
            f"The JSON body nests deeper than {settings.max_json_depth} levels "
            "(http.max_json_depth)."
        )
    try:
        text = body.removeprefix(codecs.BOM_UTF8).decode()
        reader = _careful_reader if _LARGE_NUMBER.search(body) else _reader
        value = reader.decode(text)
    except UnicodeDecodeError:
        raise BadRequestException("The JSON body is not valid UTF-8.") from None
    except json.JSONDecodeError as error:
        raise BadRequestException(
            f"The JSON body is malformed: {error.msg} at line {error.lineno}, column {error.colno}."
        ) from None
    except (ValueError, RecursionError):
        raise BadRequestException("The JSON body holds a number that is no JSON.") from None
    if b"\\u" in body and _has_lone_surrogate(value):
        raise BadRequestException("The JSON body holds half a surrogate pair.")
    return value


def nests_deeper(body: bytes, levels: int) -> bool:
    """True if lists and objects in the JSON text *body* nest deeper than *levels*.

    Counted before parsing, so that no parser runs out of stack: strings are cut out, and of what
    is left only the brackets matter.
    """
    if body.count(b"[") + body.count(b"{") <= levels:
        return False
    outside = body.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')[::2]
    depth = 0
    for bracket in b"".join(outside).translate(_TO_SQUARE, _NOT_BRACKETS):
        if bracket == _OPENS:
            depth += 1
            if depth > levels:
                return True
        elif depth:
            depth -= 1
    return False


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"{text} is beyond a float")
    return value


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


_reader = json.JSONDecoder(parse_constant=_refuse)
# Numbers beyond a float would become infinity, which no JSON can say again.
_careful_reader = json.JSONDecoder(parse_constant=_refuse, parse_float=_finite)


def _has_lone_surrogate(value: Any) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    return False
