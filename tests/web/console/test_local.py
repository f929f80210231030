"""The console speaks of days and numbers as whoever looks at it does."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from so import activity
from tests.web.console.conftest import Person

LATE = datetime(2026, 1, 31, 20, 30, tzinfo=UTC)  # the first of February in Tokyo


@pytest.fixture(autouse=True)
def _in_tokyo(monkeypatch):
    monkeypatch.setattr(Person, "preferred_timezone", "Asia/Tokyo", raising=False)
    monkeypatch.setattr(Person, "preferred_locale", "de-DE", raising=False)


def test_moments_are_told_by_the_readers_clock_and_exact_for_programs(viewer):
    activity().created_at(LATE).log("Closed")

    html = viewer.get("/console/audit").text
    assert "01.02.2026 05:30:00</time>" in html
    assert 'datetime="2026-01-31T20:30:00+00:00"' in html


@pytest.mark.parametrize("more", ["", "&log=default"])
def test_a_day_that_is_asked_for_is_the_readers(viewer, more):
    activity().created_at(LATE).log("Closed")

    def told(day):
        url = f"/console/audit?format=json&from={day}&to={day}{more}"
        return [entry["description"] for entry in viewer.get(url).json()["entries"]]

    assert (told("2026-01-31"), told("2026-02-01")) == ([], ["Closed"])
