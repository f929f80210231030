"""What a request brings: query, form, JSON and files, under dotted names, each parsed once.

The body counts over the query. Text that was to be a number and is none gives the default of the
getter; a body that breaks the rules of its own format is a 400, one over a limit a 413.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import Any, Self, TypeVar

from so.errors import BadRequestException, HttpException
from so.http import dots
from so.http.body import BodyStream, content_length, parse_json
from so.http.forms import (
    MultipartParser,
    Pairs,
    boundary_of,
    nested,
    parse_header,
    parse_urlencoded,
)
from so.http.negotiation import is_json_type
from so.http.request_base import RequestBase
from so.http.uploads import UploadedFile
from so.support import numbers
from so.support.listed import flat
from so.support.paths import MISSING
from so.support.zones import zone_named

E = TypeVar("E", bound=Enum)

URLENCODED = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data"
_TRUE = ("1", "true", "on", "yes")
_NOTHING: tuple[Pairs, Pairs] = ([], [])


class RequestInput(RequestBase):
    """Query, body and files of a request."""

    _stream: BodyStream | None = None
    _body: bytes | None = None
    _json: Any = MISSING
    _form: tuple[Pairs, Pairs] | None = None
    _form_error: Exception | None = None
    _query: dict[str, Any] | None = None
    _post: dict[str, Any] | None = None
    _input: dict[str, Any] | None = None
    _files: dict[str, Any] | None = None

    # --- the body -------------------------------------------------------------------------------

    def stream(self) -> BodyStream:
        """The body as a stream with `read(n)`; for bodies too large for `body()`."""
        if self._stream is None:
            self._stream = BodyStream(self.environ, self.settings)
        return self._stream

    def body(self) -> bytes:
        """The body as bytes, read once; what `stream()` or a multipart form took is not in it."""
        if self._body is None:
            self._body = self._read_body("max_memory_bytes")
        return self._body

    def _read_body(self, limit: str) -> bytes:
        if self._body is None:
            stream = self.stream()
            self._body = stream.read_all(limit)
            stream.begin_again(self._body)
        return self._body

    def is_json(self) -> bool:
        """True if the body is said to be JSON."""
        return is_json_type(self.content_type())

    def json(self, key: str | None = None, default: Any = None) -> Any:
        """The body as JSON, or what stands in it at *key*; {} for an empty body.

        BadRequestException (400) if it is malformed or nests too deep, 413 if it is too large,
        415 if it came packed.
        """
        if self._json is MISSING:
            self._demand_plain()
            self._json = parse_json(self._read_body("max_json_bytes"), self.settings)
        return self._json if key is None else dots.get(self._json, key, default)

    def _coding(self) -> str:
        """How the body is packed: Content-Encoding, "" for not at all."""
        coding = str(self.environ.get("HTTP_CONTENT_ENCODING") or "").strip().lower()
        return "" if coding == "identity" or content_length(self.environ) == 0 else coding

    def _demand_plain(self) -> None:
        """Nothing here unpacks; the bytes would pass for a form with odd names."""
        if coding := self._coding():
            told = f"The body is packed ({coding}): send it without a Content-Encoding."
            raise HttpException(told, 415, {"Accept-Encoding": "identity"})

    def _is_form(self) -> bool:
        return self.content_type() in (URLENCODED, MULTIPART)

    def _is_short_form(self) -> bool:
        """True for a form without files that may be read whole, and then again as a stream."""
        length = content_length(self.environ)
        is_short = length is not None and length <= self.settings.max_form_bytes
        return is_short and self.content_type() == URLENCODED and not self._coding()

    def _form_pairs(self) -> tuple[Pairs, Pairs]:
        """Fields and files of the form in the body; the same error again after a first one."""
        if self._form_error is not None:
            raise self._form_error
        if self._form is None:
            try:
                self._form = self._parse_form()
            except Exception as error:
                self._form_error = error
                raise
        return self._form

    def _parse_form(self) -> tuple[Pairs, Pairs]:
        kind = self.content_type()
        if kind in (URLENCODED, MULTIPART):
            self._demand_plain()
        header = str(self.environ.get("CONTENT_TYPE") or "")
        if kind == URLENCODED:
            charset = parse_header(header)[1].get("charset", "utf-8")
            text = self._read_body("max_form_bytes").decode("latin-1")
            return parse_urlencoded(text, self.settings, charset=charset), []
        if kind == MULTIPART:
            return self._parse_multipart(boundary_of(header))
        return _NOTHING

    def _parse_multipart(self, boundary: bytes) -> tuple[Pairs, Pairs]:
        stream = self.stream()
        if self._body is not None:
            import io

            parser = MultipartParser(io.BytesIO(self._body).read, boundary, self.settings)
        else:
            first = stream.read(64 * 1024)
            if not first:
                return _NOTHING
            waiting = [first]

            def read(size: int) -> bytes:
                return waiting.pop() if waiting else stream.read(size)

            parser = MultipartParser(read, boundary, self.settings)
        return parser.parse()

    # --- input ----------------------------------------------------------------------------------

    def query(self, key: str | None = None, default: Any = None) -> Any:
        """The query as a dict, or its value at *key*."""
        if self._query is None:
            self._query = nested(self._query_pairs(), self.settings)
        return self._query if key is None else dots.get(self._query, key, default)

    def _query_pairs(self) -> Pairs:
        text = str(self.environ.get("QUERY_STRING") or "")
        return parse_urlencoded(text, self.settings, "query")

    def _query_dict(self) -> dict[str, Any]:
        query: dict[str, Any] = self.query()
        return query

    def post(self, key: str | None = None, default: Any = None) -> Any:
        """The fields of the body (form or JSON object) as a dict, or the value at *key*."""
        if self._post is None:
            if self.is_json():
                found = self.json()
                self._post = found if isinstance(found, dict) else {}
            else:
                self._post = nested(self._form_pairs()[0], self.settings)
        return self._post if key is None else dots.get(self._post, key, default)

    def input(self, key: str | None = None, default: Any = None) -> Any:
        """Query and body as one dict (the body wins), or its value at *key* (dots, `*`)."""
        if self._input is None:
            self._input = {**self.query(), **self.post()}
        return self._input if key is None else dots.get(self._input, key, default)

    def input_list(self, key: str) -> list[Any]:
        """Every value sent under *key*, where it was repeated (`tag=a&tag=b`) or `tag[]`."""
        names = (key, f"{key}[]")
        pairs = [*self._query_pairs(), *([] if self.is_json() else self._form_pairs()[0])]
        found = [value for name, value in pairs if name in names]
        if found:
            return found
        value = self.input(key, MISSING)
        if value is MISSING:
            return []
        return value if isinstance(value, list) else [value]

    def all(self, *keys: str) -> dict[str, Any]:
        """All input with the files; with *keys* only those, None for what is missing."""
        files = self.files()
        everything = dots.merged(self.input(), files) if files else dict(self.input())
        if not keys:
            return everything
        return {key: dots.get(everything, key) for key in keys}

    def only(self, *keys: str) -> dict[str, Any]:
        """The *keys* that were sent, nested as they are."""
        everything = self.all()
        result: dict[str, Any] = {}
        for key in flat(keys):
            value = dots.find(everything, key)
            if value is not MISSING:
                if key in everything:
                    result[key] = value
                else:
                    dots.put(result, key, value)
        return result

    def except_(self, *keys: str) -> dict[str, Any]:
        """All input but *keys*."""
        return dots.without(self.all(), flat(keys))

    def keys(self) -> list[str]:
        """The names at the top of all input."""
        return list(self.all())

    def has(self, *keys: str) -> bool:
        """True if all *keys* were sent, even empty."""
        return all(self._found(key) is not MISSING for key in flat(keys))

    def has_any(self, *keys: str) -> bool:
        """True if one of *keys* was sent."""
        return any(self._found(key) is not MISSING for key in flat(keys))

    def missing(self, *keys: str) -> bool:
        """True if one of *keys* was not sent."""
        return not self.has(*keys)

    def filled(self, *keys: str) -> bool:
        """True if all *keys* were sent and none is empty."""
        return all(not _is_empty(self._found(key)) for key in flat(keys))

    def is_not_filled(self, *keys: str) -> bool:
        """True if all *keys* are missing or empty."""
        return all(_is_empty(self._found(key)) for key in flat(keys))

    def any_filled(self, *keys: str) -> bool:
        """True if one of *keys* was sent and is not empty."""
        return not self.is_not_filled(*keys)

    def when_has(
        self, key: str, fn: Callable[[Any], Any], default: Callable[[], Any] | None = None
    ) -> Any:
        """`fn(value)` if *key* was sent, else `default()`; the request where those give None."""
        return self._when(self.has(key), key, fn, default)

    def when_filled(
        self, key: str, fn: Callable[[Any], Any], default: Callable[[], Any] | None = None
    ) -> Any:
        """As `when_has`, if *key* is not empty."""
        return self._when(self.filled(key), key, fn, default)

    def _when(
        self, holds: bool, key: str, fn: Callable[[Any], Any], default: Callable[[], Any] | None
    ) -> Any:
        result = fn(self._found(key)) if holds else default() if default is not None else None
        return self if result is None else result

    def _found(self, key: str) -> Any:
        value = dots.find(self.input(), key)
        return dots.find(self.files(), key) if value is MISSING else value

    def merge(self, values: Mapping[str, Any]) -> Self:
        """Lay *values* over the input."""
        self._input = {**self.input(), **values}
        return self

    def merge_if_missing(self, values: Mapping[str, Any]) -> Self:
        """Add those of *values* that were not sent."""
        return self.merge({k: v for k, v in values.items() if not self.has(k)})

    def replace(self, values: Mapping[str, Any]) -> Self:
        """Let *values* be the input."""
        self._input = dict(values)
        return self

    # --- typed ----------------------------------------------------------------------------------

    def string(self, key: str, default: str = "") -> str:
        """The input as text."""
        value = self.input(key)
        if value is None or isinstance(value, (dict, list)):
            return default
        return value if isinstance(value, str) else str(value)

    def integer(self, key: str, default: int = 0) -> int:
        """The input as a whole number; *default* if it is none."""
        value = self.input(key)
        usable = len(value) < 40 if isinstance(value, str) else isinstance(value, (int, float))
        number = numbers.whole(value) if usable else None
        return default if number is None else number

    def float(self, key: str, default: float = 0.0) -> float:
        """The input as a finite number; *default* if it is none."""
        exact = self.decimal(key)
        found = math.inf if exact is None else float(exact)
        return found if math.isfinite(found) else default

    def decimal(self, key: str, default: Any = None) -> Any:
        """The input as an exact Decimal; *default* if it is no finite number."""
        value = self.input(key)
        if isinstance(value, bool) or not isinstance(value, (str, int, float, Decimal)):
            return default
        text = str(value)
        number = numbers.decimal(text) if len(text) <= 100 else None
        # An exponent of thousands would make the digits of a sum explode.
        usable = number is not None and number.is_finite() and abs(number.adjusted()) < 400
        return number if usable else default

    def boolean(self, key: str, default: bool = False) -> bool:
        """True for 1, true, on and yes in any case, False for everything else."""
        value = self.input(key)
        if value is None:
            return default
        return str(value).strip().lower() in _TRUE

    def date(self, key: str, fmt: str | None = None, tz: str | None = None) -> datetime | None:
        """The input as a datetime (ISO 8601, or by *fmt*), in zone *tz* if it names none.

        *fmt* is Python's (`%d.%m.%Y`) or, as for the rule date_format, PHP's (`d.m.Y`). None if it
        is not filled, BadRequestException (400) if it is no date.
        """
        if not self.filled(key):
            return None
        found = _moment(self.string(key).strip(), fmt)
        if found is None:
            raise BadRequestException(f"The field {key} is not a valid date.")
        if not tz or found.tzinfo is not None:
            return found
        return found.replace(tzinfo=zone_named(tz))

    def enum(self, key: str, cls: type[E], default: E | None = None) -> E | None:
        """The member of *cls* with that value; *default* if there is none."""
        value = self.input(key)
        for member in cls:
            if member.value == value or (isinstance(value, str) and str(member.value) == value):
                return member
        return default

    def array(self, key: str) -> Any:
        """The input as a list (or the dict it is): nothing gives [], one value [value]."""
        value = self.input(key)
        if value is None:
            return []
        return value if isinstance(value, (list, dict)) else [value]

    def collect(self, key: str | None = None) -> Any:
        """As `array`, as a Collection."""
        value = self.input() if key is None else self.array(key)
        return self.settings.make_list(value.values() if isinstance(value, dict) else value)

    # --- files ----------------------------------------------------------------------------------

    def files(self) -> dict[str, Any]:
        """All uploaded files, nested as their names say."""
        if self._files is None:
            is_multipart = self.content_type() == MULTIPART
            pairs = self._form_pairs()[1] if is_multipart else []
            self._files = nested(pairs, self.settings)
        return self._files

    def file(self, key: str, default: Any = None) -> Any:
        """The uploaded file *key*: an UploadedFile, a list of them, or *default*."""
        return dots.get(self.files(), key, default)

    def has_file(self, key: str) -> bool:
        """True if at least one valid file was uploaded under *key*."""
        found = self.file(key)
        some = found if isinstance(found, list) else [found]
        return any(isinstance(one, UploadedFile) and one.is_valid() for one in some)


def _moment(text: str, fmt: str | None) -> datetime | None:
    """*text* read as a date; None if it is none."""
    if fmt and "%" not in fmt:
        from so.http.validation import dates  # most requests validate nothing

        found = dates.parse_format(text, fmt)
        return found if found is None or dates.names_zone(fmt) else found.replace(tzinfo=None)
    try:
        return datetime.strptime(text, fmt) if fmt else datetime.fromisoformat(text)  # noqa: DTZ007
    except ValueError:
        return None


def _is_empty(value: Any) -> bool:
    if value is MISSING or value is None:
        return True
    return isinstance(value, str) and value.strip() == ""
