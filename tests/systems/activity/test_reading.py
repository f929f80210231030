"""Reading the trail: few queries, in the order of the ids, whatever became of whom it names."""

from __future__ import annotations

import pytest

from so.errors import ActivityError
from so.support.current import replaced
from so.systems.activity import Activity, ActivityLog, causer
from tests.systems.activity.conftest import Document, Person, Tag


@pytest.fixture
def entries(log, ada):
    with causer(ada):
        for n in range(20):
            Person.create(name=f"P{n}")
        gone = Person.create(name="Gone")
        gone.delete()
        document = Document.create(title="x", person_id=ada.id)
        document.delete()
    log.entry().by("system:nightly").on(ada).log("x")
    log.entry().by(None).log("nothing")
    log.entry().by(ada).tap(lambda row: row.update(subject_type="NoSuchClass", subject_id="7")).log(
        "x"
    )
    log.entry().by(ada).tap(lambda row: row.update(subject_type="person", subject_id="x'y")).log(
        "x"
    )
    return ada


def test_fifty_entries_with_subject_and_causer_take_four_queries(entries, db):
    connection = db.connection()
    connection.enable_query_log()

    rows = Activity.with_("subject", "causer").order_by_desc("id").limit(50).get()
    seen = [(row.subject, row.causer) for row in rows]

    assert len(connection.get_query_log()) <= 4
    connection.disable_query_log()
    by_hand = [(row.subject, row.causer) for row in Activity.order_by_desc("id").limit(50).get()]
    assert seen == by_hand
    assert (entries, "system:nightly") in seen
    assert (None, None) in seen
    assert (None, entries) in seen
    rows[0].to_dict()
    rows.to_json()


def test_a_timeline_comes_in_the_order_of_the_ids(entries, db):
    sql = entries.activities().to_sql()

    assert "order by" in sql
    assert "created_at" not in sql
    explain = "explain query plan" if db.connection().dialect.name == "sqlite" else "explain"
    rows = db.connection().select(f"{explain} {entries.activities().limit(50).to_raw_sql()}")
    text = str([dict(row) for row in rows]).lower()
    assert "temp b-tree" not in text
    assert "filesort" not in text


def test_a_causer_whose_class_logs_nothing_is_found(log):
    tag = Tag.create(name="t")
    with replaced("activity", log), causer(tag):
        entry = log.entry().log("x")

    assert entry.causer == tag
    assert isinstance(log, ActivityLog)


class Salary(Person):
    type_alias = "salary"
    log_reads = True


def test_who_reads_a_sensitive_row_is_logged_in_one_statement(log, ada, db):
    Person.create(name="Bob")
    connection = db.connection()
    with causer(ada):
        connection.enable_query_log()
        found = Salary.all()
        assert len(connection.get_query_log()) <= 4
        connection.disable_query_log()
        Salary.find(ada.id)

    rows = Activity.for_event("retrieved").order_by("id").get()
    assert [row["subject_id"] for row in rows] == [str(m.id) for m in found] + [str(ada.id)]
    assert {row.causer_label for row in rows} == {"Ada"}
    assert Activity.where("event", "retrieved").first().properties == {}


def test_an_event_that_is_never_logged_is_refused():
    with pytest.raises(ActivityError, match="names 'touched', which is never logged"):

        class Wrong(Person):
            log_events = ["touched"]


def test_reading_without_log_reads_writes_nothing(log, ada):
    count = Activity.count()
    Person.all()
    Person.find(ada.id)
    assert Activity.count() == count


PAIRS = {
    "attach": (lambda tags: tags.attach({3: {"note": "new"}}), {"3": {"note": "new"}}, None),
    "update_existing_pivot": (
        lambda tags: tags.update_existing_pivot(1, {"note": "other"}),
        {"1": {"note": "other"}}, {"1": {"note": "one"}}),
    "sync": (
        lambda tags: tags.sync({1: {"note": "now"}, 3: {"note": "new"}}),
        {"1": {"note": "now"}, "3": {"note": "new"}}, {"1": {"note": "one"}, "2": {"note": "two"}}),
    "toggle": (lambda tags: tags.toggle([2, 3]), None, {"2": {"note": "two"}}),
    "detach": (lambda tags: tags.detach(2), None, {"2": {"note": "two"}}),
    "detach all": (lambda tags: tags.detach(), None, {"1": {"note": "one"}, "2": {"note": "two"}}),
    "where_pivot": (
        lambda tags: tags.where_pivot("note", "two").detach(), None, {"2": {"note": "two"}}),
}  # fmt: skip


@pytest.mark.parametrize("how", PAIRS)
def test_the_values_of_a_pair_stand_beside_its_keys_as_they_were_and_are(log, ada, how):
    Tag.insert([{"name": "a"}, {"name": "b"}, {"name": "c"}])
    ada.related("tags").attach({1: {"note": "one"}, 2: {"note": "two"}})
    work, now, before = PAIRS[how]

    work(ada.related("tags"))

    (row,) = Activity.for_subject(ada).order_by_desc("id").limit(1).get()
    assert (row.properties.get("pivot"), row.properties.get("pivot_old")) == (now, before)


def test_a_pair_that_is_given_the_values_it_has_is_no_change(log, ada):
    Tag.insert({"name": "a"})
    ada.related("tags").attach({1: {"note": "one"}})
    before = Activity.count()

    assert ada.related("tags").update_existing_pivot(1, {"note": "one"}) == 1
    ada.related("tags").sync({1: {"note": "one"}})

    assert Activity.count() == before
