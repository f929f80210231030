"""Casts: what a column's stored value is in Python, and what a Python value is in the column.

A cast has `get(model, key, value, attributes)` (stored → Python) and `set(…)` (Python → stored);
an application's own cast class needs no more than these two. Ours also know when two stored
values mean the same (`same`), which decides what is dirty, and how a value looks to a client
(`plain`). Stored values are what the connection binds: datetimes aware in UTC, Decimal, JSON text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Context, Decimal, InvalidOperation
from enum import Enum
from typing import Any

from so.db.rows import Collection
from so.errors import CastError, InvalidArgumentError
from so.support import numbers
from so.support.codec import dumps, to_jsonable
from so.support.near import nearest

Attributes = Mapping[str, Any]

_INTEGER = re.compile(r"\s*[+-]?[0-9]+\s*", re.ASCII)
_FALSE = frozenset({"", "0", "false", "off", "no"})
_TRUE = frozenset({"1", "true", "on", "yes"})
# MySQL's DECIMAL has up to 65 digits; Python's default context would round at 28.
_EXACT = Context(prec=130, rounding=ROUND_HALF_UP)


class Cast:
    """One column's conversion; `mutable` says that what `get` returns may be changed in place."""

    mutable = False

    def get(self, model: Any, key: str, value: Any, attributes: Attributes) -> Any:
        """The Python value of the stored *value*."""
        return None if value is None else self.convert(value)

    def set(self, model: Any, key: str, value: Any, attributes: Attributes) -> Any:
        """The stored value of the Python *value*; CastError if it does not fit."""
        return None if value is None else self.convert(value)

    def convert(self, value: Any) -> Any:
        """*value* (never None) in this cast's one form, where reading and writing share it."""
        raise NotImplementedError

    def same(self, first: Any, second: Any) -> bool:
        """Do two stored values mean the same?"""
        if first is None or second is None:
            return first is second
        try:
            return bool(self.convert(first) == self.convert(second))
        except CastError:
            return bool(first == second)

    def plain(self, value: Any) -> Any:
        """The Python *value* as a client sees it in JSON."""
        return to_jsonable(value)


def _refuse(value: Any, wanted: str) -> CastError:
    shown = repr(value)
    shown = shown if len(shown) <= 80 else shown[:77] + "…"
    return CastError(f"{shown} is not {wanted}")


class IntCast(Cast):
    """Whole numbers; a text of digits is one, 1.5 is not."""

    def convert(self, value: Any) -> int:
        """*value* as int."""
        if isinstance(value, Enum):
            value = value.value
        if isinstance(value, int):
            return int(value)
        if isinstance(value, str) and _INTEGER.fullmatch(value):
            return int(value)
        if isinstance(value, (float, Decimal)):
            try:
                if value == int(value):
                    return int(value)
            except (ValueError, OverflowError):
                pass
        raise _refuse(value, "a whole number")


class FloatCast(Cast):
    """Binary floating point; use `decimal:2` for money."""

    def convert(self, value: Any) -> float:
        """*value* as float."""
        try:
            return numbers.amount(value) if isinstance(value, str) else float(value)
        except (TypeError, ValueError) as error:
            raise _refuse(value, "a number") from error


class StrCast(Cast):
    """Text; bytes are read as UTF-8."""

    def convert(self, value: Any) -> str:
        """*value* as str."""
        if isinstance(value, Enum):
            value = value.value
        if isinstance(value, bool):
            return "1" if value else "0"
        if isinstance(value, (bytes, bytearray)):
            try:
                return bytes(value).decode()
            except UnicodeDecodeError as error:
                raise _refuse(value, "UTF-8 text") from error
        return str(value)


class BoolCast(Cast):
    """True and False, stored as 1 and 0; reads the words of forms (on, off, yes, no) as well."""

    def convert(self, value: Any) -> bool:
        """*value* as bool."""
        if isinstance(value, (bool, int, float, Decimal)):
            return bool(value)
        if isinstance(value, (bytes, bytearray)):
            return any(value)
        word = str(value).strip().lower()
        if word in _FALSE:
            return False
        if word in _TRUE:
            return True
        raise _refuse(value, "true or false")

    def set(self, model: Any, key: str, value: Any, attributes: Attributes) -> Any:
        """1 or 0."""
        return None if value is None else int(self.convert(value))


class DecimalCast(Cast):
    """Exact decimals, rounded half up to *places* (None: kept as they are)."""

    def __init__(self, places: int | None = None) -> None:
        self._unit = None if places is None else Decimal(1).scaleb(-places)

    def convert(self, value: Any) -> Decimal:
        """*value* as Decimal; a float counts as the shortest text that means it."""
        try:
            number = Decimal(repr(value) if isinstance(value, float) else _text_of(value))
            if not number.is_finite():
                raise _refuse(value, "a finite decimal number")
            if self._unit is None:
                return number
            return number.quantize(self._unit, context=_EXACT)
        except (InvalidOperation, TypeError, ValueError) as error:
            if isinstance(error, CastError):
                raise
            raise _refuse(value, "a decimal number") from error


