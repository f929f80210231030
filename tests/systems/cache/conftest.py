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
def mysql_db(mysql_config, clock):
    database = Database({"default": mysql_config}, clock=clock)
    yield database
    database.close()
