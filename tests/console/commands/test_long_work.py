"""Every command that may take long draws on a terminal how far it is, and spares a program that."""

from __future__ import annotations

import importlib
import io
import json
from datetime import timedelta
from pathlib import Path

import pytest

from so import DB, Application
from so.console import Command, Kernel
from so.console.commands import COMMANDS
from so.console.output import Output

ROOT = Path(__file__).resolve().parents[3]
OLD = "2001-01-01 00:00:00.000000"
ROWS = {
    "cache:gc": ("cache_locks", {"key": "k{}", "owner": "o", "expiration": 1}),
    "session:cleanup": ("sessions", {"id": "s{}", "payload": "", "last_activity": 1}),
    "notification:cleanup": (
        "notifications",
        {"id": "n{}", "type": "T", "notifiable_type": "u", "notifiable_id": "1", "data": "{{}}",
         "read_at": OLD, "created_at": OLD},
    ),
    "token:prune": (
        "personal_access_tokens",
        {"tokenable_type": "u", "tokenable_id": "1", "name": "n", "token": "t{}",
         "expires_at": OLD},
    ),
    "queue:prune-batches": (
        "job_batches",
        {"id": "b{}", "name": "n", "total_jobs": 1, "pending_jobs": 0, "failed_jobs": 0,
         "failed_job_ids": "[]", "created_at": 1, "finished_at": 1},
    ),
    "queue:clear": ("jobs", {"queue": "default", "payload": "{{}}", "available_at": 1,
                             "created_at": 1}),
}  # fmt: skip
FAILED = (
    "failed_jobs",
    {"uuid": "u{}", "connection": "c", "queue": "q", "payload": '{{"uuid": "u{}"}}',
     "exception": "E", "failed_at": OLD},
)  # fmt: skip
ROWS |= {name: FAILED for name in ("queue:prune-failed", "queue:flush", "queue:retry all")}


class Ada:
    type_alias = "person"

    def get_key(self) -> int:
        return 1


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    base = tmp_path_factory.mktemp("erp")
    memory = {"driver": "sqlite", "database": ":memory:"}
    with Application(
        base,
        {
            "app": {"env": "testing", "key": "k" * 40},
            "logging": {"default": "null"},
            "database": {"default": "memory", "connections": {"memory": memory}},
        },
    ) as app:
        app.install_tables()
        yield app


def put(table: str, row: dict, count: int = 3) -> None:
    DB.table(table).delete()
    rows = ({k: v.format(n, n) if isinstance(v, str) else v for k, v in row.items()}
            for n in range(count))  # fmt: skip
    DB.table(table).insert(list(rows))


@pytest.mark.parametrize("line", sorted(ROWS))
def test_a_clean_up_draws_how_far_it_is(app, line):
    put(*ROWS[line])
    terminal = Terminal()

    assert Kernel(app).run(line.split(), Output(terminal, interactive=False)) == 0

    assert "\r 0/3 [" in terminal.getvalue()
    assert "] 100%" in terminal.getvalue()


@pytest.mark.parametrize("line", sorted(ROWS))
def test_a_program_and_a_log_hear_nothing_of_what_takes_a_moment(app, line):
    put(*ROWS[line])
    out = io.StringIO()
    assert Kernel(app).run([*line.split(), "--json"], Output(out)) == 0
    json.loads(out.getvalue())

    put(*ROWS[line])
    out = io.StringIO()
    assert Kernel(app).run(line.split(), Output(out)) == 0
    assert "[" not in out.getvalue()


def test_a_log_hears_of_what_takes_long_in_plain_lines(app, monkeypatch):
    monkeypatch.setattr("so.console.output.LEFT_AFTER_SECONDS", 0)
    put(*ROWS["cache:gc"])
    out = io.StringIO()

    assert Kernel(app).run(["cache:gc"], Output(out)) == 0

    lines = out.getvalue().splitlines()
    assert lines[-2].startswith(" 3/3 [")
    assert lines[-1] == "3 expired cache entries removed."
    assert "\r" not in out.getvalue()


@pytest.mark.parametrize(
    "line",
    [
        "activity:seal --adopt",
        "activity:export --output {file}",
        "activity:report --output {file}",
        "activity:erase person:1 --force",
        "activity:prune --days=1",
    ],
)
def test_work_on_the_trail_draws_how_far_it_is(tmp_path, line):
    database = {"driver": "sqlite", "database": str(tmp_path / "erp.sqlite")}
    settings = {
        "app": {"env": "testing", "key": "k" * 40},
        "logging": {"default": "null"},
        "database": {"default": "main", "connections": {"main": database}},
        "activity": {"key": "audit-" + "k" * 32, "seal_delay_seconds": None},
    }
    with Application(tmp_path, settings) as app:
        app.install_tables()
        log, old = app.make("activity"), app.clock.now() - timedelta(days=5)
        for _ in range(3):
            log.entry().on(Ada()).created_at(old).with_properties({"name": "Ada"}).log("seen")
        if "adopt" in line:
            DB.table("activity_log").update({"row_mac": None, "salt": None, "key_id": None})
        else:
            log.sealer.seal()
        terminal = Terminal()
        words = line.format(file=tmp_path / "out").split()

        assert Kernel(app).run(words, Output(terminal, interactive=False)) == 0

        assert "\r 0/3 [" in terminal.getvalue()
        assert "] 100%" in terminal.getvalue()


