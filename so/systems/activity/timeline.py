"""The time machine: what a model was, worked out from its trail and from its row of today.

An entry says what some columns were before and after it. What a column was at any moment follows
from the last entry before that names it, else from the first one after, else (for columns that the
trail would have told of) from the row as it is. Where none of that tells, because a column is
masked, erased, not logged, or was changed past the log, the answer leaves the column out.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from functools import cached_property
from typing import Any

from so.db.casts import OwnCast
from so.errors import ActivityError
from so.support.current import current
from so.systems.activity.model import Activity
from so.systems.activity.rows import aware
from so.systems.activity.tracking import Tracking, is_hidden, is_read, tracking

EVENTS = ("created", "updated", "deleted", "restored", "force_deleted")
ENDS = ("deleted", "force_deleted")
_NOWHERE = object()


@dataclass(frozen=True)
class Version:
    """One state: its number from 1, when and by whom it came about, and every value then.

    `unknown` names the columns whose value then nobody can tell.
    """

    number: int
    at: datetime
    event: str
    causer: str | None
    attributes: Mapping[str, Any]
    activity_id: int
    unknown: tuple[str, ...] = ()


class ModelHistory:
    """The trail of one model, read once: every question is answered from it."""

    def __init__(self, model: Any, entries: Any = None, live: Any = _NOWHERE) -> None:
        """*entries*, oldest first, and the row of today, where they have been read already."""
        if model.get_key() is None:
            raise ActivityError(f"{model!r} has no trail: it was never saved, or read without key")
        self.model = model
        self._tracked: Tracking = tracking(type(model), current("activity").mask)
        if entries is None:
            entries = _entries_about(model)
        self.rows = [r for r in entries if "attributes" in r.properties or "old" in r.properties]
        for row in self.rows:
            if row.created_at is None:
                raise ActivityError(
                    f"entry {row.id} of {model!r} was changed past the log and says no longer when "
                    "it was written: run activity:verify"
                )
        self.live: dict[str, Any] | None = (
            model._row_query().use_write()._raw_row(None) if live is _NOWHERE else live
        )

    def samples(self) -> dict[str, Any]:
        """For each column a value of the type that the database gives for it."""
        found = dict(self.live or {})
        connection = self.model._connection()
        if connection.dialect.name == "mysql":
            sql = (
                "select column_name, data_type from information_schema.columns "
                "where table_schema = database() and table_name = ?"
            )
            table = connection.grammar.prefixed(self.model.table)
            for name, kind in connection.select_tuples(sql, [table]):
                if found.get(name) is None:
                    found[name] = _SAMPLES.get(str(kind))
        return found

    @cached_property
    def versions(self) -> list[Version]:
        """Every state, oldest first; a deletion is one, with the last values."""
        return list(self._states())

    def last(self, reached: Callable[[Version], bool]) -> Version | None:
        """The last version that was *reached*; None if none was."""
        return next((version for version in reversed(self.versions) if reached(version)), None)

    def _states(self) -> Iterator[Version]:
        later = self._first_told_after()
        state: dict[str, Any] = {}
        for number, row in enumerate(self.rows, 1):
            told = row.properties.get("attributes") or {}
            if row.event in ENDS:
                told = row.properties.get("old") or {}
            state = {**state, **told}
            yield self._version(number, row, state, later[number - 1])

    def _version(self, number: int, row: Any, state: dict[str, Any], later: Any) -> Version:
        known = {**self._from_today(later), **later, **state}
        unknown = [name for name, value in known.items() if is_hidden(value)]
        unknown += [name for name in self.live or () if name not in known]
        by = row.causer_label
        return Version(number, row.created_at, row.event, by, known, row.id, tuple(unknown))

    def _first_told_after(self) -> list[dict[str, Any]]:
        """For each entry, what the entries after it say that columns were before them."""
        found: list[dict[str, Any]] = []
        later: dict[str, Any] = {}
        for row in reversed(self.rows):
            found.append(later)
            later = {**later, **(row.properties.get("old") or {})}
        return found[::-1]

    def _from_today(self, later: Mapping[str, Any]) -> dict[str, Any]:
        """The values of today of the columns that the trail never told of, and would have."""
        return {n: value for n, value in self._told_live.items() if n not in self._ever_told}

    @cached_property
    def _ever_told(self) -> set[str]:
        """The columns that an entry names; what was empty when the row was made is not in its."""
        return {
            name
            for row in self.rows
            for side in ("attributes", "old")
            for name in (row.properties.get(side) or {})
        }

    @cached_property
    def _told_live(self) -> dict[str, Any]:
        """The row of today as the trail would tell it, if it tells of every change."""
        if self.live is None or not {"created", "updated"} <= {*self.model.log_events}:
            return {}
        probe = type(self.model)().set_raw_attributes(self.live, sync=True)
        return self._tracked.told(probe, self.live)

    # --- a moment

    def at(self, moment: datetime) -> Any:
        """The model at *moment*, unsaved; None before it was made and after its end."""
        moment = aware(moment)
        version = self.last(lambda version: version.at <= moment)
        if version is None:
            return self._before_the_trail(moment)
        if version.event in ENDS:
            return None
        if version is self.versions[-1]:
            return self._today(version)
        return as_model(self.model, version.attributes, self.samples())

    def _today(self, version: Version) -> Any:
        """The last state, which the table must agree with: what does not is not known."""
        if self.live is None:
            raise ActivityError(
                f"cannot tell what {self.model!r} was then: its row is gone, and the trail does "
                "not say since when; it was deleted past the log"
            )
        live, row = self._told_live, self.live
        agreed = {
            name: value
            for name, value in version.attributes.items()
            if name not in live or live[name] == value or _is_same(row.get(name), value)
        }
        return as_model(self.model, agreed, self.samples())

    def _before_the_trail(self, moment: datetime) -> Any:
        first = self.rows[0] if self.rows else None
        if first is not None and first.event == "created":
            return None
        born = self._born()
        if born is not None and moment < born:
            return None
        if born is None or (first is None and self.live is None):
            raise ActivityError(f"cannot tell what {self.model!r} was then: its trail begins later")
        known = self._from_today({})
        for row in reversed(self.rows):
            known.update(row.properties.get("old") or {})
        return as_model(self.model, known, self.samples())

    def _born(self) -> datetime | None:
        """When the row was made, if it says so."""
        column = self.model._plan.created_at
        if column is None or self.live is None or self.live.get(column) is None:
            return None
        found = type(self.model)().set_raw_attributes(self.live, sync=True).get_attribute(column)
        return found if isinstance(found, datetime) and found.tzinfo is not None else None

    # --- one version

    def find(self, which: Any, known: list[Version] | None = None) -> Version:
        """The version of that number, or in force at that moment; ActivityError if none is."""
        known = self.versions if known is None else known
        if isinstance(which, Version):
            return which
        if isinstance(which, datetime):
            before = [version for version in known if version.at <= aware(which)]
            if before:
                return before[-1]
        elif isinstance(which, int) and not isinstance(which, bool) and 1 <= which <= len(known):
            return known[which - 1]
        raise ActivityError(f"{self.model!r} has no version {which!r}: it has {len(known)}, from 1")

    def diff(self, a: Any, b: Any) -> dict[str, tuple[Any, Any]]:
        """What differs between two versions."""
        return differing(self.find(a).attributes, self.find(b).attributes)

    def revert(self, which: Any) -> bool:
        """Save the values of a version again."""
        return self.restore(self.find(which))

    def restore(self, version: Version) -> bool:
        """Save the values of *version* again; ActivityError if one of them is not in the trail.

        Changes of the model that were not saved are lost.
        """
        model = self.model
        if self.live is None:
            raise ActivityError(f"cannot revert {model!r}: its row is gone")
        touched = self._told_since(version).intersection(version.unknown)
        if touched:
            raise ActivityError(
                f"cannot revert {', '.join(sorted(touched))}: the trail does not hold masked or "
                "erased values"
            )
        model.refresh()
        samples = self.samples()
        live = self._told_live or self.live
        for name, value in version.attributes.items():
            if _is_column(model, name, version) and live.get(name, _NOWHERE) != value:
                _assign(model, name, value, samples.get(name))
        return bool(model.save())

    def _told_since(self, version: Version) -> set[str]:
        """The columns that entries after *version* told of."""
        return {
            name
            for row in self.rows
            if row.id > version.activity_id
            for name in (row.properties.get("attributes") or {})
        }


def _entries_about(model: Any) -> list[Activity]:
    """The entries about *model*, oldest first, with those under the keys that it had before."""
    kind, key, column = model.type_alias, str(model.get_key()), model.primary_key
    found: list[Activity] = []
    while True:
        about = Activity.on(model._connection()).where({"subject_type": kind, "subject_id": key})
        if found:
            about.where("id", "<", found[0].id)
        rows = list(about.where_in("event", EVENTS).order_by("id").get())
        renamed = next((row for row in reversed(rows) if _key_before(row, column)), None)
        if renamed is None:
            return [*rows, *found]
        found[:0] = [row for row in rows if row.id >= renamed.id]
        key = _key_before(renamed, column)


def _key_before(row: Activity, column: str) -> str:
    """The key that the model had before the change *row* tells of; "" if it kept its key."""
    sides = [(row.properties.get(side) or {}).get(column) for side in ("old", "attributes")]
    is_told = row.event == "updated" and None not in sides and sides[0] != sides[1]
    return "" if not is_told or is_hidden(sides[0]) else str(sides[0])


def differing(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Each name whose value is not the same, with both."""
    names = dict.fromkeys([*first, *second])
    return {
        name: (first.get(name), second.get(name))
        for name in names
        if first.get(name) != second.get(name)
    }


