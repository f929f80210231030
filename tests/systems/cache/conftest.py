"""A database of each engine by name, for fixtures that choose one themselves."""

from __future__ import annotations

import shutil

import pytest

from so.db.manager import Database


@pytest.fixture
def sqlite_db(_sqlite_template, tmp_path, clock):
    path = tmp_path / "cache.sqlite"
    shutil.copyfile(_sqlite_template, path)
    database = Database({"default": str(path)}, clock=clock)
    yield database
    database.close()


@pytest.fixture
def mysql_db(_mysql_database, clock):
    database = Database({"default": dict(_mysql_database)}, clock=clock)
    yield database
    for table in ("cache", "cache_locks", "rate_limits"):
        database.statement(f"delete from {table}")
    database.close()