def test_migrations_and_seeders_draw_it_as_well(app):
    for number in (1, 2):
        file = app.base_path(f"database/migrations/2026_01_0{number}_000000_t{number}.sql")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"create table t{number} (id integer);\n-- rollback\ndrop table t{number};")
    for line in ("migrate", "migrate:refresh --force", "migrate:reset --force"):
        terminal = Terminal()
        assert Kernel(app).run(line.split(), Output(terminal, interactive=False)) == 0
        assert "\r 0/2 [" in terminal.getvalue(), line
        assert "] 100%" in terminal.getvalue(), line


# --- every command --------------------------------------------------------------------------------

DRAWS = frozenset(("hearing", "going", "progress", "with_progress_bar"))
GOES_ON = {"serve", "shell", "test", "queue:work", "schedule:work", "schedule:run", "schedule:test"}
OF_A_MOMENT = {  # each is one statement, a few rows, or one file
    *("about", "check", "down", "up", "docs", "new", "openapi", "config:show", "key:generate"),
    *("activity:anchor", "activity:hold", "activity:proof", "activity:stats"),
    *("cache:clear", "cache:forget", "cache:stats", "completion", "systemd:units", "route:list"),
    *("db:check", "db:install", "db:schema", "db:show", "db:table", "event:list", "model:show"),
    *("migrate:status", "notification:why", "schedule:list", "session:list", "session:revoke"),
    *("queue:cancel", "queue:doctor", "queue:failed", "queue:forget", "queue:metrics"),
    *("queue:monitor", "queue:pause", "queue:restart", "queue:resume", "queue:status"),
    *("user:create", "user:list", "user:lock", "user:password", "user:reset-link", "user:role"),
    *("user:sessions", "user:unlock"),
}


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_a_command_draws_how_far_it_is_goes_on_until_stopped_or_takes_a_moment(name):
    module, cls, _ = COMMANDS[name]
    kind = getattr(importlib.import_module(f"so.console.commands.{module}"), cls)
    kinds = kind.__mro__[: kind.__mro__.index(Command)]
    codes = [getattr(v, "__code__", None) for k in kinds for v in vars(k).values()]
    draws = any(code is not None and not DRAWS.isdisjoint(code.co_names) for code in codes)

    is_known = name in GOES_ON | OF_A_MOMENT or name.startswith("make:")

    assert draws != is_known, "draws it and is listed" if draws else "neither draws nor is listed"


def test_restoring_draws_the_look_through_the_database_and_the_trail(tmp_path):
    settings = {
        "app": {"env": "testing", "key": "k" * 40, "providers": [], "middleware": [], "routes": []},
        "logging": {"default": "null"},
    }
    (tmp_path / "config").mkdir()
    (tmp_path / ".env").write_text(f"AUDIT_KEY=audit-{'k' * 32}\nACTIVITY_SEAL_DELAY_SECONDS=0\n")
    with Application(tmp_path, settings) as app:
        app.install_tables()
        log = app.make("activity")
        for _ in range(3):
            log.entry().on(Ada()).with_properties({"name": "Ada"}).log("seen")
            log.sealer.seal()
        assert Kernel(app).run(["backup", str(tmp_path / "one.tar.gz")], Output(Terminal())) == 0
    terminal = Terminal()
    with Application(tmp_path, settings) as app:
        words = ["restore", str(tmp_path / "one.tar.gz"), f"--into={tmp_path / 'again'}"]

        code = Kernel(app).run(words, Output(terminal, interactive=False))

    assert code == 0, terminal.getvalue()
    said = terminal.getvalue()
    looked = said[said.rindex("one.tar.gz") if "one.tar.gz" in said else 0 :]
    assert looked.count("] 100%") >= 4  # the file, its members, the database, the trail
    assert "activity:verify: Clean: 3 rows" in said


def test_the_demo_draws_the_year_it_makes_up(tmp_path):
    terminal = Terminal()
    with Application(ROOT, {"database": _file_in(tmp_path), "logging": {"default": "null"}}) as app:
        words = ["demo:seed", "--orders=3"]

        assert Kernel(app).run(words, Output(terminal, interactive=False)) == 0
        assert "\r 0/3 [" in terminal.getvalue()

        out = io.StringIO()
        assert Kernel(app).run([*words, "--json"], Output(out)) == 0

    assert json.loads(out.getvalue()) == {"created": False}


def _file_in(folder: Path) -> dict:
    database = {"driver": "sqlite", "database": str(folder / "demo.sqlite")}
    return {"default": "main", "connections": {"main": database}}
