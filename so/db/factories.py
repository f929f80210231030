"""Factories make records for tests and demo data; seeders put them into a database.

class UserFactory(Factory):
    model = User

    def definition(self) -> dict:
        return {"name": f"User {self.number}", "email": f"user{self.number}@example.com"}

User.factory(3).state({"role": "clerk"}).create(active=True)
"""

from __future__ import annotations

import copy
import itertools
import random
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, Self

from so.db.rows import Collection
from so.errors import FactoryError
from so.support.current import current
from so.support.progress import heard, steps

State = Mapping[str, Any] | Callable[[dict[str, Any]], Mapping[str, Any]]
Then = Callable[[Any], Any]

_factories: dict[str, type[Factory]] = {}


class Factory:
    """How records of one model are made. Every step gives a new one; nothing is shared.

    A value of `definition` may be a function of the values before it, or another factory, whose
    record is created and stands for its key. *random* is the same in each run unless seeded anew.
    """

    model: ClassVar[Any] = None
    random: ClassVar[random.Random] = random.Random(0)  # noqa: S311 - names of people in tests
    _numbers: ClassVar[itertools.count[int]]

    def __init_subclass__(cls) -> None:
        cls._numbers = itertools.count(1)
        if cls.model is not None:
            _factories[f"{cls.model.__module__}.{cls.model.__qualname__}"] = cls

    def __init__(self, count: int | None = None) -> None:
        """For one record, or a Collection of *count*."""
        if count is not None and (not isinstance(count, int) or count < 0):
            raise FactoryError(f"cannot make {count!r} records: give a number from 0")
        self._count = count
        self._states: list[State] = []
        self._sequence: list[Mapping[str, Any]] = []
        self._made: list[Then] = []
        self._created: list[Then] = []
        self.number = 0  # of the record that is being made, from 1

    def definition(self) -> dict[str, Any]:
        """The attributes of a record, before any state."""
        raise FactoryError(f"{type(self).__name__} has no definition(): write one")

    # --- steps ---

    def count(self, count: int) -> Self:
        """So many records instead."""
        found = self._copy()
        found._count = count
        return found

    def state(self, state: State) -> Self:
        """With these attributes on top, or with what a function makes of those so far."""
        found = self._copy()
        found._states.append(state)
        return found

    def sequence(self, *states: Mapping[str, Any]) -> Self:
        """With each of *states* in turn."""
        found = self._copy()
        found._sequence = list(states)
        return found

    def for_(self, parent: Any, key: str | None = None) -> Self:
        """With *parent*'s key in the column *key* (default: its class name and `_id`)."""
        column = key or f"{_snake(type(parent).__name__)}_id"
        return self.state({column: parent.get_key()})

    def has(self, factory: Factory, relation: str) -> Self:
        """With what *factory* makes, through *relation*, for each record that is created."""
        return self.after_creating(
            lambda record: [record.related(relation).create(one) for one in factory._rows()]
        )

    def after_making(self, then: Then) -> Self:
        """Call *then* with each record that was made."""
        found = self._copy()
        found._made.append(then)
        return found

    def after_creating(self, then: Then) -> Self:
        """Call *then* with each record that was stored."""
        found = self._copy()
        found._created.append(then)
        return found

    # --- results ---

    def raw(self, **over: Any) -> Any:
        """Attributes without a record."""
        return self._one_or_all([self._row(number, over) for number in self._range()])

    def make(self, **over: Any) -> Any:
        """Records that are not stored."""
        return self._one_or_all([self._record(number, over) for number in self._range()])

    def create(self, **over: Any) -> Any:
        """Records that are stored, each with its events."""
        made, step = [], steps(lambda: len(self._range()))
        for number in self._range():
            with heard(None):  # of what is created for this one
                record = self._record(number, over)
                record.save_or_fail()
                for then in self._created:
                    then(record)
            made.append(record)
            step(1)
        return self._one_or_all(made)

    def _range(self) -> range:
        return range(1 if self._count is None else self._count)

    def _rows(self) -> list[dict[str, Any]]:
        return [self._row(number, {}) for number in self._range()]

    def _one_or_all(self, made: list[Any]) -> Any:
        return made[0] if self._count is None else Collection(made)

    def _record(self, place: int, over: Mapping[str, Any]) -> Any:
        record = type(self).model()
        record.force_fill(self._row(place, over))
        for then in self._made:
            then(record)
        return record

    def _row(self, place: int, over: Mapping[str, Any]) -> dict[str, Any]:
        """The attributes of the record at *place*."""
        self.number = next(self._numbers)
        row = dict(self.definition())
        for state in self._states:
            row.update(state(dict(row)) if callable(state) else state)
        if self._sequence:
            row.update(self._sequence[place % len(self._sequence)])
        row.update(over)
        done: dict[str, Any] = {}
        for name, value in row.items():
            done[name] = _value(value, done)
        return done

    def _copy(self) -> Self:
        found = copy.copy(self)
        for name in ("_states", "_sequence", "_made", "_created"):
            setattr(found, name, list(getattr(self, name)))
        return found


class Seeder:
    """Fills a database; `self.call(Other)` runs another one."""

    def run(self) -> Any:
        """What it does; whatever it asks for is given by the container."""
        raise FactoryError(f"{type(self).__name__} has no run(): write one")

    def call(self, *others: type[Any] | Iterable[type[Any]]) -> None:
        """Run other seeders, in this order."""
        for other in others:
            for cls in [other] if isinstance(other, type) else other:
                current("seeding")(cls)


def factory_of(model: Any, count: int | None = None) -> Factory:
    """The factory of *model*; those of the application's `database/factories` are read for it."""
    name = f"{model.__module__}.{model.__qualname__}"
    if name not in _factories:
        current("factories")()
    if name not in _factories:
        raise FactoryError(
            f"{model.__name__} has no factory: run `bin/sixorbit make:factory {model.__name__}`"
        )
    return _factories[name](count)


def _value(value: Any, done: dict[str, Any]) -> Any:
    if isinstance(value, Factory):
        return value.create().get_key()
    return value(done) if callable(value) and not isinstance(value, type) else value


def _snake(name: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_")
