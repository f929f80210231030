"""DB_PREFIX stands before the names of the application's tables, not of the framework's."""

from __future__ import annotations

import pytest

from so import (
    DB,
    HasApiTokens,
    HasRoles,
    Job,
    LogsActivity,
    Model,
    Notifiable,
    Notification,
    Role,
    cache,
    dispatch,
)
from so.console.kernel import Kernel
from so.db.framework import framework_names
from so.db.schema import check, framework_tables
from so.db.tables import table_names
from tests.acceptance.conftest import erp as erp
from tests.acceptance.conftest import settings as acceptance_settings  # noqa: F401


class Clerk(LogsActivity, Notifiable, HasRoles, HasApiTokens, Model):
    table = "prefixed_clerks"
    type_alias = "prefixed_clerk"
    guarded = []
    timestamps = False


class Greet(Job):
    def handle(self):
        Clerk.create(name="greeted")


class Told(Notification):
    type_alias = "prefixed_told"

    def via(self, notifiable=None):
        return ["database"]

    def to_dict(self, notifiable):
        return {"text": "hello"}


@pytest.fixture
def settings(acceptance_settings):  # noqa: F811
    for connection in acceptance_settings["database"]["connections"].values():
        connection["prefix"] = "erp_"
    signed = {"integrity": "seal", "key": "audit-" + "k" * 32, "seal_delay_seconds": None}
    return acceptance_settings | {"activity": signed}


@pytest.fixture
def clerk(erp):
    number = "integer" if DB.connection().dialect.name == "sqlite" else "integer auto_increment"
    DB.statement(
        f"create table erp_prefixed_clerks (id {number} primary key, name varchar(40), note text)"
    )
    yield Clerk.create(name="Ada")
    DB.statement("drop table erp_prefixed_clerks")


def test_the_names_are_those_of_both_files():
    assert set(framework_tables("sqlite")) == set(framework_tables("mysql")) == framework_names()


def test_tables_that_were_installed_are_whole_and_have_no_prefix(erp):
    erp.install_tables()

    assert check(DB.connection()) == []
    assert not [name for name in table_names(DB.connection()) if name.startswith("erp_")]


def test_a_saved_model_is_in_the_trail(erp, clerk):
    clerk.update(name="Ada L.")

    assert [entry.event for entry in clerk.activities().get()] == ["updated", "created"]
    assert DB.table("activity_log").count() == DB.scalar("select count(*) from activity_log") == 2
    trail = erp.make("activity")
    assert len(list(trail.export("jsonl"))) == 2
    trail.sealer.seal()
    assert trail.verify().is_clean
    erp.clock.travel(40 * 86_400)
    assert trail.prune(30) == 2


def test_a_notification_lies_in_the_inbox(clerk):
    clerk.notify(Told())

    assert clerk.unread_count() == 1
    assert clerk.mark_all_as_read() == 1


def test_a_job_is_run_by_a_worker(erp, clerk):
    dispatch(Greet())

    assert DB.table("jobs").count() == 1
    assert Kernel(erp).run(["queue:work", "--workers=0", "--once"]) == 0
    assert Clerk.order_by_desc("id").value("name") == "greeted"


def test_roles_tokens_sessions_and_the_cache_are_found_by_sql_and_by_the_builder(erp, clerk):
    Role.named("manager").allow("orders.*")
    clerk.assign_role("manager")
    clerk.create_token("scanner", ["orders.read"])
    cache().put("a", 1, 60)

    assert clerk.has_role("manager")
    assert len(clerk.tokens()) == DB.table("personal_access_tokens").count() == 1
    key = erp.make("authentication").key_of(clerk)  # of no guard: with the kind before it
    assert DB.table("role_user").where("role_user.user_id", key).exists()
    assert DB.table("sessions").count() == 0
    assert DB.table("roles as r").join("role_user as sessions", "sessions.role_id", "r.id").count()
    assert cache().get("a") == 1
