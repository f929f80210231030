"""What is checked: fields with their checks, and the one place under test.

A rule meets its siblings and the field's other rules through `At`, never the validator itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Protocol

from so.http.validation import paths

Params = tuple[Any, ...]

FLAGS: Final = frozenset({"bail", "nullable", "sometimes"})
"""Rules that test nothing but steer how a field's other rules are run."""

NUMERIC: Final = frozenset({"numeric", "integer", "decimal"})
"""Rules that make the size of a value its number."""


class RuleRun(Protocol):
    """What a rule may ask of the validation that is under way; a Validator gives it."""

    data: Mapping[str, Any]
    messages: dict[str, str]
    attribute_names: dict[str, str]

    @property
    def presence(self) -> Any: ...

    def now(self) -> datetime: ...

    def value_at(self, segments: tuple[str, ...]) -> Any: ...

    def values_at(self, segments: tuple[str, ...]) -> list[Any]: ...

    def is_ruled(self, name: str, rule: str) -> bool: ...

    def shared(self, key: Any, make: Callable[..., Any], *args: Any) -> Any: ...

    def say(self, at: At, said: str | list[str] | None) -> None: ...


@dataclass(frozen=True, slots=True)
class RuleCheck:
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

    def __init__(self, name: str, checks: list[RuleCheck], flags: Iterable[str] = ()) -> None:
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

    def __init__(self, field: Field, indexes: paths.Indexes, run: RuleRun) -> None:
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
