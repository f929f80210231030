"""What people read when a rule fails: the English messages, and how their blanks are filled.

The words are Laravel's. An application overrides any of them by `field.rule` or `rule`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from so.http.validation import dates, paths
from so.http.validation.fields import At, RuleCheck
from so.http.validation.paths import ABSENT
from so.http.validation.values import is_array, is_file, is_number, size, text

_FIELD: Final = "The :attribute field "


def _sized(numeric: str, file: str, string: str, array: str) -> dict[str, str]:
    kinds = {"numeric": numeric, "file": file, "string": string, "array": array}
    return {kind: f"{_FIELD}{words}." for kind, words in kinds.items()}


def _compared(words: str, array: str) -> dict[str, str]:
    return _sized(
        f"must be {words} :value",
        f"must be {words} :value kilobytes",
        f"must be {words} :value characters",
        array,
    )


_WORDS: Final[dict[str, str]] = {
    "accepted": "must be accepted",
    "accepted_if": "must be accepted when :other is :value",
    "after": "must be a date after :date",
    "after_or_equal": "must be a date after or equal to :date",
    "alpha": "must only contain letters",
    "alpha_dash": "must only contain letters, numbers, dashes, and underscores",
    "alpha_num": "must only contain letters and numbers",
    "array": "must be an array",
    "array_keys": "must only contain the following keys: :values",
    "ascii": "must only contain single-byte alphanumeric characters and symbols",
    "before": "must be a date before :date",
    "before_or_equal": "must be a date before or equal to :date",
    "boolean": "must be true or false",
    "confirmed": "confirmation does not match",
    "contains": "is missing a required value",
    "date": "must be a valid date",
    "date_equals": "must be a date equal to :date",
    "date_format": "must match the format :format",
    "decimal": "must have :decimal decimal places",
    "declined": "must be declined",
    "declined_if": "must be declined when :other is :value",
    "different": "and :other must be different",
    "digits": "must be :digits digits",
    "digits_between": "must be between :min and :max digits",
    "dimensions": "has invalid image dimensions",
    "distinct": "has a duplicate value",
    "doesnt_contain": "must not contain any of the following: :values",
    "doesnt_end_with": "must not end with one of the following: :values",
    "doesnt_start_with": "must not start with one of the following: :values",
    "email": "must be a valid email address",
    "ends_with": "must end with one of the following: :values",
    "extensions": "must have one of the following extensions: :values",
    "file": "must be a file",
    "filled": "must have a value",
    "hex_color": "must be a valid hexadecimal color",
    "image": "must be an image",
    "in_array": "must exist in :other",
    "in_array_keys": "must contain at least one of the following keys: :values",
    "integer": "must be an integer",
    "ip": "must be a valid IP address",
    "ipv4": "must be a valid IPv4 address",
    "ipv6": "must be a valid IPv6 address",
    "json": "must be a valid JSON string",
    "list": "must be a list",
    "lowercase": "must be lowercase",
    "mac_address": "must be a valid MAC address",
    "max_digits": "must not have more than :max digits",
    "mimes": "must be a file of type: :values",
    "mimetypes": "must be a file of type: :values",
    "min_digits": "must have at least :min digits",
    "missing": "must be missing",
    "missing_if": "must be missing when :other is :value",
    "missing_unless": "must be missing unless :other is :value",
    "missing_with": "must be missing when :values is present",
    "missing_with_all": "must be missing when :values are present",
    "multiple_of": "must be a multiple of :value",
    "not_regex": "format is invalid",
    "numeric": "must be a number",
    "present": "must be present",
    "present_if": "must be present when :other is :value",
    "present_unless": "must be present unless :other is :value",
    "present_with": "must be present when :values is present",
    "present_with_all": "must be present when :values are present",
    "prohibited": "is prohibited",
    "prohibited_if": "is prohibited when :other is :value",
    "prohibited_if_accepted": "is prohibited when :other is accepted",
    "prohibited_if_declined": "is prohibited when :other is declined",
    "prohibited_unless": "is prohibited unless :other is in :values",
    "prohibits": "prohibits :other from being present",
    "regex": "format is invalid",
    "required": "is required",
    "required_array_keys": "must contain entries for: :values",
    "required_if": "is required when :other is :value",
    "required_if_accepted": "is required when :other is accepted",
    "required_if_declined": "is required when :other is declined",
    "required_unless": "is required unless :other is in :values",
    "required_with": "is required when :values is present",
    "required_with_all": "is required when :values are present",
    "required_without": "is required when :values is not present",
    "required_without_all": "is required when none of :values are present",
    "same": "must match :other",
    "starts_with": "must start with one of the following: :values",
    "string": "must be a string",
    "timezone": "must be a valid timezone",
    "ulid": "must be a valid ULID",
    "uppercase": "must be uppercase",
    "url": "must be a valid URL",
    "uuid": "must be a valid UUID",
}

MESSAGES: Final[dict[str, str | dict[str, str]]] = {
    **{name: f"{_FIELD}{words}." for name, words in _WORDS.items()},
    **dict.fromkeys(("enum", "exists", "in", "not_in"), "The selected :attribute is invalid."),
    "unique": "The :attribute has already been taken.",
    "current_password": "The password is incorrect.",
    "uploaded": "The :attribute failed to upload.",
    "between": _sized(
        "must be between :min and :max",
        "must be between :min and :max kilobytes",
        "must be between :min and :max characters",
        "must have between :min and :max items",
    ),
    "gt": _compared("greater than", "must have more than :value items"),
    "gte": _compared("greater than or equal to", "must have :value items or more"),
    "lt": _compared("less than", "must have less than :value items"),
    "lte": _compared("less than or equal to", "must not have more than :value items"),
    "max": _sized(
        "must not be greater than :max",
        "must not be greater than :max kilobytes",
        "must not be greater than :max characters",
        "must not have more than :max items",
    ),
    "min": _sized(
        "must be at least :min",
        "must be at least :min kilobytes",
        "must be at least :min characters",
        "must have at least :min items",
    ),
    "size": _sized(
        "must be :size",
        "must be :size kilobytes",
        "must be :size characters",
        "must contain :size items",
    ),
}
"""The English message of every rule; those about sizes have one for each kind of value."""

INVALID: Final = "The :attribute field is invalid."
"""For a rule of the application's own that says nothing itself."""

