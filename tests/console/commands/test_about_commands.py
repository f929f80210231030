"""`about`, `check` and `config:show`: what an administrator asks first."""

from __future__ import annotations

import json

import pytest

from so.console import Kernel
from so.settings.mail import MailSettings

DATABASE = {
    "default": "main",
    "migrations": "database/migrations",
    "connections": {"main": {"driver": "sqlite", "database": "storage/main.sqlite"}},
}


@pytest.fixture
def make_kernel(make_app, tmp_path):
    def make(**config) -> Kernel:
        (tmp_path / "storage").mkdir(exist_ok=True)
        app = make_app(**{"database": DATABASE, "cache": {"connection": None}, **config})
        return Kernel(app)

    return make


def run(kernel, line):
    return kernel.call(line), kernel.output()


def test_about_in_words_and_as_json(make_kernel):
    kernel = make_kernel()

    code, output = run(kernel, "about")
    facts = json.loads(run(kernel, "about --json")[1])

    assert code == 0
    assert "application  Acme" in output
    assert (facts["environment"], facts["database"]) == ("testing", "main")


def test_check_of_a_sound_installation(make_kernel):
    kernel = make_kernel()
    kernel.app.install_tables()

    assert run(kernel, "check") == (0, "Everything is in order.\n")
    assert json.loads(run(kernel, "check --json")[1]) == {"ok": True, "faults": []}


def test_check_names_every_fault_at_once(make_kernel, tmp_path):
    (tmp_path / ".env").write_text("A=1")
    (tmp_path / ".env").chmod(0o644)
    migrations = tmp_path / "database" / "migrations"
    migrations.mkdir(parents=True)
    (migrations / "2026_01_01_000000_things.sql").write_text("create table things (id int);")
    kernel = make_kernel(env="production", app={"debug": True, "key": None})
    kernel.app.config.set("queue.default", 7)
    kernel.app.config.settle({"mail": lambda given: MailSettings.from_config({"drivr": "smtp"})})

    code, output = run(kernel, "check")

    assert code == 1
    for fault in (
        "config mail.drivr is unknown: did you mean 'driver'?",
        "QUEUE_CONNECTION (config queue.default) is 7",
        "APP_DEBUG is on",
        "SESSION_SECURE_COOKIE",
        "APP_KEY is not set",
        "can be read by everybody",
        "jobs",
        "migrations are pending: 2026_01_01_000000_things",
    ):
        assert fault in output


def test_check_of_a_new_application_says_what_to_run_in_a_line_for_each_database(make_kernel):
    code, output = run(make_kernel(), "check")

    lines = output.splitlines()
    assert code == 1
    assert all(line.startswith("✗ database ") for line in lines), output
    assert all(line.endswith("run `bin/sixorbit db:install`") for line in lines), output
    assert 1 <= len(lines) <= 2


def test_a_mistake_in_a_route_stops_check_only(make_kernel, tmp_path):
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "routes.py").write_text(
        'from so import Router\n\nclass Empty: pass\n\nRouter.resource("things", Empty)\n'
    )
    kernel = make_kernel(
        app={"providers": ["so.web.docs.DocsProvider"], "routes": ["app/routes.py"]}
    )

    assert kernel.call("db:install") == 0
    assert kernel.call("migrate") == 0
    code, output = run(kernel, "check")

    assert code == 1
    assert "Empty has no method 'index'" in output


def test_a_database_that_cannot_be_had_is_one_fault(make_kernel):
    kernel = make_kernel()
    kernel.app.config.set("database.default", "nosuch")

    code, output = run(kernel, "check")

    assert code == 1
    assert len([line for line in output.splitlines() if "'nosuch'" in line]) == 1, output


def test_check_finds_rows_that_a_timer_should_have_deleted(make_kernel):
    kernel = make_kernel()
    kernel.app.install_tables()
    kernel.app.db.table("activity_log").insert(
        {"log_name": "x", "description": "old", "created_at": "2001-01-01 00:00:00.000000"}
    )

    code, output = run(kernel, "check")

    assert code == 1
    assert "activity_log holds rows that are long over: run `activity:prune`" in output


def test_settings_are_shown_with_their_secrets_masked(make_kernel):
    kernel = make_kernel(
        app={"key": "s3cret-key", "previous_keys": ["s3cret-old"]},
        mail={"password": "s3cret-mail"},
        database={"connections": {"main": {"url": "mysql://root:s3cret-url@db/so"}}},
    )

    for line in ("config:show", "config:show --json", "config:show app", "config:show app.key"):
        code, output = run(kernel, line)
        assert code == 0
        assert "s3cret" not in output
    assert "mysql://root:***@db/so" in run(kernel, "config:show")[1]
    assert run(kernel, "config:show session.cookie") == (0, '"so_session"\n')


def test_a_setting_that_cannot_be_json_is_shown_all_the_same(make_kernel):
    kernel = make_kernel(thing={"made": object(), "empty": {}})

    assert "thing.empty = {}" in run(kernel, "config:show thing")[1]
    assert "<object object" in run(kernel, "config:show thing.made")[1]


def test_a_setting_that_is_not_there_is_an_error(make_kernel):
    code, output = run(make_kernel(), "config:show app.nothing")

    assert code == 1
    assert "there is no setting 'app.nothing'" in output


def test_about_tells_the_version_of_the_server_and_of_the_driver(make_app, db_config):
    app = make_app(database={"default": "main", "connections": {"main": db_config}})

    facts = json.loads(run(Kernel(app), "about --json")[1])

    if db_config["driver"] == "sqlite":
        assert facts["driver"].startswith("sqlite3 of Python 3.")
    else:
        version = app.make("db").connection().server.version
        assert facts["server"].startswith(".".join(map(str, version)))
        assert facts["driver"].startswith("mysql-connector-python 9.")


def test_check_names_an_upgrade_that_never_ended(make_kernel, tmp_path):
    (tmp_path / ".upgrading").write_text("/elsewhere/20260101")  # a name, and never a path

    code, said = run(make_kernel(), "check")[:2]

    assert code == 1
    kept = tmp_path / ".upgrades" / "20260101"
    assert f"an upgrade was interrupted: `python3 {kept}/PUT-BACK.py`" in said
