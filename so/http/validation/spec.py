"""From what a developer writes (`'required|max:5'`, lists, objects) to fields with checks.

Everything that can be wrong with a rule is found here, when the validator is made: names that do
not exist, missing parameters, patterns that do not compile.
"""

from __future__ import annotations

import csv
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from so.errors import InvalidRuleError
from so.http.validation.fields import FLAGS, At, Field, ForEach, Params, RuleCheck
from so.http.validation.registry import RAW_PARAMETER, RULES, Definition
from so.support.near import nearest
from so.support.plain import plain


class Conditional:
    """`Rule.when(condition, rules, otherwise)`: decided when the validator is made."""

    def __init__(self, condition: Any, rules: Any, otherwise: Any = ()) -> None:
        """*condition* is a bool, or is called with the data."""
        self.condition = condition
        self.rules = rules
        self.otherwise = otherwise

    def chosen(self, data: Any) -> Any:
        """The rules that hold for *data*."""
        holds = self.condition(data) if callable(self.condition) else self.condition
        return self.rules if holds else self.otherwise


@dataclass(slots=True)
class Custom:
    """A rule of the application's own, by name: `Validator.extend('vat', fn, message)`."""

    fn: Callable[..., Any]
    message: str | None = None
    implicit: bool = False


def field(name: str, spec: Any, data: Any, custom: Mapping[str, Custom]) -> Field:
    """The field *name* for what the developer wrote; raises InvalidRuleError."""
    if isinstance(spec, str):
        checks, flags = _from_text(spec, custom)
        return Field(name, checks, flags)
    checks, flags = [], set()
    for_each = None
    for part in flat(spec, data):
        if isinstance(part, ForEach):
            for_each = part
        elif isinstance(part, str):
            more, marks = _from_parts((part,), custom)
            checks += more
            flags |= marks
        else:
            checks.append(_from_object(part))
    made = Field(name, checks, flags)
    made.for_each = for_each
    return made


def flat(spec: Any, data: Any) -> list[Any]:
    """The single rules in *spec*: pipes split, lists opened, conditions decided."""
    if isinstance(spec, Conditional):
        return flat(spec.chosen(data), data)
    if isinstance(spec, str):
        return [part for part in spec.split("|") if part]
    if isinstance(spec, (list, tuple)):
        found: list[Any] = []
        for part in spec:
            # Inside a list a text is one rule, so that a pattern may contain a bar.
            found += [part] if isinstance(part, str) else flat(part, data)
        return found
    return [] if spec is None else [spec]


def _from_text(spec: str, custom: Mapping[str, Custom]) -> tuple[list[RuleCheck], set[str]]:
    if not custom:
        checks, flags = _known_text(spec)
        return list(checks), set(flags)
    return _from_parts(tuple(part for part in spec.split("|") if part), custom, spec)


@lru_cache(maxsize=2048)
def _known_text(spec: str) -> tuple[tuple[RuleCheck, ...], frozenset[str]]:
    checks, flags = _from_parts(tuple(part for part in spec.split("|") if part), {}, spec)
    return tuple(checks), frozenset(flags)


def _from_parts(
    parts: Iterable[str], custom: Mapping[str, Custom], whole: str = ""
) -> tuple[list[RuleCheck], set[str]]:
    checks: list[RuleCheck] = []
    flags: set[str] = set()
    for part in parts:
        name, params = parse(part)
        if name in FLAGS:
            flags.add(name)
        else:
            checks.append(_named(name, params, custom, whole))
    return checks, flags


def parse(text: str) -> tuple[str, tuple[str, ...]]:
    """`between:1,5` as ('between', ('1', '5')); quoted parameters may contain commas."""
    name, colon, rest = text.partition(":")
    name = name.strip().lower()
    if not colon:
        return name, ()
    if name in RAW_PARAMETER:
        return name, (rest,)
    if '"' in rest:
        return name, tuple(next(csv.reader([rest])))
    return name, tuple(rest.split(","))


