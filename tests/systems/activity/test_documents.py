"""A document and its lines are one thing to the time machine."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest

from so.db.model import Model, SoftDeletes, relation
from so.errors import ActivityError
from so.support.current import replaced
from so.systems.activity import Activity, ActivityLog, LogsActivity, activity_batch


class Bill(LogsActivity, Model):
    table = "doc_bills"
    type_alias = "doc_bill"
    timestamps = False
    guarded = []
    log_lines = ["lines", "address"]

    @relation
    def lines(self):
        return self.has_many(Line, "bill_id")

    @relation
    def address(self):
        return self.has_one(Address, "bill_id")


class Line(LogsActivity, Model):
    table = "doc_lines"
    type_alias = "doc_line"
    timestamps = False
    guarded = []
    casts = {"price": "decimal:2"}


class Address(LogsActivity, SoftDeletes, Model):
    table = "doc_addresses"
    type_alias = "doc_address"
    timestamps = False
    guarded = []


class Careless(Bill):
    type_alias = "doc_careless"
    log_lines = ["notes"]

    @relation
    def notes(self):
        return self.has_many(Note, "bill_id")


class Note(Model):
    table = "doc_lines"
    timestamps = False


TABLES = {
    "doc_bills": "number varchar(20), total int",
    "doc_lines": "bill_id int, name varchar(20), price decimal(10,2), secret varchar(20)",
    "doc_addresses": "bill_id int, city varchar(20), deleted_at datetime",
}


@pytest.fixture
def log(db, clock):
    connection = db.connection()
    auto = " auto_increment" if connection.dialect.name == "mysql" else ""
    for name, columns in TABLES.items():
        connection.unprepared(f"drop table if exists {name}")
        connection.unprepared(f"create table {name} (id integer primary key{auto}, {columns})")
    with replaced("activity", ActivityLog(db, clock=clock)) as activity:
        yield activity
    for name in TABLES:
        connection.unprepared(f"drop table if exists {name}")


@pytest.fixture
def bill(log, clock):
    other = Bill.create(number="other")
    Line.create(bill_id=other.id, name="foreign", price=9)
    clock.travel(60)
    with activity_batch():
        bill = Bill.create(number="B-1", total=3)
        Line.create(bill_id=bill.id, name="a", price=1)
        Line.create(bill_id=bill.id, name="b", price=2)
        Address.create(bill_id=bill.id, city="Bonn")
    clock.travel(60)
    return bill


def told(bill):
    """What the document is now, as the table has it."""
    bill = Bill.find(bill.id)
    lines = sorted((line.id, line.name, str(line.price)) for line in bill.lines)
    return bill.number, bill.total, lines, bill.address and bill.address.city


def then(bill, moment):
    old = bill.as_of(moment)
    if old is None:
        return None
    lines = sorted((line.id, line.name, str(line.price)) for line in old.lines)
    return old.number, old.total, lines, old.address and old.address.city


def test_a_document_is_seen_with_the_lines_it_had(bill, clock):
    before = told(bill)
    moment = clock.now()
    clock.travel(60)
    first, second = bill.lines
    first.update(name="changed")
    second.delete()
    Line.create(bill_id=bill.id, name="new", price="3.50")
    bill.address.update(city="Köln")
    clock.travel(1)

    assert then(bill, moment) == before
    assert then(bill, clock.now()) == told(bill)
    assert then(bill, moment - timedelta(hours=1)) is None


def test_its_history_has_the_entries_of_lines_that_are_gone(bill):
    bill.lines[0].delete()

    rows = bill.history().get()

    assert [row.id for row in rows] == sorted((row.id for row in rows), reverse=True)
    assert [(row.event, row.subject_type) for row in rows] == [
        ("deleted", "doc_line"),
        ("created", "doc_address"),
        ("created", "doc_line"),
        ("created", "doc_line"),
        ("created", "doc_bill"),
    ]


def test_a_batch_is_one_version_and_an_entry_alone_another(bill):
    bill.lines[0].update(price=5)
    with activity_batch():
        bill.update(total=7)
        bill.lines[1].update(price=6)

    versions = bill.versions()

    assert [(one.number, one.event) for one in versions] == [
        (1, "created"), (2, "updated"), (3, "updated"),
    ]  # fmt: skip
    key = bill.lines[0].id
    assert bill.diff(1, 2) == {f"lines.{key}.price": ("1.00", "5.00")}
    assert bill.diff(2, 3)["total"] == (3, 7)


def test_going_back_brings_lines_back_and_takes_new_ones_away(bill, clock):
    before = told(bill)
    first, second = bill.lines
    first.delete()
    second.update(name="other", price=99)
    Line.create(bill_id=bill.id, name="new", price=1)
    bill.address.delete()
    bill.update(total=100)
    entries = Activity.count()

    assert bill.revert_to(1)

    assert told(bill) == before
    assert len(set(Activity.where("id", ">", entries).pluck("batch_uuid"))) == 1
    assert bill.lines[0].name == "a"
    last = len(bill.versions())
    assert bill.revert_to(last - 1)
    assert told(bill)[1] == 100


def test_a_line_that_moved_to_another_document_comes_back(bill):
    other = Bill.where("number", "other").first()
    bill.lines[0].update(bill_id=other.id)

    bill.revert_to(1)

    assert [line[1] for line in told(bill)[2]] == ["a", "b"]
    assert [line[1] for line in told(other)[2]] == ["foreign"]


def test_nothing_is_changed_where_the_trail_does_not_hold_a_line(bill, monkeypatch, db):
    line = Line.create(bill_id=bill.id, name="c", secret="geheim")
    line.delete()
    bill.update(total=50)
    before = told(bill)

    with pytest.raises(ActivityError, match="does not hold secret"):
        bill.revert_to(2)

    assert told(bill) == before
    assert Line.where("name", "foreign").count() == 1


def test_lines_that_are_not_logged_are_refused(log):
    careless = Careless.create(number="x")

    with pytest.raises(ActivityError, match=r"Careless\.log_lines names 'notes'"):
        careless.versions()


@pytest.mark.parametrize("seed", range(3))
def test_any_history_of_a_document_played_again_is_what_it_was(bill, clock, seed):
    dice = random.Random(seed)
    seen = [(clock.now(), told(bill))]
    for n in range(15):
        clock.travel(60)
        lines = list(Line.where("bill_id", bill.id).get())
        how = dice.randrange(4)
        if how == 0 or not lines:
            Line.create(bill_id=bill.id, name=f"n{n}", price=n)
        elif how == 1:
            dice.choice(lines).update(price=dice.randrange(100), name=f"m{n}")
        elif how == 2:
            Line.where("bill_id", bill.id).order_by("id").limit(1).delete()
        else:
            bill.update(total=n)
        clock.travel(1)
        seen.append((clock.now(), told(bill)))

    for moment, what in seen:
        assert then(bill, moment) == what
    moment, what = dice.choice(seen)
    bill.revert_to(moment)
    assert told(bill) == what
