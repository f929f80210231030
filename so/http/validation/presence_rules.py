"""Rules about whether a field is there at all, and whether it may be: required, missing, …"""

from __future__ import annotations

from typing import Any

from so.http.validation.fields import At, Params
from so.http.validation.paths import ABSENT
from so.http.validation.registry import rule
from so.http.validation.values import is_array, is_blank, is_file, text
from so.support.current import current


def is_given(value: Any) -> bool:
    """True for what `required` accepts."""
    if value is ABSENT or is_blank(value):
        return False
    return not (is_file(value) and not getattr(value, "client_name", ""))


@rule("required", implicit=True)
def required(value: Any, params: Params, at: At) -> bool:
    """Something that is not blank."""
    return is_given(value)


@rule("filled", implicit=True)
def filled(value: Any, params: Params, at: At) -> bool:
    """Not blank, if it is there."""
    return value is ABSENT or is_given(value)


@rule("present", implicit=True)
def present(value: Any, params: Params, at: At) -> bool:
    """There, blank or not."""
    return value is not ABSENT


@rule("missing", implicit=True)
def missing(value: Any, params: Params, at: At) -> bool:
    """Not there."""
    return value is ABSENT


@rule("prohibited")
def prohibited(value: Any, params: Params, at: At) -> bool:
    """Not there, or blank."""
    return not is_given(value)


@rule("prohibited_if", least=2)
def prohibited_if(value: Any, params: Params, at: At) -> bool:
    """Not given while another field has one of the values."""
    return not other_is(params, at) or not is_given(value)


@rule("required_if", implicit=True, least=2)
def required_if(value: Any, params: Params, at: At) -> bool:
    """Given, if another field has one of the values."""
    if at.other(params[0]) is ABSENT:
        return True
    return not other_is(params, at) or is_given(value)


@rule("required_unless", implicit=True, least=2)
def required_unless(value: Any, params: Params, at: At) -> bool:
    """Given, unless another field has one of the values."""
    return other_is(params, at) or is_given(value)


@rule("required_with", implicit=True, least=1)
def required_with(value: Any, params: Params, at: At) -> bool:
    """Given, if any of the others is given."""
    return is_given(value) or not any(is_given(at.other(name)) for name in params)


@rule("required_with_all", implicit=True, least=1)
def required_with_all(value: Any, params: Params, at: At) -> bool:
    """Given, if all of the others are given."""
    return is_given(value) or not all(is_given(at.other(name)) for name in params)


@rule("required_without", implicit=True, least=1)
def required_without(value: Any, params: Params, at: At) -> bool:
    """Given, if any of the others is not."""
    return is_given(value) or all(is_given(at.other(name)) for name in params)


@rule("required_without_all", implicit=True, least=1)
def required_without_all(value: Any, params: Params, at: At) -> bool:
    """Given, if none of the others is."""
    return is_given(value) or any(is_given(at.other(name)) for name in params)


def required_when(value: Any, params: Params, at: At) -> bool:
    """Given, if the condition held: the `required` of `Rule.required_if(…)`."""
    condition = params[0]
    return not (condition() if callable(condition) else condition) or is_given(value)


@rule("accepted", implicit=True)
def accepted(value: Any, params: Params, at: At) -> bool:
    """Yes: `yes`, `on`, `1`, `true`, 1 or True."""
    return value is True or (type(value) is int and value == 1) or _is_yes(value)


def _is_yes(value: Any) -> bool:
    return isinstance(value, str) and value in ("yes", "on", "1", "true")


@rule("declined", implicit=True)
def declined(value: Any, params: Params, at: At) -> bool:
    """No: `no`, `off`, `0`, `false`, 0 or False."""
    if isinstance(value, str):
        return value in ("no", "off", "0", "false")
    return value is False or (type(value) is int and value == 0)


@rule("exclude", implicit=True)
def exclude(value: Any, params: Params, at: At) -> bool:
    """Never part of the validated data."""
    return False


@rule("exclude_if", implicit=True, least=2)
def exclude_if(value: Any, params: Params, at: At) -> bool:
    """Not part of the validated data while another field has one of the values."""
    return at.other(params[0]) is ABSENT or not other_is(params, at)


@rule("exclude_unless", implicit=True, least=2)
def exclude_unless(value: Any, params: Params, at: At) -> bool:
    """Part of the validated data only while another field has one of the values."""
    return at.other(params[0]) is not ABSENT and other_is(params, at)


def other_is(params: Params, at: At) -> bool:
    """True if the field params[0] has one of the values behind it.

    `true` and `false` mean booleans where the other field holds one or is ruled boolean, `null`
    means null where it holds none; everything else is compared as text.
    """
    other = at.other(params[0])
    wanted = params[1:]
    if other is ABSENT or other is None:
        return "null" in wanted or None in wanted
    if isinstance(other, bool) or at.run.is_ruled(params[0], "boolean"):
        return any(_as_bool(value) is _as_bool(other) for value in wanted)
    if is_array(other):
        return False
    return text(other) in [text(value) for value in wanted]


def _as_bool(value: Any) -> Any:
    words = {"true": True, "1": True, "false": False, "0": False}
    return words.get(str(value).lower(), value)


@rule("current_password")
def current_password(value: Any, params: Params, at: At) -> bool:
    """The password of whoever is logged in; counted like a login, LockoutException included."""
    return isinstance(value, str) and bool(current("current_password")(value))
