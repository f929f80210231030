"""Random builder chains as data: they can be printed, cut shorter and built on any connection.

Left out are the differences between the engines that docs/database.md lists; what is made here
must give the same on SQLite and on MariaDB.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from random import Random
from typing import Any

from so.db.expressions import Expression

TEXTS = ["", "a", "ab", "abc", "b", "ba", "zz", "0", "10", "9", "x1"]
TAGS = ["red", "green", "blue"]
OPERATORS = ["=", "!=", "<>", "<", "<=", ">", ">="]
JOINED_BY = ["and", "and", "and", "or"]


@dataclass(frozen=True)
class Step:
    """One call of the chain."""

    method: str
    args: tuple[Any, ...] = ()
    kwargs: tuple[tuple[str, Any], ...] = ()

    def __str__(self) -> str:
        said = [str(one) if isinstance(one, (Block, Sub)) else repr(one) for one in self.args]
        said += [f"{name}={value!r}" for name, value in self.kwargs]
        return f".{self.method}({', '.join(said)})"


@dataclass(frozen=True)
class Block:
    """A callable that makes these calls on the query it gets."""

    steps: tuple[Step, ...]

    def __str__(self) -> str:
        return "lambda q: q" + "".join(map(str, self.steps))


@dataclass(frozen=True)
class Sub:
    """A query of its own on a table."""

    table: str
    steps: tuple[Step, ...]

    def __str__(self) -> str:
        return f"db.table({self.table!r})" + "".join(map(str, self.steps))


@dataclass(frozen=True)
class Chain:
    """A query, what is asked of it at its end, and whether the order of its rows is settled."""

    query: Sub
    end: Step
    ordered: bool = False
    writes: bool = False

    def __str__(self) -> str:
        return f"{self.query}{self.end}"

    def shorter(self) -> list[Chain]:
        """This chain with one call less, in every way that there is."""
        steps = self.query.steps
        return [
            replace(self, query=Sub(self.query.table, steps[:at] + steps[at + 1 :]))
            for at in range(len(steps))
        ]


def build(db: Any, sub: Sub) -> Any:
    """The query of *sub* on the connection *db*."""
    return apply(db, db.table(sub.table), sub.steps)


def apply(db: Any, query: Any, steps: tuple[Step, ...]) -> Any:
    """Make the calls of *steps* on *query*."""
    for step in steps:
        args = [_argument(db, one) for one in step.args]
        query = getattr(query, step.method)(*args, **dict(step.kwargs))
    return query


def _argument(db: Any, value: Any) -> Any:
    if isinstance(value, Block):
        return lambda query: apply(db, query, value.steps)
    if isinstance(value, Sub):
        return build(db, value)
    return value


class Maker:
    """Makes random rows and random chains from one source of chance."""

    def __init__(self, seed: int) -> None:
        self.chance = Random(seed)

    # --- data -----------------------------------------------------------------------------------

    def items(self, count: int) -> list[dict[str, Any]]:
        """Rows for the table items."""
        return [self.item(number) for number in range(1, count + 1)]

    def item(self, number: int) -> dict[str, Any]:
        """One row for the table items."""
        c = self.chance
        return {
            "id": number,
            "a": self.number(),
            "b": self.number(),
            "s": self.maybe(c.choice(TEXTS)),
            "d": self.maybe(Decimal(c.randint(-500, 5000)) / 100),
            "at": self.maybe(self.moment()),
            "j": self.maybe(self.document()),
        }

    def parts(self, count: int) -> list[dict[str, Any]]:
        """Rows for the table parts."""
        c = self.chance
        return [
            {
                "id": number,
                "item_id": c.randint(1, 12),
                "n": self.number(),
                "s": c.choice(TEXTS),
            }
            for number in range(1, count + 1)
        ]

    def document(self) -> dict[str, Any]:
        """A JSON object."""
        c = self.chance
        found: dict[str, Any] = {"tags": c.sample(TAGS, c.randint(0, 3))}
        if c.random() < 0.8:
            found["n"] = c.randint(0, 5)
        if c.random() < 0.8:
            found["w"] = c.choice(TEXTS[1:])
        if c.random() < 0.8:
            found["on"] = c.random() < 0.5
        if c.random() < 0.5:
            found["deep"] = {"k": c.choice([None, 1, "v"])}
        return found

    def maybe(self, value: Any) -> Any:
        return None if self.chance.random() < 0.15 else value

    def number(self) -> int | None:
        return self.maybe(self.chance.randint(-3, 6))  # type: ignore[no-any-return]

    def moment(self) -> datetime:
        c = self.chance
        return datetime(
            c.randint(2020, 2023),
            c.randint(1, 12),
            c.randint(1, 28),
            c.randint(0, 23),
            c.choice([0, 15, 59]),
            c.choice([0, 30]),
            c.choice([0, 0, 123456]),
            tzinfo=UTC,
        )

    # --- conditions -----------------------------------------------------------------------------

    def conditions(self, most: int = 4, *, depth: int = 2, prefix: str = "") -> tuple[Step, ...]:
        """Some where calls."""
        return tuple(self.condition(depth, prefix) for _ in range(self.chance.randint(0, most)))

    def condition(self, depth: int, prefix: str = "") -> Step:
        """One where call, joined by and or or."""
        kinds = [
            self._compare,
            self._compare,
            self._null,
            self._in,
            self._between,
            self._columns,
            self._text,
            self._json,
            self._date,
            self._several,
            self._row_values,
        ]
        if depth > 0:
            kinds += [self._nested, self._sub_query, self._sub_query]
        step = self.chance.choice(kinds)(depth, prefix)
        if step.method.startswith("where") and self.chance.random() < 0.25:
            step = replace(step, method="or_" + step.method)
        return step

    def column_and_value(self, prefix: str) -> tuple[str, Any]:
        c = self.chance
        column = c.choice(["id", "a", "b", "s", "d", "at"])
        values = {
            "id": c.randint(0, 13),
            "a": c.randint(-3, 6),
            "b": c.randint(-3, 6),
            "s": c.choice(TEXTS),
            "d": Decimal(c.randint(-500, 5000)) / 100,
            "at": self.moment(),
        }
        return prefix + column, values[column]

    def number_column(self, prefix: str) -> str:
        return prefix + self.chance.choice(["id", "a", "b"])

    def _compare(self, depth: int, prefix: str) -> Step:
        column, value = self.column_and_value(prefix)
        c = self.chance
        if c.random() < 0.1:
            return Step("where", (column, c.choice(["=", "!=", "<=>"]), None))
        if c.random() < 0.1:
            return Step("where_null_safe_equals", (column, self.maybe(value)))
        if c.random() < 0.1:
            return Step("where_not", (column, c.choice(OPERATORS), value))
        if c.random() < 0.1:
            return Step("where", ({column: value, prefix + "b": c.randint(-3, 6)},))
        return Step("where", (column, c.choice(OPERATORS), value))

    def _null(self, depth: int, prefix: str) -> Step:
        method = self.chance.choice(["where_null", "where_not_null"])
        column = self.chance.choice(["a", "b", "s", "d", "at", "j", "j->n", "j->deep->k"])
        return Step(method, (prefix + column,))

    def _in(self, depth: int, prefix: str) -> Step:
        c = self.chance
        column, _ = self.column_and_value(prefix)
        if c.random() < 0.3:
            numbers = [c.randint(-2, 12) for _ in range(c.randint(0, 4))]
            method = c.choice(["where_integer_in_raw", "where_integer_not_in_raw"])
            return Step(method, (self.number_column(prefix), numbers))
        bare = column.rpartition(".")[2]
        values = []
        while len(values) < c.randint(0, 4):
            other, value = self.column_and_value("")
            if other == bare:
                values.append(self.maybe(value) if c.random() < 0.2 else value)
        return Step(c.choice(["where_in", "where_not_in"]), (column, values))

    def _between(self, depth: int, prefix: str) -> Step:
        c = self.chance
        column = self.number_column(prefix)
        low = c.randint(-3, 6)
        pick = c.random()
        if pick < 0.2:
            columns = [self.number_column(prefix), self.number_column(prefix)]
            method = c.choice(["where_between_columns", "where_not_between_columns"])
            return Step(method, (column, columns))
        if pick < 0.4:
            columns = [self.number_column(prefix), self.number_column(prefix)]
            method = c.choice(["where_value_between", "where_value_not_between"])
            return Step(method, (low, columns))
        method = c.choice(["where_between", "where_not_between"])
        return Step(method, (column, [low, low + c.randint(-1, 4)]))

    def _columns(self, depth: int, prefix: str) -> Step:
        operator = self.chance.choice(OPERATORS)
        return Step(
            "where_column", (self.number_column(prefix), operator, self.number_column(prefix))
        )

    def _text(self, depth: int, prefix: str) -> Step:
        c = self.chance
        pattern = c.choice(["%", "a%", "%b", "_", "a_%", "%a%", "z%z", "1%", ""])
        method = c.choice(["where_like", "where_not_like"])
        options = c.choice([(), (("case_sensitive", True),), (("escape", True),)])
        return Step(method, (prefix + "s", pattern), options)

    def _json(self, depth: int, prefix: str) -> Step:
        c = self.chance
        pick = c.randint(0, 6)
        not_ = c.random() < 0.4
        if pick == 0:
            return Step("where", (prefix + "j->on", c.choice(["=", "!="]), c.random() < 0.5))
        if pick == 1:
            return Step("where", (prefix + "j->n", c.choice(OPERATORS), c.randint(0, 5)))
        if pick == 2:
            return Step("where", (prefix + "j->w", c.choice(["=", "!="]), c.choice(TEXTS[1:])))
        if pick == 3:
            wanted = c.choice([c.choice(TAGS), c.sample(TAGS, 2)])
            method = "where_json_doesnt_contain" if not_ else "where_json_contains"
            return Step(method, (prefix + "j->tags", wanted))
        if pick == 4:
            method = "where_json_doesnt_overlap" if not_ else "where_json_overlaps"
            return Step(method, (prefix + "j->tags", c.sample(TAGS, 2)))
        if pick == 5:
            method = "where_json_doesnt_contain_key" if not_ else "where_json_contains_key"
            return Step(method, (prefix + c.choice(["j->n", "j->deep->k", "j->tags[1]"]),))
        return Step("where_json_length", (prefix + "j->tags", c.choice(OPERATORS), c.randint(0, 3)))

    def _date(self, depth: int, prefix: str) -> Step:
        c = self.chance
        part, value = c.choice(
            [
                ("date", date(c.randint(2020, 2023), c.randint(1, 12), c.randint(1, 28))),
                ("day", c.randint(1, 28)),
                ("month", c.randint(1, 12)),
                ("year", c.randint(2019, 2024)),
                ("time", f"{c.randint(0, 23):02}:{c.choice(['00', '15'])}:00"),
            ]
        )
        return Step(f"where_{part}", (prefix + "at", c.choice(OPERATORS), value))

    def _several(self, depth: int, prefix: str) -> Step:
        method = self.chance.choice(["where_any", "where_all", "where_none"])
        columns = [prefix + "a", prefix + "b"]
        return Step(method, (columns, self.chance.choice(OPERATORS), self.chance.randint(-3, 6)))

    def _row_values(self, depth: int, prefix: str) -> Step:
        c = self.chance
        operator = c.choice(["=", "!=", "<", ">", "<=", ">="])
        values = [c.randint(-3, 6), c.randint(-3, 6)]
        return Step("where_row_values", ([prefix + "a", prefix + "b"], operator, values))

    def _nested(self, depth: int, prefix: str) -> Step:
        steps = tuple(self.condition(depth - 1, prefix) for _ in range(self.chance.randint(1, 3)))
        return Step(self.chance.choice(["where", "where", "where_not"]), (Block(steps),))

    def _sub_query(self, depth: int, prefix: str) -> Step:
        c = self.chance
        inner = self.part_conditions()
        pick = c.randint(0, 3)
        if pick == 0:
            sub = Sub("parts", (Step("select", ("item_id",)), *inner))
            return Step(c.choice(["where_in", "where_not_in"]), ((prefix or "items.") + "id", sub))
        if pick == 1:
            tie = Step("where_column", ("parts.item_id", "items.id"))
            method = c.choice(["where_exists", "where_not_exists"])
            return Step(method, (Sub("parts", (tie, *inner)),))
        summed = Step("select_raw", (c.choice(["count(*)", "max(n)", "min(id)"]),))
        sub = Sub("parts", (summed, *inner))
        if pick == 2:
            return Step("where", (self.number_column(prefix), c.choice(OPERATORS), sub))
        return Step("where", (sub, c.choice(OPERATORS), c.randint(0, 4)))

    def part_conditions(self) -> tuple[Step, ...]:
        """Some where calls on the table parts."""
        c = self.chance
        found = []
        for _ in range(c.randint(0, 2)):
            column = c.choice(["parts.n", "parts.id"])
            found.append(Step("where", (column, c.choice(OPERATORS), c.randint(-3, 8))))
        return tuple(found)

    # --- whole chains ---------------------------------------------------------------------------

    def chain(self) -> Chain:
        """One chain."""
        kinds = [
            self.rows,
            self.rows,
            self.rows,
            self.joined,
            self.grouped,
            self.united,
            self.aggregated,
            self.paged,
            self.updated,
            self.deleted,
            self.inserted,
            self.broken,
        ]
        return self.chance.choice(kinds)()

    def rows(self) -> Chain:
        """Rows of one table, or a few of their values."""
        c = self.chance
        steps = self.conditions()
        pick = c.random()
        if pick < 0.15:
            steps += (Step("distinct"), Step("select", ("a", "b")))
            return Chain(Sub("items", steps), Step("get"))
        if pick < 0.3:
            label = Sub(
                "parts",
                (
                    Step("select_raw", ("count(*)",)),
                    Step("where_column", ("parts.item_id", "items.id")),
                    *self.part_conditions(),
                ),
            )
            steps = (
                Step("select", ("items.id", "items.s")),
                Step("select_sub", (label, "cnt")),
                *steps,
            )
        elif pick < 0.4:
            steps = (Step("select", ("id", "j->w as w", "a as first")), *steps)
        elif pick < 0.5:
            steps += (Step("order_by", ("id",)), Step("group_limit", (c.randint(1, 3), "a")))
            return Chain(Sub("items", steps), Step("get"))
        return self._ended(Sub("items", steps), "items.id")

    def _ended(self, sub: Sub, key: str) -> Chain:
        """*sub* with an order, perhaps a limit, and something to read."""
        c = self.chance
        steps = sub.steps
        if c.random() < 0.5:
            return Chain(sub, Step("get"))
        for _ in range(c.randint(0, 2)):
            column = c.choice(["a", "b", "s", "d", "at"])
            method = c.choice(["order_by", "order_by_desc", "latest", "oldest"])
            steps += (Step(method, (key.rpartition(".")[0] + "." + column,)),)
        if c.random() < 0.2:
            values = c.sample(TEXTS, 3)
            steps += (Step("in_order_of", ("items.s", values)),)
        steps += (Step("order_by", (key, c.choice(["asc", "desc"]))),)
        if c.random() < 0.4:
            steps += (Step("limit", (c.randint(0, 6),)),)
        if c.random() < 0.4:
            steps += (Step("offset", (c.randint(0, 5),)),)
        end = c.choice(
            [
                Step("get"),
                Step("get"),
                Step("first"),
                Step("value", (key,)),
                Step("pluck", (key,)),
                Step("pluck", ("items.s", key)),
                Step("implode", (key, ",")),
                Step("exists"),
            ]
        )
        if any(step.method in ("select", "select_sub") for step in steps):
            end = Step("get")
        return Chain(Sub(sub.table, steps), end, ordered=True)

    def joined(self) -> Chain:
        """Rows of two tables."""
        c = self.chance
        method = c.choice(["join", "left_join", "right_join"])
        on = Step("on", ("parts.item_id", "=", "items.id"))
        pick = c.random()
        if pick < 0.4:
            join = Step(method, ("parts", "parts.item_id", "=", "items.id"))
        elif pick < 0.7:
            join = Step(method, ("parts", Block((on, Step("where", ("parts.n", ">", 0))))))
        elif pick < 0.9:
            sub = Sub("parts", self.part_conditions())
            join = Step(method + "_sub", (sub, "parts", "parts.item_id", "=", "items.id"))
        else:
            join = Step("cross_join", ("parts",))
        chosen = Step("select", ("items.id", "items.s", "parts.id as part", "parts.n"))
        steps = (chosen, join, *self.conditions(3, prefix="items."))
        if c.random() < 0.5:
            steps += (Step("order_by", ("items.id",)), Step("order_by", ("parts.id",)))
            steps += (Step("limit", (c.randint(1, 8),)),)
            return Chain(Sub("items", steps), Step("get"), ordered=True)
        return Chain(Sub("items", steps), c.choice([Step("get"), Step("count")]))

    def grouped(self) -> Chain:
        """Counts and sums by group."""
        c = self.chance
        by = c.choice(["a", "b", "s"])
        summary = "count(*) as total, sum(b) as sum_b, max(d) as max_d, min(at) as first_at"
        steps = (*self.conditions(2), Step("select", (by,)), Step("select_raw", (summary,)))
        steps += (Step("group_by", (by,)),)
        if c.random() < 0.6:
            having = c.choice(
                [
                    Step("having", ("total", c.choice(OPERATORS), c.randint(0, 3))),
                    Step("having_between", ("total", [1, 2])),
                    Step("having_not_null", (by,)),
                    Step("having_raw", ("count(*) >= ?", [c.randint(1, 3)])),
                    Step(
                        "having",
                        (
                            Block(
                                (
                                    Step("having", ("total", ">", 1)),
                                    Step("or_having_null", (by,)),
                                )
                            ),
                        ),
                    ),
                ]
            )
            steps += (having,)
        if c.random() < 0.4:
            steps += (Step("order_by", (by,)),)
            return Chain(Sub("items", steps), Step("get"), ordered=True)
        return Chain(Sub("items", steps), c.choice([Step("get"), Step("get_count_for_pagination")]))

    def united(self) -> Chain:
        """A union."""
        c = self.chance
        first = (Step("select", ("id", "s")), *self.conditions(2))
        steps = first
        for _ in range(c.randint(1, 2)):
            other = c.choice(
                [
                    Sub("parts", (Step("select", ("id", "s")), *self.part_conditions())),
                    Sub("items", (Step("select", ("id", "s")), *self.conditions(2))),
                ]
            )
            steps += (Step(c.choice(["union", "union_all"]), (other,)),)
        if c.random() < 0.5:
            steps += (Step("order_by", ("id",)), Step("order_by", ("s",)))
            steps += (Step("limit", (c.randint(1, 8),)), Step("offset", (c.randint(0, 3),)))
            return Chain(Sub("items", steps), Step("get"), ordered=True)
        return Chain(Sub("items", steps), c.choice([Step("get"), Step("count")]))

    def aggregated(self) -> Chain:
        """One number."""
        c = self.chance
        steps = self.conditions()
        end = c.choice(
            [
                Step("count"),
                Step("count", ("a",)),
                Step("exists"),
                Step("doesnt_exist"),
                Step("sum", (c.choice(["a", "b", "d"]),)),
                Step("avg", (c.choice(["a", "b", "d"]),)),
                Step("min", (c.choice(["a", "d", "s"]),)),
                Step("max", (c.choice(["a", "d", "s"]),)),
                Step("sum", (Expression("a * 2"),)),
            ]
        )
        if c.random() < 0.2 and end.args == ("a",):
            steps += (Step("distinct"),)
        return Chain(Sub("items", steps), end)

    def paged(self) -> Chain:
        """A page, or all rows in parts."""
        c = self.chance
        steps = self.conditions(3)
        if c.random() < 0.3:
            return Chain(Sub("items", steps), Step("all_by_id", (c.randint(1, 5),)), ordered=True)
        order = (Step("order_by", ("id", c.choice(["asc", "desc"]))),)
        end = c.choice(
            [
                Step("paginate", (c.randint(1, 5), c.randint(1, 4))),
                Step("simple_paginate", (c.randint(1, 5), c.randint(1, 4))),
                Step("all_by_cursor", (c.randint(1, 5),)),
                Step("all_by_chunk", (c.randint(1, 5),)),
                Step("all_streamed"),
            ]
        )
        return Chain(Sub("items", steps + order), end, ordered=True)

    # --- writing --------------------------------------------------------------------------------

    def changes(self) -> dict[str, Any]:
        """Columns and their new values."""
        c = self.chance
        found: dict[str, Any] = {}
        if c.random() < 0.5:
            found["s"] = c.choice(TEXTS)
        if c.random() < 0.3:
            found["d"] = Decimal(c.randint(-500, 5000)) / 100
        if c.random() < 0.3:
            found["a"] = Expression("b + 1")
        if c.random() < 0.3:
            found["at"] = self.maybe(self.moment())
        if c.random() < 0.2:
            found["j"] = self.document()
        elif c.random() < 0.3:
            found["j->n"] = c.randint(0, 5)
            found["j->deep->new"] = c.choice([True, "text", {"x": [1, 2]}, ["y"]])
        return found

    def _targets(self) -> tuple[Step, ...]:
        c = self.chance
        steps = self.conditions(3)
        if c.random() < 0.25:
            steps += (Step("order_by", ("id", "desc")), Step("limit", (c.randint(1, 4),)))
        return steps

    def updated(self) -> Chain:
        """Rows changed."""
        c = self.chance
        if c.random() < 0.2:
            join = Step("join", ("parts", "parts.item_id", "=", "items.id"))
            steps = (join, *self.conditions(2, prefix="items."))
            return Chain(Sub("items", steps), Step("update", ({"items.b": 9},)), writes=True)
        if c.random() < 0.3:
            method = c.choice(["increment", "decrement"])
            extra = {"s": "stepped"} if c.random() < 0.5 else None
            end = Step(method, (c.choice(["a", "b"]), c.randint(1, 3), extra))
            return Chain(Sub("items", self._targets()), end, writes=True)
        end = Step("update", (self.changes(),))
        if c.random() < 0.15:
            summed = (
                Step("select_raw", ("count(*)",)),
                Step("where_column", ("parts.item_id", "items.id")),
            )
            end = Step("update_with", ("b", Sub("parts", summed)))
        return Chain(Sub("items", self._targets()), end, writes=True)

    def deleted(self) -> Chain:
        """Rows deleted."""
        if self.chance.random() < 0.2:
            join = Step("join", ("parts", "parts.item_id", "=", "items.id"))
            steps = (join, *self.conditions(2, prefix="items."))
            return Chain(Sub("items", steps), Step("delete"), writes=True)
        return Chain(Sub("items", self._targets()), Step("delete"), writes=True)

    def inserted(self) -> Chain:
        """Rows added, or changed where they are."""
        c = self.chance
        start = c.randint(8, 14)
        rows = [self.item(start + at) for at in range(c.randint(1, 4))]
        sub = Sub("items", ())
        codes = [{"code": c.choice("abcdef"), "n": c.randint(0, 9)} for _ in range(c.randint(1, 3))]
        codes = list({row["code"]: row for row in codes}.values())
        end = c.choice(
            [
                Step("insert", (rows,)),
                Step("insert_or_ignore", (rows,)),
                Step("insert_using", (["item_id", "n"], Sub("items", self._copied()))),
                Step("upsert", (codes, "code")),
                Step("upsert", (codes, ["code"], {"n": Expression("n + 1")})),
                Step("update_or_insert", ({"code": c.choice("abcdef")}, {"n": c.randint(0, 9)})),
            ]
        )
        if end.method in ("upsert", "update_or_insert"):
            sub = Sub("codes", ())
        elif end.method == "insert_using":
            sub = Sub("parts", ())
        return Chain(sub, end, writes=True)

    def broken(self) -> Chain:
        """Something that both engines must refuse, with the same class of error."""
        c = self.chance
        steps = self.conditions(2)
        wrong = c.choice(
            [
                Step("where", ("nope", 1)),
                Step("where", ("items.nope", "nope")),
                Step("order_by", ("nope",)),
                Step("select", ("id", "nope")),
                Step("join", ("nope", "nope.id", "=", "items.id")),
                Step("where_in", ("id", Sub("nope", (Step("select", ("id",)),)))),
                Step("where", ("a", "nope", 1)),
                Step("where", ("a", "<", None)),
                Step("where_raw", ("a ===== b",)),
                Step("union", (Sub("parts", ()),)),
            ]
        )
        if c.random() < 0.6:
            return Chain(Sub("items", (*steps, wrong)), Step("get"))
        end = c.choice(
            [
                Step("insert", ([{"code": "a", "n": 1}],)),
                Step("insert", ([{"code": "q", "n": None}],)),
                Step("insert", ([{"code": "q"}],)),
                Step("insert", ([{"code": "q", "n": 1}, {"code": "r"}],)),
                Step("insert", ([{"nope": 1}],)),
                Step("update", ({"nope": 1},)),
                Step("update", ({"n": None},)),
                Step("update", ({"code": "same"},)),
                Step("increment", ("n", "x")),
                Step("upsert", ([{"code": "a", "n": 1}], [])),
            ]
        )
        return Chain(Sub("codes", ()), end, writes=True)

    def _copied(self) -> tuple[Step, ...]:
        return (Step("select", ("id", "a")), *self.conditions(2))
