"""A document with its lines: what an invoice and its positions were together, and back again.

`log_lines` of a class names the relations whose rows are part of it. Which rows those were, the
trail tells: a line belongs to the document while its foreign key says so. A version of a document
is what one entry, or the entries of one batch, made of it, whether of the document or of a line.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any

from so.db.model.collection import Models
from so.db.relations.has import HasMany, HasOne
from so.errors import ActivityError
from so.support.listed import parts
from so.systems.activity.context import activity_batch
from so.systems.activity.exporting import escaped
from so.systems.activity.model import Activity
from so.systems.activity.rows import aware
from so.systems.activity.timeline import (
    ENDS,
    EVENTS,
    ModelHistory,
    Version,
    as_model,
    differing,
)

Reached = Callable[[Version], bool]


class Document:
    """One model with the lines that it has and had, read once."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.head = ModelHistory(model)
        self.lines = [Lines(model, name) for name in type(model).log_lines]

    def history(self) -> Any:
        """The entries about the document and its lines, as a query, newest first."""
        query = Activity.on(self.model._connection())

        def about(found: Any) -> None:
            found.where(lambda one: one.for_subject(self.model))
            for line in self.lines:
                for some in parts(sorted(line.histories)):
                    found.or_where(
                        lambda one, kind=line.cls.type_alias, some=some: one.where(
                            "subject_type", kind
                        ).where_in("subject_id", some)
                    )

        return query.where(about).order_by_desc("id")

    def at(self, moment: datetime) -> Any:
        """The document at *moment*, its lines in their relations; None before and after it was."""
        found = self.head.at(moment)
        if found is not None:
            for line in self.lines:
                found.set_relation(line.name, line.at(moment))
        return found

    @cached_property
    def versions(self) -> list[Version]:
        """Every state of the document or of a line, oldest first."""
        return [self._version(n, group) for n, group in enumerate(self._groups(), 1)]

    def _groups(self) -> Iterator[list[Any]]:
        first = self.head.rows[0].id if self.head.rows else 0
        histories = [self.head, *(one for line in self.lines for one in line.histories.values())]
        group: list[Any] = []
        for row in sorted((row for one in histories for row in one.rows), key=lambda row: row.id):
            if row.id < first:
                continue
            if group and not (row.batch_uuid and row.batch_uuid == group[-1].batch_uuid):
                yield group
                group = []
            group.append(row)
        if group:
            yield group

    def _version(self, number: int, group: list[Any]) -> Version:
        last = group[-1]
        own = [row.event for row in group if row.subject_type == type(self.model).type_alias]
        head = self.head.last(lambda version: version.activity_id <= last.id)
        values, unknown = (head.attributes, head.unknown) if head is not None else ({}, ())
        event = own[-1] if own else "updated"
        return Version(number, last.created_at, event, last.causer_label, values, last.id, unknown)

    def find(self, which: Any) -> Version:
        """A version by its number, the moment it was in force, or itself."""
        return self.head.find(which, self.versions)

    def diff(self, a: Any, b: Any) -> dict[str, tuple[Any, Any]]:
        """As `diff`; a value of a line stands under `relation.key.column`."""
        return differing(*(self._flat(_reached(self.find(which))) for which in (a, b)))

    def _flat(self, reached: Reached) -> dict[str, Any]:
        head = self.head.last(reached)
        found = dict(head.attributes) if head is not None else {}
        for line in self.lines:
            for key, version in line.versions(reached).items():
                found |= {f"{line.name}.{key}.{n}": v for n, v in version.attributes.items()}
        return found

    def revert(self, which: Any) -> bool:
        """Save the document and its lines as they were: those that went come back, new ones go."""
        reached = _reached(self.find(which))
        head = self.head.last(reached)
        if head is None or head.event in ENDS:
            raise ActivityError(f"{self.model!r} was not there at {which!r}: nothing to go back to")
        with self.model._connection().transaction(), activity_batch():
            self.head.restore(head)
            for line in self.lines:
                line.restore(reached)
                self.model.unset_relation(line.name)
        return True


