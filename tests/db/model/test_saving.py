"""Saving, deleting, reading again: what statements run, and what the model knows afterwards."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from so.db.connection import Connection
from so.db.manager import Database
from so.db.model import HasUuids, Model, SoftDeletes, relation
from so.errors import DatabaseError, ModelNotFoundError, StaleModelError, UniqueConstraintError
from tests.db.model_tables import STAMPS, make_table, statements

NOON = datetime(2026, 1, 15, 12, tzinfo=UTC)


class Invoice(Model):
    casts = {"total": "decimal:2"}

    @relation
    def lines(self) -> Any:
        return self.has_many(InvoiceLine)


class InvoiceLine(Model):
    timestamps = False


class Note(SoftDeletes, Model):
    pass


class Stock(Model):
    table = "stock"
    lock_version = True
    timestamps = False


class Document(HasUuids, Model):
    timestamps = False


@pytest.fixture
def invoices(db: Database) -> Database:
    make_table(
        db, "invoices", "number varchar(20) unique", "total decimal(12,2)", "paid int default 0",
        "note varchar(50) null", *STAMPS,
    )  # fmt: skip
    make_table(db, "invoice_lines", "invoice_id bigint", "text varchar(50)")
    return db


@pytest.fixture
def notes(db: Database) -> Database:
    make_table(db, "notes", "text varchar(50)", *STAMPS, "deleted_at datetime(6) null")
    return db


@pytest.fixture
def stock(db: Database) -> Database:
    make_table(db, "stock", "sku varchar(20)", "amount int", "lock_version int null")
    return db


# --- insert


def test_create_inserts_and_learns_the_key(invoices: Database) -> None:
    invoice = Invoice.create(number="A1", total="10")

    assert invoice.id == 1
    assert invoice.persisted
    assert invoice.was_recently_created
    assert invoice.is_clean()
    assert invoice.get_changes() == {}
    assert (invoice.created_at, invoice.updated_at) == (NOON, NOON)
    row = invoices.table("invoices").first()
    assert (row.number, Decimal(str(row.total))) == ("A1", Decimal("10"))


def test_create_takes_a_dict_as_well(invoices: Database) -> None:
    assert Invoice.create({"number": "A1"}, total=3).fresh().total == Decimal("3.00")


def test_none_is_inserted_explicitly(invoices: Database) -> None:
    Invoice.create(number="A1", paid=None)

    assert invoices.table("invoices").value("paid") is None


def test_what_was_not_given_keeps_the_default_of_the_database(invoices: Database) -> None:
    invoice = Invoice.create(number="A1")

    with pytest.raises(AttributeError, match="refresh"):
        _ = invoice.paid
    assert invoice.refresh().paid == 0


def test_a_key_may_be_given(invoices: Database) -> None:
    assert Invoice.force_create(id=70, number="A1").id == 70
    assert Invoice.force_create(id=None, number="A0").id == 71
    assert Invoice.create(number="A2").id == 72


def test_a_model_without_attributes_can_be_inserted(invoices: Database) -> None:
    line = InvoiceLine.create()

    assert line.id == 1
    assert line.refresh().text is None


def test_timestamps_set_by_hand_are_kept(invoices: Database) -> None:
    then = datetime(2020, 1, 1, tzinfo=UTC)

    invoice = Invoice.create(number="A1", created_at=then)

    assert (invoice.fresh().created_at, invoice.updated_at) == (then, NOON)
    assert Invoice.create(number="A2", created_at=None).fresh().created_at is None


def test_a_failed_insert_leaves_a_model_that_is_not_saved(invoices: Database) -> None:
    Invoice.create(number="A1")
    second = Invoice(number="A1")

    with pytest.raises(UniqueConstraintError):
        second.save()

    assert not second.persisted
    assert second.get_key() is None
    second.number = "A2"
    assert second.save()


def test_make_saves_nothing(invoices: Database) -> None:
    assert not Invoice.make(number="A1").persisted
    assert Invoice.count() == 0


def test_uuid_keys_are_known_before_the_row_is(db: Database) -> None:
    make_table(db, "documents", "title varchar(50)", key="id char(36) primary key")

    document = Document.create(title="a")

    assert len(document.id) == 36
    assert Document.find(document.id).title == "a"
    assert Document(title="b").force_fill(id="given").save()
    assert Document.find("given").title == "b"


# --- update


def test_an_update_writes_only_what_changed(invoices: Database) -> None:
    invoice = Invoice.create(number="A1", total=1, note="x")
    invoices.table("invoices").update({"note": "changed by another"})
    invoice.total = 2

    log = statements(invoices, invoice.save)

    assert len(log) == 1
    assert log[0]["query"].split(" where ")[0].count("= ?") == 2
    assert Invoice.first().note == "changed by another"
    assert invoice.was_changed("total")
    assert set(invoice.get_previous()) == set(invoice.get_changes())
    assert invoice.get_previous()["total"] != invoice.get_changes()["total"]
    assert set(invoice.get_changes()) == {"total", "updated_at"}


def test_saving_what_did_not_change_is_true_and_no_statement(invoices: Database) -> None:
    invoice = Invoice.create(number="A1", total="10.00")
    invoice.total = Decimal("10")
    invoice.number = "A1"

    assert statements(invoices, lambda: invoice.save()) == []
    assert invoice.save() is True


def test_an_update_to_the_values_the_row_already_has_is_true(invoices: Database) -> None:
    invoice = Invoice.create(number="A1", note="a")
    invoices.table("invoices").update({"note": "b"})
    invoice.timestamps = False

    assert invoice.update(note="b") is True


def test_the_time_of_change_is_written_unless_set_by_hand(invoices: Database, clock: Any) -> None:
    invoice = Invoice.create(number="A1")
    clock.travel(60)
    invoice.update(note="a")
    assert (invoice.updated_at - invoice.created_at).seconds == 60

    clock.travel(60)
    invoice.update(note="b", updated_at=NOON)
    assert invoice.fresh().updated_at == NOON

    invoice.timestamps = False
    invoice.update(note="c")
    assert invoice.fresh().updated_at == NOON


def test_a_changed_key_is_written_where_the_row_has_the_old_one(invoices: Database) -> None:
    invoice = Invoice.create(number="A1")
    invoice.id = 50

    assert invoice.save()
    assert Invoice.find(50).number == "A1"
    assert Invoice.count() == 1
    invoice.note = "after"
    assert invoice.save()
    assert Invoice.find(50).note == "after"


def test_saving_a_row_that_is_gone_is_false(invoices: Database) -> None:
    invoice = Invoice.create(number="A1")
    invoices.table("invoices").delete()

    assert invoice.update(note="x") is False
    with pytest.raises(DatabaseError, match="its row is gone"):
        invoice.save_or_fail()


def test_update_of_an_unsaved_model_is_false(invoices: Database) -> None:
    assert Invoice(number="A1").update(note="x") is False
    assert Invoice(number="A1").save_or_fail() is True


def test_a_model_read_without_its_key_cannot_be_saved(invoices: Database) -> None:
    Invoice.create(number="A1")
    invoice = Invoice.select("number").first()
    invoice.number = "A2"

    with pytest.raises(DatabaseError, match="select the key"):
        invoice.save()


def test_touch_writes_the_time(invoices: Database, clock: Any) -> None:
    invoice = Invoice.create(number="A1")
    clock.travel(5)

    assert invoice.touch()
    assert invoice.fresh().updated_at == clock.now()
    assert not InvoiceLine.create().touch()


def test_push_saves_what_is_loaded(invoices: Database) -> None:
    invoice = Invoice.create(number="A1")
    invoice.related("lines").create(text="a")
    invoice.note = "changed"
    invoice.lines[0].text = "b"

    assert invoice.push()
    assert InvoiceLine.first().text == "b"
    Invoice.query().delete()
    invoice.note = "lost"
    assert not invoice.push()


# --- counters


def test_increment_adds_in_the_database(invoices: Database) -> None:
    invoice = Invoice.create(number="A1", paid=5, note="n")
    invoices.table("invoices").update({"paid": 100})
    invoice.note = "not saved"

    assert invoice.increment("paid", 2, {"total": "7.5"}) == 1
    assert invoice.decrement("paid") == 1
    assert invoice.increment("total", "1.25") == 1
    assert invoice.decrement("total", "1.25") == 1

    assert invoice.paid == 101
    assert invoice.get_dirty() == {"note": "not saved"}
    assert invoice.fresh().only("paid", "total", "note") == {
        "paid": 101, "total": Decimal("7.50"), "note": "n",
    }  # fmt: skip


def test_increment_of_an_unsaved_model_is_an_error(invoices: Database) -> None:
    with pytest.raises(DatabaseError, match="not saved"):
        Invoice(paid=1).increment("paid")


def test_increment_of_a_row_that_is_gone_is_nothing(invoices: Database) -> None:
    invoice = Invoice.create(number="A1", paid=1)
    Invoice.query().delete()

    assert invoice.increment("paid") == 0


# --- delete


def test_delete_takes_the_row(invoices: Database) -> None:
    invoice = Invoice.create(number="A1")

    assert invoice.force_delete() is True
    assert not invoice.persisted
    assert invoice.delete() is False
    assert Invoice.count() == 0


def test_deleting_a_row_that_is_gone_is_false(invoices: Database) -> None:
    invoice = Invoice.create(number="A1")
    Invoice.query().delete()

    assert invoice.delete() is False


def test_destroy_deletes_by_key_and_counts(invoices: Database) -> None:
    made = [Invoice.create(number=str(n)) for n in range(5)]

    assert Invoice.destroy(1, 2) == 2
    assert Invoice.destroy([3, 99, "x"]) == 1
    assert Invoice.destroy(made[3]) == 1
    assert Invoice.destroy([]) == 0
    assert Invoice.pluck("id") == [5]


# --- reading again


def test_refresh_reads_row_and_relations_again(invoices: Database) -> None:
    invoice = Invoice.create(number="A1")
    assert invoice.lines == []
    InvoiceLine.create(invoice_id=invoice.id, text="a")
    invoices.table("invoices").update({"note": "new"})
    invoice.number = "lost"

    assert invoice.refresh() is invoice
    assert (invoice.number, invoice.note, len(invoice.lines)) == ("A1", "new", 1)
    Invoice.query().delete()
    with pytest.raises(ModelNotFoundError, match=r"No query results for model \[Invoice\] 1"):
        invoice.refresh()


def test_fresh_is_another_object_or_none(invoices: Database) -> None:
    invoice = Invoice.create(number="A1")
    fresh = invoice.fresh("lines")

    assert fresh is not invoice
    assert fresh.is_(invoice)
    assert fresh == invoice
    assert fresh.relation_loaded("lines")
    assert not invoice.is_not(fresh)
    assert Invoice().fresh() is None
    invoice.delete()
    assert fresh.fresh() is None


def test_replicate_copies_all_but_key_and_timestamps(invoices: Database) -> None:
    invoice = Invoice.create(number="A1", total=5, note="n")

    copy = invoice.replicate(["note"])

    assert not copy.persisted
    assert copy.get_attributes() == {"number": "A1", "total": Decimal("5.00")}
    copy.number = "A2"
    assert copy.save()
    assert copy.id == 2


# --- soft deletes


def test_a_soft_deleted_row_stays_and_is_not_found(notes: Database, clock: Any) -> None:
    note = Note.create(text="a")
    clock.travel(10)
    note.text = "not saved by delete"

    assert note.delete() is True

    assert note.trashed()
    assert note.persisted
    assert (note.deleted_at, note.updated_at) == (clock.now(), clock.now())
    assert note.get_dirty() == {"text": "not saved by delete"}
    assert Note.find(note.id) is None
    assert (Note.count(), Note.with_trashed().count(), Note.only_trashed().count()) == (0, 1, 1)
    assert notes.table("notes").value("text") == "a"


def test_restore_takes_the_mark_away(notes: Database) -> None:
    note = Note.create(text="a")
    note.delete()

    assert note.restore() is True
    assert not note.trashed()
    assert Note.find(note.id) is not None
    assert statements(notes, note.restore) == []


def test_force_delete_takes_the_row(notes: Database) -> None:
    note, other = Note.create(text="a"), Note.create(text="b")
    other.delete()

    assert note.force_delete()
    assert Note.only_trashed().first().force_delete()
    assert not note.force_delete()
    assert notes.table("notes").count() == 0


def test_update_and_count_through_a_query_honour_the_mark(notes: Database) -> None:
    kept, gone = Note.create(text="a"), Note.create(text="a")
    gone.delete()

    assert Note.where("text", "a").or_where("text", "b").update(text="c") == 1
    assert Note.with_trashed().find(gone.id).text == "a"
    assert Note.where("id", kept.id).delete() == 1
    assert Note.with_trashed().count() == 2
    assert Note.only_trashed().where("text", "a").restore() == 1
    assert Note.without_trashed().count() == 1
    assert Note.with_trashed().where("text", "c").force_delete() == 1
    assert Note.with_trashed().count() == 1
    assert Note.query().delete(gone.id) == 1
    assert Note.count() == 0


def test_deleting_softly_what_is_gone_is_false(notes: Database) -> None:
    note = Note.create(text="a")
    notes.table("notes").delete()

    assert note.delete() is False
    assert note.force_delete() is False


def test_soft_deletes_without_timestamps_and_with_a_column_of_their_own(db: Database) -> None:
    class Draft(Model, SoftDeletes):
        DELETED_AT = "gone_at"
        timestamps = False

    make_table(db, "drafts", "text varchar(9)", "gone_at datetime(6) null")
    draft = Draft.create(text="a")

    assert draft.delete()
    assert draft.gone_at == NOON
    assert Draft.count() == 0
    assert draft.restore()
    assert Draft.count() == 1


# --- optimistic locking


def test_a_stale_model_is_not_saved(stock: Database) -> None:
    mine = Stock.create(sku="a", amount=1)
    theirs = Stock.first()
    theirs.update(amount=2)
    mine.amount = 3

    with pytest.raises(StaleModelError, match="refresh"):
        mine.save()

    assert Stock.first().amount == 2
    assert (mine.lock_version, theirs.lock_version, Stock.lock_version) == (1, 2, True)
    mine.refresh()
    assert mine.update(amount=3)
    assert Stock.first().lock_version == 3


def test_a_stale_model_is_not_deleted(stock: Database) -> None:
    mine = Stock.create(sku="a", amount=1)
    Stock.first().update(amount=2)

    with pytest.raises(StaleModelError):
        mine.delete()
    assert mine.persisted


def test_the_version_starts_at_none_for_old_rows(stock: Database) -> None:
    stock.table("stock").insert({"sku": "old", "amount": 1})
    old = Stock.first()

    assert old.update(amount=2)
    assert Stock.first().lock_version == 1


def test_bulk_updates_and_counters_raise_the_version(stock: Database) -> None:
    mine = Stock.create(sku="a", amount=1)
    Stock.where("sku", "a").update(amount=5)
    with pytest.raises(StaleModelError):
        mine.update(amount=2)
    mine.refresh().increment("amount")

    assert mine.update(sku="b")
    assert (mine.amount, Stock.first().lock_version) == (6, 4)


def test_a_lock_column_may_have_another_name(db: Database) -> None:
    class Part(Model):
        lock_version = "version"
        timestamps = False

    make_table(db, "parts", "name varchar(9)", "version int")
    part = Part.create(name="a")
    Part.first().update(name="b")

    with pytest.raises(StaleModelError):
        part.update(name="c")
    assert part.fresh().version == 2


# --- connections


def test_a_model_stays_with_the_connection_it_came_from(invoices: Database, tmp_path: Any) -> None:
    other = Connection(str(tmp_path / "other.sqlite"), "other", clock=invoices.connection().clock)
    other.statement(
        "create table invoices (id integer primary key, number text, note text, "
        "created_at text, updated_at text)"
    )
    Invoice.create(number="here")

    there = Invoice.on(other).create(number="there")
    there.update(note="changed")

    assert Invoice.pluck("number") == ["here"]
    assert Invoice.on(other).first().note == "changed"
    assert there.fresh().note == "changed"
    assert there.id == 1
    assert not there.is_(Invoice.first())
    assert there.replicate().save()
    assert there.delete()
    assert other.table("invoices").count() == 1
    other.close()


def test_the_class_may_name_its_connection(invoices: Database, tmp_path: Any) -> None:
    invoices.add_connection("archive", {"driver": "sqlite", "database": str(tmp_path / "a.sqlite")})
    invoices.connection("archive").statement("create table old_bills (id integer primary key)")

    class OldBill(Model):
        connection = "archive"
        timestamps = False

    assert OldBill.create().id == 1
    assert OldBill.count() == 1
    assert OldBill.first().is_(OldBill.find(1))


def test_without_a_database_the_error_says_what_to_do() -> None:
    with pytest.raises(RuntimeError, match="no db is running"):
        Invoice.count()
