"""An application with the console, and clients that may look, act, or neither."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from so import Gate, Model, Router, auth
from so.application import Application
from so.testing import Client

PROVIDER = "so.web.console.ConsoleProvider"
KEYS = {"operator": 1, "viewer": 2, "nobody": 3}


class Person(Model):
    table = "people"
    timestamps = False


@pytest.fixture
def make_erp(tmp_path: Path, db_config: dict[str, Any]) -> Iterator[Callable[..., Application]]:
    """Applications with the console; `make_erp(console={…})` sets what config/console.py would."""
    opened: list[Application] = []

    def make(env: str = "testing", abilities: bool = True, **topics: Any) -> Application:
        connections = {"main": db_config, "cache": db_config}
        settings = {
            "app": {"key": "k" * 40, "env": env, "providers": [PROVIDER], "routes": []},
            "database": {"default": "main", "connections": connections},
            "auth": {"model": Person},
            "logging": {"default": "null", "channels": {}},
            "activity": {"key": "a" * 40},
            **topics,
        }
        app = Application(tmp_path, settings).__enter__()
        opened.append(app)
        app.install_tables()
        if not app.db.table("activity_log").exists() and not _has(app, "people"):
            app.db.statement("create table people (id integer primary key, name varchar(40))")
            for name, key in KEYS.items():
                app.db.table("people").insert({"id": key, "name": name.title()})
        if abilities:
            Gate.define("console.view", lambda user: user.id in (1, 2))
            Gate.define("console.operate", lambda user: user.id == 1)
        Router.get("/in/{key}", lambda key: auth().login_using_id(int(key)) and "in").middleware(
            "web"
        )
        Router.get("/broken", _broken)
        return app

    yield make
    for app in reversed(opened):
        if _has(app, "people"):
            app.db.statement("drop table people")
        app.__exit__(None, None, None)


def _has(app: Application, table: str) -> bool:
    from so.db.tables import table_names

    return table in table_names(app.db.connection())


def _broken() -> None:
    raise ZeroDivisionError("of the test")


@pytest.fixture
def erp(make_erp: Callable[..., Application]) -> Application:
    return make_erp()


@pytest.fixture
def client(erp: Application) -> Callable[[str], Client]:
    """A client that is logged in: `client("operator")`."""

    def make(who: str) -> Client:
        found = Client(erp, follow_redirects=False)
        assert found.get(f"/in/{KEYS[who]}").status == 200
        return found

    return make


@pytest.fixture
def operator(client: Callable[[str], Client]) -> Client:
    return client("operator")


@pytest.fixture
def viewer(client: Callable[[str], Client]) -> Client:
    return client("viewer")
