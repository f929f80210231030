"""What happens to the application itself is in the trail: settings, migrations, silence."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from so.application import Application
from so.application.trail import note_settings
from so.console.kernel import Kernel
from so.db.model import Model
from so.support.clock import Clock
from so.systems.activity import Activity, LogsActivity

DAY = timedelta(days=1)

SETTINGS: dict[str, Any] = {
    "app": {"name": "Test", "env": "testing", "key": "0" * 64, "providers": [], "routes": []},
    "database": {
        "default": "main",
        "connections": {"main": {"driver": "sqlite", "database": "storage/main.sqlite"}},
    },
    "mail": {"password": "hush-hush"},
}


def application(base: Path, **topics: Any) -> Application:
    (base / "storage").mkdir(exist_ok=True)
    return Application(base, config={**SETTINGS, **topics})


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Application]:
    with application(tmp_path) as app:
        app.install_tables()
        yield app


def told(event: str) -> list[Activity]:
    return list(Activity.in_log("audit").for_event(event).order_by("id").get())


def test_each_migration_that_is_applied_or_undone_is_an_entry(app, tmp_path):
    folder = tmp_path / "database" / "migrations"
    folder.mkdir(parents=True)
    (folder / "2026_01_01_000000_make_a.sql").write_text(
        "create table a (id integer);\n-- rollback\ndrop table a;\n"
    )
    kernel = Kernel(app)

    assert kernel.call(["migrate", "--force"]) == 0
    assert kernel.call(["migrate", "--force"]) == 0
    assert kernel.call(["migrate:rollback", "--force"]) == 0

    assert [(row.description, row.causer_label) for row in told("migrated")] == [
        ("Applied the migration 2026_01_01_000000_make_a", "system:migrate"),
        ("Undid the migration 2026_01_01_000000_make_a", "system:migrate:rollback"),
    ]


def test_before_there_is_a_trail_migrations_run_all_the_same(tmp_path):
    folder = tmp_path / "database" / "migrations"
    folder.mkdir(parents=True)
    (folder / "2026_01_01_000000_make_a.sql").write_text("create table a (id integer);")
    with application(tmp_path) as app:
        assert Kernel(app).call(["migrate", "--force"]) == 0


def test_settings_are_noted_once_and_then_what_changed(app, tmp_path):
    note_settings(app)
    note_settings(app)
    app.close()

    changed = {"mail": {"password": "another"}, "activity": {"prune_days": 9}}
    with application(tmp_path, **changed) as again:
        note_settings(again)
        first, second = told("settings")

    assert first.properties["settings"]["activity.prune_days"] == 365
    assert second.description == "Settings changed: activity.prune_days, mail.password"
    assert second.changes()["activity.prune_days"] == (365, 9)
    before, after = second.changes()["mail.password"]
    assert before.startswith("*** ")
    assert after.startswith("*** ")
    assert before != after
    assert "hush" not in str(first.properties)


def test_what_was_not_logged_while_the_log_was_off_is_one_entry(app, tmp_path):
    class Thing(LogsActivity, Model):
        table = "silent_things"
        type_alias = "silent_thing"
        timestamps = False
        guarded: list[str] = []

    app.make("db").statement("create table silent_things (id integer primary key, name text)")
    app.close()
    with application(tmp_path, activity={"enabled": False}) as off:
        for name in "abc":
            Thing.create(name=name)
        off.make("activity").entry().log("x")
        assert Activity.count() == 0
    with application(tmp_path):
        (entry,) = told("silenced")

    assert entry.properties == {"count": 4}
    assert "activity.enabled is false" in entry.description


def test_check_and_the_doctor_say_when_nobody_verified(tmp_path):
    clock = Clock()
    with application(tmp_path, activity={"key": "audit-" + "k" * 32}) as app:
        app.install_tables()
        log = app.make("activity")
        log.entry().created_at(clock.now() - 5 * DAY).log("x")
        kernel = Kernel(app)
        for command in ("check", "queue:doctor"):
            kernel.call([command])
            assert "the trail was verified never" in kernel.output()

        log.sealer.seal()
        log.verify()
        kernel.call(["queue:doctor"])
        assert "verified never" not in kernel.output()
        app.make("db").update("update activity_log set description = 'y'")
        log.verify()
        kernel.call(["queue:doctor"])
        assert "the last activity:verify had 2 findings" in kernel.output()


def test_check_and_the_doctor_say_when_nobody_sends_what_was_held_back(tmp_path):
    with application(tmp_path) as app:
        app.install_tables()
        now, rows = app.clock.now(), app.make("db").table("notification_deliveries")
        for minutes in (-70, -50, 600):
            row = {"notification_id": f"n{minutes}", "channel": "mail", "status": "held"}
            rows.clone().insert({**row, "due_at": now + timedelta(minutes=minutes)})
        kernel = Kernel(app)

        for command in ("check", "queue:doctor"):
            kernel.call([command])
            assert "1 notifications were to be sent since" in kernel.output()
        rows.clone().update({"status": "sent"})
        kernel.call(["queue:doctor"])
        assert "to be sent" not in kernel.output()


def test_sealing_can_be_left_to_the_command(tmp_path, monkeypatch):
    with application(tmp_path, activity={"key": "k" * 32, "seal_delay_seconds": None}) as app:
        assert app.make("activity").soon is None
    monkeypatch.setenv("ACTIVITY_SEAL_DELAY", "null")
    with application(tmp_path, activity={"key": "k" * 32}) as app:
        assert app.make("activity").soon is None
