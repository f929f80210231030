"""Cron expressions: five fields, lists, ranges, steps, names, and `@daily` with its kin."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta, tzinfo

from so.errors import QueueError

_FIELDS = (
    ("minute", 0, 59),
    ("hour", 0, 23),
    ("day", 1, 31),
    ("month", 1, 12),
    ("weekday", 0, 7),
)
_NAMES = {
    "month": (
        "january february march april may june july august september october november december"
    ).split(),
    "weekday": "sunday monday tuesday wednesday thursday friday saturday".split(),
}
_PART = re.compile(r"(\*|[0-9]{1,4}|[a-z]+)(?:(?<!\*)-([0-9]{1,4}|[a-z]+))?(?:/([0-9]{1,4}))?")
_TIME_OF_DAY = re.compile(r"(\d{1,2})(?::(\d{1,2}))?")
_WORDS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_MINUTE = timedelta(minutes=1)
_LONGEST_SEARCH_DAYS = 366 * 8


@dataclass(frozen=True)
class Cron:
    """When something recurs, in the wall-clock time of a zone."""

    text: str
    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    any_day: bool
    any_weekday: bool
    only_on: frozenset[int] = frozenset(range(7))
    """Weekdays that it keeps to whatever the fields say."""
    is_last_of_month: bool = False
    """Whether it keeps to the last day of each month."""
    window: tuple[int, int] | None = None
    """The first and last minute of the day that it keeps to; over midnight if in that order."""
    is_inside: bool = True
    """Whether it keeps to the window, or out of it."""

    @classmethod
    def parse(cls, text: str) -> Cron:
        """Read `*/5 8-18 * * mon-fri`; raises QueueError naming the bad field."""
        fields = _WORDS.get(text.strip().lower(), text).split()
        if len(fields) != 5:
            raise QueueError(
                f"cannot read the cron expression {text!r}: it needs minute, hour, day, month "
                "and weekday"
            )
        minutes, hours, days, months, weekdays = (
            _field(part, name, low, high, text)
            for part, (name, low, high) in zip(fields, _FIELDS, strict=True)
        )
        return cls(
            " ".join(fields),
            minutes,
            hours,
            days,
            months,
            frozenset(day % 7 for day in weekdays),
            fields[2].startswith("*"),
            fields[4].startswith("*"),
        )

    def on(self, weekdays: str) -> Cron:
        """The same, but on *weekdays* (`1-5`) only."""
        fields = self.text.split()
        shown = f"{self.text}, only {weekdays}"
        if fields[2] == fields[4] == "*":
            shown = " ".join([*fields[:4], weekdays])
        return replace(self, text=shown, only_on=_weekdays(weekdays))

    def last_of_month(self) -> Cron:
        """The same, but on the last day of each month only."""
        return replace(self, text=f"{self.text}, last of month", is_last_of_month=True)

    def within(self, first: str | time, last: str | time, *, inside: bool = True) -> Cron:
        """The same, but from *first* to *last* of each day only, both included; or not then."""
        window = _minute_of_day(first), _minute_of_day(last)
        shown = "-".join(f"{minute // 60:02}:{minute % 60:02}" for minute in window)
        text = f"{self.text}, {'' if inside else 'not '}{shown}"
        return replace(self, text=text, window=window, is_inside=inside)

    def matches(self, wall: datetime) -> bool:
        """Whether the minute *wall*, on the wall, is one of its."""
        return (
            wall.minute in self.minutes
            and wall.hour in self.hours
            and self._matches_day(wall)
            and self._matches_window(wall.hour * 60 + wall.minute)
        )

    def _matches_window(self, minute: int) -> bool:
        if self.window is None:
            return True
        first, last = self.window
        found = first <= minute <= last if first <= last else minute >= first or minute <= last
        return found is self.is_inside

    def _matches_day(self, wall: datetime) -> bool:
        if wall.month not in self.months:
            return False
        if self.is_last_of_month and (wall + timedelta(days=1)).month == wall.month:
            return False
        weekday = (wall.weekday() + 1) % 7
        if weekday not in self.only_on:
            return False
        in_month, in_week = wall.day in self.days, weekday in self.weekdays
        if self.any_day or self.any_weekday:
            return in_month and in_week
        return in_month or in_week  # as cron has it when both are given

    def between(self, after: datetime, until: datetime, zone: tzinfo) -> list[datetime]:
        """Its minutes in (after, until], in UTC; each wall-clock time once, none left out."""
        found = []
        moment = after.astimezone(UTC).replace(second=0, microsecond=0) + _MINUTE
        while moment <= until:
            if self._falls_on(moment, zone):
                found.append(moment)
            moment += _MINUTE
        return found

    def _falls_on(self, moment: datetime, zone: tzinfo) -> bool:
        wall = moment.astimezone(zone)
        every_hour = len(self.hours) == 24
        if self.matches(wall):
            # The hour that the end of summer time repeats counts once, unless any hour does.
            return every_hour or not wall.fold
        if every_hour:
            return False
        return self._was_skipped_before(moment, wall, zone)

    def _was_skipped_before(self, moment: datetime, wall: datetime, zone: tzinfo) -> bool:
        """Whether one of its times fell into the hour that summer time left out just now."""
        before = (moment - _MINUTE).astimezone(zone).replace(tzinfo=None)
        gap = wall.replace(tzinfo=None) - before - _MINUTE
        if gap <= timedelta():
            return False
        steps = int(gap / _MINUTE)
        return any(self.matches(before + _MINUTE * (n + 1)) for n in range(steps))

    def next_after(self, after: datetime, zone: tzinfo) -> datetime | None:
        """Its next minute after *after*, in UTC; None if it never comes."""
        wall = after.astimezone(zone)
        for offset in range(_LONGEST_SEARCH_DAYS):
            day = (wall.replace(hour=12, tzinfo=None) + timedelta(days=offset)).date()
            if not self._matches_day(datetime(day.year, day.month, day.day, tzinfo=zone)):
                continue
            start = datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC) - _MINUTE
            for found in self.between(max(start, after), start + timedelta(hours=25), zone):
                if found > after:
                    return found
        return None


def hour_and_minute(at: str | time) -> tuple[int, int]:
    """What "2", "02:00" or `time(2)` says; raises QueueError for anything finer or other."""
    if isinstance(at, time) and at == time(at.hour, at.minute):
        return at.hour, at.minute
    found = _TIME_OF_DAY.fullmatch(at) if isinstance(at, str) else None
    if found is not None:
        hour, minute = int(found[1]), int(found[2] or 0)
        if hour < 24 and minute < 60:
            return hour, minute
    raise QueueError(
        f"cannot read the time of day {at!r}: give hour and minute in the task's own zone, as in "
        '"02:00" or time(2)'
    )


def _minute_of_day(at: str | time) -> int:
    hour, minute = hour_and_minute(at)
    return hour * 60 + minute


def weekdays_field(days: int | str | Iterable[int | str]) -> str:
    """The weekday field for 1, "monday" or several of them; raises QueueError for anything else."""
    several = [days] if isinstance(days, (int, str)) else list(days)
    texts = [str(day).strip().lower() for day in several]
    field = ",".join(text[:3] if text.isalpha() else text for text in texts)
    try:
        _weekdays(",".join(texts))
    except QueueError:
        raise QueueError(
            f'cannot read the weekday {days!r}: give 0 or "sunday" to 6 or "saturday", or '
            "several of them"
        ) from None
    return field


def _weekdays(text: str) -> frozenset[int]:
    return frozenset(day % 7 for day in _field(text, "weekday", 0, 7, text))


def _field(text: str, name: str, low: int, high: int, whole: str) -> frozenset[int]:
    values: set[int] = set()
    for part in text.lower().split(","):
        try:
            values.update(_part(part, name, low, high))
        except ValueError:
            raise QueueError(
                f"cannot read the {name} {part!r} of the cron expression {whole!r}: "
                f"give {low} to {high}, ranges, lists or steps{_hint(part)}"
            ) from None
    return frozenset(values)


def _hint(part: str) -> str:
    """What to write instead of the letters that other programs know (`L`, `15W`, `5#2`, `?`)."""
    if part == "?":
        return "; for any day write *"
    if re.fullmatch(r"l|lw|[0-9]+[lw]|[0-9]+#[0-9]+|[a-z]{3}[l#][0-9]*", part):
        return "; L, W and # are no part of cron: use last_day_of_month(), or when(…)"
    return ""


def _part(part: str, name: str, low: int, high: int) -> Iterable[int]:
    """The values of `7`, `*/5`, `3-9/2`, `5/15`, `mon-fri`; raises ValueError."""
    found = _PART.fullmatch(part)
    if found is None:
        raise ValueError(part)
    first, last, step = found.groups()
    # 7 is Sunday once more, but the week it would end begins with it: `1/3` is Monday, Thursday.
    end = 6 if name == "weekday" else high
    if first == "*":
        return _stride(low, end, step)
    start = _number(first, name, low, high)
    if last is not None:
        return _stride(start, _end_of_range(start, _number(last, name, low, high), name), step)
    if step is None:
        return (start,)
    return _stride(start % 7 if name == "weekday" else start, end, step)


def _end_of_range(start: int, last: int, name: str) -> int:
    if last >= start:
        return last
    if name != "weekday":
        raise ValueError(last)
    return last + 7  # sat-sun, fri-mon: on into the next week


def _stride(start: int, end: int, step: str | None) -> range:
    stride = int(step or 1)
    if stride < 1:
        raise ValueError(step)
    return range(start, end + 1, stride)


def _number(text: str, name: str, low: int, high: int) -> int:
    if text.isdecimal():
        number = int(text)
        if low <= number <= high:
            return number
    elif len(text) >= 3:
        for index, full in enumerate(_NAMES.get(name, ())):
            if full.startswith(text):
                return index + (name == "month")
    raise ValueError(text)
