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
from typing import TYPE_CHECKING, Any

from so.errors import InvalidRuleError
from so.http.validation import paths
from so.http.validation.registry import FLAGS, NUMERIC, RAW_PARAMETER, RULES, Definition, Params
from so.support.near import nearest

if TYPE_CHECKING:
    from so.http.validation.validator import Validator


@dataclass(frozen=True, slots=True)
class Check:
    """One rule of one field: a built-in with its parameters, or somebody's own object."""

    name: str
    params: Params
    test: Callable[[Any, Params, At], bool]
    implicit: bool = False
    source: Any = None
    message: str | None = None

    @property
    def studly(self) -> str:
        """The name as `failed()` gives it: RequiredIf."""
        if self.source is not None:
            return self.name
        return "".join(part.capitalize() for part in self.name.split("_"))


class Field:
    """A path as it was ruled (`items.*.sku`) with all that must hold there."""

    __slots__ = ("checks", "for_each", "implicit_checks", "name", "names", "segments")

    def __init__(self, name: str, checks: list[Check], flags: Iterable[str] = ()) -> None:
        """The field *name* with its *checks* in order, and the *flags* that steer them."""
        self.name = name
        self.segments = paths.split(name)
        self.checks = checks
        self.implicit_checks = [check for check in checks if check.implicit]
        self.names = frozenset(flags) | {check.name for check in checks}
        self.for_each: ForEach | None = None

    @property
    def numeric(self) -> bool:
        """True when the size of a value here is its number."""
        return not self.names.isdisjoint(NUMERIC)

    def extended(self, other: Field) -> Field:
        """This field with the checks of *other* behind its own."""
        both = Field(self.name, self.checks + other.checks, (self.names | other.names) & FLAGS)
        both.for_each = self.for_each or other.for_each
        return both


class At:
    """One place under test: the field, and which items its stars stand for here."""

    __slots__ = ("_path", "field", "indexes", "run")

    def __init__(self, field: Field, indexes: paths.Indexes, run: Validator) -> None:
        """The place of *field* given by *indexes*, in the validation *run*."""
        self.field = field
        self.indexes = indexes
        self.run = run
        self._path: str | None = None

    @property
    def path(self) -> str:
        """The concrete path: `items.0.sku`."""
        if self._path is None:
            parts = iter(self.indexes)
            self._path = ".".join(
                str(next(parts, part)) if part == paths.STAR else part
                for part in self.field.segments
            )
        return self._path

    def other(self, name: str) -> Any:
        """The value of the field *name* (its stars meaning the same items), or ABSENT."""
        return self.run.value_at(paths.fill(paths.split(name), self.indexes))

    def other_path(self, name: str) -> str:
        """*name* with its stars filled in, for messages."""
        if paths.STAR not in name:
            return name
        return ".".join(paths.fill(paths.split(name), self.indexes))


class ForEach:
    """`Rule.for_each(fn)`: rules made for each item of a wildcard field from the item itself."""

    def __init__(self, make: Callable[..., Any]) -> None:
        """*make* gets (value, attribute) and gives the rules for it."""
        self.make = make


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


def _from_text(spec: str, custom: Mapping[str, Custom]) -> tuple[list[Check], set[str]]:
    if not custom:
        checks, flags = _known_text(spec)
        return list(checks), set(flags)
    return _from_parts(tuple(part for part in spec.split("|") if part), custom, spec)


@lru_cache(maxsize=2048)
def _known_text(spec: str) -> tuple[tuple[Check, ...], frozenset[str]]:
    checks, flags = _from_parts(tuple(part for part in spec.split("|") if part), {}, spec)
    return tuple(checks), frozenset(flags)


def _from_parts(
    parts: Iterable[str], custom: Mapping[str, Custom], whole: str = ""
) -> tuple[list[Check], set[str]]:
    checks: list[Check] = []
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


def _named(name: str, params: Params, custom: Mapping[str, Custom], whole: str = "") -> Check:
    own = custom.get(name)
    if own is not None:
        return Check(name, params, _extension(own), own.implicit, None, own.message)
    known = RULES.get(name)
    if known is None:
        raise InvalidRuleError(_unknown(name, custom, whole))
    _check_params(known, params)
    return Check(name, params, known.test, known.implicit)


def built_in(name: str, *params: Any) -> Check:
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


def _from_object(rule: Any) -> Check:
    if isinstance(rule, Check):
        return rule
    if hasattr(rule, "as_check"):
        check: Check = rule.as_check()
        return check
    name = getattr(rule, "__name__", None) or type(rule).__name__
    implicit = bool(getattr(rule, "implicit", False))
    if callable(getattr(rule, "passes", None)):
        return Check(name, (), _passes_test(rule), implicit, rule)
    if callable(rule):
        return Check(name, (), _call_test(rule), implicit, rule)
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
