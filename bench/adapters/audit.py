"""The audit trail for the side-by-side benchmark: two models of the same columns, one logged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from so.db.manager import Database
from so.db.model import Model
from so.db.sqltext import statements
from so.support.current import provide
from so.systems.activity import ActivityLog, LogsActivity

ROOT = Path(__file__).resolve().parents[2]
ROWS = 300
COLUMNS = (
    "(id integer primary key autoincrement, number text not null, quantity integer not null, "
    "total real not null, status text not null, note text)"
)


class PlainOrder(Model):
    """An order whose changes nobody records."""

    table = "plain_orders"
    timestamps = False
    guarded: list[str] = []


class AuditedOrder(LogsActivity, Model):
    """The same, with the activity log."""

    table = "audited_orders"
    timestamps = False
    guarded: list[str] = []


def audit(path: str, **settings: Any) -> dict[str, Any]:
    """The calls that the benchmark times, on the new SQLite file *path*.

    *settings* go to the log: `keys=[…]` measures it with signed and sealed rows.
    """
    db = Database({"default": {"driver": "sqlite", "database": path, "synchronous": "normal"}})
    provide("db", lambda: db)
    log = ActivityLog(db, **settings)
    provide("activity", lambda: log)
    connection = db.connection()
    for statement in statements(
        (ROOT / "so/systems/framework_tables.sqlite.sql").read_text(), "sqlite"
    ):
        connection.unprepared(statement)
    rows = [
        {
            "number": f"SO-{n:06}",
            "quantity": n % 13,
            "total": n * 1.25,
            "status": "open",
            "note": None,
        }
        for n in range(ROWS)
    ]
    for model in (PlainOrder, AuditedOrder):
        connection.unprepared(f"create table {model.table} {COLUMNS}")
        connection.table(model.table).insert(rows)

    def save(objects: list[Model], tick: int, audited: bool) -> None:
        with db.transaction():
            for order in objects:
                order.quantity = tick
                order.save()

    return {
        "load": lambda audited: (AuditedOrder if audited else PlainOrder).all(),
        "save": save,
        "trail": lambda: connection.scalar("select count(*) from activity_log"),
        "log": log,
        "stop": db.close,
    }
