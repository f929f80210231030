"""The demo ERP on each engine, seeded, in a storage folder of its own."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from so.application import Application
from so.console.kernel import Kernel
from so.testing import Client
from tests.acceptance.conftest import OWN, cache_config
from tests.support.once import once

ROOT = Path(__file__).resolve().parents[2]
PASSWORD = "demo-password"


def settings(folder, **connections):
    """What config/ is overlaid with for the demo in *folder*."""
    return {
        "app": {"key": "k" * 40, "env": "testing", "storage": str(folder)},
        "database": {"default": "main", "connections": connections},
        "queue": {"wake_path": str(folder / "queue")},
        "auth": {"scrypt": {"ln": 4, "r": 1, "p": 1}},
        "logging": {"default": "null", "channels": {"null": {"driver": "null"}}},
    }


def seed(app):
    kernel = Kernel(app)
    assert kernel.call("demo:seed --orders=12") == 0, kernel.output()


def on_file(folder):
    """The demo on an SQLite file in *folder*."""
    file = {"driver": "sqlite", "database": str(folder / "erp.sqlite")}
    return Application(ROOT, settings(folder, main=file))


def make_year(folder):
    with on_file(folder) as app:
        kernel = Kernel(app)
        app.install_tables()
        assert kernel.call("migrate --force") == 0, kernel.output()
        assert kernel.call("db:seed --force") == 0, kernel.output()


@pytest.fixture(scope="module")
def year(tmp_path_factory):
    """The demo after `db:seed`, on SQLite: a copy of what one worker has made for all."""
    original = once(tmp_path_factory, "year", make_year)
    folder = shutil.copytree(original, tmp_path_factory.mktemp("year") / "erp")
    with on_file(folder) as app:
        for table in ("reports", "order_imports"):  # the files that lay in `year.unfinished`
            sql = f"update {table} set path = replace(path, ?, ?)"
            app.make("db").statement(sql, [f"{original}.unfinished", str(folder)])
        yield app


def make_orders(folder):
    with on_file(folder) as app:
        seed(app)


@pytest.fixture(scope="session")
def _seeded(tmp_path_factory):
    """An SQLite file with the demo and twelve orders, to be copied."""
    return once(tmp_path_factory, "orders", make_orders) / "erp.sqlite"


@pytest.fixture
def demo(db_config, tmp_path, _sqlite_template, request, monkeypatch):
    for key in list(os.environ):
        if key.startswith(OWN):
            monkeypatch.delenv(key)
    copied = db_config["driver"] == "sqlite"
    if copied:
        shutil.copyfile(request.getfixturevalue("_seeded"), db_config["database"])
    locks = cache_config(db_config, tmp_path, _sqlite_template)
    own = settings(tmp_path, main=db_config, locks=locks) | {"cache": {"connection": "locks"}}
    with Application(ROOT, own) as app:
        if not copied:
            seed(app)
        yield app


@pytest.fixture
def person(demo):
    """A client that is logged in as the user with a role."""

    def log_in(role):
        client = Client(demo, headers={"Sec-Fetch-Site": "same-origin"})
        given = {"email": f"{role}@demo.example", "password": PASSWORD}
        client.post("/login", data=given).assert_status(302)
        return client

    return log_in


@pytest.fixture
def program(demo):
    """A client with an API token of the user with a role."""

    def log_in(role):
        client = Client(demo)
        given = {"email": f"{role}@demo.example", "password": PASSWORD}
        token = client.post("/api/v1/login", json=given).json("data.token")
        return Client(demo, headers={"Authorization": f"Bearer {token}"})

    return log_in
