"""Fixtures every test may ask for: databases on both engines, and a clock that stands still.

`db` is a Database with the framework tables, `empty_db` one without; both run a test twice, on
SQLite and on a real MariaDB. Without a server the second run is skipped, loudly, or fails where
`CI=true` says that it must be there.
"""

from __future__ import annotations

import gc
import logging
import os
import shutil
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from so.db.connection import Connection
from so.db.manager import Database
from so.db.schema import framework_statements, framework_tables
from so.support.clock import Clock
from so.support.current import provide
from tests.support.mariadb import MariaDB, ServerMissing, find_or_start, in_memory
from tests.support.needed import lacking

ROOT = Path(__file__).resolve().parents[1]
ENGINES = ("sqlite", "mysql")


# Images of containers set it. Thousands of processes start here: each would compile again what the
# one before it has compiled, and so would every worker of the suite with all the tests.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
# `tmp_path` lies in memory: thousands of SQLite files are closed there, each with two waits for the
# disk. What a test leaves is deleted when it has passed (pyproject.toml), so it does not fill up.
if (_memory := in_memory(4 << 30)) is not None:
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", _memory)


def pytest_configure(config: pytest.Config) -> None:
    """Let the collector of cycles rest: what a suite leaves is little, and a tenth of the time."""
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)
    if config.getoption("numprocesses", None) or hasattr(config, "workerinput"):
        from tests.support.order import Order  # xdist is there, then

        config.pluginmanager.register(Order())


def pytest_collection_finish() -> None:
    """Twenty thousand tests are no garbage: who collects it need not walk through them.

    From 3.14 the collector says of what is frozen that nothing refers to it, and Hypothesis warns.
    """
    if sys.version_info < (3, 14):
        gc.collect()
        gc.freeze()
    _path.extend(sys.path)


_path: list[str] = []


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """No module finds the package `app`, the path or the log level of another one's application."""
    if nextitem is not None and nextitem.path == item.path:
        return
    sys.path[:] = _path
    logging.getLogger("so").setLevel(logging.NOTSET)
    own = getattr(sys.modules.get("app"), "__path__", ())
    if own and not Path(next(iter(own))).is_relative_to(ROOT):
        for name in [name for name in sys.modules if name.partition(".")[0] == "app"]:
            del sys.modules[name]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what talks to a server, by a fixture or a parameter: `-m mysql` is that half alone."""
    for item in items:
        parameters = item.callspec.id if hasattr(item, "callspec") else ""
        if "mariadb" in getattr(item, "fixturenames", ()) or "mysql" in parameters:
            item.add_marker("mysql")


@pytest.fixture
def clock() -> Clock:
    """A clock that stands at 2026-01-15 12:00:00 UTC until the test moves it."""
    return Clock(datetime(2026, 1, 15, 12, tzinfo=UTC))


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariaDB]:
    """A real MariaDB server, one for the whole session."""
    try:
        server = find_or_start()
    except ServerMissing as missing:
        lacking(f"half of this test: {missing}")
    yield server
    server.stop()


@pytest.fixture(scope="session")
def _server(mariadb: MariaDB) -> Iterator[Connection]:
    """A connection that makes and drops the databases of tests: one for all of them."""
    with Connection(mariadb.config()) as connection:
        yield connection


@pytest.fixture(scope="session")
def _mysql_database(mariadb: MariaDB, _server: Connection) -> Iterator[dict[str, Any]]:
    """The settings of this session's own database, framework tables installed."""
    name = f"so_test_{os.getpid()}_{uuid4().hex[:8]}"
    _server.statement(f"create database {name} collate utf8mb4_unicode_ci")
    yield mariadb.config(name)
    _server.statement(f"drop database {name}")


@pytest.fixture(scope="session")
def _cleaner(_mysql_database: dict[str, Any]) -> Iterator[Connection]:
    """A connection that empties the session's own database after each test."""
    with Connection(_mysql_database) as connection:
        install(connection)
        yield connection


