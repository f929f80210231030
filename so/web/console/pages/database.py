"""Database: tables and how they grow, slow statements, migrations, replication, the last backup."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from so.application.vitals import last_backup
from so.db.migrations import Migrator
from so.db.replicas import replicas
from so.db.tables import Size, sizes, whole_size
from so.http.request import Request
from so.settings.database import DatabaseSettings
from so.support.markup import Markup, h, join
from so.web.console.health import BEHIND_SECONDS
from so.web.console.history import earlier_sizes
from so.web.console.parts import (
    code,
    facts,
    light,
    moment,
    number,
    seconds,
    section,
    size,
    table,
)
from so.web.console.statements import TABLE

TITLE = "Database"
SLOW = 30  # statements that are shown
STATUS = (
    "Threads_connected", "Threads_running", "Max_used_connections", "Slow_queries", "Uptime",
    "wsrep_cluster_status", "wsrep_cluster_size", "wsrep_local_state_comment", "wsrep_ready",
    "Slaves_connected",
)  # fmt: skip
WORDS = {
    "Threads_connected": "Connections", "Threads_running": "Statements under way",
    "Max_used_connections": "Most connections so far", "Slow_queries": "Slow statements so far",
    "Uptime": "Runs for", "wsrep_cluster_status": "Part of the cluster",
    "wsrep_cluster_size": "Nodes of the cluster", "wsrep_local_state_comment": "This node",
    "wsrep_ready": "Takes statements", "Slaves_connected": "Replicas connected",
}  # fmt: skip


def data(app: Any, request: Request) -> dict[str, Any]:
    """All of it without counting a row: sizes as the server or the file tells them."""
    db = app.make("db").connection()
    folder = app.base_path(app.settings(DatabaseSettings).migrations)
    is_sqlite, found = db.dialect.name == "sqlite", sizes(db)
    slow = app.make("db").table(TABLE).order_by_desc("id").limit(SLOW).get()
    return {
        "engine": db.dialect.name,
        "version": db.scalar("select sqlite_version()" if is_sqlite else "select version()"),
        "bytes": whole_size(db) if is_sqlite else sum(one.bytes or 0 for one in found),
        "pending": [str(getattr(one, "name", one)) for one in Migrator(db, folder).pending()],
        "server": _file(db) if is_sqlite else _status(db),
        "replicas": [{**vars(one), "up": one.is_up} for one in replicas(db)],
        "last_backup": last_backup(app),
        **_growth(app, found),
        "slow": [dict(row) for row in slow],
    }


def _growth(app: Any, found: list[Size]) -> dict[str, Any]:
    """The tables, with what they have grown by since the newest day before today."""
    day = int(app.clock.time()) // 86_400
    since, before = earlier_sizes(app, day) or (None, {})
    return {
        "since": None if since is None else since * 86_400,
        "tables": [
            {
                **vars(one),
                "more_rows": _more(one.rows, before.get(one.name), 0),
                "more_bytes": _more(one.bytes, before.get(one.name), 1),
            }
            for one in found
        ],
    }


def _more(now: int | None, before: list[int | None] | None, at: int) -> int | None:
    then = None if before is None else before[at]
    return None if now is None or then is None else now - then


def _file(db: Any) -> dict[str, Any]:
    """Of SQLite: the log beside the file that has not been taken over yet."""
    log = Path(f"{db.config['database']}-wal")
    return {"Log beside the file": size(log.stat().st_size) if log.is_file() else "none"}


def _status(db: Any) -> dict[str, Any]:
    names = ", ".join("?" * len(STATUS))
    rows = db.select(f"show global status where variable_name in ({names})", STATUS)
    found = {str(row["Variable_name"]): row["Value"] for row in rows if row["Value"] != ""}
    is_node = found.get("wsrep_cluster_size", "0") != "0"
    found = {name: value for name, value in found.items() if is_node or name[:6] != "wsrep_"}
    if found.get("Slaves_connected") == "0":
        del found["Slaves_connected"]
    if "Uptime" in found:
        found["Uptime"] = seconds(float(found["Uptime"]))
    return found


def draw(data: dict[str, Any], view: Any) -> Markup:
    """Facts above, tables and slow statements below."""
    backup = data["last_backup"]
    about = facts(
        {
            "Engine": f"{data['engine']} {data['version']}",
            "Size": size(data["bytes"]),
            "Pending migrations": data["pending"] or "none",
            "Last backup": moment(backup) if backup else code("never: run `bin/sixorbit backup`"),
            **{WORDS.get(name, name): value for name, value in data["server"].items()},
        }
    )
    return join(
        [
            section("State", about, id="state"),
            section("Replicas", _replicas(data), id="replicas") if data["replicas"] else "",
            section("Tables", *_tables(data), id="tables"),
            section("Slow statements", _slow(data["slow"]), id="slow"),
        ]
    )


def _replicas(data: dict[str, Any]) -> Markup:
    def state(one: Any) -> Markup:
        is_late = one["state"] == "not told" or (one["behind_seconds"] or 0) > BEHIND_SECONDS
        return light("bad" if not one["up"] else "warn" if is_late else "ok", one["state"])

    columns: list[Any] = [
        ("Server", "host"),
        ("State", state),
        ("Behind", lambda r: seconds(r["behind_seconds"])),
        ("What it says", lambda r: r["error"] or None),
    ]
    return table("Replicas", columns, data["replicas"])


def _tables(data: dict[str, Any]) -> list[Markup]:
    since = data["since"]
    words = ["Grown since ", moment(since), "."] if since else ["Growth is told from tomorrow on."]
    has_bytes = any(one["bytes"] is not None for one in data["tables"])
    columns: list[Any] = [
        ("Table", "name"),
        ("Rows, about", "rows"),
        ("More rows", lambda r: _signed(r["more_rows"], "{:+,}")),
    ]
    if has_bytes:
        columns.append(("Size", lambda r: size(r["bytes"])))
        columns.append(("Grown by", lambda r: _signed(r["more_bytes"], "{:+,} B")))
    return [h("p", words, class_="soft"), table("Tables", columns, data["tables"])]


def _signed(value: int | None, form: str) -> str | None:
    return None if value is None else form.format(value)


def _slow(rows: list[dict[str, Any]]) -> Markup:
    return table(
        "Slow statements",
        [
            ("When", lambda r: moment(r["at"])),
            ("Took", lambda r: f"{number(r['ms'])} ms"),
            ("Statement", lambda r: h("code", r["statement"])),
            ("For", "source"),
            ("Request", "request_id"),
        ],
        rows,
    )
