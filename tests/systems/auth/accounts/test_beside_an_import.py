"""A long import in the application's SQLite file holds up no login."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from so import DB, Activity
from tests.systems.auth.accounts.conftest import browser, log_in, worker


@pytest.fixture
def engine() -> str:
    return "sqlite"


@pytest.fixture
def erp(make_app: Any, db_config: Any, tmp_path: Path) -> Any:
    own = {"driver": "sqlite", "database": str(tmp_path / "own.sqlite")}
    connections = {"main": {**db_config, "busy_timeout": 200}, "cache": own}
    erp = make_app(more={"database": {"default": "main", "connections": connections}})
    erp.install_tables()
    return erp


def test_a_login_goes_on_and_its_entry_in_the_log_follows(erp: Any, db_config: Any):
    ada = worker("ada@x.y")
    client = browser(erp)
    log_in(client)
    DB.connection().close()

    with sqlite3.connect(db_config["database"], isolation_level=None) as importing:
        importing.execute("begin immediate")
        assert log_in(client) is True
        assert client.get("/me").json()["id"] == ada.id
        assert log_in(browser(erp), password="wrong") is False
        importing.execute("rollback")
    importing.close()

    erp.make("aside").close(seconds=10)
    rows = Activity.in_log("auth").order_by("id").get()
    assert [row.event for row in rows] == ["login", "login", "failed"]
    assert rows[1].context["ip"] == "127.0.0.1"