def _text_of(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    if numbers.decimal(value) is None:
        raise ValueError(value)
    return value.strip()


class JsonCast(Cast):
    """JSON text in the column; dict, list or scalar in Python, which may be changed in place."""

    mutable = True

    def get(self, model: Any, key: str, value: Any, attributes: Attributes) -> Any:
        """The decoded JSON; CastError for text that is not JSON."""
        if value is None or isinstance(value, (dict, list)):
            return value
        try:
            return json.loads(value)
        except (TypeError, ValueError) as error:
            raise _refuse(value, "JSON") from error

    def set(self, model: Any, key: str, value: Any, attributes: Attributes) -> Any:
        """Compact JSON text; None is SQL NULL."""
        if value is None:
            return None
        try:
            return dumps(value)
        except (TypeError, ValueError) as error:
            raise _refuse(value, "JSON data") from error

    def same(self, first: Any, second: Any) -> bool:
        """Equal but for blanks and the order of keys; `1` and `true` differ."""
        if first is None or second is None:
            return first is second
        if first == second:
            return True
        try:
            return _canonical(first) == _canonical(second)
        except (TypeError, ValueError):
            return False


class CollectionCast(JsonCast):
    """A JSON list as a Collection."""

    def get(self, model: Any, key: str, value: Any, attributes: Attributes) -> Any:
        """The decoded JSON, a list of it as a Collection."""
        found = super().get(model, key, value, attributes)
        return Collection(found) if isinstance(found, list) else found


def _canonical(value: Any) -> str:
    decoded = value if isinstance(value, (dict, list)) else json.loads(value)
    return json.dumps(decoded, sort_keys=True)


# PHP's letters for the parts of a moment in UTC, as strftime has them.
_LETTERS = dict(
    d="%d", j="%-d", D="%a", l="%A", m="%m", n="%-m", M="%b", F="%B", Y="%Y", y="%y", H="%H",
    G="%-H", h="%I", g="%-I", i="%M", s="%S", u="%f", A="%p", O="%z", P="+00:00", e="UTC",
)  # fmt: skip


def _strftime(written: str) -> str:
    """*written* as strftime takes it: with a `%` as it is, else PHP's `Y-m-d`.

    Raises InvalidArgumentError for a letter that is none of PHP's for a date.
    """
    if "%" in written:
        return written
    found, escaped = [], False
    for letter in written:
        if letter == "\\" and not escaped:
            escaped = True
            continue
        if not escaped and letter.isalpha() and letter not in _LETTERS:
            raise InvalidArgumentError(
                f"unknown letter {letter!r} in the date format {written!r}: write Y-m-d H:i, "
                "or %Y-%m-%d %H:%M"
            )
        found.append(letter if escaped else _LETTERS.get(letter, letter))
        escaped = False
    return "".join(found)


class _MomentCast(Cast):
    """What days and moments share: a format to show and one to store."""

    def __init__(self, shown: str | None = None, stored: str | None = None) -> None:
        self._shown, self._stored = shown and _strftime(shown), stored

    def plain(self, value: Any) -> Any:
        """In the format given to the cast; without one `2026-01-15`, or ISO 8601 in UTC."""
        return value.strftime(self._shown) if self._shown and value else to_jsonable(value)


class DateCast(_MomentCast):
    """Days."""

    def convert(self, value: Any) -> date:
        """*value* as date; of a date with a time, its day."""
        if isinstance(value, datetime):
            return value.date()
        if isinstance(value, date):
            return value
        return _moment(value, self._stored, "a date").date()


class DatetimeCast(_MomentCast):
    """Moments, aware in UTC; a value without a zone counts as UTC."""

    def convert(self, value: Any) -> datetime:
        """*value* as an aware UTC datetime."""
        return _moment(value, self._stored, "a date and time")

    def set(self, model: Any, key: str, value: Any, attributes: Attributes) -> Any:
        """The moment, or its text if the model has a `date_format`."""
        moment = super().set(model, key, value, attributes)
        return moment.strftime(self._stored) if self._stored and moment else moment


class TimestampCast(Cast):
    """Whole seconds since the epoch in Python, over a column of either numbers or datetimes."""

    def convert(self, value: Any) -> int:
        """*value* as epoch seconds."""
        return int(_moment(value, None, "a date and time").timestamp() // 1)

    def set(self, model: Any, key: str, value: Any, attributes: Attributes) -> Any:
        """As given: seconds stay a number, a datetime stays a datetime."""
        if isinstance(value, datetime):
            return _moment(value, None, "a date and time")
        return super().set(model, key, value, attributes)


def _moment(value: Any, stored: str | None, wanted: str) -> datetime:
    """*value* as an aware UTC datetime: from a text (in the format *stored*), a day, seconds."""
    try:
        moment = _read_moment(value, stored)
    except (TypeError, ValueError, OverflowError, OSError) as error:
        raise _refuse(value, wanted) from error
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _read_moment(value: Any, stored: str | None) -> datetime:
    if isinstance(value, datetime):
        return value
    if isinstance(value, str):
        if stored:
            try:
                return datetime.strptime(value, stored)  # noqa: DTZ007  the caller adds UTC
            except ValueError:
                pass  # a value from elsewhere, such as a form: ISO is understood as well
        return datetime.fromisoformat(value.strip())
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    if isinstance(value, bool):
        raise TypeError("a truth value is not a moment")
    return datetime.fromtimestamp(value, UTC)


class EnumCast(Cast):
    """Members of one Enum class, stored by their value."""

    def __init__(self, kind: type[Enum]) -> None:
        self._kind = kind
        self._by_text = {str(member.value): member for member in kind}

    def convert(self, value: Any) -> Enum:
        """The member with that value; the text of a number is as good as the number."""
        try:
            return self._kind(value)
        except ValueError as error:
            found = self._by_text.get(str(value))
            if found is not None:
                return found
            allowed = ", ".join(self._by_text)
            raise _refuse(value, f"a {self._kind.__name__} (one of {allowed})") from error

    def set(self, model: Any, key: str, value: Any, attributes: Attributes) -> Any:
        """The member's value."""
        return None if value is None else self.convert(value).value


class OwnCast(Cast):
    """An application's class with `get` and `set`; None passes through it as well."""

    mutable = True

    def __init__(self, own: Any) -> None:
        self._own = own

    def get(self, model: Any, key: str, value: Any, attributes: Attributes) -> Any:
        """What the application's `get` makes of it."""
        return self._own.get(model, key, value, attributes)

    def set(self, model: Any, key: str, value: Any, attributes: Attributes) -> Any:
        """What the application's `set` makes of it; a dict there sets several columns."""
        return self._own.set(model, key, value, attributes)

    def same(self, first: Any, second: Any) -> bool:
        """Equal stored values of one type."""
        return type(first) is type(second) and bool(first == second)


_SIMPLE: dict[Any, Callable[[], Cast]] = {
    "int": IntCast,
    "integer": IntCast,
    int: IntCast,
    "float": FloatCast,
    "double": FloatCast,
    "real": FloatCast,
    float: FloatCast,
    "str": StrCast,
    "string": StrCast,
    str: StrCast,
    "bool": BoolCast,
    "boolean": BoolCast,
    bool: BoolCast,
    "decimal": DecimalCast,
    Decimal: DecimalCast,
    "json": JsonCast,
    "array": JsonCast,
    "dict": JsonCast,
    "list": JsonCast,
    "object": JsonCast,
    "collection": CollectionCast,
    dict: JsonCast,
    list: JsonCast,
    "timestamp": TimestampCast,
}
_DATED: dict[Any, type[DateCast] | type[DatetimeCast]] = {
    "date": DateCast,
    "immutable_date": DateCast,
    date: DateCast,
    "datetime": DatetimeCast,
    "immutable_datetime": DatetimeCast,
    datetime: DatetimeCast,
}


def cast_for(spec: Any, date_format: str | None = None) -> Cast:
    """The cast a model's `casts` entry asks for: `"decimal:2"`, `int`, an Enum class, your class.

    *date_format* is how dates are stored where that is not the database's own form.
    """
    if isinstance(spec, Cast):
        return spec
    name, _, argument = spec.partition(":") if isinstance(spec, str) else (spec, "", "")
    if isinstance(name, str):
        name = name.strip().lower()
    dated = _DATED.get(name) if not _is_own(name) else None
    if dated is not None:
        return dated(argument or None, date_format)
    if name == "decimal" and argument:
        return DecimalCast(int(argument))
    if not _is_own(name) and name in _SIMPLE and not argument:
        return _SIMPLE[name]()
    return _class_cast(spec)


def _is_own(spec: Any) -> bool:
    return hasattr(spec, "get") and hasattr(spec, "set")


def _class_cast(spec: Any) -> Cast:
    if isinstance(spec, type) and issubclass(spec, Cast):
        return spec()
    if isinstance(spec, type) and issubclass(spec, Enum):
        return EnumCast(spec)
    if _is_own(spec):
        return OwnCast(spec() if isinstance(spec, type) else spec)
    names = [name for name in [*_SIMPLE, *_DATED] if isinstance(name, str)]
    near = nearest(str(spec).partition(":")[0], names)
    hint = f"did you mean {near!r}?" if near else f"known are {', '.join(names)}"
    raise InvalidArgumentError(
        f"unknown cast {spec!r}: {hint} (or an Enum class, or a class with get and set)"
    )
