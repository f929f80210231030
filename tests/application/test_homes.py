"""Tables that live beside the application's: sessions, remembered logins, cache, locks, limits."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest

from so import DB, cache, rate_limiter, sessions
from so.application import Application
from so.console import Kernel
from so.db.connection import Connection

ROOT = Path(__file__).resolve().parents[2]
KEY = "k" * 40


@pytest.fixture
def erp(db_config, tmp_path):
    """An application whose cache has a connection of its own: on SQLite a file of its own."""
    own = dict(db_config)
    if db_config["driver"] == "sqlite":
        own["database"] = str(tmp_path / "cache.sqlite")
    settings = {
        "app": {"key": KEY, "env": "testing", "providers": [], "routes": []},
        "database": {"default": "main", "connections": {"main": db_config, "cache": own}},
        "logging": {"default": "null", "channels": {"null": {"driver": "null"}}},
    }
    shutil.copytree(ROOT / "config", tmp_path / "config")
    with Application(tmp_path, settings) as application:
        application.install_tables()
        yield application


def begin(user_id=42):
    found = sessions().open()
    found.put("user_id", user_id)
    found.save()
    return found


def test_a_query_on_sessions_goes_where_they_live(erp):
    begin()
    begin(7)

    assert DB.table("sessions").where("last_activity", ">", 0).count() == 2
    assert DB.table("sessions").where("user_id", 42).delete() == 1
    assert DB.table("sessions as s").value("s.user_id") == "7"


@pytest.mark.parametrize(
    "end",
    [
        lambda: DB.statement("delete from sessions where user_id = ?", (42,)),
        lambda: (
            DB.delete('DELETE FROM "sessions" WHERE user_id = 42')
            if DB.connection().dialect.name == "sqlite"
            else DB.delete("DELETE FROM `sessions` WHERE user_id = '42'")
        ),
        lambda: DB.update("update sessions set user_id = null where user_id = '42'"),
    ],
)
def test_plain_sql_about_sessions_goes_there_too(erp, end):
    begin()

    end()

    assert sessions().for_user(42) == []
    assert DB.select("select id from sessions where user_id = '42'") == []
    assert DB.scalar("select count(*) from sessions where user_id = '42'") == 0


def test_cache_rows_and_locks_are_found_by_their_tables(erp):
    cache().put("a", 1)
    cache().lock("b", 60).acquire()
    rate_limiter().hit("c")

    assert [DB.table(t).count() for t in ("cache", "cache_locks", "rate_limits")] == [1, 1, 1]


def test_what_is_rolled_back_around_them_leaves_them_as_they_are(erp):
    def work():
        begin()
        cache().put("kept", 1)
        DB.table("sessions").where("user_id", 42).update({"ip_address": "10.0.0.1"})
        raise LookupError

    with pytest.raises(LookupError):
        DB.transaction(work)

    assert DB.table("sessions").value("ip_address") == "10.0.0.1"
    assert cache().get("kept") == 1


def test_another_connection_by_name_is_taken_at_its_word(erp):
    begin()

    assert DB.table("sessions", connection="cache").count() == 1
    assert DB.connection("cache").table("sessions").count() == 1
    there = "main" if DB.connection().dialect.name == "sqlite" else "cache"
    rows = 0 if there == "main" else 1
    assert DB.connection("main").table("sessions").count() == rows


def test_a_long_import_holds_up_no_session_no_lock_and_no_limit(tmp_path):
    """SQLite alone: two writers of one file wait for each other."""
    main = str(tmp_path / "main.sqlite")
    settings = {
        "app": {"key": KEY, "env": "testing", "providers": [], "routes": []},
        "database": {
            "default": "main",
            "connections": {
                "main": {"driver": "sqlite", "database": main, "busy_timeout": 20},
                "cache": {"driver": "sqlite", "database": str(tmp_path / "cache.sqlite")},
            },
        },
    }
    with Application(tmp_path, settings) as application:
        application.install_tables()
        importer = sqlite3.connect(main, isolation_level=None)
        importer.execute("begin immediate")

        begin()
        assert cache().lock("a", 10).acquire()
        assert rate_limiter().hit("login") == 1
        assert DB.table("sessions").where("user_id", 42).delete() == 1
        importer.close()


def test_what_an_older_installation_kept_beside_the_application_is_brought_along(tmp_path):
    main, own = (str(tmp_path / name) for name in ("main.sqlite", "cache.sqlite"))
    connections = {
        "main": {"driver": "sqlite", "database": main},
        "cache": {"driver": "sqlite", "database": own},
    }

    def app(**more):
        base = {"key": KEY, "env": "testing", "providers": [], "routes": []}
        database = {"default": "main", "connections": connections}
        return Application(tmp_path, {"app": base, "database": database, **more})

    with app(session={"connection": "main"}) as before:
        before.install_tables()
        for user in range(100):
            begin(user)
        DB.statement(
            "insert into remember_tokens (series, user_id, validator, created_at, expires_at)"
            " values ('s', '1', 'v', 1, 2)"
        )
    with app() as after:
        kernel = Kernel(after)
        assert kernel.call("db:install") == 0
        assert "cache: created 100 rows of sessions from main" in kernel.output()

        assert len(sessions().for_user(42)) == 1
        assert DB.table("sessions").count() == 100
        assert DB.table("remember_tokens").count() == 1
    with Connection(main) as left:
        assert left.table("sessions").count() == 0


def test_check_looks_at_every_place_where_tables_live(erp):
    kernel = Kernel(erp)
    DB.connection("cache").statement("drop table session_moves")

    assert kernel.call("db:check") == 1
    assert "session_moves" in kernel.output()
    assert kernel.call("db:install") == 0
    assert kernel.call("db:check") == 0
