"""What an entry that cannot be made does to the change, and what names and prefixes do to it."""

from __future__ import annotations

import json
import logging

import pytest

from so.db.model import Model
from so.errors import ActivityError, ConfigError, DeadlockError
from so.support.current import replaced
from so.systems.activity import Activity, ActivityLog, LogsActivity
from tests.systems.activity.conftest import Person


class Telling(Person):
    def get_description_for_event(self, event):
        raise TypeError("broken")


class Adding(Person):
    def get_additional_log_properties(self, event):
        return {"thing": object()}


def with_policy(db, clock, policy):
    return replaced("activity", ActivityLog(db, clock=clock, failure=policy))


WORKS = {
    "description": lambda: Telling.create(name="x"),
    "properties": lambda: Adding.create(name="x"),
    "bulk": lambda: Adding.insert([{"name": "x"}]),
    "bulk update": lambda: Adding.where("name", "Ada").update(name="x"),
}


@pytest.mark.parametrize("work", WORKS)
def test_exception_stops_the_change_and_names_the_mend(log, ada, work):
    with pytest.raises(ActivityError):
        WORKS[work]()

    assert Person.where("name", "x").count() == 0


@pytest.mark.parametrize("work", WORKS)
@pytest.mark.parametrize("policy", ["log", "silent"])
def test_log_and_silent_let_the_change_pass(log, db, clock, ada, work, policy, caplog):
    with with_policy(db, clock, policy), caplog.at_level(logging.ERROR, "so.activity"):
        before = Activity.count()
        WORKS[work]()

        assert Person.where("name", "x").count() == 1
        assert Activity.count() == before
    assert bool(caplog.records) == (policy == "log")


def test_a_value_that_json_cannot_hold_is_named(log):
    with pytest.raises(ActivityError, match=r"^a\.b\.0 of the properties is a object"):
        log.entry().with_properties({"a": {"b": [object()]}}).log("x")


def test_a_cast_that_cannot_read_its_column_is_named(log, db, ada):
    db.connection().unprepared("update people set settings = '{broken'")

    with pytest.raises(ActivityError, match=r"Person\.settings holds"):
        Person.find(ada.id).delete()
    assert Person.count() == 1


@pytest.mark.parametrize("policy", ["exception", "log", "silent"])
def test_a_deadlock_passes_through_untouched(log, db, clock, monkeypatch, policy):
    def dead(*_):
        raise DeadlockError("insert", (), "default", None, "deadlock")

    with with_policy(db, clock, policy) as activity:
        monkeypatch.setattr(activity, "write", dead)
        with pytest.raises(DeadlockError):
            Person.create(name="x")
        with pytest.raises(DeadlockError):
            activity.entry().log("x")


@pytest.mark.parametrize("policy", ["log", "silent"])
def test_without_the_table_the_change_passes_where_it_may(log, db, clock, policy):
    with with_policy(db, clock, policy) as activity:
        activity._columns = ("no_such_column",)
        activity._values = "(?)"
        Person.create(name="x")
        with db.transaction():
            Person.create(name="y")

    assert Person.where_in("name", ["x", "y"]).count() == 2


def test_an_unknown_policy_is_refused(db):
    with pytest.raises(ConfigError, match="use one of exception, log, silent"):
        ActivityLog(db, failure="ignore")


BAD = {
    "a causer": lambda e: e.by(5).log("x"),
    "a subject": lambda e: e.on(["x"]).log("x"),
    "a text for a subject": lambda e: e.on("x").log("x"),
    "no description": lambda e: e.log(None),
    "a number for a description": lambda e: e.log(5),
    "a list of properties": lambda e: e.with_properties([1]).log("x"),
}


@pytest.mark.parametrize("what", BAD)
def test_what_makes_no_sense_is_refused_in_words(log, what):
    with pytest.raises(ActivityError, match=r"is nobody: give|must be text|must be a dict"):
        BAD[what](log.entry())

    assert Activity.count() == 0


class Hasty(Person):
    """Saves once more while its listeners hear of a save."""

    type_alias = "hasty"


def test_a_listener_that_saves_once_more_is_told_of_what_it_found(log):
    def louder(person):
        if not person.name.endswith("!"):
            person.update(name=f"{person.name}!")

    Hasty.created(louder)
    Hasty.updated(louder)
    person = Hasty.create(name="a", points=1)
    person.update(name="b", points=2)

    told = [(row.event, row.changes()) for row in Activity.order_by("id").get()]
    assert told[0][1]["name"] == (None, "a")
    assert told[1] == ("updated", {"name": ("a", "a!")})
    assert told[2] == ("updated", {"name": ("a!", "b"), "points": (1, 2)})
    assert told[3] == ("updated", {"name": ("b", "b!")})


# --- two classes of one name

MODULE = """
from so.db.model import Model
from so.systems.activity import LogsActivity
class Bill(LogsActivity, Model):
    table = {table!r}
"""


def defined(module, table):
    names = {"__name__": module}
    exec(MODULE.format(table=table), names)
    return names["Bill"]


def test_a_second_audited_class_of_one_name_is_refused_naming_both_modules():
    first = defined("app.sales", "sales_bills")

    with pytest.raises(ActivityError, match=r"app\.purchase\.Bill and app\.sales\.Bill"):
        defined("app.purchase", "purchase_bills")
    assert first is not None


