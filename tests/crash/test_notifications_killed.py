"""Workers that deliver notifications and are killed at it: none is lost, no row is there twice.

`SIXORBIT_CHAOS=1` kills 200 of them on each engine, instead of some on SQLite.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter

import pytest

from tests.crash.notification_process import Killed, Reader, make
from tests.crash.queue_world import ROOT

FULL = os.environ.get("SIXORBIT_CHAOS") == "1"
KILLS, READERS, EACH = (200, 40, 40) if FULL else (4, 4, 5)


@pytest.mark.parametrize("engine", ["sqlite", "mysql"] if FULL else ["sqlite"], indirect=True)
def test_killed_workers_lose_no_notification_and_repeat_no_row(db, db_config, tmp_path):
    connection, paper = db.connection(), tmp_path / "paper"
    connection.statement("create table readers (id integer primary key, name varchar(40))")
    connection.table("readers").insert([{"id": n, "name": "x"} for n in range(1, READERS + 1)])
    settings = {
        "app": {"key": "k" * 40, "env": "testing", "providers": [], "routes": []},
        "database": {"default": "main", "connections": {"main": db_config, "cache": db_config}},
        "queue": {"tries": 0, "wake_path": str(tmp_path / "bells")},
        "logging": {"default": "null", "channels": {}},
    }
    order = {
        "settings": settings, "folder": str(tmp_path), "paper": str(paper), "kills": KILLS,
        "seed": 15,
    }  # fmt: skip
    app = make(order)
    try:
        for number in range(EACH):
            app.make("notifications").send(Reader.all(), Killed(number))
    finally:
        app.__exit__(None, None, None)

    run = subprocess.run(
        [sys.executable, "-m", "tests.crash.notification_process", json.dumps(order)],
        cwd=ROOT, capture_output=True, text=True, timeout=400,
    )  # fmt: skip

    assert run.stdout.strip() == str(KILLS), run.stderr
    wanted = {(str(n), number) for n in range(1, READERS + 1) for number in range(EACH)}
    rows = connection.table("notifications").get(["notifiable_id", "data"])
    inbox = Counter((str(r["notifiable_id"]), json.loads(r["data"])["number"]) for r in rows)
    assert inbox == Counter(wanted)
    printed = Counter(tuple(line.split()) for line in paper.read_text().splitlines())
    assert {(who, int(number)) for who, number in printed} == wanted
    assert sum(printed.values()) - len(wanted) <= KILLS, "at most one a kill is printed twice"
    assert connection.table("failed_jobs").count() == 0
    statuses = connection.table("notification_deliveries").where("channel", "paper")
    assert set(statuses.pluck("status")) == {"sent"}
    connection.statement("drop table readers")
