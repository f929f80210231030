"""A whole application on each engine, in a folder of its own."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from so.application import Application

ROOT = Path(__file__).resolve().parents[2]
OWN = ("APP_", "DB_", "CACHE_", "SESSION_", "QUEUE_", "NOTIFICATION_", "ACTIVITY_", "MAIL_")


def cache_config(db_config, folder, template):
    """A connection of the cache's own: another file on SQLite, another session on MySQL."""
    if db_config["driver"] != "sqlite":
        return dict(db_config)
    path = folder / "cache.sqlite"
    shutil.copyfile(template, path)
    return {"driver": "sqlite", "database": str(path)}


@pytest.fixture
def settings(db_config, tmp_path, _sqlite_template):
    """What the application's own config/ is overlaid with."""
    return {
        "app": {"key": "k" * 40, "env": "testing", "providers": [], "routes": []},
        "database": {
            "default": "main",
            "connections": {
                "main": db_config,
                "other": db_config,
                "locks": cache_config(db_config, tmp_path, _sqlite_template),
            },
        },
        "cache": {"connection": "locks"},
        "auth": {"scrypt": {"ln": 4, "r": 1, "p": 1}},
        "logging": {"default": "null", "channels": {"null": {"driver": "null"}}},
    }


@pytest.fixture
def erp(settings, tmp_path, monkeypatch):
    """The application, running, with its tables."""
    for key in list(os.environ):
        if key.startswith(OWN):
            monkeypatch.delenv(key)
    shutil.copytree(ROOT / "config", tmp_path / "config")
    with Application(tmp_path, settings) as application:
        yield application