def test_a_class_may_be_defined_again_once_the_first_is_gone_or_in_its_own_module():
    kept = [defined("app.one", "a")]
    kept.append(defined("app.one", "b"))
    kept.clear()

    assert defined("app.two", "c").table == "c"


# --- masks


class Guarded(LogsActivity, Model):
    table = "people"
    type_alias = "guarded"
    guarded = []
    hidden = ["password", "name"]

    def get_description_for_event(self, event):
        return f"{event}: {self.name} with {self.password}"

    def get_additional_log_properties(self, event):
        return {"note": f"was given {self.password}"}


def test_what_is_masked_shows_nowhere_in_the_row(log, db):
    person = Guarded.create(name="Geheim Name", password="hunter22", email="a@example.com")
    person.update(password="second-secret")
    Guarded.where("id", person.id).update(password="third-secret")
    log.entry().on(person).by(person).with_properties(
        {"password": "hunter22", "deep": {"Authorization": "Bearer abcdefghijkl"}, "n": "hunter22"}
    ).log("reset :subject.password to :properties.password, hunter22, :subject.name")

    for row in db.connection().table("activity_log").get():
        text = " ".join(str(value) for value in dict(row).values())
        for secret in ("hunter22", "second-secret", "third-secret", "Geheim", "abcdefghijkl"):
            assert secret not in text
        assert "***" in text
    assert Activity.first().subject_label == "a@example.com"


def test_that_a_secret_inside_a_column_changed_stays_visible(log):
    person = Person.create(name="x", settings={"token": "one", "a": 1})
    person.update(settings={"token": "two", "a": 1})
    Person.where("id", person.id).update(settings={"token": "three", "a": 1})

    told = Activity.for_event("updated").order_by("id").get()
    assert [row.properties["attributes"] for row in told] == [
        {"settings": {"token": "***", "a": 1}}
    ] * 2


class Dotted(Person):
    type_alias = "dotted"
    log_attributes = ["settings.in", "settings.token"]


def test_a_secret_that_did_not_change_is_no_change_of_its_path(log):
    person = Dotted.create(name="x", settings={"token": "t", "in": {"pwd": "p"}, "b": 1})
    Activity.query().delete()

    person.update(settings={"token": "t", "in": {"pwd": "p"}, "b": 2})
    assert Activity.count() == 0
    person.update(settings={"token": "t", "in": {"pwd": "q"}, "b": 2})
    assert Activity.first().properties["attributes"] == {"settings.in": {"pwd": "***"}}


SECRET = "S3cr3t-Value"
DOORS = {
    "placeholder of something nested": lambda e: e.with_properties({"u": {"pwd": SECRET}}).log(
        "x :properties.u.pwd :properties.u"),
    "placeholder into a json column": lambda e: e.on(Person(settings={"pin_token": SECRET})).log(
        "x :subject.settings.pin_token :subject.settings"),
    "address in a text": lambda e: e.with_property("seen", f"/x?a=1&api_token={SECRET}&b").log(
        f"opened https://x.example/?token={SECRET}"),
    "name of a property": lambda e: e.with_properties({"token": SECRET, SECRET: 1}).log("x"),
    "event": lambda e: e.with_properties({"token": SECRET}).event(SECRET).log("x"),
    "tapped text": lambda e: e.tap(
        lambda row: row.update(properties=json.dumps({"pwd": SECRET}))).log("x"),
    "tapped dict": lambda e: e.tap(lambda row: row.update(properties={"pwd": SECRET})).log("x"),
    "tapped context": lambda e: e.tap(
        lambda row: row.update(context=json.dumps({"list": [{"pwd": SECRET}]}))).log("x"),
}  # fmt: skip


@pytest.mark.parametrize("door", DOORS)
def test_no_door_lets_a_secret_into_an_entry(log, db, door):
    DOORS[door](log.entry())

    (row,) = db.connection().table("activity_log").get()
    assert SECRET not in " ".join(str(value) for value in dict(row).values())
    assert Activity.first().description.startswith(("x", "opened"))


def test_an_entry_that_cannot_be_made_is_told_without_its_secrets(log):
    with pytest.raises(ActivityError) as told:
        log.entry().with_properties({"token": SECRET}).tap(lambda row: 1 / 0).log(f"x {SECRET}")

    assert SECRET not in str(told.value)


def test_a_tap_sees_the_row_by_names_and_by_keys(log):
    def tapped(row):
        row.log_name = f"{row.log_name}-tapped"
        row["event"] = "seen"

    entry = log.entry("books").tap(tapped).log("x")

    assert (entry.log_name, entry.event) == ("books-tapped", "seen")


def test_settings_add_to_the_one_list_of_secret_names(db, clock):
    log = ActivityLog(db, clock=clock, mask=["shoe_size"])

    row = (
        log.entry()
        .with_properties(
            {"Shoe-Size": 44, "pwd": "x1y2", "Cookie": "c00kie", "credentials": ["a1b2"], "ok": 1}
        )
        .log("x")
    )

    assert row.properties == {
        "Shoe-Size": "***", "pwd": "***", "Cookie": "***", "credentials": "***", "ok": 1
    }  # fmt: skip
