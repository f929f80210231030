"""JSON Schemas from validation rules and from type annotations, for the OpenAPI document.

A schema says no more than the rules do: where a rule has no counterpart (`exists`, `after`) it is
left out, so what the schema refuses is refused by the rules as well.
"""

from __future__ import annotations

import dataclasses
import enum
import types
import typing
from collections.abc import Callable, Mapping
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

from so.http.validation import Validator
from so.http.validation import paths as field_paths
from so.http.validation.fields import Field, RuleCheck
from so.http.validation.spec import field
from so.http.validation.text_rules import pattern
from so.http.validation.values import bound, is_number

Schema = dict[str, Any]

FILES = frozenset({"file", "image", "mimes", "mimetypes", "dimensions"})

_TYPES: dict[str, Any] = {
    "string": "string",
    "integer": "integer",
    "boolean": "boolean",
    "list": "array",
    "numeric": ["number", "string"],
    "decimal": ["number", "string"],
}

_FORMATS = {
    "email": "email",
    "url": "uri",
    "uuid": "uuid",
    "ipv4": "ipv4",
    "ipv6": "ipv6",
    "date": "date",
}

_TEXTS = {
    "alpha:ascii": "^[A-Za-z]+$",
    "alpha_num:ascii": "^[A-Za-z0-9]+$",
    "alpha_dash:ascii": "^[A-Za-z0-9_-]+$",
    "ulid": "^[0-7][0-9A-HJKMNP-TV-Za-hjkmnp-tv-z]{25}$",
}


class _Node:
    """One segment of the ruled paths with what is ruled below it."""

    def __init__(self) -> None:
        self.field: Field | None = None
        self.below: dict[str, _Node] = {}

    def at(self, segments: tuple[str, ...]) -> _Node:
        node = self
        for segment in segments:
            node = node.below.setdefault(segment, _Node())
        return node


def fields_of(rules: Mapping[str, Any]) -> list[Field]:
    """The fields that *rules* define."""
    return [field(name, written, {}, Validator.extensions) for name, written in rules.items()]


def object_schema(rules: Mapping[str, Any]) -> Schema:
    """The schema of an object that *rules* are for."""
    root = _Node()
    for made in fields_of(rules):
        root.at(made.segments).field = made
        _add_confirmation(root, made)
    return _object(root)


def has_files(rules: Mapping[str, Any]) -> bool:
    """True if one of the fields is an uploaded file."""
    return any(made.names & FILES for made in fields_of(rules))


def field_schema(made: Field) -> Schema:
    """The schema of one field by itself."""
    node = _Node()
    node.field = made
    return _schema(node)


def is_required(made: Field | None) -> bool:
    """True for a field that must always be there."""
    if made is None or "sometimes" in made.names:
        return False
    return any(check.name in ("required", "present") and not check.params for check in made.checks)


def _add_confirmation(root: _Node, made: Field) -> None:
    for check in made.checks:
        if check.name == "confirmed":
            name = str(check.params[0]) if check.params else f"{made.name}_confirmation"
            other = root.at(field_paths.split(name))
            rules = "required|string" if is_required(made) else "string"
            other.field = other.field or field(name, rules, {}, {})


def _schema(node: _Node) -> Schema:
    if field_paths.STAR in node.below:
        found: Schema = {"type": "array", "items": _schema(node.below[field_paths.STAR])}
        if _is_distinct(node.below[field_paths.STAR]):
            found["uniqueItems"] = True
    elif node.below:
        found = _object(node)
    else:
        found = {}
    return found if node.field is None else _ruled(found, node.field)


def _object(node: _Node) -> Schema:
    found: Schema = {
        "type": "object",
        "properties": {name: _schema(child) for name, child in node.below.items()},
    }
    required = [name for name, child in node.below.items() if _must_be_there(child)]
    if required:
        found["required"] = required
    return found


def _must_be_there(node: _Node) -> bool:
    """True if the field is required, or holds one that is: `address.city` needs an address."""
    if node.field is not None:
        return is_required(node.field)
    named = [child for name, child in node.below.items() if name != field_paths.STAR]
    return any(_must_be_there(child) for child in named)


def _is_distinct(node: _Node) -> bool:
    return node.field is not None and "distinct" in node.field.names


# --- rules ------------------------------------------------------------------------------------


def _ruled(found: Schema, made: Field) -> Schema:
    if made.names & FILES:
        return {"type": "string", "format": "binary"}
    for check in made.checks:
        _apply_kind(found, check)
    for check in made.checks:
        convert = _CONVERTERS.get(check.name)
        if convert is not None and check.params:
            convert(found, made, check.params)
    return _nullable(found) if "nullable" in made.names else found


def _apply_kind(found: Schema, check: RuleCheck) -> None:
    """The type and format that a rule stands for."""
    name = check.name
    if name in _TYPES:
        found.setdefault("type", _TYPES[name])
    elif name in _FORMATS:
        found.setdefault("type", "string")
        found["format"] = _FORMATS[name]
    elif name == "array":
        found.setdefault("type", ["array", "object"])
    elif name == "accepted":
        found["enum"] = ["yes", "on", "1", 1, True, "true"]
    text = _TEXTS.get(":".join((name, *map(str, check.params))))
    if text is not None:
        found.setdefault("type", "string")
        found["pattern"] = text


def _nullable(found: Schema) -> Schema:
    kinds = found.get("type")
    if kinds is not None:
        found["type"] = [*(kinds if isinstance(kinds, list) else [kinds]), "null"]
    if "enum" in found:
        found["enum"] = [*found["enum"], None]
    return found