def _is_column(model: Any, name: str, version: Version) -> bool:
    return "." not in name and name != model.primary_key and name not in version.unknown


def as_model(model: Any, values: Mapping[str, Any], samples: Mapping[str, Any]) -> Any:
    """A new model of the class of *model* with these values of the trail."""
    old = type(model)()
    for name, value in values.items():
        if "." not in name and not is_hidden(value):
            _assign(old, name, value, samples.get(name))
    return old


def _assign(model: Any, name: str, value: Any, sample: Any) -> None:
    cast = model._plan.casts.get(name)
    if isinstance(cast, OwnCast) and is_read(cast, model, name, value):
        model.set_attribute(name, value)
    elif isinstance(cast, OwnCast):
        model.set_raw_attributes({**model._attributes, name: _like(sample, value)})
    else:
        model.set_attribute(name, _like(sample, value))


def _is_same(live: Any, value: Any) -> bool:
    """Is *value* what the database has, written another way (`10` in a column of two places)?"""
    try:
        if isinstance(live, (int, float, Decimal)) and isinstance(value, (int, float, str)):
            return Decimal(str(live)) == Decimal(str(value))
        return bool(_like(live, value) == live)
    except (ValueError, ArithmeticError):
        return False


def _like(live: Any, value: Any) -> Any:
    """*value*, which went through JSON, as the type that the column has today."""
    if isinstance(value, dict) and set(value) == {"$b64"}:
        return base64.b64decode(value["$b64"])
    if isinstance(live, datetime) and type(value) in (int, float):  # a timestamp, by its cast
        return datetime.fromtimestamp(value, UTC)
    if isinstance(value, str):
        for kind, read in _READ.items():
            if type(live) is kind:
                return read(value)
    return value


_READ: dict[type, Any] = {
    Decimal: Decimal,
    datetime: datetime.fromisoformat,
    date: date.fromisoformat,
    time: time.fromisoformat,
}
_SAMPLES: dict[str, Any] = {
    "decimal": Decimal(0),
    "datetime": datetime(1970, 1, 1, tzinfo=UTC),
    "timestamp": datetime(1970, 1, 1, tzinfo=UTC),
    "date": date.min,
}
