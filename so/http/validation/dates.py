"""Reading dates: by PHP's format letters (`Y-m-d`), in the usual written forms, and relative ones.

What names no zone is UTC. Nothing here knows the present but from the caller.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from so.errors import InvalidRuleError

LONGEST_DATE = 100
"""Characters of a text that is still looked at as a date."""

MONTHS = list(calendar.month_name)[1:]
DAYS = list(calendar.day_name)

_ISO = re.compile(
    r"\d{4}(?:-\d{2}-\d{2}|\d{4})(?:[T ]\d{2}(?::?\d{2}(?::?\d{2}(?:[.,]\d{1,9})?)?)?"
    r"\s*(?:Z|[+-]\d{2}(?::?\d{2})?)?)?",
    re.ASCII,
)


def _names(words: list[str]) -> str:
    return "|".join(words)


# letter → (what it looks like, what it says)
_LETTERS: dict[str, tuple[str, str]] = {
    "d": (r"\d{2}", "day"),
    "j": (r"[1-9]\d?", "day"),
    "m": (r"\d{2}", "month"),
    "n": (r"[1-9]\d?", "month"),
    "Y": (r"\d{4}", "year"),
    "y": (r"\d{2}", "year2"),
    "H": (r"\d{2}", "hour"),
    "G": (r"\d|[1-9]\d", "hour"),
    "h": (r"\d{2}", "hour12"),
    "g": (r"[1-9]\d?", "hour12"),
    "i": (r"\d{2}", "minute"),
    "s": (r"\d{2}", "second"),
    "u": (r"\d{6}", "micro"),
    "v": (r"\d{3}", "milli"),
    "A": (r"AM|PM", "half"),
    "a": (r"am|pm", "half"),
    "F": (_names(MONTHS), "month_name"),
    "M": (_names([name[:3] for name in MONTHS]), "month_name"),
    "l": (_names(DAYS), "day_name"),
    "D": (_names([name[:3] for name in DAYS]), "day_name"),
    "P": (r"[+-]\d{2}:\d{2}", "offset"),
    "p": (r"Z|[+-]\d{2}:\d{2}", "offset"),
    "O": (r"[+-]\d{4}", "offset"),
    "T": (r"Z|UTC|GMT|[+-]\d{2}:\d{2}", "offset"),
    "e": (r"[A-Za-z]+(?:/[A-Za-z0-9_+-]+)*|[+-]\d{2}:\d{2}", "zone"),
    "U": (r"-?\d{1,11}", "epoch"),
}
_WHOLE = {"c": r"Y-m-d\TH:i:sP", "r": "D, d M Y H:i:s O"}


@dataclass(frozen=True, slots=True)
class Format:
    """A format compiled: the pattern, and what each of its groups says."""

    pattern: re.Pattern[str]
    parts: tuple[str, ...]


@lru_cache(maxsize=256)
def compiled(written: str, loose: bool = False) -> Format:
    """The format *written* in PHP's letters; raises InvalidRuleError for a letter it lacks."""
    pieces: list[str] = []
    parts: list[str] = []
    letters = iter("".join(_WHOLE.get(letter, letter) for letter in written))
    for letter in letters:
        if letter == "\\":
            pieces.append(re.escape(next(letters, "\\")))
        elif letter in _LETTERS:
            form, part = _LETTERS[letter]
            pieces.append(f"({form})")
            parts.append(part)
        elif letter.isalpha():
            raise InvalidRuleError(f"unknown letter {letter!r} in the date format {written!r}")
        elif letter not in "!|":
            pieces.append(re.escape(letter))
    flags = re.ASCII | (re.IGNORECASE if loose else re.RegexFlag(0))
    return Format(re.compile("".join(pieces), flags), tuple(parts))


def parse_format(text: Any, written: str) -> datetime | None:
    """The moment *text* names in the format *written*, which it must fit exactly, else None."""
    if not isinstance(text, str) or len(text) > LONGEST_DATE:
        return None
    if "%" in written:
        return _by_percent(text, written)
    return _matched(compiled(written), text)


