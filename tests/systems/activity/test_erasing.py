"""A person's values leave the trail; the trail still verifies."""

from __future__ import annotations

import pytest

from so.db.model import Model
from so.errors import ActivityError
from so.support.current import replaced
from so.systems.activity import Activity, ActivityLog, LogsActivity, causer
from tests.systems.activity.conftest import Person

SECRETS = ("Ada Lovelace", "ada@example.org", "10.1.2.3", "Firefox/999", "7777.77")


@pytest.fixture
def trail(log, db, clock):
    """Rows about Ada, by Ada, and by others, sealed but for the last."""
    made = ActivityLog(
        db, clock=clock, keys=["audit-" + "k" * 32], seal_delay_seconds=None, rows_per_seal=3
    )
    with replaced("activity", made):
        ada = Person.create(name="Ada Lovelace", email="ada@example.org", salary="7777.77")
        bob = Person.create(name="Bob Babbage", points=1)
        made.entry().on(bob).by(ada).with_properties(
            {"note": "Ada Lovelace said so", "names": ["ada@example.org", 5]}
        ).tap(
            lambda row: row.update(context='{"ip":"10.1.2.3","user_agent":"Firefox/999","job":"J"}')
        ).log("approved by :causer.name")
        made.entry().on(bob).by("system:test").log("has nothing of her")
        made.sealer.seal()
        ada.update(email="ada@example.org2")
        made.ada = ada
        yield made


def everything(db):
    tables = ("activity_log", "activity_erasures", "activity_seals")
    return "".join(str(db.connection().select_tuples(f"select * from {t}")) for t in tables)


def test_t26_erased_values_are_gone_and_the_trail_verifies(trail, db):
    assert trail.erase("person", str(trail.ada.id), free_text=True) == 3

    report = trail.verify()
    assert (report.exit_code, report.erased) == (0, 3)
    assert not [text for text in SECRETS if text in everything(db)]
    assert "Bob Babbage" in everything(db)
    trail.sealer.seal()
    assert trail.verify().exit_code == 0


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_t26_erased_values_are_not_in_the_file_either(trail, db, db_config):
    from pathlib import Path

    file = Path(db_config["database"])
    db.connection().unprepared("delete from people")
    assert b"ada@example.org" in b"".join(f.read_bytes() for f in file.parent.glob(file.name + "*"))

    trail.erase("person", str(trail.ada.id), free_text=True)

    raw = b"".join(f.read_bytes() for f in file.parent.glob(file.name + "*"))
    assert not [text for text in SECRETS if text.encode() in raw]


def test_what_happened_stays_readable(trail):
    trail.erase("person", str(trail.ada.id), free_text=True, basis="Art. 17 GDPR")

    changed = Activity.for_event("updated").first()
    assert changed.changes() == {"email": ("[erased]", "[erased]")}
    approved = Activity.where("causer_type", "person").first()
    assert approved.description == "approved by [erased]"
    assert approved.properties == {"note": "[erased] said so", "names": ["[erased]", 5]}
    assert approved.context == {"job": "J"}
    assert (approved.subject_label, approved.causer_label) == ("Bob Babbage", None)
    certificate = Activity.for_event("erased").first()
    assert certificate.properties == {
        "person": f"person:{trail.ada.id}", "rows": 3, "basis": "Art. 17 GDPR", "free_text": True
    }  # fmt: skip


class Parcel(LogsActivity, Model):
    table = "documents"
    type_alias = "erase_parcel"
    timestamps = False
    guarded = []


@pytest.fixture
def ann(trail):
    """A clerk whose name and city are words that others use as well."""
    ann = Person.create(name="Ann", email="ann@x.example", settings={"city": "Berlin"})
    with causer(ann):
        parcel = Parcel.create(title="deliver to Berlin")
        parcel.update(title="Annual discount approved by Ann")
        Person.create(name="Ann", email="other@x.example")
        trail.entry("x").on(parcel).with_properties(
            {
                "status": "Annual", "city": "Berlin", "contact_name": "Ann", "name": "Ann Other",
                "mail": {"reply_email": "ann@x.example"}, "text": "Ann, Annual, ann@x.example",
            }
        ).log("approved by Ann")  # fmt: skip
    trail.ann, trail.parcel = ann, parcel
    return trail


def by_ann():
    ann = Person.where("email", "ann@x.example").value("id")
    return Activity.where({"causer_type": "person", "causer_id": str(ann)}).order_by("id").get()


