"""Rules about dates: date, date_format, after, before, …

A parameter is a date in any usual form, a relative one (`today`, `+1 week`) or another field.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from datetime import datetime
from typing import Any

from so.http.validation import dates
from so.http.validation.fields import At, Params
from so.http.validation.paths import ABSENT
from so.http.validation.registry import rule
from so.http.validation.values import is_blank


@rule("date")
def date(value: Any, params: Params, at: At) -> bool:
    """A date in a usual form; a relative one such as `tomorrow` is none."""
    return dates.parse(value) is not None


def _known_letters(name: str, params: Params) -> None:
    for written in params:
        if "%" not in written:
            dates.compiled(written)


@rule("date_format", least=1, check=_known_letters)
def date_format(value: Any, params: Params, at: At) -> bool:
    """A text that fits one of the formats exactly."""
    written = str(value) if type(value) is int else value
    return any(dates.parse_format(written, form) is not None for form in params)


def _compare(
    value: Any, params: Params, at: At, holds: Callable[[datetime, datetime], bool]
) -> bool:
    forms = next((c.params for c in at.field.checks if c.name == "date_format"), ())
    mine = _read(value, forms)
    theirs = _read(params[0], forms) or dates.parse_relative(params[0], at.run.now())
    if theirs is None:
        other = at.other(str(params[0]))
        if mine is not None and (other is ABSENT or is_blank(other)):
            return True  # whether the other must be given is for its own rules to say
        theirs = _read(other, forms)
    return mine is not None and theirs is not None and holds(mine, theirs)


def _read(value: Any, forms: Params) -> datetime | None:
    """By the field's own formats if it has any, else in any usual form."""
    if isinstance(value, str) and forms:
        found = (dates.parse_format(value, form) for form in forms)
        return next((moment for moment in found if moment is not None), None)
    return dates.parse(value)


@rule("after", least=1)
def after(value: Any, params: Params, at: At) -> bool:
    """Later than the parameter."""
    return _compare(value, params, at, operator.gt)


@rule("after_or_equal", least=1)
def after_or_equal(value: Any, params: Params, at: At) -> bool:
    """Not before the parameter."""
    return _compare(value, params, at, operator.ge)


@rule("before", least=1)
def before(value: Any, params: Params, at: At) -> bool:
    """Earlier than the parameter."""
    return _compare(value, params, at, operator.lt)


@rule("before_or_equal", least=1)
def before_or_equal(value: Any, params: Params, at: At) -> bool:
    """Not after the parameter."""
    return _compare(value, params, at, operator.le)


@rule("date_equals", least=1)
def date_equals(value: Any, params: Params, at: At) -> bool:
    """The same moment as the parameter."""
    return _compare(value, params, at, operator.eq)
