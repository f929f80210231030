"""Models with a trail, and the log they write it to."""

from __future__ import annotations

import pytest

from so.db.model import Model, SoftDeletes, relation
from so.support.current import replaced
from so.systems.activity import ActivityLog, LogsActivity, without_activity

TABLES = {
    "people": "{id}, name varchar(100), email varchar(100), password varchar(100),"
    " salary decimal(10,2), points int, is_active int, seen_at datetime, settings text,"
    " created_at varchar(40), updated_at varchar(40)",
    "documents": "{id}, person_id int, title varchar(100), deleted_at datetime",
    "person_tag": "person_id int, tag_id int, note varchar(20)",
    "tags": "{id}, name varchar(20)",
}


class Person(LogsActivity, Model):
    table = "people"
    type_alias = "person"
    guarded = []
    hidden = ["password"]
    casts = {"salary": "decimal:2", "is_active": bool, "seen_at": "datetime", "settings": "json"}

    @relation
    def tags(self):
        return self.belongs_to_many(Tag, "person_tag", "person_id", "tag_id").with_pivot("note")


class Tag(Model):
    timestamps = False
    guarded = []


class Document(LogsActivity, SoftDeletes, Model):
    type_alias = "document"
    timestamps = False
    guarded = []
    log_name = "documents"
    log_attributes = ["title", "person.name"]

    @relation
    def person(self):
        return self.belongs_to(Person)

    def get_description_for_event(self, event):
        return f"document {event}"

    def get_additional_log_properties(self, event):
        return {"source": "test", "api_token": "secret"}


@pytest.fixture
def log(db, clock):
    """The log in use, and the tables of the models above."""
    connection = db.connection()
    is_mysql = connection.dialect.name == "mysql"
    id = "id integer primary key" + (" auto_increment" if is_mysql else " autoincrement")
    for name, columns in TABLES.items():
        connection.unprepared(f"drop table if exists {name}")
        connection.unprepared(f"create table {name} ({columns.format(id=id)})")
    with replaced("activity", ActivityLog(db, clock=clock)) as activity:
        yield activity
    for name in TABLES:
        connection.unprepared(f"drop table if exists {name}")


KEY = "audit-" + "k" * 32


def make(db, clock, key=KEY, *previous, **more):
    more = {"rows_per_seal": 5, "seal_delay_seconds": None, **more}
    return ActivityLog(db, clock=clock, keys=[key, *previous], **more)


def fill(log, count, clock, word="entry"):
    for n in range(count):
        clock.travel(1)
        log.entry("books").by("system:test").event("noted").with_properties(
            {"amount": 100 + n, "text": "äöü 😀"}
        ).log(f"{word} {n}")


@pytest.fixture
def trail(db, clock):
    """A log of 17 rows, 15 of them in three seals."""
    log = make(db, clock)
    with replaced("activity", log):
        fill(log, 15, clock)
        log.sealer.seal()
        fill(log, 2, clock, "loose")
        yield log
    connection = db.connection()
    if connection.dialect.name == "mysql" and not _is_as_installed(connection):
        connection.unprepared("drop table activity_log")  # the next test installs it anew


def _is_as_installed(connection):
    found = connection.select_tuples("show create table activity_log")[0][1]
    return (
        "activity_log_uid_unique" in found
        and "general_ci" not in found
        and "`seal_no` bigint" in found
    )


@pytest.fixture
def ada(log):
    with without_activity():
        return Person.create(name="Ada", email="ada@x.example", salary="10.00", is_active=True)
