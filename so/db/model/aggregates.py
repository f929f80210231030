"""What is related, counted or added up: with_count, with_sum, with_exists and their kin.

Each is a sub-query among the columns, tied to the outer row, whose value becomes an attribute:
`posts_count`, `posts_sum_votes`, `posts_exists`. A sum of no rows is None, as in SQL.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Self

from so.db.model.existence import Existence, Fill
from so.db.query.reading import number
from so.errors import InvalidArgumentError

_SIGNS = re.compile(r"[^\w\s]")
_FUNCTIONS = frozenset({"count", "exists", "sum", "avg", "min", "max"})


class Aggregates(Existence):
    """with_count, with_exists, with_sum, with_avg, with_min, with_max."""

    def with_count(self, *relations: Any, **constrained: Any) -> Self:
        """Count what is related, as a column: `with_count("posts")` gives `posts_count`.

        `"posts as drafts"` names the column; `posts=lambda q: …` (or a dict) counts a part.
        """
        return self._with_each(_wanted(relations, constrained), "*", "count")

    def with_exists(self, *relations: Any, **constrained: Any) -> Self:
        """Whether something is related, True or False: `posts_exists`; takes what counts take."""
        return self._with_each(_wanted(relations, constrained), "*", "exists")

    def with_sum(self, relations: Any, column: Any, /, **constrained: Any) -> Self:
        """Add up a column of what is related: `with_sum("posts", "votes")`: `posts_sum_votes`.

        *relations*: a name, `"posts as drafts"`, several in a list, or `{name: lambda q: …}`.
        """
        return self.with_aggregate(relations, column, "sum", **constrained)

    def with_avg(self, relations: Any, column: Any, /, **constrained: Any) -> Self:
        """The average of a column of what is related: `posts_avg_votes`."""
        return self.with_aggregate(relations, column, "avg", **constrained)

    def with_min(self, relations: Any, column: Any, /, **constrained: Any) -> Self:
        """The least value of a column of what is related: `posts_min_votes`."""
        return self.with_aggregate(relations, column, "min", **constrained)

    def with_max(self, relations: Any, column: Any, /, **constrained: Any) -> Self:
        """The greatest value of a column of what is related: `posts_max_votes`."""
        return self.with_aggregate(relations, column, "max", **constrained)

    def with_aggregate(
        self, relations: Any, column: Any, function: str, /, **constrained: Any
    ) -> Self:
        """count, exists, sum, avg, min or max of a column of what is related."""
        if function not in _FUNCTIONS:
            raise InvalidArgumentError(
                f"unknown aggregate {function!r}: use one of {', '.join(sorted(_FUNCTIONS))}"
            )
        return self._with_each(_wanted([relations], constrained), column, function)

    def _with_each(self, wanted: Iterable[tuple[str, Fill]], column: Any, function: str) -> Self:
        if self.tree.columns is None:
            self.select(f"{self.table_name}.*")
        for entry, fn in wanted:
            name, _, alias = (part.strip() for part in entry.partition(" as "))
            self._with_one(name, alias or _named(name, column, function), fn, column, function)
        return self

    def _with_one(self, name: str, alias: str, fn: Fill, column: Any, function: str) -> None:
        relation = self._relation_here(name)
        query, told = relation.aggregated(self, fn, column)
        if function == "exists":
            sql, bindings = self.grammar.compile_select(query._finished())
            self.select_raw(f"exists({sql}) as {self.grammar.wrap(alias)}", bindings)
        else:
            bindings = []
            sql = self.grammar.aggregate_of(function, self.grammar.column(told, bindings))
            self.select_sub(query.select_raw(sql, bindings), alias)
        self._computed = {**self._computed, alias: _reader(relation, column, function)}


def _reader(relation: Any, column: Any, function: str) -> Callable[[Any], Any]:
    """What makes the attribute of what the engine gave: the same on every engine."""
    if function == "exists":
        return bool
    if function == "count":
        return int
    if function == "avg":
        return lambda value: number(value, whole=False)

    def read(value: Any) -> Any:
        return relation._cast_value(column, number(value) if function == "sum" else value)

    return read


def _named(name: str, column: Any, function: str) -> str:
    """`posts_count`, `order_lines_sum_amount`: no sign of an expression stays in it."""
    words = [name, function]
    if column != "*":
        words.append(str(column).rpartition(".")[2])
    return _SIGNS.sub("", "_".join(words)).replace(" ", "_").lower()


def _wanted(relations: Iterable[Any], constrained: Mapping[str, Any]) -> list[tuple[str, Fill]]:
    found: list[tuple[str, Fill]] = []
    for entry in relations:
        if isinstance(entry, str):
            found.append((entry, None))
        elif isinstance(entry, Mapping):
            found.extend(entry.items())
        else:
            found.extend(_wanted(entry, {}))
    return [*found, *constrained.items()]
