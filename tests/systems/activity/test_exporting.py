"""Exports and reports: by what is asked for, and nothing in them that a spreadsheet runs."""

from __future__ import annotations

import csv
import io
import json

import pytest

from so.errors import ActivityError
from so.systems.activity import Activity, causer
from tests.systems.activity.conftest import Document, Person


@pytest.fixture
def filled(log, ada, clock):
    with causer(ada):
        bob = Person.create(name="Bob", points=1)
        clock.travel(86_400)
        bob.update(points=2, name="Rob")
        Document.create(title="x", person_id=bob.id)
    log.entry("books").on(bob).by("system:x").log("checked")
    log.bob = bob
    return log


def lines(pieces):
    return [json.loads(line) for line in "".join(pieces).splitlines()]


def test_a_report_has_a_line_for_each_field_that_changed(filled, ada):
    found = lines(filled.report("jsonl", subject=f"person:{filled.bob.id}", event="updated"))

    told = sorted((r["field"], r["old"], r["new"], r["causer_label"]) for r in found)
    assert told == [("name", "Bob", "Rob", "Ada"), ("points", 1, 2, "Ada")]
    only = lines(filled.report("jsonl", field="points", type="person"))
    assert [(r["old"], r["new"]) for r in only] == [(None, 1), (1, 2)]


def test_a_report_about_a_person_has_what_is_about_and_by_them(filled, ada):
    found = lines(filled.report("jsonl", person=f"person:{ada.id}"))
    assert {r["subject_type"] for r in found} == {"person", "document"}
    found = lines(filled.report("jsonl", person=f"person:{filled.bob.id}"))
    assert [r["description"] for r in found if r["field"] is None] == ["checked"]
    told = Activity.for_event("reported").first()
    assert (told.log_name, told.properties["person"]) == ("audit", f"person:{ada.id}")


@pytest.mark.parametrize(
    ("selection", "count"),
    [
        ({"field": "points"}, 2),
        ({"field": "oint"}, 0),
        ({"field": "%"}, 0),
        ({"type": "document"}, 1),
        ({"event": "updated"}, 1),
        ({"log": "books"}, 1),
        ({"causer": "system:x"}, 1),
        ({"since": "today", "log": "books"}, 1),
    ],
)
def test_an_export_is_narrowed_by(filled, selection, count, clock):
    if "since" in selection:
        selection = {**selection, "since": clock.now().date().isoformat()}

    assert len(lines(filled.export("jsonl", **selection))) == count


CELLS = {
    "=1+1": "'=1+1",
    "x;=1+1": "x;'=1+1",
    "x; @y": "x; '@y",
    "a\t+1": "a\t'+1",
    "a\n-2": "a\n'-2",
    "a|=1": "a|'=1",
    "  =1": "'  =1",
    "\uff1d1": "'\uff1d1",
    "a;b": "a;b",
    "5-3": "5-3",
}


@pytest.mark.parametrize("separator", [",", ";", "tab"])
def test_no_cell_is_run_by_a_spreadsheet_whatever_its_separator(log, separator):
    for text in CELLS:
        log.entry("books").log(text)

    out = "".join(log.export("csv", separator=separator, bom=True, log="books"))

    assert out.startswith("\ufeff")
    delimiter = "\t" if separator == "tab" else separator
    rows = list(csv.DictReader(io.StringIO(out[1:], newline=""), delimiter=delimiter))
    if separator == ",":
        assert [row["description"] for row in rows] == list(CELLS.values())
    for other in ",;\t":  # as another program would cut it
        for row in csv.reader(
            io.StringIO(out[1:], newline=""), delimiter=other, quoting=csv.QUOTE_NONE
        ):
            assert not [cell for cell in row if cell.strip(' "')[:1] in ("=", "+", "@")]


@pytest.mark.parametrize(
    "given", [{"format": "xml"}, {"separator": "|"}, {"since": "soon"}, {"subject": "nobody"}]
)
def test_what_is_wrong_is_said_before_anything_is_noted(filled, given):
    with pytest.raises(ActivityError):
        filled.export(**given)
    with pytest.raises(ActivityError):
        filled.report(**given)

    assert Activity.for_event("exported", "reported").count() == 0
