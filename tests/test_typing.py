"""What readers, editors and type checkers are told of the names of `so`."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
pytest.importorskip("mypy")

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
    "logger()": "logging.Logger",
}


@pytest.mark.slow
def test_the_short_names_have_types(tmp_path):
    first = re.search(r"^from so import .*$", (ROOT / "README.md").read_text("utf-8"), re.M)
    assert first
    names = first[0].partition(" import ")[2].split(", ")
    lines = [
        first[0],
        "from so import auth, config, db, logger, notifications, queue, request, session, sessions",
        "from so.support.clock import Clock",
        *(f"reveal_type({expression})" for expression in (*TOLD, *names)),
    ]
    file = tmp_path / "reader.py"
    file.write_text("\n".join(lines) + "\n")

    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file", ROOT / "pyproject.toml", file],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    told = re.findall(r'Revealed type is "(.*)"', done.stdout)
    assert dict(zip(TOLD, told, strict=False)) == TOLD, done.stdout
    assert len(told) == len(TOLD) + len(names)
    assert "Any" not in told