def _by_percent(text: str, written: str) -> datetime | None:
    try:
        moment = datetime.strptime(text, written)  # noqa: DTZ007  # made aware below
        # strptime reads `2026-1` as %Y-%m, and the digits of every script: two texts, one date.
        exact = "%Z" in written or moment.strftime(written) == text
    except ValueError:
        return None
    return _aware(moment) if exact else None


def _matched(form: Format, text: str) -> datetime | None:
    found = form.pattern.fullmatch(text)
    if found is None:
        return None
    said = dict(zip(form.parts, found.groups(), strict=True))
    try:
        return _moment(said)
    except (ValueError, OverflowError, OSError, LookupError):
        return None


def names_zone(written: str) -> bool:
    """True if a text in the format *written* says which zone it means."""
    return not {"offset", "zone", "epoch"}.isdisjoint(compiled(written).parts)


def _moment(said: dict[str, str]) -> datetime | None:
    if "epoch" in said:
        return datetime.fromtimestamp(int(said["epoch"]), UTC)
    micro = int(said.get("micro") or 0) + 1000 * int(said.get("milli") or 0)
    moment = datetime(
        _year(said),
        _month(said),
        int(said.get("day", 1)),
        _hour(said),
        int(said.get("minute", 0)),
        int(said.get("second", 0)),
        micro,
        _zone(said),
    )
    day = said.get("day_name")
    if day is not None and not DAYS[moment.weekday()].lower().startswith(day.lower()[:3]):
        return None
    return moment


def _year(said: dict[str, str]) -> int:
    if "year2" in said:
        short = int(said["year2"])
        return short + (2000 if short < 70 else 1900)
    return int(said.get("year", 1970))


def _month(said: dict[str, str]) -> int:
    if "month_name" in said:
        short = said["month_name"].lower()[:3]
        return 1 + [name.lower()[:3] for name in MONTHS].index(short)
    return int(said.get("month", 1))


def _hour(said: dict[str, str]) -> int:
    if "hour12" not in said:
        return int(said.get("hour", 0))
    hour = int(said["hour12"])
    if not 1 <= hour <= 12:
        raise ValueError("an hour of the twelve-hour clock is 1 to 12")
    return hour % 12 + (12 if said.get("half", "am").lower() == "pm" else 0)


def _zone(said: dict[str, str]) -> Any:
    written = said.get("offset") or said.get("zone")
    if not written or written in ("Z", "UTC", "GMT"):
        return UTC
    if written[0] not in "+-":
        return ZoneInfo(written)
    digits = written[1:].replace(":", "")
    shift = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return timezone(-shift if written[0] == "-" else shift)


# --- written forms --------------------------------------------------------------------------------

_DATES = (
    "Y-m-d Y-n-j Y/m/d Y/n/j m/d/Y n/j/Y d-m-Y j-n-Y d.m.Y j.n.Y j-M-Y d-M-Y".split()
    + ["j M Y", "d M Y", "j F Y", "d F Y", "F j, Y", "M j, Y", "F j Y", "M j Y", "F d, Y"]
    + ["D, d M Y", "D, j M Y", "l, j F Y", "l, F j, Y"]
)
_CLOCK = re.compile(
    r"\s+(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2})(?:\.(?P<micro>\d{1,6}))?)?"
    r"\s*(?P<half>am|pm)?\s*(?P<offset>Z|UTC|GMT|[+-]\d{2}:?\d{2})?",
    re.IGNORECASE | re.ASCII,
)


def parse(text: Any) -> datetime | None:
    """The moment that *text* (or a date object) names, else None; relative words name none."""
    if isinstance(text, datetime):
        return _aware(text)
    if isinstance(text, date):
        return datetime(text.year, text.month, text.day, tzinfo=UTC)
    if type(text) is int:
        text = str(text)
    if not isinstance(text, str) or len(text) > LONGEST_DATE or not text.isascii():
        return None
    text = text.strip()
    if _ISO.fullmatch(text):
        return _iso(text)
    day, _, clock = text.partition(":")
    cut = len(day.rstrip("0123456789").rstrip()) if clock else len(text)
    found = _day(text[:cut])
    return found if found is None or cut == len(text) else _at_clock(found, text[cut:])


