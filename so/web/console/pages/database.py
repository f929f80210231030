"""Database: tables with their size, pending migrations, connections, the last backup."""

from __future__ import annotations

from typing import Any

from so.application.vitals import last_backup
from so.db.migrations import Migrator
from so.db.tables import sizes, whole_size
from so.http.request import Request
from so.settings.database import DatabaseSettings
from so.support.markup import Markup, join
from so.web.console.parts import facts, moment, section, size, table

TITLE = "Database"


def data(app: Any, request: Request) -> dict[str, Any]:
    """All of it without counting a row: sizes as the server or the file tells them."""
    db = app.make("db").connection()
    folder = app.base_path(app.settings(DatabaseSettings).migrations)
    return {
        "engine": db.dialect.name,
        "version": db.scalar(
            "select sqlite_version()" if db.dialect.name == "sqlite" else "select version()"
        ),
        "tables": [vars(one) for one in sizes(db)],
        "bytes": whole_size(db),
        "pending": [str(getattr(one, "name", one)) for one in Migrator(db, folder).pending()],
        "server": {} if db.dialect.name == "sqlite" else _status(db),
        "last_backup": last_backup(app),
    }


def _status(db: Any) -> dict[str, Any]:
    wanted = (
        "Threads_connected",
        "Max_used_connections",
        "Slow_queries",
        "wsrep_cluster_status",
        "wsrep_cluster_size",
        "wsrep_ready",
    )
    names = ", ".join("?" * len(wanted))
    rows = db.select(f"show global status where variable_name in ({names})", wanted)
    return {str(row["Variable_name"]): row["Value"] for row in rows if row["Value"] != ""}


def draw(data: dict[str, Any], view: Any) -> Markup:
    """Facts above, tables below."""
    about = facts(
        {
            "Engine": f"{data['engine']} {data['version']}",
            "Size": size(data["bytes"]),
            "Pending migrations": data["pending"] or "none",
            "Last backup": moment(data["last_backup"])
            if data["last_backup"]
            else "never: run `sixorbit backup`",
            **data["server"],
        }
    )
    tables = table(
        "Tables",
        [
            ("Table", "name"),
            ("Rows, about", "rows"),
            ("Size", lambda r: size(r["bytes"])),
        ],
        data["tables"],
    )
    return join([section("State", about, id="state"), section("Tables", tables, id="tables")])
