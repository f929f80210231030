"""The activity log: entries by hand, trails of models, and who did it."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from so.errors import ActivityError
from so.support.scope import Scope, entered
from so.systems.activity import (
    Activity,
    activity_batch,
    causer,
    unaudited,
    without_activity,
)
from tests.systems.activity.conftest import Document, Person, Tag


def trail():
    return Activity.where_not("event", "silenced").or_where_null("event").order_by("id").get()


# --- entries by hand ---


def test_log_writes_at_once_and_gives_the_saved_activity(log, ada):
    found = (
        log.entry()
        .performed_on(ada)
        .caused_by(ada)
        .with_properties({"amount": 1000, "status": "approved"})
        .log("Invoice approved for payment")
    )

    assert found.id is not None
    assert found.description == "Invoice approved for payment"
    assert found.properties == {"amount": 1000, "status": "approved"}
    assert found.subject == ada
    assert found.causer == ada
    assert (found.subject_type, found.subject_label, found.log_name) == ("person", "Ada", "default")
    assert len(trail()) == 1


def test_a_pending_entry_leaks_nothing_into_the_next_one(log, ada):
    log.entry().performed_on(ada).with_properties({"leaked": True})
    base = log.entry("admin").with_property("a.b", 1)
    first = base.with_property("a.c", 2).log("first")
    second = base.log("second")

    assert first.properties == {"a": {"b": 1, "c": 2}}
    assert second.properties == {"a": {"b": 1}}
    assert second.subject is None
    assert second.log_name == "admin"


def test_placeholders_are_filled_and_unknown_ones_stay(log, ada):
    entry = log.entry().on(ada).by("system:nightly").with_properties({"a": {"b": 5}})

    text = ":subject.name did :properties.a.b of :properties.x, :causer.name :subject.password."

    assert entry.log(text).description == (
        "Ada did 5 of :properties.x, :causer.name :subject.password."
    )


def test_the_steps_of_an_entry(log, clock):
    then = clock.now() - timedelta(days=1)
    found = (
        log.entry()
        .in_log("a")
        .use_log("b")
        .event("exported")
        .created_at(then)
        .tap(lambda row: row.update(description="tapped"))
        .log("x")
    )
    assert (found.log_name, found.event, found.description) == ("b", "exported", "tapped")
    assert found.created_at == then


def test_a_causer_that_is_no_model_and_no_name_is_refused(log):
    with pytest.raises(ActivityError, match="'Ada' is nobody"):
        log.entry().by("Ada").log("x")
    with pytest.raises(ActivityError, match="Person'> is nobody: give one of its models"):
        log.entry().by(Person).log("x")
    with pytest.raises(ActivityError, match="longer than 255"):
        log.entry("x" * 300).log("x")


@pytest.mark.parametrize("name", [None, 5, b"x"])
def test_a_property_whose_name_is_no_text_is_refused(log, name):
    with pytest.raises(ActivityError, match="the name of a property must be text"):
        log.entry().with_property(name, 1)


def test_secrets_are_masked_in_custom_properties_at_any_depth(log):
    found = (
        log.entry()
        .with_properties({"user": {"password": "p", "Api-Key": "k", "name": "Ada"}, "token": None})
        .log("x")
    )
    assert found.properties == {
        "user": {"password": "***", "Api-Key": "***", "name": "Ada"},
        "token": None,
    }


# --- trails of models ---


def test_a_created_row_has_attributes_and_no_old(log):
    Person.create(name="Ada", password="secret", salary=Decimal("1.5"), settings={"b": 1})

    (row,) = trail()
    assert (row.event, row.description, row.subject_type) == ("created", "created", "person")
    assert row.properties == {
        "attributes": {
            "id": row.subject.id, "name": "Ada", "password": "***", "salary": "1.50",
            "settings": {"b": 1},
        }
    }  # fmt: skip


def test_an_update_logs_only_what_changed_with_both_values(log, ada):
    ada.update(name="Ada L.", salary="11")

    (row,) = trail()
    assert row.properties == {
        "attributes": {"name": "Ada L.", "salary": "11.00"},
        "old": {"name": "Ada", "salary": "10.00"},
    }
    assert row.changes()["name"] == ("Ada", "Ada L.")


def test_a_value_that_becomes_none_or_was_none_is_a_change(log, ada):
    ada.update(email=None)
    ada.update(email="new@x.example")

    first, second = trail()
    assert first.properties == {"attributes": {"email": None}, "old": {"email": "ada@x.example"}}
    assert second.properties == {"attributes": {"email": "new@x.example"}, "old": {"email": None}}


@pytest.mark.parametrize(
    "same", [{"salary": "10.0"}, {"salary": 10}, {"is_active": 1}, {"is_active": "1"}]
)
def test_the_same_value_in_another_spelling_is_no_change(log, ada, same):
    ada.update(same)

    assert trail().is_empty()


def test_the_same_instant_and_reordered_json_are_no_change(log, ada, clock):
    with without_activity():
        ada.update(seen_at=clock.now(), settings={"a": 1, "b": 2})
    ada.update(seen_at=clock.now().isoformat(), settings={"b": 2, "a": 1})

    assert trail().is_empty()


def test_leading_zeros_and_false_to_none_are_changes(log, ada):
    ada.update(name="001")
    ada.update(name="01")
    ada.update(is_active=False)
    ada.update(is_active=None)

    assert len(trail()) == 4
    assert trail()[3].properties["old"] == {"is_active": False}


def test_touching_only_timestamps_writes_nothing(log, ada, clock):
    clock.travel(60)
    ada.touch()

    assert trail().is_empty()


def test_a_deleted_row_has_only_old(log, ada):
    ada.delete()

    (row,) = trail()
    assert row.event == "deleted"
    assert list(row.properties) == ["old"]
    assert row.properties["old"]["name"] == "Ada"
    assert row.subject is None
    assert row.subject_label == "Ada"


def test_soft_delete_restore_and_force_delete_are_logged(log, ada):
    document = Document.create(title="Plan", person_id=ada.id)
    document.delete()
    document.restore()
    document.force_delete()

    rows = trail()
    assert [row.event for row in rows] == ["created", "deleted", "restored", "force_deleted"]
    assert {row.log_name for row in rows} == {"documents"}
    assert rows[0].description == "document created"
    assert rows[0].properties["source"] == "test"
    assert rows[0].properties["api_token"] == "***"


def test_dotted_paths_follow_a_relation(log, ada):
    with without_activity():
        grace = Person.create(name="Grace")
    document = Document.create(title="Plan", person_id=ada.id)
    document.update(person_id=grace.id)

    created, updated = trail()
    assert created.properties["attributes"] == {"title": "Plan", "person.name": "Ada"}
    assert updated.properties["attributes"] == {"person.name": "Grace"}
    assert updated.properties["old"] == {"person.name": "Ada"}


def test_dotted_paths_follow_json(log, ada, monkeypatch):
    monkeypatch.setattr(Person, "log_attributes", ["settings.color"])
    ada.update(settings={"color": "red"})

    assert trail()[0].properties["attributes"] == {"settings.color": "red"}


def test_except_only_dirty_and_empty_are_honoured(log, ada, monkeypatch):
    monkeypatch.setattr(Person, "log_attributes_except", ["email"])
    ada.update(email="x")
    assert trail().is_empty()
    monkeypatch.setattr(Person, "log_empty", True)
    ada.update(email="y")
    assert trail()[0].properties == {"attributes": {}, "old": {}}
    monkeypatch.setattr(Person, "log_only_dirty", False)
    ada.update(name="B")
    assert trail()[1].properties["attributes"]["salary"] == "10.00"
    monkeypatch.setattr(Person, "log_events", ["deleted"])
    ada.update(name="C")
    assert len(trail()) == 2


def test_the_row_lives_and_dies_with_its_transaction(log, ada, db):
    def change(fail):
        ada.update(name="outer")
        try:
            db.transaction(lambda: ada.update(name="inner") and 1 / fail)
        except ZeroDivisionError:
            ada.refresh()

    db.transaction(lambda: change(0))
    assert [row.properties["attributes"]["name"] for row in trail()] == ["outer"]
    db.begin_transaction()
    ada.update(name="gone")
    db.roll_back()
    assert len(trail()) == 1


def test_bytes_and_broken_text_do_not_stop_a_save(log, ada):
    found = log.entry().with_properties({"raw": b"\xff\x00", "bad": "a\ud800"}).log("x")

    assert found.properties == {"raw": {"$b64": "/wA="}, "bad": "a\\ud800"}


# --- many rows at once ---


def test_a_bulk_update_logs_each_row(log, ada):
    with without_activity():
        Person.create(name="Bob", salary="10.00")
    changed = Person.where("salary", "10.00").update(salary="12.50")

    assert changed == 2
    assert [row.properties for row in trail()] == [
        {"attributes": {"salary": "12.50"}, "old": {"salary": "10.00"}}
    ] * 2
    assert [row.subject.name for row in trail()] == ["Ada", "Bob"]


def test_bulk_increment_delete_and_insert_log_each_row(log, ada):
    Person.where("id", ada.id).update(points=1)
    Person.where("id", ada.id).increment("points", 5)
    Person.where("name", "Ada").delete()
    Person.insert([{"name": "C"}, {"name": "D"}])

    rows = trail()
    assert [row.event for row in rows] == ["updated", "updated", "deleted", "created", "created"]
    assert rows[1].changes() == {"points": (1, 6)}
    assert [row.subject.name for row in rows[3:]] == ["C", "D"]
    assert rows[3].properties["attributes"]["name"] == "C"


def test_emptying_the_table_is_one_row_that_counts(log):
    Person.insert_or_ignore([{"name": "C"}, {"name": "D"}])
    Person.truncate()

    assert [row.event for row in trail()] == ["created", "created", "truncate"]
    assert trail()[2].properties == {"kind": "truncate", "rows": 2}
    assert Person.insert([]) is True


def test_a_bulk_soft_delete_logs_each_row(log, ada):
    Document.insert([{"title": "a", "person_id": ada.id}, {"title": "b", "person_id": None}])
    Document.where_not_null("title").delete()

    assert [row.event for row in trail()] == ["created", "created", "deleted", "deleted"]
    assert trail()[2].properties["old"]["title"] == "a"


def test_unaudited_writes_past_the_log_and_says_so(log, ada):
    with unaudited("nightly correction"):
        ada.update(name="X")
        Person.where("id", ada.id).update(name="Y")

    (row,) = trail()
    assert (row.event, row.log_name) == ("unaudited", "audit")
    assert row.properties == {"reason": "nightly correction"}
    with pytest.raises(ValueError, match="reason"), unaudited(" "):
        pass


def test_attaching_and_syncing_write_one_row_each(log, ada):
    first, second = Tag.create(name="a"), Tag.create(name="b")
    ada.related("tags").attach([first.id, second.id])
    ada.related("tags").sync([second.id])
    ada.related("tags").sync([second.id])

    rows = trail()
    assert [row.event for row in rows] == ["attached", "detached"]
    assert rows[0].properties["attached"] == [first.id, second.id]
    assert rows[1].properties["detached"] == [first.id]


# --- who did it ---


def test_the_scopes_user_is_the_causer_and_an_explicit_none_beats_it(log, ada):
    scope = Scope("request", request_id="r1")
    scope.user = ada
    with entered(scope):
        log.entry().log("by the user")
        log.entry().caused_by(None).log("by nobody")
        with causer("system:import"):
            log.entry().log("by the system")
            with causer(None):
                log.entry().log("by nobody")
            log.entry().log("by the system")
        log.entry().log("by the user")
    rows = trail()
    names = [row.causer_label for row in rows]
    assert names == ["Ada", None, "system:import", None, "system:import", "Ada"]
    assert rows[2].causer == "system:import"
    assert rows[0].context == {"source": "request", "request_id": "r1"}


def test_a_causer_block_ends_with_an_exception_as_well(log):
    with pytest.raises(ZeroDivisionError), causer("system:x"):
        raise ZeroDivisionError
    assert log.causer() is None


def test_a_batch_groups_rows_and_a_nested_one_keeps_the_outer(log, ada):
    with activity_batch() as outer:
        ada.update(name="1")
        with activity_batch() as inner:
            ada.update(name="2")
    ada.update(name="3")
    with entered(Scope("request")) as scope, activity_batch() as uuid:
        assert scope.batch == uuid

    assert inner == outer
    assert [row.batch_uuid for row in trail()] == [outer, outer, None]
    assert Activity.for_batch(outer).count() == 2


def test_nothing_is_logged_while_it_is_switched_off(log, ada):
    with without_activity():
        ada.update(name="X")
        assert log.entry().log("x") is None
    log.enabled = False
    ada.update(name="Y")
    Person.where("id", ada.id).update(name="Z")
    assert trail().is_empty()


# --- reading ---


def test_the_scopes_of_the_trail(log, ada, clock):
    log.entry("admin").on(ada).by(ada).event("approved").log("a")
    clock.travel(60)
    log.entry("api").by("system:cron").log("b")

    assert Activity.in_log("admin", "x").count() == 1
    assert Activity.for_subject(ada).pluck("description") == ["a"]
    assert Activity.caused_by(ada).pluck("description") == ["a"]
    assert Activity.caused_by("system:cron").pluck("description") == ["b"]
    log.entry().by(None).log("c")
    assert Activity.caused_by(None).in_log("default").pluck("description") == ["c"]
    assert Activity.for_event("approved").count() == 1
    later = clock.now()
    assert Activity.between(later - timedelta(seconds=30), later).pluck("description") == ["b", "c"]


@pytest.mark.parametrize("wrong", [Person, 5, ["x"]], ids=repr)
def test_who_is_no_model_has_no_entries_to_ask_for(log, wrong):
    for scope in (Activity.for_subject, Activity.caused_by):
        with pytest.raises(ActivityError, match="is no model that could have entries"):
            scope(wrong)


def test_a_models_own_trail_is_newest_first(log, ada):
    ada.update(name="1")
    ada.update(name="2")

    names = [row.properties["attributes"]["name"] for row in ada.activities().get()]
    assert names == ["2", "1"]


def test_a_row_by_hand_and_one_of_an_unknown_class_can_be_read(log, db):
    db.table("activity_log").insert({"description": "by hand"})
    db.table("activity_log").insert(
        {"description": "x", "subject_type": "Vanished", "subject_id": "5", "causer_type": "person",
         "causer_id": "not-a-number", "properties": "[]"}
    )  # fmt: skip
    first, second = trail()
    assert first.properties == {}
    assert first.context == {}
    assert second.subject is None
    assert second.causer is None


# --- the time machine ---


def test_versions_as_of_diff_and_revert(log, clock):
    ada = Person.create(name="Ada", salary="10.00")
    start = clock.now()
    clock.travel(60)
    ada.update(salary="20.00")
    clock.travel(60)
    ada.update(name="Ada L.")

    versions = ada.versions()
    assert [v.number for v in versions] == [1, 2, 3]
    assert ada.as_of(start).salary == Decimal("10.00")
    assert ada.as_of(start - timedelta(days=1)) is None
    assert ada.diff(1, 3) == {"salary": ("10.00", "20.00"), "name": ("Ada", "Ada L.")}
    assert ada.diff(start, versions[1]) == {"salary": ("10.00", "20.00")}
    assert ada.revert_to(1)
    assert (ada.name, ada.salary) == ("Ada", Decimal("10.00"))
    assert len(ada.versions()) == 4
    with pytest.raises(ActivityError, match="no version 9"):
        ada.diff(1, 9)


def test_reverting_refuses_what_was_masked_and_a_deleted_model_is_gone(log, clock):
    ada = Person.create(name="Ada", password="one")
    ada.update(password="two")
    with pytest.raises(ActivityError, match="cannot revert password"):
        ada.revert_to(1)
    clock.travel(60)
    ada.delete()
    assert ada.as_of(clock.now()) is None


# --- pruning ---


def test_prune_deletes_old_rows_in_batches_and_refuses_nonsense(log, clock):
    for age in (400, 366, 364, 0):
        log.entry("a" if age == 400 else "b").created_at(clock.now() - timedelta(days=age)).log(
            str(age)
        )

    assert log.prune(365, dry_run=True) == 2
    assert log.prune(365, log="b") == 1
    assert log.prune(365, batch=1) == 1
    assert [row.description for row in trail()] == ["364", "0"]
    for days in (0, -1, 1.5, "30", True):
        with pytest.raises(ActivityError, match="whole number from 1"):
            log.prune(days)
    assert len(trail()) == 2
