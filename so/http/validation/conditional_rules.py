"""Rules that hold under a condition on another field: `missing_if`, `present_with`, …

Each is an outcome (missing, present, prohibited, …) under a condition (if, unless, with, …); the
table at the end says which there are. `required_if` and its kin stand in presence_rules.py.
"""

from __future__ import annotations

from typing import Any

from so.http.validation.fields import At, Params
from so.http.validation.paths import ABSENT
from so.http.validation.presence_rules import (
    accepted,
    declined,
    is_given,
    missing,
    other_is,
    present,
    prohibited,
    required,
)
from so.http.validation.registry import Test, rule

Condition = tuple[Test, int]


def _is_present(name: Any, at: At) -> bool:
    return at.other(name) is not ABSENT


_CONDITIONS: dict[str, Condition] = {
    "if": (lambda value, params, at: other_is(params, at), 2),
    "unless": (lambda value, params, at: not other_is(params, at), 2),
    "with": (lambda value, params, at: any(_is_present(name, at) for name in params), 1),
    "with_all": (lambda value, params, at: all(_is_present(name, at) for name in params), 1),
    "if_accepted": (lambda value, params, at: accepted(at.other(params[0]), (), at), 1),
    "if_declined": (lambda value, params, at: declined(at.other(params[0]), (), at), 1),
}


def _under(condition: Test, outcome: Test) -> Test:
    def test(value: Any, params: Params, at: At) -> bool:
        return not condition(value, params, at) or outcome(value, (), at)

    return test


def _enter(outcome: Test, conditions: str, implicit: bool = True) -> None:
    for name in conditions.split():
        condition, least = _CONDITIONS[name]
        entered = rule(f"{outcome.__name__}_{name}", implicit=implicit, least=least)
        entered(_under(condition, outcome))


_enter(missing, "if unless with with_all")
_enter(present, "if unless with with_all")
_enter(accepted, "if")
_enter(declined, "if")
_enter(required, "if_accepted if_declined")
_enter(prohibited, "unless if_accepted if_declined", implicit=False)


@rule("prohibits", least=1)
def prohibits(value: Any, params: Params, at: At) -> bool:
    """None of the others is given, if this one is."""
    return not is_given(value) or not any(is_given(at.other(name)) for name in params)


@rule("exclude_with", implicit=True, least=1)
def exclude_with(value: Any, params: Params, at: At) -> bool:
    """Not part of the validated data while any of the others is there."""
    return not any(_is_present(name, at) for name in params)


@rule("exclude_without", implicit=True, least=1)
def exclude_without(value: Any, params: Params, at: At) -> bool:
    """Not part of the validated data while any of the others is not given."""
    return all(is_given(at.other(name)) for name in params)