@pytest.fixture(scope="session")
def _sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite file with the framework tables, to be copied."""
    path = tmp_path_factory.mktemp("sqlite") / "template.sqlite"
    with Connection(str(path)) as connection:
        install(connection)
        connection.statement("pragma wal_checkpoint(truncate)")
    return path


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    """'sqlite' or 'mysql': a test that asks for it runs on both."""
    return str(request.param)


@pytest.fixture
def db_config(
    engine: str, request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[dict[str, Any]]:
    """Settings of a database with the framework tables: for tests that start processes."""
    if engine == "sqlite":
        path = tmp_path / "test.sqlite"
        shutil.copyfile(request.getfixturevalue("_sqlite_template"), path)
        yield {"driver": "sqlite", "database": str(path)}
        return
    cleaner = request.getfixturevalue("_cleaner")
    yield dict(request.getfixturevalue("_mysql_database"))
    _clean(cleaner)


@pytest.fixture
def mysql_config(_mysql_database: dict[str, Any], _cleaner: Connection) -> Iterator[dict[str, Any]]:
    """Settings of the MySQL database with the framework tables, for tests of that engine alone."""
    yield dict(_mysql_database)
    _clean(_cleaner)


@pytest.fixture
def db(db_config: dict[str, Any], clock: Clock) -> Iterator[Database]:
    """A Database with the framework tables; models use it, too."""
    yield from _opened(db_config, clock)


@pytest.fixture
def empty_db_config(
    engine: str, request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[dict[str, Any]]:
    """Settings of a database without any table."""
    if engine == "sqlite":
        yield {"driver": "sqlite", "database": str(tmp_path / "empty.sqlite")}
        return
    server: Connection = request.getfixturevalue("_server")
    name = f"so_empty_{os.getpid()}_{uuid4().hex[:8]}"
    server.statement(f"create database {name} collate utf8mb4_unicode_ci")
    yield request.getfixturevalue("mariadb").config(name)
    server.statement(f"drop database if exists {name}")


@pytest.fixture
def empty_db(empty_db_config: dict[str, Any], clock: Clock) -> Iterator[Database]:
    """A Database without any table; models use it, too."""
    yield from _opened(empty_db_config, clock)


def _opened(config: dict[str, Any], clock: Clock) -> Iterator[Database]:
    database = Database({"default": config}, clock=clock)
    provide("db", lambda: database)
    try:
        yield database
    finally:
        provide("db", None)
        database.close()


def install(connection: Connection) -> None:
    """Create the framework tables."""
    for statement in framework_statements(connection.dialect.name):
        connection.unprepared(statement)


def _clean(connection: Connection) -> None:
    """Make this session's MySQL database as new: only what a test touched costs time."""
    found = connection.select_tuples(
        "select table_name, table_type, auto_increment > 1 from information_schema.tables"
        " where table_schema = database()"
    )
    framework = list(framework_tables(connection.dialect.name))
    strange = [(name, kind) for name, kind, _ in found if name not in framework]
    if strange:
        connection.statement("set foreign_key_checks = 0")
        for name, kind in strange:
            connection.statement(f"drop {'view' if 'VIEW' in kind else 'table'} `{name}`")
        connection.statement("set foreign_key_checks = 1")
    numbered = {name: is_numbered for name, _, is_numbered in found}
    there = [name for name in framework if name in numbered]
    for name, is_filled in zip(there, _filled(connection, there), strict=True):
        if is_filled or numbered[name]:
            connection.statement(f"truncate table `{name}`")
    if len(there) < len(framework):
        install(connection)


def _filled(connection: Connection, tables: list[str]) -> tuple[int, ...]:
    """Of each of the *tables* whether it holds a row."""
    if not tables:
        return ()
    looks = ", ".join(f"exists(select 1 from `{name}`)" for name in tables)
    return connection.select_tuples(f"select {looks}")[0]
