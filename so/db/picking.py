"""What a collection can pick, part, combine and ask of its items, beside the verbs of `Collection`.

Every method leaves the collection as it is. Where a test is asked for, it is a function of the
item, or what `where` takes: `(key, value)`, `(key, operator, value)`, `(key)` for a true value.
"""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any, Self, TypeVar

from so.db.items import Known, test_of, value_of
from so.errors import InvalidArgumentError, MultipleRecordsFoundError, RecordNotFoundError
from so.support.paths import MISSING
from so.support.signatures import call_with

T = TypeVar("T")


class Picking(list[T]):
    """The verbs of a collection that need no more than a list and a test."""

    __slots__ = ()

    def _of(self, items: Iterable[Any]) -> Self:
        return type(self)(items)

    @classmethod
    def times(cls, count: int, fn: Callable[[int], T]) -> Self:
        """A collection of fn(1), fn(2), … fn(count)."""
        return cls(fn(number) for number in range(1, count + 1))

    # --- picking

    def where_null(self, key: Any = None) -> Self:
        """The items whose *key* is None."""
        return self._of(item for item in self if value_of(item, key) is None)

    def where_not_null(self, key: Any = None) -> Self:
        """The items whose *key* is not None."""
        return self._of(item for item in self if value_of(item, key) is not None)

    def where_between(self, key: Any, low: Any, high: Any = MISSING) -> Self:
        """The items whose *key* lies between two values, both included: `[a, b]` or a, b."""
        return self._of(item for item in self if _lies(value_of(item, key), low, high))

    def where_not_between(self, key: Any, low: Any, high: Any = MISSING) -> Self:
        """The items whose *key* does not lie between two values."""
        return self._of(item for item in self if not _lies(value_of(item, key), low, high))

    def where_instance_of(self, kind: type | tuple[type, ...]) -> Self:
        """The items of a class, or of one of several."""
        return self._of(item for item in self if isinstance(item, kind))

    def values(self) -> Self:
        """These items; in Laravel's sense numbered anew, as a list's always are."""
        return self._of(self)

    def get(self, index: int, default: Any = None) -> Any:
        """The item at *index*, or *default*."""
        return self[index] if -len(self) <= index < len(self) else default

    def value(self, key: Any, default: Any = None) -> Any:
        """The value at *key* of the first item that has one."""
        return next((v for item in self if (v := value_of(item, key)) is not None), default)

    def first_or_fail(self, key: Any = MISSING, operator: Any = MISSING, value: Any = MISSING) -> T:
        """The first item (that passes the test); RecordNotFoundError if there is none."""
        for item in self._passing(key, operator, value):
            return item
        raise RecordNotFoundError("No item of the collection was found.")

    def sole(self, key: Any = MISSING, operator: Any = MISSING, value: Any = MISSING) -> T:
        """The only item (that passes the test).

        RecordNotFoundError for none, MultipleRecordsFoundError for more.
        """
        found = self._passing(key, operator, value)
        if len(found) > 1:
            raise MultipleRecordsFoundError(len(found))
        return found.first_or_fail()

    def search(self, item: Any) -> int | None:
        """Where the item stands (or the first for which a function is true); None for nowhere."""
        test = item if callable(item) else lambda one: one == item
        return next((at for at, one in enumerate(self) if test(one)), None)

    def before(self, item: Any, default: Any = None) -> Any:
        """The item before another one (or before the first for which a function is true)."""
        at = self.search(item)
        return default if not at else self[at - 1]

    def after(self, item: Any, default: Any = None) -> Any:
        """The item after another one (or after the first for which a function is true)."""
        at = self.search(item)
        return default if at is None else self.get(at + 1, default)

    def random(self, count: int | None = None) -> Any:
        """One item by chance, or *count* different ones; InvalidArgumentError if there are less."""
        if (count or 1) > len(self):
            raise InvalidArgumentError(f"{count or 1} items were asked for; there are {len(self)}")
        found = random.sample(list(self), 1 if count is None else count)
        return found[0] if count is None else self._of(found)

    def nth(self, step: int, offset: int = 0) -> Self:
        """Every *step*th item, from *offset* on."""
        return self._of(self[offset::step])

    def slice(self, start: int, length: int | None = None) -> Self:
        """The items from *start* on (from the end, if it is negative), or *length* of them."""
        rest = self[start:]
        return self._of(rest if length is None else rest[:length])

    def for_page(self, page: int, per_page: int) -> Self:
        """The items of one page, the first being 1."""
        return self.slice(max(0, page - 1) * per_page, per_page)

    def take_while(self, fn: Callable[[T], Any]) -> Self:
        """The items before the first for which *fn* is false."""
        return self._of(itertools.takewhile(fn, self))

    def take_until(self, item: Any) -> Self:
        """The items before another one (or before the first for which a function is true)."""
        return self._of(self[: self.search(item)])

    def skip_while(self, fn: Callable[[T], Any]) -> Self:
        """The items from the first on for which *fn* is false."""
        return self._of(itertools.dropwhile(fn, self))

    def skip_until(self, item: Any) -> Self:
        """The items from another one on (or from the first on for which a function is true)."""
        at = self.search(item)
        return self._of([] if at is None else self[at:])

    def duplicates(self, key: Any = None) -> Self:
        """The values (of *key*) that stood there before, each time they come again."""
        known = Known()
        again: list[Any] = []
        for item in self:
            value = value_of(item, key)
            (again.append if value in known else known.add)(value)
        return self._of(again)

    def diff(self, other: Iterable[Any]) -> Self:
        """The items that are not in *other*."""
        known = Known(other)
        return self._of(item for item in self if item not in known)

    def intersect(self, other: Iterable[Any]) -> Self:
        """The items that are in *other*, too."""
        known = Known(other)
        return self._of(item for item in self if item in known)

    # --- asking

    def every(self, key: Any, operator: Any = MISSING, value: Any = MISSING) -> bool:
        """Does every item pass the test?"""
        return all(map(test_of(key, operator, value), self))

    def some(self, key: Any, operator: Any = MISSING, value: Any = MISSING) -> bool:
        """Does an item pass the test?"""
        return any(map(test_of(key, operator, value), self))

    def doesnt_contain(self, key: Any, operator: Any = MISSING, value: Any = MISSING) -> bool:
        """Is what `contains` looks for not there?"""
        return not self.contains(key, operator, value)  # type: ignore[attr-defined]

    def contains_one_item(self) -> bool:
        """Is there one item and no more?"""
        return len(self) == 1

    def count_by(self, key: Any = None) -> dict[Any, int]:
        """How many items there are for each value (of *key*)."""
        return dict(Counter(value_of(item, key) for item in self))

    def median(self, key: Any = None) -> Any:
        """The middle value (of *key*), of two their mean; None when there is nothing."""
        values = sorted(v for item in self if (v := value_of(item, key)) is not None)
        if not values:
            return None
        middle = values[(len(values) - 1) // 2 : len(values) // 2 + 1]
        return middle[0] if len(middle) == 1 else _mean(middle)

    def mode(self, key: Any = None) -> list[Any] | None:
        """The most frequent values (of *key*), in order; None when there is nothing."""
        counts = self.count_by(key)
        most = max(counts.values(), default=0)
        return sorted(value for value, count in counts.items() if count == most) or None

    def percentage(self, fn: Callable[[T], Any], precision: int = 2) -> float | None:
        """The share of the items for which *fn* is true, in percent; None when there is none."""
        passed = sum(bool(fn(item)) for item in self)
        return round(100 * passed / len(self), precision) if self else None

    # --- parting

    def partition(
        self, key: Any, operator: Any = MISSING, value: Any = MISSING
    ) -> tuple[Self, Self]:
        """The items that pass the test, and the others."""
        test = test_of(key, operator, value)
        found = [(item, test(item)) for item in self]
        return (
            self._of(item for item, passed in found if passed),
            self._of(item for item, passed in found if not passed),
        )

    def split(self, groups: int) -> list[Self]:
        """The items in so many groups, the first ones longer by one where it does not come out."""
        size, more = divmod(len(self), max(1, groups))
        ends = list(itertools.accumulate(size + (at < more) for at in range(max(1, groups))))
        parts = [self[start:end] for start, end in zip([0, *ends], ends, strict=False)]
        return [self._of(part) for part in parts if part]

    def split_in(self, groups: int) -> list[Self]:
        """The items in so many groups, all full but the last."""
        size = max(1, -(-len(self) // max(1, groups)))
        return [self._of(self[at : at + size]) for at in range(0, len(self), size)]

    def sliding(self, size: int = 2, step: int = 1) -> list[Self]:
        """Windows of *size* items, each *step* after the one before."""
        last = len(self) - size + 1
        return [self._of(self[at : at + size]) for at in range(0, last, step)]

    def chunk_while(self, fn: Callable[..., Any]) -> list[Self]:
        """Runs of items; fn(item, chunk so far) says whether the item still belongs to the run."""
        runs: list[Self] = []
        for item in self:
            if not (runs and fn(item, runs[-1])):
                runs.append(self._of([]))
            runs[-1].append(item)
        return runs

    # --- combining

    def zip(self, *others: Iterable[Any]) -> list[tuple[Any, ...]]:
        """The items beside those of *others*, place by place; None where one is shorter."""
        return list(itertools.islice(itertools.zip_longest(self, *others), len(self)))

    def cross_join(self, *others: Iterable[Any]) -> list[tuple[Any, ...]]:
        """Every item with every one of *others*."""
        return list(itertools.product(self, *others))

    def pad(self, size: int, value: Any) -> Self:
        """At least *size* items, filled up with *value*; in front, for a negative size."""
        filling = [value] * max(0, abs(size) - len(self))
        return self._of([*self, *filling] if size > 0 else [*filling, *self])

    def shuffle(self) -> Self:
        """The items in any order."""
        return self._of(random.sample(list(self), len(self)))

    def sort_desc(self) -> Self:
        """The items, the greatest first."""
        return self._of(sorted(self, reverse=True))

    def join(self, glue: str, last: str | None = None) -> str:
        """The items as one text; *last* stands before the last one: `join(", ", " and ")`."""
        texts = ["" if item is None else str(item) for item in self]
        if last is None or len(texts) < 2:
            return glue.join(texts)
        return glue.join(texts[:-1]) + last + texts[-1]

    # --- with functions

    def when(
        self, condition: Any, fn: Callable[..., Any], default: Callable[..., Any] | None = None
    ) -> Any:
        """fn(collection, condition) if *condition* holds, else default(…); None leaves it."""
        chosen = fn if condition else default
        found = None if chosen is None else call_with(chosen, self, condition)
        return self if found is None else found

    def unless(
        self, condition: Any, fn: Callable[..., Any], default: Callable[..., Any] | None = None
    ) -> Any:
        """fn(collection) unless *condition* holds, else default(collection)."""
        return self.when(not condition, fn, default)

    def when_empty(self, fn: Callable[..., Any], default: Callable[..., Any] | None = None) -> Any:
        """fn(collection) if there is no item."""
        return self.when(not self, fn, default)

    def when_not_empty(
        self, fn: Callable[..., Any], default: Callable[..., Any] | None = None
    ) -> Any:
        """fn(collection) if there is an item."""
        return self.when(bool(self), fn, default)

    def tap(self, fn: Callable[[Self], Any]) -> Self:
        """fn(collection), whatever it returns; gives the collection."""
        fn(self)
        return self

    def pipe(self, fn: Callable[[Self], Any]) -> Any:
        """What fn(collection) gives."""
        return fn(self)

    def dump(self) -> Self:
        """Print the items."""
        print(list(self))  # noqa: T201 - printing is what dump is for
        return self

    def map_with_keys(self, fn: Callable[[T], Any]) -> dict[Any, Any]:
        """A dict of what fn(item) gives: a pair, or a dict of some."""
        found: dict[Any, Any] = {}
        for item in self:
            made = fn(item)
            found.update(made if isinstance(made, Mapping) else [made])
        return found

    def map_to_groups(self, fn: Callable[[T], tuple[Any, Any]]) -> dict[Any, list[Any]]:
        """A dict of lists of what fn(item) gives, a pair of group and value."""
        found: dict[Any, list[Any]] = {}
        for key, value in map(fn, self):
            found.setdefault(key, []).append(value)
        return found

    def _passing(self, key: Any, operator: Any, value: Any) -> Self:
        if key is MISSING:
            return self
        return self._of(filter(test_of(key, operator, value), self))


def _lies(value: Any, low: Any, high: Any) -> bool:
    first, last = low if high is MISSING else (low, high)
    return bool(value is not None and first <= value <= last)


def _mean(values: list[Any]) -> Any:
    total = sum(values)
    return total / len(values) if not isinstance(total, Decimal) else total / Decimal(len(values))
