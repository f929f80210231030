"""Typed JSON: values that come back as what they were, without pickle, eval or imports by name.

What JSON has is written as JSON. Everything else is `{"$": tag, "v": plain}`: tuples, sets,
bytes, Decimal, dates and times, UUID, Enum members, dataclasses, and what an application
registers. Only registered types come back; a tag nobody registered is a CodecError.
"""

from __future__ import annotations

import base64
import dataclasses
import enum
import json
import math
import re
from collections import ChainMap
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import PurePath
from typing import Any
from uuid import UUID

from so.errors import CodecError

Plain = Any
TAG, VALUE = "$", "v"
MAX_DEPTH = 100
_TAG_TEXT = f'"{TAG}"'


def _compact_writer() -> Callable[[Any], str]:
    encoder = json.JSONEncoder(
        ensure_ascii=False, allow_nan=False, separators=(",", ":"), check_circular=False
    )
    make = getattr(json.encoder, "c_make_encoder", None)
    if make is None:
        return encoder.encode
    # `encode` builds its C writer anew for each call, which is half the cost of a small value.
    write = make(
        None, encoder.default, json.encoder.encode_basestring, None, ":", ",", *[False] * 3
    )
    return lambda value: "".join(write(value, 0))


_dump_compact = _compact_writer()
# Without what `json.loads` does around it: half the cost of a small value.
_scan: Callable[[str, int], tuple[Any, int]] = json.scanner.make_scanner(json.JSONDecoder())  # type: ignore[attr-defined]


# Half of a surrogate pair: what other programs send now and then, and no database takes as it is.
_HALF = re.compile("[\ud800-\udfff]")


def _escaped(half: re.Match[str]) -> str:
    return f"\\u{ord(half.group()):04x}"


_AS_IS = frozenset((str, int, bool, type(None)))
_ALONE = _AS_IS | {float}  # what has nothing within it; NaN and infinity the writer itself refuses
_TEXT = frozenset((str,))


def _is_plain(value: Any, depth: int) -> bool:
    """True if JSON holds *value* just as it is, unless a float in it is none of its numbers.

    Nearly all that is stored is plain, so it is asked first.
    """
    kind = type(value)
    if kind is dict:
        if TAG in value or not _TEXT.issuperset(map(type, value)):
            return False
        value = value.values()
    elif kind is not list:
        return kind in _ALONE
    if _ALONE.issuperset(map(type, value)):
        return True
    if depth >= MAX_DEPTH:
        return False
    for item in value:
        kind = type(item)
        if kind in _ALONE or (kind is list and _ALONE.issuperset(map(type, item))):
            continue  # without a call for each
        if (kind is not dict and kind is not list) or not _is_plain(item, depth + 1):
            return False
    return True


# What `allow` lets through, for all codecs: of jobs, of the cache, of sessions.
_allowed: dict[str, type] = {}