def test_only_whole_values_under_names_of_a_person_go_from_rows_about_others(ann):
    ann.erase("person", str(ann.ann.id))

    created, updated, other, by_hand = by_ann()
    assert created.properties["attributes"]["title"] == "deliver to Berlin"
    assert updated.properties["attributes"]["title"] == "Annual discount approved by Ann"
    assert other.properties["attributes"]["name"] == "Ann"
    assert by_hand.properties == {
        "status": "Annual", "city": "Berlin", "contact_name": "[erased]", "name": "Ann Other",
        "mail": {"reply_email": "[erased]"}, "text": "Ann, Annual, ann@x.example",
    }  # fmt: skip
    assert by_hand.description == "approved by Ann"
    assert {row.causer_label for row in by_ann()} == {None}
    assert ann.parcel.as_of(ann.clock.now()).title == "Annual discount approved by Ann"
    assert ann.verify().is_clean


def test_free_text_goes_by_whole_words_and_only_on_request(ann):
    listed = {(m.place, m.text) for m in ann.mentions("person", str(ann.ann.id), free_text=True)}
    assert ("description", "approved by Ann") in listed
    assert ("properties.text", "Ann, Annual, ann@x.example") in listed
    assert all(text != "Annual" for _, text in listed)
    assert by_ann()[0].causer_label == "Ann"  # nothing was done

    ann.erase("person", str(ann.ann.id), free_text=True)

    by_hand = by_ann()[3]
    assert by_hand.properties["text"] == "[erased], Annual, [erased]"
    assert by_hand.properties["status"] == "Annual"
    assert by_hand.description == "approved by [erased]"
    assert by_ann()[1].properties["attributes"]["title"] == "Annual discount approved by [erased]"
    assert ann.verify().is_clean


def test_a_person_on_hold_is_not_erased_and_not_pruned(ann, clock):
    key = str(ann.ann.id)
    ann.hold("person", key, "lawsuit 7/2026")
    assert ann.held() == {("person", key): "lawsuit 7/2026"}

    with pytest.raises(ActivityError, match=r"on hold \(lawsuit 7/2026\)"):
        ann.erase("person", key)
    with pytest.raises(ActivityError, match="needs a reason"):
        ann.hold("person", key, " ")
    clock.travel(40 * 86_400)
    ann.prune(30)
    assert len(by_ann()) == 4

    ann.release("person", key, "settled")
    assert ann.held() == {}
    assert ann.erase("person", key) == 5
    assert ann.verify().is_clean
    with pytest.raises(ActivityError, match="not on hold"):
        ann.release("person", key, "again")


def test_the_time_machine_knows_what_it_no_longer_holds(trail):
    trail.erase("person", str(trail.ada.id))

    assert trail.ada.as_of(trail.clock.now()).name is None
    with pytest.raises(ActivityError, match="masked or erased"):
        trail.ada.revert_to(1)


def test_erasing_again_takes_what_came_since(trail):
    key = str(trail.ada.id)
    trail.erase("person", key)
    assert trail.erase("person", key) == 0

    trail.ada.update(name="Ada King")
    bob = Person.where("name", "Bob Babbage").first()
    trail.entry().on(trail.ada).by(bob).log("greeted")

    assert trail.erase("person", key) == 2
    assert trail.erase("person", str(bob.id)) > 0  # the row they share is erased once more
    trail.sealer.seal()
    assert trail.verify().exit_code == 0


def test_an_erased_row_can_be_pruned(trail, clock):
    trail.erase("person", str(trail.ada.id))
    clock.travel(86_400 * 40)

    trail.prune(30)

    assert trail.verify().exit_code == 0
    assert trail.stats()["erased"] == 0


ATTACKS = {
    "T27 an erasure is removed": (
        "delete from activity_erasures where activity_id = 1", "erased without certificate"),
    "T28 the values of two erased rows change places": (
        "update activity_log set properties = '{}' where id = 1", "erased without certificate"),
    "T28 another digest": (
        f"update activity_erasures set content_hash = '{'0' * 64}'", "erased without certificate"),
    "T28 another certificate": (
        f"update activity_erasures set cert_uid = '{'0' * 32}'", "erased without certificate"),
    "T24 the certificate is removed": (
        "delete from activity_log where event = 'erased'", "pruned without certificate"),
}  # fmt: skip


@pytest.mark.parametrize("name", ATTACKS)
def test_a_forged_erasure_is_found(trail, db, name):
    statement, kind = ATTACKS[name]
    trail.erase("person", str(trail.ada.id))

    db.connection().unprepared(statement)

    assert kind in {fault.kind for fault in trail.verify().faults}


def test_without_integrity_the_values_are_simply_replaced(log, db):
    ada = Person.create(name="Ada Lovelace", email="ada@example.org")
    db.connection().unprepared(
        "insert into activity_log (description, properties, subject_type, subject_id)"
        f" values ('by hand', 'no JSON', 'person', '{ada.id}')"
    )

    assert log.erase("person", str(ada.id)) == 2

    assert "Ada" not in everything(db)
    assert Activity.where("properties", '{"invalid":"[erased]"}').count() == 1