def _kind(found: Schema, made: Field) -> str:
    """What min and max measure: number, array or string."""
    if made.numeric:
        return "number"
    kinds = found.get("type", "string")
    is_array = "array" in (kinds if isinstance(kinds, list) else [kinds])
    return "array" if is_array else "string"


_LEAST = {"number": "minimum", "array": "minItems", "string": "minLength"}
_MOST = {"number": "maximum", "array": "maxItems", "string": "maxLength"}


def _plain(value: Any) -> int | float:
    number = bound(value)
    return number if isinstance(number, int) else float(number)


def _least(found: Schema, made: Field, params: tuple[Any, ...]) -> None:
    found[_LEAST[_kind(found, made)]] = _plain(params[0])


def _most(found: Schema, made: Field, params: tuple[Any, ...]) -> None:
    found[_MOST[_kind(found, made)]] = _plain(params[-1])


def _both(found: Schema, made: Field, params: tuple[Any, ...]) -> None:
    _least(found, made, params)
    _most(found, made, params)


def _exclusive(name: str) -> Callable[[Schema, Field, tuple[Any, ...]], None]:
    def convert(found: Schema, made: Field, params: tuple[Any, ...]) -> None:
        if made.numeric and is_number(params[0]):
            found[name] = _plain(params[0])

    return convert


def _listed(found: Schema, made: Field, params: tuple[Any, ...]) -> None:
    values = [value.value if isinstance(value, enum.Enum) else value for value in params]
    if found.get("type") == "integer":
        values = [int(value) for value in values]
    target = found.setdefault("items", {}) if _kind(found, made) == "array" else found
    target["enum"] = values


def _enum(found: Schema, made: Field, params: tuple[Any, ...]) -> None:
    cls, only, hidden = params
    found["enum"] = [member.value for member in (only or cls) if member not in hidden]


def _pattern(found: Schema, made: Field, params: tuple[Any, ...]) -> None:
    compiled = pattern(str(params[0]))
    # Named groups, \A and flags have no counterpart in the regular expressions of JSON Schema.
    is_portable = not any(mark in compiled.pattern for mark in ("(?", "\\A", "\\Z"))
    if is_portable and compiled.flags & 0x1FF == 32:  # 32: re.UNICODE, which every pattern has
        found["pattern"] = compiled.pattern


def _digits(found: Schema, made: Field, params: tuple[Any, ...]) -> None:
    counts = f"{params[0]},{params[-1]}" if len(params) > 1 else params[0]
    if found.setdefault("type", "string") == "string":
        found["pattern"] = f"^[0-9]{{{counts}}}$"


def _multiple(found: Schema, made: Field, params: tuple[Any, ...]) -> None:
    if _plain(params[0]) > 0:
        found["multipleOf"] = _plain(params[0])


def _keys(found: Schema, made: Field, params: tuple[Any, ...]) -> None:
    found["type"] = "object"
    anything: dict[str, Schema] = {str(name): {} for name in params}
    found["properties"] = {**anything, **found.get("properties", {})}
    found["additionalProperties"] = False


def _required_keys(found: Schema, made: Field, params: tuple[Any, ...]) -> None:
    found["type"] = "object"
    found["required"] = sorted({*found.get("required", ()), *map(str, params)})


_CONVERTERS: dict[str, Callable[[Schema, Field, tuple[Any, ...]], None]] = {
    "min": _least,
    "max": _most,
    "between": _both,
    "size": _both,
    "gt": _exclusive("exclusiveMinimum"),
    "gte": _exclusive("minimum"),
    "lt": _exclusive("exclusiveMaximum"),
    "lte": _exclusive("maximum"),
    "in": _listed,
    "enum": _enum,
    "regex": _pattern,
    "digits": _digits,
    "digits_between": _digits,
    "multiple_of": _multiple,
    "array": _keys,
    "array_keys": _keys,
    "required_array_keys": _required_keys,
}


# --- types ------------------------------------------------------------------------------------

_BY_TYPE: dict[Any, Schema] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    Decimal: {"type": "string", "format": "decimal"},
    datetime: {"type": "string", "format": "date-time"},
    date: {"type": "string", "format": "date"},
    time: {"type": "string", "format": "time"},
    UUID: {"type": "string", "format": "uuid"},
    type(None): {"type": "null"},
}


def type_schema(annotation: Any) -> Schema:
    """The schema for values of *annotation*; `{}`, which is anything, for what is not known."""
    if annotation in _BY_TYPE:
        return dict(_BY_TYPE[annotation])
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        return {"anyOf": [type_schema(arg) for arg in args]}
    if annotation in (list, tuple) or origin in (list, tuple):
        return {"type": "array", "items": type_schema(args[0]) if args else {}}
    if annotation is dict or origin is dict:
        values = type_schema(args[1]) if args else {}
        return {"type": "object", "additionalProperties": values}
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return {"enum": [member.value for member in annotation]}
    if isinstance(annotation, type) and dataclasses.is_dataclass(annotation):
        return _dataclass_schema(annotation)
    return {}


def _dataclass_schema(cls: type) -> Schema:
    hints = typing.get_type_hints(cls)
    fields = dataclasses.fields(cls)
    return {
        "type": "object",
        "properties": {f.name: type_schema(hints[f.name]) for f in fields},
        "required": [f.name for f in fields],
    }
