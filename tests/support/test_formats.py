"""Numbers, dates and times as people write them where they live."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from so.errors import ConfigError
from so.support.formats import LOCALES, Formats

MOMENT = datetime(2026, 1, 31, 23, 5, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    ("locale", "number", "day", "moment"),
    [
        ("en", "-1,234,567.50", "2026-01-31", "2026-01-31 23:05"),
        ("en-US", "-1,234,567.50", "1/31/2026", "1/31/2026 11:05\u00a0pm"),
        ("en-IN", "-12,34,567.50", "31/01/2026", "31/01/2026 11:05\u00a0pm"),
        ("de-DE", "-1.234.567,50", "31.01.2026", "31.01.2026 23:05"),
        ("de-CH", "-1\u2019234\u2019567.50", "31.01.2026", "31.01.2026 23:05"),
        ("fr-FR", "-1\u202f234\u202f567,50", "31/01/2026", "31/01/2026 23:05"),
        ("sv-SE", "-1\u00a0234\u00a0567,50", "2026-01-31", "2026-01-31 23:05"),
    ],
)
def test_each_locale_has_its_marks_and_its_order_of_a_date(locale, number, day, moment):
    formats = Formats(locale)

    assert formats.money(Decimal("-1234567.5")) == number
    assert formats.date(date(2026, 1, 31)) == day
    assert formats.moment(MOMENT) == moment


def test_what_a_locale_writes_it_reads():
    for formats in map(Formats, LOCALES):
        for text in ("0", "7", "999", "1000", "-1234567.50", "99999999999999.99"):
            assert formats.plain(formats.number(text)) == text, formats


@pytest.mark.parametrize(
    ("typed", "plain"),
    [("1.234,50", "1234.50"), ("12,5", "12.5"), ("12.50", "12.50"), ("1.234", "1234"),
     ("+3,25", "+3.25"), (" 5 ", "5"), ("1.23.4", "1.23.4"), ("1,2,3", "1,2,3"), ("", ""),
     (",5", ",5"), ("5,", "5,"), ("abc", "abc"), ("\u0663", "\u0663"), ("1e5", "1e5")],
)  # fmt: skip
def test_what_is_no_number_of_the_locale_stays_for_a_rule_to_refuse(typed, plain):
    assert Formats("de-DE").plain(typed) == plain


def test_any_space_separates_the_thousands_of_who_separates_by_one():
    assert {Formats("fr-FR").plain(f"1{space}234,5") for space in " \u00a0\u202f"} == {"1234.5"}


def test_an_apostrophe_of_the_keyboard_separates_for_the_swiss():
    assert {Formats("de-CH").plain(f"1{mark}234.5") for mark in "'\u2019"} == {"1234.5"}


def test_a_moment_is_told_by_the_clocks_of_the_zone():
    berlin = Formats("en", "Europe/Berlin")

    assert berlin.date(MOMENT) == "2026-02-01"
    assert berlin.time(MOMENT, seconds=True) == "00:05:09"
    assert berlin.moment(MOMENT.replace(tzinfo=None)) == "2026-02-01 00:05"


def test_a_day_begins_and_ends_by_the_clocks_of_the_zone():
    berlin = Formats("en", "Europe/Berlin")

    assert berlin.midnight("2026-03-29") == datetime(2026, 3, 28, 23, tzinfo=UTC)
    assert berlin.midnight("2026-03-29", 1) == datetime(2026, 3, 29, 22, tzinfo=UTC)
    for no_day in ("", "2026-02-30", "x", "9999-12-31\0", "2026-1-1"):
        assert berlin.midnight(no_day) is None
    assert berlin.midnight("9999-12-31", 1) is None
    assert berlin.midnight("0001-01-01") is None


def test_midnight_and_noon_are_twelve_on_a_clock_of_twelve_hours():
    us = Formats("en-US")

    assert us.time(MOMENT.replace(hour=0)) == "12:05\u00a0am"
    assert us.time(MOMENT.replace(hour=12)) == "12:05\u00a0pm"


def test_nothing_is_written_as_nothing():
    formats = Formats("en")

    assert {formats.number(None), formats.date(None), formats.moment(None)} == {""}


@pytest.mark.parametrize("value", ["x", "1,5", "nan", float("inf"), Decimal("sNaN")])
def test_what_is_no_number_is_refused(value):
    with pytest.raises(ValueError, match="is no number"):
        Formats("en").number(value)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"locale": "de"}, "there is no locale 'de'"),
        ({"locale": "de-DD"}, "did you mean 'de-"),
        ({"zone": "Europe/Berlim"}, "there is no time zone 'Europe/Berlim'"),
        ({"zone": "../etc/passwd"}, "there is no time zone"),
        ({"zone": ""}, "there is no time zone"),
    ],
)
def test_a_locale_or_zone_that_there_is_not_is_named_with_the_mend(given, told):
    with pytest.raises(ConfigError, match=told):
        Formats(**{"locale": "en", **given})
