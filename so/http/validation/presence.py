"""What `unique` and `exists` ask a database, and in what words; the answer is handed in.

This room may not know the database. The application gives an object with one method, `found`;
so/db/presence.py has it. Whole lists and all items of a wildcard field are asked for at once.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from so.errors import ConfigError, InvalidRuleError
from so.http.validation.fields import At, Params, RuleCheck
from so.http.validation.paths import ABSENT
from so.http.validation.registry import rule
from so.http.validation.values import is_list, is_scalar

IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_$]*")


class Presence(Protocol):
    """Says which values stand in a column."""

    def found(self, target: Target, values: Sequence[Any]) -> Iterable[Any]:
        """Those of *values*, as they were given, that a row of *target* holds."""


@dataclass(frozen=True, slots=True)
class PresenceCondition:
    """One more condition: *column* is, or with *negated* is not, *value* (None: null)."""

    column: str
    value: Any
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Target:
    """Where to look: a column of a table, rows to leave out, and further conditions."""

    table: str
    column: str = ""
    connection: str | None = None
    ignored: Any = None
    id_column: str = "id"
    wheres: tuple[PresenceCondition, ...] = field(default=())


def identifier(name: str) -> str:
    """*name* if it may stand in SQL as a table or column; raises InvalidRuleError."""
    if IDENTIFIER.fullmatch(name) is None:
        raise InvalidRuleError(f"{name!r} is no name of a table or column: use letters, digits, _")
    return name


def target(table: Any, column: str | None = None) -> Target:
    """The target for `[connection.]table` or a model class, and a column."""
    connection, _, name = str(table).rpartition(".")
    if isinstance(table, type):
        # A model is met by its shape: where its rows are, it says itself.
        name = str(getattr(table, "table", table.__name__))
        own = getattr(table, "connection", None)
        connection = own if isinstance(own, str) else ""
    return Target(
        identifier(name),
        identifier(column) if column and column != "NULL" else "",
        identifier(connection) if connection else None,
    )


def unique_target(params: Params) -> Target:
    """`unique:[conn.]table,column,except,id_column,where_column,where_value…`."""
    found = target(params[0], params[1] if len(params) > 1 else None)
    ignored = params[2] if len(params) > 2 and params[2] not in ("NULL", "") else None
    id_column = identifier(params[3]) if len(params) > 3 and params[3] != "NULL" else "id"
    return replace(found, ignored=ignored, id_column=id_column, wheres=_wheres(params[4:]))


def exists_target(params: Params) -> Target:
    """`exists:[conn.]table,column,where_column,where_value…`."""
    found = target(params[0], params[1] if len(params) > 1 else None)
    return replace(found, wheres=_wheres(params[2:]))


def _wheres(params: Params) -> tuple[PresenceCondition, ...]:
    if len(params) % 2:
        raise InvalidRuleError(f"condition {params[-1]!r} of a unique or exists rule has no value")
    pairs = zip(params[::2], params[1::2], strict=True)
    return tuple(_where(column, value) for column, value in pairs)


def _where(column: str, value: str) -> PresenceCondition:
    identifier(column)
    if value in ("NULL", "NOT_NULL"):
        return PresenceCondition(column, None, value == "NOT_NULL")
    return PresenceCondition(column, value.removeprefix("!"), value.startswith("!"))


def _unique_params(name: str, params: Params) -> None:
    if not isinstance(params[0], Target):
        unique_target(params)


def _exists_params(name: str, params: Params) -> None:
    if not isinstance(params[0], Target):
        exists_target(params)


@rule("unique", least=1, check=_unique_params)
def unique(value: Any, params: Params, at: At) -> bool:
    """In no row, those left out apart."""
    known = params[0] if isinstance(params[0], Target) else unique_target(params)
    return is_scalar(value) and value not in _present("unique", known, at)


@rule("exists", least=1, check=_exists_params)
def exists(value: Any, params: Params, at: At) -> bool:
    """In some row; for a list, each of its items."""
    known = params[0] if isinstance(params[0], Target) else exists_target(params)
    wanted = value if is_list(value) else [value]
    if not all(is_scalar(item) for item in wanted):
        return False
    found = _present("exists", known, at)
    return all(item in found for item in wanted)


def _present(name: str, known: Target, at: At) -> set[Any]:
    """The values of all items of this field that are there, asked for once."""
    filled = replace(known, column=known.column or _own_column(at), ignored=_ignored(known, at))
    found: set[Any] = at.run.shared((name, at.field.name, filled), _ask, at, filled)
    return found


def _own_column(at: At) -> str:
    return identifier(at.field.segments[-1] if at.field.segments[-1] != "*" else "id")


def _ignored(known: Target, at: At) -> Any:
    """The key to leave out; `[id]` means the field of that name."""
    key = known.ignored
    if isinstance(key, str) and key.startswith("[") and key.endswith("]"):
        value = at.other(key[1:-1])
        return None if value is ABSENT else value
    return key


def _ask(at: At, filled: Target) -> set[Any]:
    presence = at.run.presence
    if presence is None:
        raise ConfigError(
            "the rules unique and exists need a database: validate within an application, "
            "or give Validator(…, presence=DatabasePresence(db))"
        )
    values: dict[Any, None] = {}
    for value in at.run.values_at(at.field.segments):
        for item in value if is_list(value) else (value,):
            if is_scalar(item):
                values[item] = None
    return set(presence.found(filled, list(values)))


class DatabaseRule:
    """`Rule.unique(…)` and `Rule.exists(…)`: the same rules with values of any kind."""

    def __init__(self, name: str, table: Any, column: str | None = None) -> None:
        """Look at *column* (default: named as the field) of *table*."""
        self.name = name
        self.target = target(table, column)

    def ignore(self, key: Any, id_column: str | None = None) -> DatabaseRule:
        """Leave out the row *key*, a model or its key, found in *id_column*."""
        name = id_column or getattr(key, "primary_key", None) or "id"
        plain = key.get_key() if hasattr(key, "get_key") else key
        self.target = replace(self.target, ignored=plain, id_column=identifier(str(name)))
        return self

    def where(self, column: str, value: Any) -> DatabaseRule:
        """Look only at rows whose *column* is *value*."""
        return self._with(PresenceCondition(identifier(column), value))

    def where_not(self, column: str, value: Any) -> DatabaseRule:
        """Look only at rows whose *column* is not *value*."""
        return self._with(PresenceCondition(identifier(column), value, True))

    def where_null(self, column: str) -> DatabaseRule:
        """Look only at rows whose *column* is null."""
        return self._with(PresenceCondition(identifier(column), None))

    def where_not_null(self, column: str) -> DatabaseRule:
        """Look only at rows whose *column* is not null."""
        return self._with(PresenceCondition(identifier(column), None, True))

    def without_trashed(self, column: str = "deleted_at") -> DatabaseRule:
        """Do not look at soft-deleted rows."""
        return self.where_null(column)

    def _with(self, where: PresenceCondition) -> DatabaseRule:
        self.target = replace(self.target, wheres=(*self.target.wheres, where))
        return self

    def as_check(self) -> RuleCheck:
        """The rule as a field holds it."""
        test = unique if self.name == "unique" else exists
        return RuleCheck(self.name, (self.target,), test)