class Codec:
    """One set of registered types. `default_codec` serves all of them that need no model."""

    def __init__(self) -> None:
        self._writers: dict[type, tuple[str, Callable[[Any], Plain]]] = {}
        self._families: list[tuple[type, str, Callable[[Any], Plain]]] = []
        self._readers: dict[str, Callable[[Plain], Any]] = {}
        self._named: ChainMap[str, type] = ChainMap({}, _allowed)
        for cls, tag, to_plain, from_plain in _BUILT_IN:
            self.register(cls, tag, to_plain, from_plain)
        self._readers.update(enum=self._read_enum, data=self._read_dataclass)

    def register(
        self,
        cls: type,
        tag: str,
        to_plain: Callable[[Any], Plain],
        from_plain: Callable[[Plain], Any],
        *,
        subclasses: bool = False,
    ) -> None:
        """Write instances of *cls* as *tag*; with *subclasses*, instances of those as well."""
        if subclasses:
            self._families.append((cls, tag, to_plain))
        else:
            self._writers[cls] = (tag, to_plain)
        self._readers[tag] = from_plain

    def allow(self, cls: type, name: str | None = None) -> type:
        """Let a dataclass or an Enum through under *name* (its class name); usable as decorator."""
        _enter(self._named, name or cls.__name__, cls)
        return cls

    def encode(self, value: Any) -> str:
        """*value* as one line of JSON; raises CodecError naming the type it cannot write."""
        try:
            text = self._written(value)
            return text if text.isascii() else _HALF.sub(_escaped, text)
        except (ValueError, RecursionError) as error:
            if isinstance(error, CodecError):
                raise
            raise CodecError(f"cannot write {type(value).__name__} as JSON: {error}") from error

    def _written(self, value: Any) -> str:
        if _is_plain(value, 0):
            try:
                return _dump_compact(value)
            except ValueError:  # of NaN and infinity, which the other way has a tag for
                pass
        return _dump_compact(self._plain(value, 0))

    def can_write(self, value: Any) -> bool:
        """True if `encode` takes *value*."""
        try:
            self.encode(value)
        except CodecError:
            return False
        return True

    def decode(self, text: str | bytes) -> Any:
        """The value that `encode()` wrote; raises CodecError for anything else."""
        try:
            if type(text) is not str:
                return self._value(json.loads(text))
            try:
                plain, end = _scan(text, 0)
            except StopIteration:
                end = -1
            if end != len(text):
                plain = json.loads(text)
            # Nothing without this key has anything to turn back.
            return plain if _TAG_TEXT not in text else self._value(plain)
        except CodecError:
            raise
        except (
            ValueError,
            TypeError,
            KeyError,
            AttributeError,
            RecursionError,
            ArithmeticError,
        ) as error:
            raise CodecError(f"cannot read the stored value: {error}") from error

    def _plain(self, value: Any, depth: int) -> Plain:
        kind = type(value)
        if kind in _AS_IS:
            return value
        if depth > MAX_DEPTH:
            raise CodecError(f"cannot write a value nested more than {MAX_DEPTH} levels deep")
        if kind is float:
            return value if math.isfinite(value) else {TAG: "float", VALUE: repr(value)}
        if kind is list:
            return [self._plain(item, depth + 1) for item in value]
        if kind is dict:
            return self._plain_dict(value, depth)
        return self._plain_tagged(value, kind, depth)

    def _plain_dict(self, value: dict[Any, Any], depth: int) -> Plain:
        if TAG not in value and all(type(key) is str for key in value):
            return {key: self._plain(item, depth + 1) for key, item in value.items()}
        pairs = [
            [self._plain(key, depth + 1), self._plain(item, depth + 1)]
            for key, item in value.items()
        ]
        return {TAG: "dict", VALUE: pairs}

    def _plain_tagged(self, value: Any, kind: type, depth: int) -> Plain:
        writer = self._writers.get(kind)
        if writer is not None:
            return {TAG: writer[0], VALUE: self._plain(writer[1](value), depth + 1)}
        for cls, tag, to_plain in self._families:
            if isinstance(value, cls):
                return {TAG: tag, VALUE: self._plain(to_plain(value), depth + 1)}
        if isinstance(value, enum.Enum):
            return {TAG: "enum", VALUE: [self._name_of(kind), self._plain(value.value, depth + 1)]}
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(value) if f.init}
            return {TAG: "data", VALUE: [self._name_of(kind), self._plain(fields, depth + 1)]}
        return self._plain_subclass(value, depth)

    def _plain_subclass(self, value: Any, depth: int) -> Plain:
        """Write a subclass of a JSON type as that type: a Row is a dict, a Collection a list."""
        if isinstance(value, Mapping):
            return self._plain_dict(dict(value), depth)
        if isinstance(value, list):
            return [self._plain(item, depth + 1) for item in value]
        for base in (str, int):
            if isinstance(value, base):
                return base(value)
        if isinstance(value, PurePath):
            return {TAG: "path", VALUE: str(value)}
        raise CodecError(
            f"cannot write {type(value).__name__} as JSON: give plain values, or register the type "
            "with so.support.codec.default_codec.register()"
        )

    def _name_of(self, kind: type) -> str:
        for name, cls in self._named.items():
            if cls is kind:
                return name
        raise CodecError(
            f"cannot write {kind.__name__}: put @allow on the class (`from so import allow`), "
            "so that it may also be read back"
        )

    def _value(self, plain: Plain) -> Any:
        if isinstance(plain, list):
            return [self._value(item) for item in plain]
        if not isinstance(plain, dict):
            return plain
        if TAG not in plain:
            return {key: self._value(item) for key, item in plain.items()}
        reader = self._readers.get(plain[TAG])
        if reader is None or len(plain) != 2 or VALUE not in plain:
            raise CodecError(f"unknown type tag {plain[TAG]!r} in a stored value")
        return reader(self._value(plain[VALUE]))

    def _read_enum(self, plain: Plain) -> Any:
        name, value = plain
        return self._known(name)(value)

    def _read_dataclass(self, plain: Plain) -> Any:
        name, fields = plain
        return self._known(name)(**fields)

    def _known(self, name: str) -> Any:
        if name not in self._named:
            raise CodecError(f"unknown class {name!r} in a stored value: it was never allowed")
        return self._named[name]


