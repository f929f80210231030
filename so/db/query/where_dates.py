"""Where, of dates and times: parts of a point in time, and where it stands from now."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, tzinfo
from typing import Any, Self

from so.db import clauses as c
from so.db.expressions import Expression
from so.db.query.core import MISSING, QueryCore, checked_boolean, finite
from so.db.query.given import whole
from so.db.query.twins import twin
from so.db.values import bindable, in_zone
from so.support.clock import Clock

_REAL_TIME = Clock()
_LARGEST = {"day": 99, "month": 99, "year": 99_999}  # beyond all there are, also as texts
_FORMATS = {"date": "%Y-%m-%d", "time": "%H:%M:%S", "day": "%d", "month": "%m", "year": "%Y"}


class WhereDates(QueryCore):
    """The where methods for dates and times."""

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
            value = finite(_date_value(part, value, self._zone(), self.grammar.literal))
            if value is None:  # not a number: no time is equal to it, before it or after it
                return self._add(c.In(boolean, column, [], False))
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


def _date_value(part: str, value: Any, zone: tzinfo, literal: bool) -> Any:
    """*value* in the form in which the engines give that part of a date."""
    if isinstance(value, (list, tuple)) and value:
        value = value[0]
    if isinstance(value, datetime):
        return in_zone(value, zone).strftime(_FORMATS[part])
    if isinstance(value, (date, time)):
        return value.strftime(_FORMATS[part])
    value = bindable(value)
    if part in ("day", "month"):
        return f"{min(whole(value, f'a {part}'), _LARGEST[part]):02d}"
    if part == "year" and not literal and not isinstance(value, float):
        return f"{min(whole(value, 'a year'), _LARGEST[part]):04d}"
    return value