def _named(name: str, params: Params, custom: Mapping[str, Custom], whole: str = "") -> RuleCheck:
    own = custom.get(name)
    if own is not None:
        return RuleCheck(name, params, _extension(own), own.implicit, None, own.message)
    known = RULES.get(name)
    if known is None:
        raise InvalidRuleError(_unknown(name, custom, whole))
    _check_params(known, params)
    return RuleCheck(name, params, known.test, known.implicit)


def built_in(name: str, *params: Any) -> RuleCheck:
    """The built-in rule *name* with *params* that need not be texts."""
    return _named(name, params, {})


def _check_params(known: Definition, params: Params) -> None:
    if len(params) < known.least:
        plural = "" if known.least == 1 else "s"
        raise InvalidRuleError(
            f"validation rule {known.name} needs at least {known.least} parameter{plural}: "
            f"write {known.name}:{','.join('…' for _ in range(known.least))}"
        )
    if known.check is not None:
        known.check(known.name, params)


def _unknown(name: str, custom: Mapping[str, Custom], whole: str) -> str:
    if "regex:" in whole:
        return (
            f"unknown validation rule {name!r}: a pattern that contains | must be an item of a "
            f"list, as in ['required', 'regex:/a|b/']"
        )
    near = nearest(name, [*RULES, *FLAGS, *custom])
    mend = f"did you mean {near!r}?" if near else "add it with Validator.extend(name, fn)"
    return f"unknown validation rule {name!r}: {mend}"


# --- objects and callables ------------------------------------------------------------------------


def _from_object(rule: Any) -> RuleCheck:
    if isinstance(rule, RuleCheck):
        return rule
    if hasattr(rule, "as_check"):
        check: RuleCheck = rule.as_check()
        return check
    name = getattr(rule, "__name__", None) or type(rule).__name__
    implicit = bool(getattr(rule, "implicit", False))
    if callable(getattr(rule, "passes", None)):
        plain(rule.passes, "the rule")
        return RuleCheck(name, (), _passes_test(rule), implicit, rule)
    if callable(rule):
        plain(rule, "the rule")
        return RuleCheck(name, (), _call_test(rule), implicit, rule)
    raise InvalidRuleError(
        f"{rule!r} is no validation rule: give a text, a callable, "
        f"or an object with passes(attribute, value) and message()"
    )


def _passes_test(rule: Any) -> Callable[[Any, Params, At], bool]:
    def test(value: Any, params: Params, at: At) -> bool:
        _tell(rule, at)
        if rule.passes(at.path, value):
            return True
        said = rule.message() if callable(getattr(rule, "message", None)) else None
        at.run.say(at, said)
        return False

    return test


def _call_test(rule: Any) -> Callable[[Any, Params, At], bool]:
    takes_all = arity(rule) >= 3

    def test(value: Any, params: Params, at: At) -> bool:
        _tell(rule, at)
        said: list[str] = []
        answer = rule(at.path, value, said.append) if takes_all else rule(value)
        if isinstance(answer, str):
            said.append(answer)
        if not said and answer is not False:
            return True
        at.run.say(at, said)
        return False

    return test


def _tell(rule: Any, at: At) -> None:
    """Show the data, or the whole validator, to a rule object that asks for it."""
    if hasattr(rule, "set_data"):
        rule.set_data(at.run.data)
    if hasattr(rule, "set_validator"):
        rule.set_validator(at.run)


def _extension(own: Custom) -> Callable[[Any, Params, At], bool]:
    takes = arity(own.fn)

    def test(value: Any, params: Params, at: At) -> bool:
        given = (at.path, value, list(params), at.run)
        return bool(own.fn(value) if takes == 1 else own.fn(*given[:takes]))

    return test


def arity(fn: Callable[..., Any]) -> int:
    """How many arguments *fn* takes by position; one for what cannot be asked."""
    try:
        params = inspect.signature(fn).parameters.values()
    except (TypeError, ValueError):
        return 1
    if any(p.kind is p.VAR_POSITIONAL for p in params):
        return 4
    return sum(p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in params)