class Lines:
    """The rows of one relation, those of before included: their histories by key, as text."""

    def __init__(self, model: Any, name: str) -> None:
        relation = model.related(name)
        if type(relation) not in (HasMany, HasOne) or not hasattr(relation.model, "log_attributes"):
            raise ActivityError(
                f"{type(model).__name__}.log_lines names {name!r}: it must be a has_one or a "
                "has_many of a model that logs"
            )
        self.name = name
        self.cls: Any = relation.model
        self._is_one = not relation.many
        self._column = relation.foreign_key
        self._owner = model._attributes.get(relation.local_key)
        self._connection = relation.runner
        self.histories = self._read()

    def _read(self) -> dict[str, ModelHistory]:
        key = self.cls.primary_key
        live = {str(row[key]): row for row in self._rows(self._column, [self._owner])}
        ids = [id for id in self._told_ids() if id not in live]
        live |= {str(row[key]): row for some in parts(ids) for row in self._rows(key, some)}
        entries: dict[str, list[Activity]] = {id: [] for id in [*live, *ids]}
        for some in parts(list(entries)):
            for row in self._entries().where_in("subject_id", some).order_by("id").get():
                entries[row["subject_id"]].append(row)
        found = {}
        for id, rows in entries.items():
            stub = self._stub(id, live.get(id))
            found[id] = ModelHistory(stub, rows, dict(live[id]) if id in live else None)
        return {id: one for id, one in found.items() if self._ever_ours(one)}

    def _rows(self, column: str, values: Sequence[Any]) -> Any:
        return self._connection.table(self.cls.table).where_in(column, values).use_write().get()

    def _entries(self) -> Any:
        query = Activity.on(self._connection).where("subject_type", self.cls.type_alias)
        return query.where_in("event", EVENTS)

    def _told_ids(self) -> list[str]:
        """The lines of which an entry says that they were the document's; some of others, too."""
        name = json.dumps(self._column, ensure_ascii=False)
        values = [
            json.dumps(value, ensure_ascii=False) for value in (self._owner, str(self._owner))
        ]
        like = "properties like ? escape '!' or properties like ? escape '!'"
        found = self._entries().where_raw(
            f"({like})", [f"%{escaped(f'{name}:{value}')}%" for value in values]
        )
        return list(dict.fromkeys(str(id) for id in found.pluck("subject_id")))

    def _stub(self, id: str, row: Any) -> Any:
        key = self.cls.primary_key
        values = (
            dict(row) if row is not None else {key: int(id) if self.cls.key_type is int else id}
        )
        return self.cls().set_raw_attributes(values, sync=True)

    def _is_ours(self, values: Any) -> bool:
        return str(values.get(self._column)) == str(self._owner)

    def _ever_ours(self, history: ModelHistory) -> bool:
        return self._is_ours(history.live or {}) or any(
            self._is_ours(version.attributes) for version in history.versions
        )

    def at(self, moment: datetime) -> Any:
        """The lines then, unsaved; for a has_one the line or None."""
        found = [one.at(moment) for one in self.histories.values()]
        ours = [one for one in found if one is not None and self._is_ours(one._attributes)]
        if self._is_one:
            return ours[0] if ours else None
        return Models(sorted(ours, key=lambda one: (str(type(one.get_key())), one.get_key())))

    def versions(self, reached: Reached) -> dict[str, Version]:
        """The version of each line that was the document's then."""
        found = {id: one.last(reached) for id, one in self.histories.items()}
        return {
            id: version
            for id, version in found.items()
            if version is not None
            and version.event not in ENDS
            and self._is_ours(version.attributes)
        }

    def restore(self, reached: Reached) -> None:
        """Have the lines that were there then, with their values, and no others."""
        wanted = self.versions(reached)
        for id, history in self.histories.items():
            if id not in wanted and self._is_there(history):
                self._model(history).delete()
        for id, version in wanted.items():
            history = self.histories[id]
            if history.live is None:
                self._insert(history, version)
                continue
            if not self._is_there(history, whosever=True):
                self._model(history).restore()
            history.restore(version)

    def _is_there(self, history: ModelHistory, *, whosever: bool = False) -> bool:
        deleted_at, live = self.cls._plan.deleted_at, history.live
        is_gone = live is None or (deleted_at is not None and live.get(deleted_at) is not None)
        return not is_gone and (whosever or self._is_ours(live))

    def _model(self, history: ModelHistory) -> Any:
        query = self.cls.on(self._connection).without_global_scopes()
        return query.where_key(history.model.get_key()).first_or_fail()

    def _insert(self, history: ModelHistory, version: Version) -> None:
        if version.unknown:
            raise ActivityError(
                f"cannot bring back {history.model!r}: the trail does not hold "
                f"{', '.join(sorted(version.unknown))}"
            )
        line = as_model(history.model, version.attributes, history.samples())
        line.set_attribute(self.cls.primary_key, history.model.get_key())
        line.save_or_fail()


def _reached(version: Version) -> Reached:
    return lambda one: one.activity_id <= version.activity_id


# --- what models ask


def versions(model: Any) -> list[Version]:
    """Every state of *model*, oldest first; deleting it is the last state, with its last values."""
    return list(_read(model).versions)


def as_of(model: Any, moment: datetime) -> Any:
    """*model* as it was at *moment*, unsaved; None before it was made and after its end.

    ActivityError for a moment without a zone, and where the trail cannot tell.
    """
    return _read(model).at(aware(moment))


def diff(model: Any, a: Any, b: Any) -> dict[str, tuple[Any, Any]]:
    """What differs between two versions: column → (in a, in b)."""
    found: dict[str, tuple[Any, Any]] = _read(model).diff(a, b)
    return found


def revert_to(model: Any, which: Any) -> bool:
    """Save the values of a version again; ActivityError if one of them is not in the trail.

    Changes of *model* that were not saved are lost.
    """
    return bool(_read(model).revert(which))


def history(model: Any) -> Any:
    """The entries about *model* and its lines, as a query, newest first."""
    return Document(model).history()


def _read(model: Any) -> Any:
    """The history of *model*; with those of its lines where its class names some."""
    return Document(model) if type(model).log_lines else ModelHistory(model)