_BLANK = re.compile(r":([A-Za-z][A-Za-z_]*)")
_CAPITAL = re.compile(r"(.)(?=[A-Z])")
_COMPARING = frozenset({"gt", "gte", "lt", "lte"})


def message(at: At, check: RuleCheck, value: Any) -> str:
    """The message for *check* failing at *at*, with its blanks filled."""
    return fill(template(at, check, value), at, value, blanks(at, check, value))


def template(at: At, check: RuleCheck, value: Any) -> str:
    """The words with blanks: the application's for this field, its own for the rule, or ours."""
    custom = at.run.messages
    kind = kind_of(at, check, value)
    if custom:
        for name in (at.path, at.field.name):
            for rule in (f"{check.name}.{kind}", check.name):
                found = custom.get(f"{name}.{rule}")
                if found is not None:
                    return found
        found = custom.get(f"{check.name}.{kind}", custom.get(check.name))
        if found is not None:
            return found
    known = check.message or MESSAGES.get(check.name, INVALID)
    return known if isinstance(known, str) else known[kind]


def kind_of(at: At, check: RuleCheck, value: Any) -> str:
    """How the size of *value* is told: numeric, array, file or string."""
    if at.field.numeric or (check.name in _COMPARING and is_number(value)):
        return "numeric"
    if is_array(value) or not at.field.names.isdisjoint(("array", "list")):
        return "array"
    return "file" if is_file(value) else "string"


def fill(words: str, at: At, value: Any, extra: Mapping[str, str]) -> str:
    """*words* with every blank known filled, in one pass, so that input cannot add blanks."""

    def filled(found: re.Match[str]) -> str:
        name = found[1]
        lower = name.lower()
        said = extra.get(lower)
        if said is None:
            said = _standing(lower, at, value)
        if said is None:
            return found[0]
        if name.isupper():
            return said.upper()
        return said[:1].upper() + said[1:] if name[0].isupper() else said

    return _BLANK.sub(filled, words)


def _standing(name: str, at: At, value: Any) -> str | None:
    if name == "attribute":
        return display(at, at.path, at.field.name)
    if name == "input":
        return _shown(value)
    if name in ("index", "position") and at.indexes:
        last = at.indexes[-1]
        shift = 1 if name == "position" else 0
        return str(last + shift) if isinstance(last, int) else str(last)
    return None


def display(at: At, path: str, pattern: str | None = None) -> str:
    """The name of a field as people read it: `unit price` for unit_price."""
    names = at.run.attribute_names
    found = names.get(path) or (names.get(pattern) if pattern else None)
    return found or _CAPITAL.sub(r"\1_", path).lower().replace("_", " ")