def _utc_text(moment: datetime) -> str:
    return moment.isoformat()


def _timedelta(microseconds: int) -> timedelta:
    return timedelta(microseconds=microseconds)


_BUILT_IN: list[tuple[type, str, Callable[[Any], Plain], Callable[[Plain], Any]]] = [
    (tuple, "tuple", list, tuple),
    (set, "set", list, set),
    (frozenset, "frozenset", list, frozenset),
    (dict, "dict", dict, dict),
    (float, "float", repr, float),
    (
        bytes,
        "bytes",
        lambda raw: base64.b64encode(raw).decode(),
        lambda t: base64.b64decode(t, validate=True),
    ),
    (
        bytearray,
        "bytearray",
        lambda raw: base64.b64encode(raw).decode(),
        lambda t: bytearray(base64.b64decode(t)),
    ),
    (Decimal, "decimal", str, Decimal),
    (datetime, "datetime", _utc_text, datetime.fromisoformat),
    (date, "date", date.isoformat, date.fromisoformat),
    (time, "time", time.isoformat, time.fromisoformat),
    (timedelta, "timedelta", lambda d: d // timedelta(microseconds=1), _timedelta),
    (UUID, "uuid", str, UUID),
    (PurePath, "path", str, PurePath),
]

default_codec = Codec()


def allow(cls: type) -> type:
    """Let a dataclass or an Enum through every codec; for use as a decorator.

    CodecError where another class of that name is allowed: what is stored would come back as the
    wrong one.
    """
    _enter(_allowed, cls.__name__, cls)
    return cls


def _enter(names: MutableMapping[str, type], name: str, cls: type) -> None:
    if not (dataclasses.is_dataclass(cls) or issubclass(cls, enum.Enum)):
        raise CodecError(f"cannot allow {cls.__name__}: it is neither a dataclass nor an Enum")
    known = names.get(name)
    # The same class may come again, when its module is loaded anew.
    if known is not None and _place(known) != _place(cls):
        raise CodecError(
            f"cannot allow {_place(cls)}: {_place(known)} is allowed as {name!r} already, and what "
            "is stored under a name must come back as one class; rename one of them"
        )
    names[name] = cls


def _place(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def iso_utc(moment: datetime) -> str:
    """ISO 8601 in UTC with microseconds: `2026-01-15T12:00:00.000000Z`; naive counts as UTC."""
    if moment.tzinfo is not None:
        moment = moment.astimezone(UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ") if moment.year > 999 else moment.isoformat()


def to_jsonable(value: Any) -> Any:
    """*value* as plain JSON for a client: models as objects, Decimal as text, times in UTC.

    An object says how it looks by `to_dict()` or `to_list()`; TypeError for what has no form.
    """
    kind = type(value)
    if kind in _AS_IS or kind is float:
        return value
    if isinstance(value, Mapping):
        return {_key(key): to_jsonable(item) for key, item in value.items()}
    for name in ("to_dict", "to_list"):
        own = getattr(value, name, None)
        if callable(own) and not isinstance(value, type):
            plain = own()
            return _items(plain) if isinstance(plain, list) else to_jsonable(plain)
    if isinstance(value, (list, tuple, set, frozenset)):
        return _items(value)
    return _jsonable_scalar(value)


def _jsonable_scalar(value: Any) -> Any:
    if isinstance(value, enum.Enum):
        return to_jsonable(value.value)
    if isinstance(value, datetime):
        return iso_utc(value)
    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, (Decimal, UUID, PurePath)):
        return str(value)
    if isinstance(value, (bytes, bytearray)):
        return base64.b64encode(value).decode()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_jsonable(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, (str, int, float)):
        return value
    if isinstance(value, Iterable):
        return _items(value)
    raise TypeError(f"{type(value).__name__} has no JSON form: give it a to_dict() method")


def _items(values: Iterable[Any]) -> list[Any]:
    return [to_jsonable(item) for item in values]


def _key(key: Any) -> str:
    return key if isinstance(key, str) else str(key.value if isinstance(key, enum.Enum) else key)


def dumps(value: Any) -> str:
    """*value* as compact JSON for a client, Unicode as it is; ValueError for NaN and infinity."""
    kind = type(value)
    if kind is dict or kind is list:
        try:
            return _dump_compact(value)
        except TypeError:
            pass  # something in it needs to_jsonable; the plain case stays fast
    return _dump_compact(to_jsonable(value))
