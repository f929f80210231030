"""Cron expressions: five fields, lists, ranges, steps, names, and `@daily` with its kin."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

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

    def matches(self, wall: datetime) -> bool:
        """Whether the minute *wall*, on the wall, is one of its."""
        return wall.minute in self.minutes and wall.hour in self.hours and self._matches_day(wall)

    def _matches_day(self, wall: datetime) -> bool:
        if wall.month not in self.months:
            return False
        weekday = (wall.weekday() + 1) % 7
        if weekday not in self.only_on:
            return False
        in_month, in_week = wall.day in self.days, weekday in self.weekdays
        if self.any_day or self.any_weekday:
            return in_month and in_week
        return in_month or in_week  # as cron has it when both are given

    def between(self, after: datetime, until: datetime, zone: ZoneInfo) -> list[datetime]:
        """Its minutes in (after, until], in UTC; each wall-clock time once, none left out."""
        found = []
        moment = after.astimezone(UTC).replace(second=0, microsecond=0) + _MINUTE
        while moment <= until:
            if self._falls_on(moment, zone):
                found.append(moment)
            moment += _MINUTE
        return found

    def _falls_on(self, moment: datetime, zone: ZoneInfo) -> bool:
        wall = moment.astimezone(zone)
        every_hour = len(self.hours) == 24
        if self.matches(wall):
            # The hour that the end of summer time repeats counts once, unless any hour does.
            return every_hour or not wall.fold
        if every_hour:
            return False
        return self._was_skipped_before(moment, wall, zone)

    def _was_skipped_before(self, moment: datetime, wall: datetime, zone: ZoneInfo) -> bool:
        """Whether one of its times fell into the hour that summer time left out just now."""
        before = (moment - _MINUTE).astimezone(zone).replace(tzinfo=None)
        gap = wall.replace(tzinfo=None) - before - _MINUTE
        if gap <= timedelta():
            return False
        steps = int(gap / _MINUTE)
        return any(self.matches(before + _MINUTE * (n + 1)) for n in range(steps))

    def next_after(self, after: datetime, zone: ZoneInfo) -> datetime | None:
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
                f"give {low} to {high}, ranges, lists or steps"
            ) from None
    return frozenset(values)


def _part(part: str, name: str, low: int, high: int) -> range:
    """The values of `7`, `*/5`, `3-9/2`, `mon-fri`; raises ValueError."""
    span, _, step = part.partition("/")
    first, _, last = span.partition("-")
    start = low if first == "*" else _number(first, name)
    end = high if first == "*" or (step and not last) else start
    end = _number(last, name) if last else end
    stride = int(step) if step else 1
    if not (low <= start <= high and low <= end <= high and stride > 0):
        raise ValueError(part)
    if end < start:
        if name != "weekday":
            raise ValueError(part)
        end += 7  # sat-sun, fri-mon: on into the next week
    return range(start, end + 1, stride)


def _number(text: str, name: str) -> int:
    if len(text) >= 3 and text.isalpha():
        for index, full in enumerate(_NAMES.get(name, ())):
            if full.startswith(text):
                return index + (name == "month")
    return int(text)