def _shown(value: Any) -> str:
    """A value inside a message."""
    if value is ABSENT or value is None:
        return "empty"
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if is_array(value) or is_file(value) else text(value)


# --- the blanks of each rule ----------------------------------------------------------------------


def blanks(at: At, check: RuleCheck, value: Any) -> dict[str, str]:
    """What stands in the blanks of *check*'s message."""
    fill_in = _BLANKS.get(check.name)
    return fill_in(at, check.params) if fill_in is not None else {}


Blanks = Callable[[At, tuple[Any, ...]], dict[str, str]]


def _numbers(*names: str) -> Blanks:
    return lambda at, params: dict(zip(names, map(text, params), strict=False))


def _listed(at: At, params: tuple[Any, ...]) -> dict[str, str]:
    return {"values": ", ".join(map(text, params))}


def _fields(at: At, params: tuple[Any, ...]) -> dict[str, str]:
    return {"values": " / ".join(_other_name(at, name) for name in params)}


def _other(at: At, params: tuple[Any, ...]) -> dict[str, str]:
    return {"other": _other_name(at, params[0])}


def _others(at: At, params: tuple[Any, ...]) -> dict[str, str]:
    return {"other": _fields(at, params)["values"]}


def _other_and_wanted(at: At, params: tuple[Any, ...]) -> dict[str, str]:
    return {**_other(at, params), "value": _shown(params[1])}


def _other_and_value(at: At, params: tuple[Any, ...]) -> dict[str, str]:
    return {**_other(at, params), "value": _shown(at.other(params[0]))}


def _other_and_values(at: At, params: tuple[Any, ...]) -> dict[str, str]:
    return {**_other(at, params), "values": ", ".join(map(text, params[1:]))}


def _other_name(at: At, name: str) -> str:
    return display(at, at.other_path(name), name)


def _date(at: At, params: tuple[Any, ...]) -> dict[str, str]:
    written = str(params[0])
    known = dates.parse_relative(params[0], at.run.now()) is not None
    return {"date": written if known else _other_name(at, written)}


def _compared_size(at: At, params: tuple[Any, ...]) -> dict[str, str]:
    other = at.other(str(params[0]))
    if other is ABSENT or other is None:
        shown = text(params[0]) if is_number(params[0]) else _other_name(at, params[0])
        return {"value": shown}
    measured = size(other, is_number(other))
    return {"value": text(measured if isinstance(measured, int) else f"{measured:f}")}


def _decimal(at: At, params: tuple[Any, ...]) -> dict[str, str]:
    return {"decimal": "-".join(map(text, params))}


def _extension(at: At, params: tuple[Any, ...]) -> dict[str, str]:
    return {"other": _other_name(at, params[0]) if paths.STAR not in params[0] else params[0]}


def _named(outcomes: str, conditions: str) -> list[str]:
    """`required_with`, `missing_with`, …"""
    return [f"{one}_{name}" for one in outcomes.split() for name in conditions.split()]


_LISTING = (
    "in not_in mimes mimetypes extensions starts_with ends_with doesnt_start_with doesnt_end_with "
    "array_keys required_array_keys in_array_keys doesnt_contain"
)

_BLANKS: Final[dict[str, Blanks]] = {
    "min": _numbers("min"),
    "max": _numbers("max"),
    "size": _numbers("size"),
    "between": _numbers("min", "max"),
    "digits": _numbers("digits"),
    "digits_between": _numbers("min", "max"),
    "multiple_of": _numbers("value"),
    "date_format": _numbers("format"),
    "decimal": _decimal,
    "same": _other,
    "different": _other,
    "in_array": _extension,
    "min_digits": _numbers("min"),
    "max_digits": _numbers("max"),
    **dict.fromkeys(
        _named("required prohibited missing present accepted declined", "if"), _other_and_value
    ),
    **dict.fromkeys(_named("missing present", "unless"), _other_and_wanted),
    **dict.fromkeys(_named("required prohibited", "unless"), _other_and_values),
    **dict.fromkeys(_named("required prohibited", "if_accepted if_declined"), _other),
    **dict.fromkeys(_named("required missing present", "with with_all"), _fields),
    **dict.fromkeys(_named("required", "without without_all"), _fields),
    "prohibits": _others,
    **dict.fromkeys(_LISTING.split(), _listed),
    **dict.fromkeys(("gt", "gte", "lt", "lte"), _compared_size),
    **dict.fromkeys(("after", "after_or_equal", "before", "before_or_equal", "date_equals"), _date),
}
