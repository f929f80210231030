"""An application with the console, and clients that may look, act, or neither."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from so import Gate, Model, Router, auth
from so.application import Application
from so.console.kernel import Kernel
from so.db.tables import table_names
from so.testing import Client
from so.web.console import health
from tests.conftest import ENGINES

PROVIDER = "so.web.console.ConsoleProvider"
KEYS = {"operator": 1, "viewer": 2, "nobody": 3}


class Person(Model):
    table = "people"
    timestamps = False


def build(
    folder: Path, db: dict[str, Any], env: str = "testing", abilities: bool = True, **topics: Any
) -> Application:
    """An application with the console that is entered; *topics* are as config/ would say them."""
    connections = {"main": db, "cache": db}
    settings = {
        "app": {"key": "k" * 40, "env": env, "providers": [PROVIDER], "routes": []},
        "database": {"default": "main", "connections": connections},
        "auth": {"model": Person},
        "logging": {"default": "null", "channels": {}},
        "activity": {"key": "a" * 40, "seal_delay_seconds": None},  # when a test says so
        **topics,
    }
    app = Application(folder, settings).__enter__()
    app.install_tables()
    app.instance("commands", Kernel(app))  # as the command line does, by which workers are run
    if abilities:
        Gate.define("console.view", lambda user: user.id in (1, 2))
        Gate.define("console.operate", lambda user: user.id == 1)
    Router.get("/in/{key}", lambda key: auth().login_using_id(int(key)) and "in").middleware("web")
    Router.get("/broken", _broken)
    return app


def empty(app: Application) -> None:
    """No row of the test before is left, but the people."""
    tables = [name for name in table_names(app.db.connection()) if name != "migrations"]
    if "people" not in tables:
        app.db.statement("create table people (id integer primary key, name varchar(40))")
    used = " union all ".join(
        f"select '{name}' from (select 1 from {name} limit 1) as t_{name}" for name in tables
    )
    for (name,) in app.db.select_tuples(used):
        app.db.table(name).delete()
    app.db.table("people").insert([{"id": key, "name": name.title()} for name, key in KEYS.items()])
    health.forget(app)


def _broken() -> None:
    raise ZeroDivisionError("of the test")


@pytest.fixture
def make_erp(tmp_path: Path, db_config: dict[str, Any]) -> Iterator[Callable[..., Application]]:
    """Applications of a test's own; `make_erp(console={…})` sets what config/console.py would."""
    opened: list[Application] = []

    def make(*args: Any, **kwargs: Any) -> Application:
        opened.append(build(tmp_path, db_config, *args, **kwargs))
        empty(opened[-1])
        return opened[-1]

    yield make
    for app in reversed(opened):
        app.__exit__(None, None, None)


@pytest.fixture(scope="module", params=ENGINES)
def house(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Application]:
    """One application for all tests of a module, on both engines."""
    folder = tmp_path_factory.mktemp("house")
    if request.param == "mysql":
        request.getfixturevalue("_cleaner")  # which has installed the tables
        config = dict(request.getfixturevalue("_mysql_database"))
    else:
        shutil.copyfile(request.getfixturevalue("_sqlite_template"), folder / "erp.sqlite")
        config = {"driver": "sqlite", "database": str(folder / "erp.sqlite")}
    app = build(folder, config)
    yield app
    empty(app)
    app.__exit__(None, None, None)


@pytest.fixture
def erp(house: Application) -> Application:
    """The application of the module, with nothing in its tables."""
    empty(house)
    return house


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


def seal(app: Application) -> None:
    """Seal the trail."""
    app.make("activity").sealer.seal()
