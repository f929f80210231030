"""`Rule.…`: rules with parameters that do not fit into a text."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import Enum
from typing import Any

from so.http.validation.fields import At, ForEach, Params, RuleCheck
from so.http.validation.presence import DatabaseRule
from so.http.validation.presence_rules import required_when
from so.http.validation.registry import RULES, Test
from so.http.validation.spec import Conditional, built_in


class EnumRule:
    """`Rule.enum(Status)`, narrowed by `.only(…)` and `.except_(…)`."""

    def __init__(self, cls: type[Enum]) -> None:
        """Accept the values of *cls*."""
        self.cls = cls
        self._only: tuple[Enum, ...] = ()
        self._hidden: tuple[Enum, ...] = ()

    def only(self, *members: Any) -> EnumRule:
        """Accept these members and no others."""
        self._only = _flat(members)
        return self

    def except_(self, *members: Any) -> EnumRule:
        """Accept all members but these."""
        self._hidden = _flat(members)
        return self

    def as_check(self) -> RuleCheck:
        """The rule as a field holds it."""
        return built_in("enum", self.cls, self._only, self._hidden)


class DimensionsRule:
    """`Rule.dimensions(min_width=100, ratio='3/2')`, or the same as methods."""

    def __init__(self, **limits: Any) -> None:
        """Accept pictures within *limits*, in pixels."""
        self.limits = limits

    def __getattr__(self, name: str) -> Callable[[Any], DimensionsRule]:
        """`.min_width(100)` and its like."""
        if name.startswith("_"):
            raise AttributeError(name)

        def limit(value: Any) -> DimensionsRule:
            self.limits[name] = value
            return self

        return limit

    def as_check(self) -> RuleCheck:
        """The rule as a field holds it."""
        return built_in("dimensions", *(f"{name}={value}" for name, value in self.limits.items()))


class Rule:
    """The builders; none of them is instantiated."""

    @staticmethod
    def unique(table: Any, column: str | None = None) -> DatabaseRule:
        """No row of *table* (`[connection.]table`, or a model) holds the value in *column*."""
        return DatabaseRule("unique", table, column)

    @staticmethod
    def exists(table: Any, column: str | None = None) -> DatabaseRule:
        """Some row of *table* holds the value in *column* (default: named as the field)."""
        return DatabaseRule("exists", table, column)

    @staticmethod
    def in_(*values: Any) -> RuleCheck:
        """One of *values*, given one by one or as a list."""
        return _listing("in", values)

    @staticmethod
    def not_in(*values: Any) -> RuleCheck:
        """None of *values*."""
        return _listing("not_in", values)

    @staticmethod
    def required_if(condition: bool | str | Callable[[], bool], *values: Any) -> RuleCheck:
        """Required if *condition*: a bool, or a callable asked when the field is checked.

        With *values* the condition names another field, which must have one of them.
        """
        if isinstance(condition, str):
            return built_in("required_if", condition, *values)
        return RuleCheck("required", (condition,), required_when, implicit=True)

    @staticmethod
    def prohibited_if(condition: bool | str | Callable[[], bool], *values: Any) -> RuleCheck:
        """Not given if *condition*; takes what `required_if` takes."""
        if isinstance(condition, str):
            return built_in("prohibited_if", condition, *values)
        return RuleCheck("prohibited", (condition,), _only_if(RULES["prohibited"].test))

    @staticmethod
    def exclude_if(condition: bool | str | Callable[[], bool], *values: Any) -> RuleCheck:
        """Not part of the validated data if *condition*; takes what `required_if` takes."""
        if isinstance(condition, str):
            return built_in("exclude_if", condition, *values)
        return RuleCheck("exclude", (condition,), _only_if(RULES["exclude"].test), implicit=True)

    @staticmethod
    def any_of(*choices: Any) -> RuleCheck:
        """What satisfies one of several sets of rules, given one by one or in a list."""
        several = len(choices) == 1 and isinstance(choices[0], (list, tuple))
        return RuleCheck("any_of", tuple(choices[0]) if several else choices, _fits_one)

    @staticmethod
    def contains(*values: Any) -> RuleCheck:
        """A list that holds all of *values*."""
        return _listing("contains", values)

    @staticmethod
    def doesnt_contain(*values: Any) -> RuleCheck:
        """A list that holds none of *values*."""
        return _listing("doesnt_contain", values)

    @staticmethod
    def when(condition: Any, rules: Any, otherwise: Any = ()) -> Conditional:
        """*rules* if *condition* (a bool, or called with the data), else *otherwise*."""
        return Conditional(condition, rules, otherwise)

    @staticmethod
    def dimensions(**limits: Any) -> DimensionsRule:
        """A picture within *limits*: width, height, min_…, max_… in pixels, ratio."""
        return DimensionsRule(**limits)

    @staticmethod
    def enum(cls: type[Enum]) -> EnumRule:
        """The value of a member of *cls*."""
        return EnumRule(cls)

    @staticmethod
    def for_each(make: Callable[..., Any]) -> ForEach:
        """For a wildcard field: *make(value, attribute)* gives the rules of each item."""
        return ForEach(make)


def _only_if(test: Test) -> Test:
    """*test* where the condition held that is the first parameter."""

    def conditional(value: Any, params: Params, at: At) -> bool:
        condition = params[0]
        holds = condition() if callable(condition) else condition
        return not holds or test(value, (), at)

    return conditional


def _fits_one(value: Any, params: Params, at: At) -> bool:
    validator: Any = type(at.run)
    name = at.field.segments[-1]
    return any(
        validator({name: value}, {name: rules}, presence=at.run.presence).passes()
        for rules in params
    )


def _listing(name: str, values: Iterable[Any]) -> RuleCheck:
    # Not through built_in: a list computed by the application may well be empty.
    return RuleCheck(name, _flat(values), RULES[name].test)


def _flat(values: Iterable[Any]) -> tuple[Any, ...]:
    found: list[Any] = []
    for value in values:
        if isinstance(value, (list, tuple, set, frozenset)):
            found += value
        elif isinstance(value, type) and issubclass(value, Enum):
            found += list(value)
        else:
            found.append(value)
    return tuple(found)