def _day(text: str) -> datetime | None:
    moments = (_matched(compiled(form, True), text) for form in _DATES)
    return next((moment for moment in moments if moment is not None), None)


def _at_clock(day: datetime, text: str) -> datetime | None:
    """*day* at the time of day that *text* tells."""
    found = _CLOCK.fullmatch(text)
    if found is None:
        return None
    said = {name: value for name, value in found.groupdict().items() if value is not None}
    if "half" in said:
        said["hour12"] = said.pop("hour")
    said["micro"] = said.get("micro", "").ljust(6, "0")
    try:
        return day.replace(
            hour=_hour(said),
            minute=int(said["minute"]),
            second=int(said.get("second", 0)),
            microsecond=int(said["micro"]),
            tzinfo=_zone({"offset": said.get("offset", "Z").upper()}),
        )
    except ValueError:
        return None


def _iso(text: str) -> datetime | None:
    try:
        return _aware(datetime.fromisoformat(text.replace(" +", "+").replace(" Z", "Z")))
    except ValueError:
        return None


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


# --- relative forms -------------------------------------------------------------------------------

_UNITS = "sec|second|min|minute|hour|day|weekday|week|fortnight|month|year"
_SHIFT = re.compile(
    rf"(?P<amount>[+-]?\s*\d{{1,6}}|next|last|this)\s*(?P<unit>{_UNITS})s?(?P<ago>\s+ago)?",
    re.IGNORECASE | re.ASCII,
)
_SECONDS = {"sec": 1, "second": 1, "min": 60, "minute": 60, "hour": 3600, "day": 86_400}
_SECONDS |= {"week": 604_800, "fortnight": 1_209_600}


def _midnight(now: datetime) -> datetime:
    return now.replace(hour=0, minute=0, second=0, microsecond=0)


_WORDS: dict[str, Callable[[datetime], datetime]] = {
    "now": lambda now: now,
    "today": _midnight,
    "midnight": _midnight,
    "noon": lambda now: _midnight(now) + timedelta(hours=12),
    "tomorrow": lambda now: _midnight(now) + timedelta(days=1),
    "yesterday": lambda now: _midnight(now) - timedelta(days=1),
}


def parse_relative(text: Any, now: datetime) -> datetime | None:
    """As `parse`, with `now`, `today`, `tomorrow`, `+1 week`, `2026-01-01 +3 days` besides."""
    found = parse(text)
    if found is not None or not isinstance(text, str) or len(text) > LONGEST_DATE:
        return found
    shifts = list(_SHIFT.finditer(text))
    start = (text[: shifts[0].start()] if shifts else text).strip().lower()
    rest = _SHIFT.sub("", text[len(text) - len(text.lstrip()) :]).strip().lower()
    if rest != start:
        return None
    moment = now if start == "" and shifts else _start(start, now)
    try:
        for shift in shifts:
            moment = None if moment is None else _shifted(moment, shift)
    except OverflowError:
        return None
    return moment


def _start(word: str, now: datetime) -> datetime | None:
    known = _WORDS.get(word)
    return known(now) if known is not None else parse(word)


def _shifted(moment: datetime, shift: re.Match[str]) -> datetime | None:
    words = {"next": 1, "last": -1, "this": 0}
    amount_text = shift["amount"].lower().replace(" ", "")
    amount = words[amount_text] if amount_text in words else int(amount_text)
    amount = -amount if shift["ago"] else amount
    unit = shift["unit"].lower()
    if unit == "weekday":
        return None
    if unit in ("month", "year"):
        return _months_later(moment, amount * (12 if unit == "year" else 1))
    return moment + timedelta(seconds=amount * _SECONDS[unit])


def _months_later(moment: datetime, months: int) -> datetime:
    """Months on, days that the month lacks running over into the next, as in PHP."""
    year, month = divmod(moment.year * 12 + moment.month - 1 + months, 12)
    if not 1 <= year <= 9998:
        raise OverflowError("the year is out of range")
    return moment.replace(year=year, month=month + 1, day=1) + timedelta(days=moment.day - 1)
