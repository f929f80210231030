"""Numbers, dates and times as people write them where they live: a small table, no data of ICU.

    formats = Formats("de-DE", "Europe/Berlin")
    formats.number(Decimal("1234.50"))  # 1.234,50
    formats.moment(order.created_at)  # 31.01.2026 17:05

Whose locale and zone count is decided in so/edge/local.py. Not here: words and plurals, and rules
that differ by amount (a Spaniard writes 1234 without a mark; here it is 1.234).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from so.errors import ConfigError
from so.support.near import nearest
from so.support.zones import zone_named

NARROW, WIDE, APOSTROPHE = "\u202f", "\u00a0", "\u2019"  # spaces at which no line breaks; Swiss
_ISO, _DAY_FIRST, _DOTS = "{y:04}-{m:02}-{d:02}", "{d:02}/{m:02}/{y:04}", "{d:02}.{m:02}.{y:04}"
_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?")


@dataclass(frozen=True)
class Locale:
    """How one country writes: `decimal` and `group` marks, the order of a `date`, its `clock`.

    `groups` are the digits between marks from the right, the last one repeated: India's are 3, 2.
    """

    name: str
    decimal: str = "."
    group: str = ","
    date: str = _ISO
    clock: int = 24
    groups: tuple[int, ...] = (3,)


LOCALES: dict[str, Locale] = {
    "en": Locale("English, dates as 2026-01-31"),
    "en-AU": Locale("English (Australia)", date=_DAY_FIRST, clock=12),
    "en-CA": Locale("English (Canada)", clock=12),
    "en-GB": Locale("English (United Kingdom)", date=_DAY_FIRST),
    "en-IE": Locale("English (Ireland)", date=_DAY_FIRST),
    "en-IN": Locale("English (India)", date=_DAY_FIRST, clock=12, groups=(3, 2)),
    "en-US": Locale("English (United States)", date="{m}/{d}/{y:04}", clock=12),
    "bg-BG": Locale("Български", ",", WIDE, "{d}.{m:02}.{y:04} г."),
    "cs-CZ": Locale("Čeština", ",", WIDE, "{d}. {m}. {y:04}"),
    "da-DK": Locale("Dansk", ",", ".", _DOTS),
    "de-AT": Locale("Deutsch (Österreich)", ",", WIDE, _DOTS),
    "de-CH": Locale("Deutsch (Schweiz)", ".", APOSTROPHE, _DOTS),
    "de-DE": Locale("Deutsch (Deutschland)", ",", ".", _DOTS),
    "el-GR": Locale("Ελληνικά", ",", ".", "{d}/{m}/{y:04}"),
    "es-ES": Locale("Español (España)", ",", ".", "{d}/{m}/{y:04}"),
    "es-MX": Locale("Español (México)", date=_DAY_FIRST),
    "et-EE": Locale("Eesti", ",", WIDE, _DOTS),
    "fi-FI": Locale("Suomi", ",", WIDE, "{d}.{m}.{y:04}"),
    "fr-BE": Locale("Français (Belgique)", ",", NARROW, _DAY_FIRST),
    "fr-CH": Locale("Français (Suisse)", ",", NARROW, _DOTS),
    "fr-FR": Locale("Français (France)", ",", NARROW, _DAY_FIRST),
    "hi-IN": Locale("हिन्दी", date="{d}/{m}/{y:04}", clock=12, groups=(3, 2)),
    "hr-HR": Locale("Hrvatski", ",", ".", "{d:02}. {m:02}. {y:04}."),
    "hu-HU": Locale("Magyar", ",", WIDE, "{y:04}. {m:02}. {d:02}."),
    "id-ID": Locale("Bahasa Indonesia", ",", ".", _DAY_FIRST),
    "it-CH": Locale("Italiano (Svizzera)", ".", APOSTROPHE, _DOTS),
    "it-IT": Locale("Italiano (Italia)", ",", ".", _DAY_FIRST),
    "ja-JP": Locale("日本語", date="{y:04}/{m:02}/{d:02}"),
    "ko-KR": Locale("한국어", date="{y:04}. {m}. {d}."),
    "lt-LT": Locale("Lietuvių", ",", WIDE),
    "lv-LV": Locale("Latviešu", ",", WIDE, "{d:02}.{m:02}.{y:04}."),
    "nb-NO": Locale("Norsk", ",", WIDE, _DOTS),
    "nl-BE": Locale("Nederlands (België)", ",", ".", "{d}/{m}/{y:04}"),
    "nl-NL": Locale("Nederlands (Nederland)", ",", ".", "{d:02}-{m:02}-{y:04}"),
    "pl-PL": Locale("Polski", ",", WIDE, _DOTS),
    "pt-BR": Locale("Português (Brasil)", ",", ".", _DAY_FIRST),
    "pt-PT": Locale("Português (Portugal)", ",", WIDE, _DAY_FIRST),
    "ro-RO": Locale("Română", ",", ".", _DOTS),
    "ru-RU": Locale("Русский", ",", WIDE, _DOTS),
    "sk-SK": Locale("Slovenčina", ",", WIDE, "{d}. {m}. {y:04}"),
    "sl-SI": Locale("Slovenščina", ",", ".", "{d}. {m:02}. {y:04}"),
    "sv-SE": Locale("Svenska", ",", WIDE),
    "tr-TR": Locale("Türkçe", ",", ".", _DOTS),
    "uk-UA": Locale("Українська", ",", WIDE, _DOTS),
    "vi-VN": Locale("Tiếng Việt", ",", ".", "{d}/{m}/{y:04}"),
    "zh-CN": Locale("中文", date="{y:04}/{m}/{d}"),
}


@dataclass(frozen=True)
class Formats:
    """One person's way of writing: a locale's, and the clock of a zone. Nothing gives ``""``."""

    locale: str
    zone: str = "UTC"

    def __post_init__(self) -> None:
        locale_named(self.locale)
        zone_named(self.zone)

    def number(self, value: Decimal | int | float | str | None, places: int | None = None) -> str:
        """*value* with its marks, exact; *places* behind the decimal mark, rounded half to even.

        Raises ValueError for a text that is no number, such as one with marks already.
        """
        if value is None:
            return ""
        text = format(_exact(value) if places is None else round(_exact(value), places), "f")
        sign = "-" if text.startswith("-") else ""
        whole, _, rest = text.removeprefix("-").partition(".")
        form = locale_named(self.locale)
        grouped = form.group.join(_groups(whole, form.groups))
        return sign + grouped + (form.decimal + rest if rest else "")

    def money(self, value: Decimal | int | str | None) -> str:
        """An amount to two places."""
        return self.number(value, 2)

    def date(self, value: date | None) -> str:
        """A day; of a moment, the day that it is in the zone."""
        if value is None:
            return ""
        day = self.here(value) if isinstance(value, datetime) else value
        return locale_named(self.locale).date.format(y=day.year, m=day.month, d=day.day)

    def time(self, value: datetime | None, *, seconds: bool = False) -> str:
        """The hour and minute of a moment in the zone."""
        if value is None:
            return ""
        at = self.here(value)
        end = f":{at.second:02}" if seconds else ""
        if locale_named(self.locale).clock == 24:
            return f"{at.hour:02}:{at.minute:02}{end}"
        return f"{at.hour % 12 or 12}:{at.minute:02}{end}{WIDE}{'am' if at.hour < 12 else 'pm'}"

    def moment(self, value: datetime | None, *, seconds: bool = False) -> str:
        """Day and time of a moment in the zone."""
        return "" if value is None else f"{self.date(value)} {self.time(value, seconds=seconds)}"

    def here(self, value: datetime) -> datetime:
        """*value* on the clocks of the zone; one without a zone of its own is UTC."""
        aware = value.replace(tzinfo=UTC) if value.tzinfo is None else value
        return aware.astimezone(zone_named(self.zone))

    def midnight(self, day: str, days_later: int = 0) -> datetime | None:
        """The moment in UTC at which *day* (2026-01-31) begins in the zone; None for no such day.

        With *days_later* 1 it is the moment at which it ends.
        """
        try:
            found = date.fromisoformat(day) + timedelta(days=days_later)
            begin = datetime(found.year, found.month, found.day, tzinfo=zone_named(self.zone))
            return begin.astimezone(UTC)
        except (ValueError, OverflowError):
            return None

    def plain(self, text: str) -> str:
        """What somebody typed, as programs write it: `1.234,50` in German is `1234.50`.

        What is written otherwise comes back as it is, for a rule to refuse.
        """
        form = locale_named(self.locale)
        typed = re.sub(r"\s", form.group if form.group.isspace() else " ", text.strip())
        if form.group == APOSTROPHE:
            typed = typed.replace("'", APOSTROPHE)  # what a keyboard has
        whole, mark, rest = typed.partition(form.decimal)
        shown = whole.lstrip("+-")
        digits = shown.replace(form.group, "")
        # A German who types 12.50 means just that: a mark must stand where groups end.
        if shown not in (digits, form.group.join(_groups(digits, form.groups))):
            return text
        found = whole.replace(form.group, "") + (f".{rest}" if mark else "")
        return found if _NUMBER.fullmatch(found) else text


def locale_named(tag: str) -> Locale:
    """The locale called *tag*, as `de-DE`; ConfigError for one that is not in the table."""
    found = LOCALES.get(tag)
    if found is None:
        close = nearest(tag, LOCALES)
        mend = f"did you mean {close!r}?" if close else f"known are {', '.join(LOCALES)}"
        raise ConfigError(f"there is no locale {tag!r}: {mend}")
    return found


def _exact(value: Decimal | int | float | str) -> Decimal:
    try:
        found = Decimal(str(value))
    except ArithmeticError as error:
        raise ValueError(f"{value!r} is no number") from error
    if not found.is_finite():
        raise ValueError(f"{value!r} is no number that can be written")
    return found


def _groups(digits: str, sizes: tuple[int, ...]) -> list[str]:
    """*digits* in groups from the right, the last size again and again."""
    found: list[str] = []
    while digits:
        size = sizes[min(len(found), len(sizes) - 1)]
        found.append(digits[-size:])
        digits = digits[:-size]
    return found[::-1]
