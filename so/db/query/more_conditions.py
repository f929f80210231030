"""Where, continued: dates and times, patterns, JSON and full-text search."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, tzinfo
from typing import Any, Self

from so.db import clauses as c
from so.db.expressions import Expression, bindable
from so.db.query.conditions import Conditions, checked_boolean
from so.db.query.core import MISSING
from so.db.query.twins import twin
from so.db.values import in_zone
from so.errors import InvalidArgumentError, InvalidNumberError
from so.support import numbers
from so.support.clock import Clock

_REAL_TIME = Clock()
_FORMATS = {"date": "%Y-%m-%d", "time": "%H:%M:%S", "day": "%d", "month": "%m", "year": "%Y"}


class MoreConditions(Conditions):
    """The where methods for dates, patterns, JSON and text search."""

    # --- parts of dates -------------------------------------------------------------------------

    def where_date(
        self, column: Any, operator: Any, value: Any = MISSING, boolean: str = "and"
    ) -> Self:
        """The day of a point in time, as `YYYY-MM-DD` or a date."""
        return self._date_part("date", column, operator, value, boolean)

    or_where_date = twin(where_date, boolean="or")

    def where_time(
        self, column: Any, operator: Any, value: Any = MISSING, boolean: str = "and"
    ) -> Self:
        """The time of day, as `HH:MM:SS` or a time."""
        return self._date_part("time", column, operator, value, boolean)

    or_where_time = twin(where_time, boolean="or")

    def where_day(
        self, column: Any, operator: Any, value: Any = MISSING, boolean: str = "and"
    ) -> Self:
        """The day of the month, 1 to 31."""
        return self._date_part("day", column, operator, value, boolean)

    or_where_day = twin(where_day, boolean="or")

    def where_month(
        self, column: Any, operator: Any, value: Any = MISSING, boolean: str = "and"
    ) -> Self:
        """The month, 1 to 12."""
        return self._date_part("month", column, operator, value, boolean)

    or_where_month = twin(where_month, boolean="or")

    def where_year(
        self, column: Any, operator: Any, value: Any = MISSING, boolean: str = "and"
    ) -> Self:
        """The year."""
        return self._date_part("year", column, operator, value, boolean)

    or_where_year = twin(where_year, boolean="or")

    def _date_part(self, part: str, column: Any, operator: Any, value: Any, boolean: str) -> Self:
        if value is MISSING:
            operator, value = "=", operator
        boolean, column = checked_boolean(boolean), self._column(column)
        operator = self._operator(operator)
        if value is None:
            return self._compare_null(column, operator, boolean)
        if not isinstance(value, Expression):
            value = _date_value(part, value, self._zone())
        return self._add(c.DatePart(boolean, part, column, operator, value))

    # --- now and today --------------------------------------------------------------------------

    def where_past(self, columns: Any, boolean: str = "and") -> Self:
        """The column, or each column of a list, lies before now."""
        return self._against_now(columns, "<", boolean)

    or_where_past = twin(where_past, boolean="or")

    def where_now_or_past(self, columns: Any, boolean: str = "and") -> Self:
        """… is now or before now."""
        return self._against_now(columns, "<=", boolean)

    or_where_now_or_past = twin(where_now_or_past, boolean="or")

    def where_future(self, columns: Any, boolean: str = "and") -> Self:
        """… lies after now."""
        return self._against_now(columns, ">", boolean)

    or_where_future = twin(where_future, boolean="or")

    def where_now_or_future(self, columns: Any, boolean: str = "and") -> Self:
        """… is now or after now."""
        return self._against_now(columns, ">=", boolean)

    or_where_now_or_future = twin(where_now_or_future, boolean="or")

    def where_today(self, columns: Any, boolean: str = "and") -> Self:
        """… is on this day (UTC)."""
        return self._against_today(columns, "=", boolean)

    or_where_today = twin(where_today, boolean="or")

    def where_before_today(self, columns: Any, boolean: str = "and") -> Self:
        """… is on an earlier day."""
        return self._against_today(columns, "<", boolean)

    or_where_before_today = twin(where_before_today, boolean="or")

    def where_today_or_before(self, columns: Any, boolean: str = "and") -> Self:
        """… is on this day or an earlier one."""
        return self._against_today(columns, "<=", boolean)

    or_where_today_or_before = twin(where_today_or_before, boolean="or")

    def where_after_today(self, columns: Any, boolean: str = "and") -> Self:
        """… is on a later day."""
        return self._against_today(columns, ">", boolean)

    or_where_after_today = twin(where_after_today, boolean="or")

    def where_today_or_after(self, columns: Any, boolean: str = "and") -> Self:
        """… is on this day or a later one."""
        return self._against_today(columns, ">=", boolean)

    or_where_today_or_after = twin(where_today_or_after, boolean="or")

    def _now(self) -> datetime:
        clock: Clock = getattr(self.runner, "clock", None) or _REAL_TIME
        return clock.now()

    def _zone(self) -> tzinfo:
        """The zone in which the connection stores points in time."""
        zone: tzinfo = getattr(self.runner, "zone", UTC)
        return zone

    def _against_now(self, columns: Any, operator: str, boolean: str) -> Self:
        now, boolean = self._now(), checked_boolean(boolean)
        for column in columns if isinstance(columns, (list, tuple)) else [columns]:
            self._add(c.Compare(boolean, self._column(column), operator, now))
        return self

    def _against_today(self, columns: Any, operator: str, boolean: str) -> Self:
        today = self._now().astimezone(self._zone()).date()
        for column in columns if isinstance(columns, (list, tuple)) else [columns]:
            self._date_part("date", column, operator, today, boolean)
        return self

    # --- patterns and text ----------------------------------------------------------------------

    def where_like(
        self,
        column: Any,
        value: Any,
        case_sensitive: bool = False,
        boolean: str = "and",
        not_: bool = False,
        escape: bool = False,
    ) -> Self:
        """The column matches a pattern in which % is any text and _ any character.

        A backslash before one of them, or before itself, makes it an ordinary character.
        With *escape* only a % at its start or end is a wildcard: for what a user typed.
        """
        pattern = self._bound(value)
        if escape and isinstance(pattern, str):
            pattern = escaped_pattern(pattern)
        node = c.Like(
            checked_boolean(boolean), self._column(column), pattern, case_sensitive, not_, escape
        )
        return self._add(node)

    or_where_like = twin(where_like, boolean="or")
    where_not_like = twin(where_like, not_=True)
    or_where_not_like = twin(where_like, boolean="or", not_=True)

    def where_binary(
        self, column: Any, value: Any, boolean: str = "and", not_: bool = False
    ) -> Self:
        """The column equals *value* byte by byte, whatever its collation takes for equal."""
        boolean, column = checked_boolean(boolean), self._column(column)
        if value is None:
            return self._add(c.IsNull(boolean, column, not_))
        return self._add(c.Binary(boolean, column, self._bound(value), not_))

    or_where_binary = twin(where_binary, boolean="or")
    where_not_binary = twin(where_binary, not_=True)
    or_where_not_binary = twin(where_binary, boolean="or", not_=True)

    def where_full_text(
        self,
        columns: Any,
        value: Any,
        options: Mapping[str, Any] | None = None,
        boolean: str = "and",
    ) -> Self:
        """A full-text search (MySQL); options: `mode` "natural" or "boolean", `expanded`."""
        options = options or {}
        names = columns if isinstance(columns, (list, tuple)) else [columns]
        node = c.FullText(
            checked_boolean(boolean),
            [self._column(name) for name in names],
            self._bound(value),
            str(options.get("mode", "natural")),
            bool(options.get("expanded")),
        )
        return self._add(node)

    or_where_full_text = twin(where_full_text, boolean="or")

    # --- JSON -----------------------------------------------------------------------------------

    def where_json_contains(
        self, column: str, value: Any, boolean: str = "and", not_: bool = False
    ) -> Self:
        """The JSON array at `column->path` has the value, or all of a list of values."""
        return self._json_test("contains", column, value, boolean, not_)

    or_where_json_contains = twin(where_json_contains, boolean="or")
    where_json_doesnt_contain = twin(where_json_contains, not_=True)
    or_where_json_doesnt_contain = twin(where_json_contains, boolean="or", not_=True)

    def where_json_overlaps(
        self, column: str, value: Any, boolean: str = "and", not_: bool = False
    ) -> Self:
        """The JSON array at `column->path` has at least one of the values."""
        return self._json_test("overlaps", column, value, boolean, not_)

    or_where_json_overlaps = twin(where_json_overlaps, boolean="or")
    where_json_doesnt_overlap = twin(where_json_overlaps, not_=True)
    or_where_json_doesnt_overlap = twin(where_json_overlaps, boolean="or", not_=True)

    def where_json_contains_key(
        self, column: str, boolean: str = "and", not_: bool = False
    ) -> Self:
        """There is something at `column->path`, be it null."""
        return self._json_test("key", column, None, boolean, not_)

    or_where_json_contains_key = twin(where_json_contains_key, boolean="or")
    where_json_doesnt_contain_key = twin(where_json_contains_key, not_=True)
    or_where_json_doesnt_contain_key = twin(where_json_contains_key, boolean="or", not_=True)

    def _json_test(self, kind: str, column: str, value: Any, boolean: str, not_: bool) -> Self:
        return self._add(
            c.JsonTest(checked_boolean(boolean), kind, self._json_column(column), value, not_)
        )

    def where_json_length(
        self, column: str, operator: Any, value: Any = MISSING, boolean: str = "and"
    ) -> Self:
        """The number of elements of the JSON array at `column->path`."""
        if value is MISSING:
            operator, value = "=", operator
        node = c.JsonLength(
            checked_boolean(boolean),
            self._json_column(column),
            self._operator(operator),
            value if isinstance(value, Expression) else _whole(value, "a length"),
        )
        return self._add(node)

    or_where_json_length = twin(where_json_length, boolean="or")

    def _json_column(self, column: Any) -> str:
        if not isinstance(column, (str, Expression)):
            raise InvalidArgumentError(f"a JSON column must be a name, not {column!r:.60}")
        return column if isinstance(column, str) else column.value


def escaped_pattern(text: str) -> str:
    """*text* as a pattern in which only a % at its start or end is a wildcard."""
    start = "%" if text.startswith("%") else ""
    rest = text[len(start) :]
    end = "%" if rest.endswith("%") else ""
    middle = rest[: len(rest) - len(end)]
    for special in ("\\", "%", "_"):
        middle = middle.replace(special, "\\" + special)
    return start + middle + end


def _date_value(part: str, value: Any, zone: tzinfo) -> Any:
    """*value* in the form in which the engines give that part of a date."""
    if isinstance(value, (list, tuple)) and value:
        value = value[0]
    if isinstance(value, datetime):
        return in_zone(value, zone).strftime(_FORMATS[part])
    if isinstance(value, (date, time)):
        return value.strftime(_FORMATS[part])
    value = bindable(value)
    if part in ("day", "month"):
        return f"{_whole(value, f'a {part}'):02d}"
    return value


def _whole(value: Any, what: str) -> int:
    number = numbers.whole(value)
    if number is None:
        raise InvalidNumberError(f"{what} must be a whole number, not {value!r:.60}")
    return number
