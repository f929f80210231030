"""What a query gives back: `Row`, a dict with attributes, and `Collection`, a list with verbs.

Nothing here touches the database. Models have collections of their own, built on this one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, ValuesView
from decimal import Decimal
from typing import Any, Self, TypeVar, overload

from so.db.items import Known, test_of, value_of
from so.db.picking import Picking
from so.support.codec import to_jsonable
from so.support.listed import flat
from so.support.paths import MISSING

T = TypeVar("T")
R = TypeVar("R")


class Row(dict[str, Any]):
    """One row: `row["name"]` or `row.name`, columns in the order of the query.

    Of two columns with the same name the last wins. A column called like a dict method
    (`items`, `keys`) is reached by `row["items"]` only.
    """

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            columns = ", ".join(self) or "none"
            raise AttributeError(f"no column {name!r} in this row; it has: {columns}") from None

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value

    def to_dict(self) -> dict[str, Any]:
        """The row as a plain dict."""
        return dict(self)


class Collection(Picking[T]):
    """A list that can filter, group, pluck and add itself up; every method leaves it as it is.

    Keys may be column names, dotted paths, or functions of the item. What changes a collection in
    place is Python's: `append`, `insert`, `pop`, `sort`, `reverse`.
    """

    __slots__ = ()

    # --- as a whole

    def all(self) -> list[T]:
        """The items as a plain list."""
        return list(self)

    def to_list(self) -> list[Any]:
        """The items as plain data: rows and models become dicts."""
        return [item.to_dict() if hasattr(item, "to_dict") else item for item in self]

    def to_dict(self) -> list[Any]:
        """Alias of to_list(), as a collection serialises to a JSON array."""
        return self.to_list()

    to_array = to_list

    def to_json(self, indent: int | None = None) -> str:
        """The items as JSON text: unicode as it is, datetimes ISO-8601, Decimals as strings."""
        separators = (",", ":") if indent is None else None
        return json.dumps(
            to_jsonable(self), ensure_ascii=False, indent=indent, separators=separators
        )

    def is_empty(self) -> bool:
        """True when there is no item."""
        return not self

    def is_not_empty(self) -> bool:
        """True when there is at least one item."""
        return bool(self)

    def count(self, *value: Any) -> int:
        """How many items there are; with a value, how many equal it (as list.count)."""
        return super().count(value[0]) if value else len(self)

    # --- choosing

    def filter(self, fn: Callable[[T], Any] | None = None) -> Self:
        """The items for which *fn* is true; without it, those that are true themselves."""
        return type(self)(i for i in self if (fn(i) if fn else i))

    def reject(self, fn: Callable[[T], Any]) -> Self:
        """The items for which *fn* is false."""
        return type(self)(i for i in self if not fn(i))

    def where(self, key: Any, operator: Any = MISSING, value: Any = MISSING) -> Self:
        """`where(key, value)`, `where(key, operator, value)`, or `where(key)` for a true value."""
        test = test_of(key, operator, value)
        return type(self)(i for i in self if test(i))

    def where_in(self, key: Any, values: Iterable[Any]) -> Self:
        """The items whose *key* is one of *values*."""
        wanted = list(values)
        return type(self)(i for i in self if value_of(i, key) in wanted)

    def where_not_in(self, key: Any, values: Iterable[Any]) -> Self:
        """The items whose *key* is none of *values*."""
        unwanted = list(values)
        return type(self)(i for i in self if value_of(i, key) not in unwanted)

    def first_where(self, key: Any, operator: Any = MISSING, value: Any = MISSING) -> T | None:
        """The first item that `where()` would keep, or None."""
        test = test_of(key, operator, value)
        return next((i for i in self if test(i)), None)

    def first(self, fn: Callable[[T], Any] | None = None, default: Any = None) -> Any:
        """The first item (for which *fn* is true), or *default*."""
        return next((i for i in self if fn is None or fn(i)), default)

    def last(self, fn: Callable[[T], Any] | None = None, default: Any = None) -> Any:
        """The last item (for which *fn* is true), or *default*."""
        return next((i for i in reversed(self) if fn is None or fn(i)), default)

    def take(self, count: int) -> Self:
        """The first *count* items; a negative count takes from the end."""
        return type(self)(self[:count] if count >= 0 else self[count:])

    def skip(self, count: int) -> Self:
        """All but the first *count* items."""
        return type(self)(self[max(count, 0) :])

    def unique(self, key: Any = None) -> Self:
        """One item for each value (of *key*), the first wins."""
        known, kept = Known(), self._empty()
        for item in self:
            mark = item if key is None else value_of(item, key)
            if mark not in known:
                known.add(mark)
                kept.append(item)
        return kept

    def contains(self, key: Any, operator: Any = MISSING, value: Any = MISSING) -> bool:
        """`contains(item)`, `contains(fn)`, `contains(key, value)` or with an operator."""
        if operator is not MISSING:
            return self.first_where(key, operator, value) is not None
        return any(key(i) for i in self) if callable(key) else key in self

    # --- changing shape

    def map(self, fn: Callable[[T], R]) -> Collection[R]:
        """What *fn* makes of each item."""
        return Collection(fn(i) for i in self)

    def flat_map(self, fn: Callable[[T], Iterable[R]]) -> Collection[R]:
        """The items of what *fn* makes of each item."""
        return Collection(one for item in self for one in fn(item))

    def flatten(self, depth: int = -1) -> Collection[Any]:
        """The items of lists in lists, or of so many levels of them; of dicts their values."""
        return Collection(_flat(self, depth))

    def collapse(self) -> Collection[Any]:
        """The items of the lists that this is a list of."""
        return self.flatten(1)

    def map_into(self, kind: Callable[[T], R]) -> Collection[R]:
        """An object of class *kind* for each item."""
        return self.map(kind)

    def map_spread(self, fn: Callable[..., R]) -> Collection[R]:
        """What fn(*item) gives for each item, a list or tuple."""
        return Collection(fn(*item) for item in self)  # type: ignore[misc]

    def select(self, *keys: Any) -> Collection[dict[str, Any]]:
        """Of each item these keys alone, as a dict."""
        names = flat(keys)
        return Collection({name: value_of(item, name) for name in names} for item in self)

    def each(self, fn: Callable[[T], Any]) -> Self:
        """Call *fn* with each item, stopping when it returns False; gives the collection back."""
        for item in self:
            if fn(item) is False:
                break
        return self

    def reduce(self, fn: Callable[[Any, T], Any], initial: Any = None) -> Any:
        """Fold the items from the left: fn(so far, item)."""
        for item in self:
            initial = fn(initial, item)
        return initial

    @overload
    def pluck(self, value: Any) -> Collection[Any]: ...
    @overload
    def pluck(self, value: Any, key: Any) -> dict[Any, Any]: ...
    def pluck(self, value: Any, key: Any = None) -> Any:
        """One column as a collection, or with *key* a dict of it by another column."""
        if key is None:
            return Collection(value_of(i, value) for i in self)
        return {value_of(i, key): value_of(i, value) for i in self}

    def key_by(self, key: Any) -> dict[Any, T]:
        """A dict of the items by *key*; of equal keys the last wins."""
        return {value_of(i, key): i for i in self}

    def group_by(self, key: Any) -> dict[Any, Self]:
        """A dict of collections by *key*, in the order of first appearance."""
        groups: dict[Any, Self] = {}
        for item in self:
            groups.setdefault(value_of(item, key), self._empty()).append(item)
        return groups

    def sort_by(self, key: Any = None, descending: bool = False) -> Self:
        """The items in the order of *key* (of themselves without one); None comes first.

        Several keys in turn: `sort_by(["name", ("age", "desc")])`.
        """
        if isinstance(key, list):
            return self._sort_in_turn(key, descending)

        def rank(item: T) -> tuple[bool, Any]:
            value = value_of(item, key)
            return (value is not None, value)

        return type(self)(sorted(self, key=rank, reverse=descending))

    def _sort_in_turn(self, keys: list[Any], descending: bool) -> Self:
        found = self
        for one in reversed(keys):
            key, direction = one if isinstance(one, tuple) else (one, "asc")
            found = found.sort_by(key, (str(direction).lower() == "desc") is not descending)
        return found

    def sort_by_desc(self, key: Any = None) -> Self:
        """The items in the reverse order of *key*; None comes last."""
        return self.sort_by(key, descending=True)

    def chunk(self, size: int) -> Collection[Self]:
        """The items in collections of at most *size*."""
        if size < 1:
            return Collection()
        return Collection(type(self)(self[i : i + size]) for i in range(0, len(self), size))

    def merge(self, other: Iterable[T]) -> Self:
        """These items and then those of *other*."""
        return type(self)([*self, *other])

    def implode(self, key: Any, glue: str | None = None) -> str:
        """`implode(", ")` joins the items, `implode("name", ", ")` their *key*; None is nothing."""
        if glue is None:
            return str(key).join(_written(i) for i in self)
        return glue.join(_written(value_of(i, key)) for i in self)

    # --- adding up

    def sum(self, key: Any = None) -> Any:
        """The exact sum (of *key*); 0 when there is nothing. None counts as 0."""
        total: Any = 0
        for value in self._numbers(key):
            total = total + value
        return total

    def avg(self, key: Any = None) -> Any:
        """The mean (of *key*) over what is not None; None when there is nothing."""
        values = self._numbers(key)
        if not values:
            return None
        total = sum(values)
        return total / Decimal(len(values)) if isinstance(total, Decimal) else total / len(values)

    average = avg

    def min(self, key: Any = None) -> Any:
        """The smallest value (of *key*) that is not None; None when there is nothing."""
        return min(self._numbers(key), default=None)

    def max(self, key: Any = None) -> Any:
        """The largest value (of *key*) that is not None; None when there is nothing."""
        return max(self._numbers(key), default=None)

    def _empty(self) -> Self:
        return type(self)()

    def _numbers(self, key: Any) -> list[Any]:
        values = (i if key is None else value_of(i, key) for i in self)
        return [v for v in values if v is not None]


def _flat(items: Iterable[Any], depth: int) -> Iterable[Any]:
    for item in items:
        inner = item.values() if isinstance(item, dict) and type(item) is not Row else item
        if depth and not isinstance(item, Row) and isinstance(inner, (list, tuple, ValuesView)):
            yield from _flat(inner, depth - 1)
        else:
            yield item


def _written(item: Any) -> str:
    return "" if item is None else str(item)


__all__ = ["Collection", "Row", "value_of"]
