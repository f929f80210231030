"""What readers, editors and type checkers are told of the names of `so`."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from so.application import Application
from so.console import Kernel
from tests.support.needed import package

ROOT = Path(__file__).resolve().parents[1]

# An expression, and its type.
TOLD = {
    'DB.table("invoices")': "so.db.query.query.Query",
    'DB.table("invoices").where("status", "open")': "so.db.query.query.Query",
    "DB()": "so.db.manager.Database",
    "db().connection()": "so.db.connection.Connection",
    'Router.get("/", lambda: "")': "so.http.routing.route.Route",
    "cache()": "so.systems.cache.cache.Cache",
    "queue()": "so.systems.queue.queue.Queue",
    "session()": "so.systems.sessions.session.Session",
    "sessions()": "so.systems.sessions.service.Sessions",
    "auth()": "so.systems.auth.guard.Auth",
    "notifications()": "so.systems.notifications.service.Notifications",
    "activity()": "so.systems.activity.pending.PendingActivity",
    "app()": "so.application.application.Application",
    "app(Clock)": "so.support.clock.Clock",
    "config()": "so.config.Config",
    "request()": "so.http.request.Request",
    "Validator.make({}, {})": "so.http.validation.validator.Validator",
    'cached(60)(repr)("x")': "str",
    'cached(60)(repr).forget("x")': "bool",
    'DB.transactional(attempts=3)(repr)("x")': "str",
    'DB.transactional(repr)("x")': "str",
    "logger()": "logging.Logger",
}


MADE = (
    "make:model Product -mcfsr", "make:model Plain", "make:factory Plain", "make:seeder Plain",
    "make:auth", "make:migration fill_plains --python", "make:resource Order",
    "make:cast Coordinates", "make:command SendReminders", "make:event StockTooLow",
    "make:exception OutOfStock", "make:job GenerateReport", "make:listener SendNotice",
    "make:mail InvoiceDue", "make:middleware EnsureBranch", "make:notification OrderShipped",
    "make:observer Order", "make:policy Order", "make:provider Billing", "make:request StoreOrder",
    "make:rule Iban", "make:test Orders",
)  # fmt: skip


@pytest.fixture(scope="module")
def first_line() -> str:
    found = re.search(r"^from so import .*$", (ROOT / "README.md").read_text("utf-8"), re.M)
    assert found
    return found[0]


@pytest.fixture(scope="module")
def fresh(tmp_path_factory) -> Path:
    """An application as `new` writes it, with one of everything that is made for it."""
    base = tmp_path_factory.mktemp("typing") / "shop"
    for place, lines in ((ROOT, (f"new {base}",)), (base, MADE)):
        with Application(place) as app:
            for line in lines:
                kernel = Kernel(app)
                assert kernel.call(line) == 0, kernel.output()
    return base


@pytest.fixture(scope="module")
def said(first_line, fresh) -> str:
    """What mypy says of a file that asks for the types of names, and of the *fresh* application.

    In one run, with what it knows of so/ already.
    """
    package("mypy")
    names = first_line.partition(" import ")[2].split(", ")
    lines = [
        first_line,
        "from so import auth, config, db, logger, notifications, queue, request, session, sessions",
        "from so import Validator, cached",
        "from so.support.clock import Clock",
        *(f"reveal_type({expression})" for expression in (*TOLD, *names)),
        "class Retried(Job):\n    backoff = [1, 5]",  # a list of int is no list of float
    ]
    reader = fresh.parent / "reader.py"
    reader.write_text("\n".join(lines) + "\n")
    own = [fresh / name for name in ("app", "config", "database", "tests")]
    words = ["--config-file", ROOT / "pyproject.toml", "--explicit-package-bases", reader, *own]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *map(str, words)],
        cwd=ROOT,
        env={**os.environ, "MYPYPATH": str(fresh)},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


@pytest.mark.slow
def test_the_short_names_have_types(said, first_line):
    told = re.findall(r'Revealed type is "(.*)"', said)

    assert dict(zip(TOLD, told, strict=False)) == TOLD, said
    assert len(told) == len(TOLD) + len(first_line.split(", "))
    assert "Any" not in told


@pytest.mark.slow
def test_a_strict_type_checker_has_nothing_to_say_of_what_is_made(said):
    assert [line for line in said.splitlines() if "note: Revealed type" not in line][:-1] == []
    assert "Success: no issues found" in said


@pytest.mark.parametrize("words", [("check",), ("format", "--check")], ids=lambda words: words[0])
def test_a_linter_has_nothing_to_say_of_what_is_made(fresh, words):
    package("ruff")
    done = subprocess.run(
        [sys.executable, "-m", "ruff", *words, "--no-cache", "."],
        cwd=fresh,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_every_maker_is_among_what_is_checked():
    with Application(ROOT) as app:
        makers = {name for name in Kernel(app).get_commands() if name.startswith("make:")}

    assert {line.split()[0] for line in MADE} | {"make:controller"} == makers
