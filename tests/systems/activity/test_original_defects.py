"""O1 to O10: what the original's log promised and did not do. One test each, by its number."""

from __future__ import annotations

import threading

import pytest

from so.support.scope import Scope, entered
from so.systems.activity import (
    Activity,
    ActivityLog,
    activity_batch,
    unaudited,
    without_activity,
)
from tests.systems.activity.conftest import Document, Person


def trail():
    return Activity.order_by("id").get()


def test_o1_log_is_the_last_call_and_really_writes(log):
    saved = log.entry().log("written")

    assert saved.id == Activity.first().id


def test_o2_nothing_of_an_abandoned_entry_reaches_the_next_row(log):
    log.entry("secret").with_properties({"theirs": 1})

    Person.create(name="Ada")

    row = Activity.first()
    assert row.log_name == "default"
    assert "theirs" not in row.properties


def test_o3_a_value_that_becomes_null_or_was_null_is_logged_with_both_sides(log):
    ada = Person.create(name="Ada", email="a@x.example")

    ada.update(email=None)
    ada.update(email="b@x.example")

    assert [row.changes() for row in trail()[1:]] == [
        {"email": ("a@x.example", None)},
        {"email": (None, "b@x.example")},
    ]


@pytest.mark.parametrize("same", [{"is_active": "1"}, {"salary": "1.0"}, {"salary": 1}])
def test_o4_another_spelling_of_the_same_value_is_no_change(log, same):
    ada = Person.create(name="Ada", is_active=True, salary="1.00")

    Person.find(ada.id).update(**same)

    assert len(trail()) == 1


def test_o5_soft_deletes_restores_and_force_deletes_are_logged(log):
    document = Document.create(title="T")

    document.delete()
    document.restore()
    document.force_delete()

    events = [row.event for row in trail()]
    assert events == ["created", "deleted", "restored", "force_deleted"]


def test_o6_except_description_and_additional_properties_are_honoured(log):
    class Account(Person):
        table = "people"
        log_attributes_except = ["email"]

        def get_description_for_event(self, event):
            return f"account {event}"

        def get_additional_log_properties(self, event):
            return {"office": "London"}

    Account.create(name="Ada", email="a@x.example", password="hash")

    row = Activity.first()
    assert row.description == "account created"
    assert row.properties["office"] == "London"
    assert "email" not in row.properties["attributes"]
    assert row.properties["attributes"]["password"] == "***"


@pytest.mark.parametrize("kind", ["command", "job", "request"])
def test_o7_entries_by_hand_have_the_causer_of_their_scope(log, kind):
    with entered(Scope(kind)) as scope:
        scope.causer = "system:nightly"
        row = log.entry().log("by hand")

    assert row.causer == "system:nightly"


def test_o8_the_row_shares_transaction_connection_and_id_with_the_change(log, db):
    db.connection().begin_transaction()
    Person.create(name="Ada")
    saved = log.entry().log("inside")
    assert saved.description == "inside"
    db.connection().roll_back()

    assert Activity.count() == 0
    assert Person.count() == 0


def test_o9_prune_is_bounded_and_batches_have_an_index(log, db, clock):
    statements = []
    for n in range(7):
        log.entry().log(str(n))
    clock.travel(86_400 * 40)
    db.connection().listen(lambda event: statements.append(event.sql))

    assert log.prune(30, batch=3) == 7

    assert sum(sql.startswith("delete") for sql in statements) == 3
    assert Activity.for_batch("x").count() == 0


def test_o9_keys_may_be_text_and_times_have_microseconds(log, clock):
    clock.travel(0.000_001)
    row = log.entry().tap(lambda row: row.update(subject_id="0f8fad5b-uuid")).log("x")

    assert row["subject_id"] == "0f8fad5b-uuid"
    assert row.created_at.microsecond == 1


def test_o9_a_batch_groups_what_belongs_together(log):
    with activity_batch() as batch:
        Person.create(name="Ada")
        log.entry().log("x")

    assert Activity.for_batch(batch).count() == 2


def test_o10_writes_through_a_query_are_logged_row_by_row(log):
    Person.insert([{"name": "Ada"}, {"name": "Bob"}])
    Person.where("name", "Ada").update(points=1)
    Person.where("name", "Bob").delete()

    assert [row.event for row in trail()] == ["created", "created", "updated", "deleted"]


def test_o10_switching_off_holds_for_the_block_and_this_thread_only(log, db_config, clock):
    from so.db.manager import Database

    def elsewhere():
        database = Database({"default": db_config}, clock=clock)
        ActivityLog(database, clock=clock).entry().log("elsewhere")
        database.close()

    with without_activity():
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
        assert log.entry().log("here") is None
    with unaudited("a reason"):
        Person.create(name="Ada")
    Person.create(name="Bob")

    assert [row.description for row in trail()] == [
        "elsewhere",
        "1 changes or entries were not logged: without_activity()",
        "Unaudited changes: a reason",
        "created",
    ]
