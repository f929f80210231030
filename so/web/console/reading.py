"""Reading rows for pages: the newest by key, payloads without their secrets, names of users.

No page counts or sorts a large table: rows come by their primary key, newest first, and a search
looks through so many of them and no more.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from typing import Any

from so.http.request import Request
from so.settings.auth import AuthSettings
from so.support.masking import Masker

HOW_MANY = 50  # rows of a page
LOOKED_AT = 2000  # rows that one search looks through; the next page goes on from there
_masker = Masker()


def before(request: Request) -> int | None:
    """The key before which a page begins; None for the newest."""
    text = str(request.query("before") or "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def keyset(
    rows: Any,
    start: int | None,
    make: Callable[[Any], dict[str, Any]],
    fits: Callable[[dict[str, Any]], bool] | None = None,
) -> tuple[list[dict[str, Any]], int | None]:
    """(a page of *rows* as dicts, newest first; the key to go on from, None at the end)."""
    rows = rows.order_by_desc("id")
    if start is not None:
        rows = rows.where("id", "<", start)
    if fits is None:
        found = [make(row) for row in rows.limit(HOW_MANY).get()]
        return found, found[-1]["id"] if len(found) == HOW_MANY else None
    found, last, looked_at = [], None, rows.limit(LOOKED_AT).get()
    for row in looked_at:
        entry = make(row)
        last = entry["id"]
        if fits(entry):
            found.append(entry)
            if len(found) == HOW_MANY:
                return found, last
    return found, last if len(looked_at) == LOOKED_AT else None


def job_row(row: Mapping[str, Any], now: int) -> dict[str, Any]:
    """A row of `jobs` as pages show it."""
    payload = masked_payload(row["payload"])
    known = payload if isinstance(payload, dict) else {}
    due = int(row["available_at"])
    running = row["reserved_at"] is not None and due > now
    return {
        "id": row["id"],
        "uuid": row["uuid"],
        "job": str(known.get("displayName") or known.get("job") or "?"),
        "queue": row["queue"],
        "state": "running" if running else "delayed" if due > now else "waiting",
        "attempts": row["attempts"],
        "crashes": row["crashes"],
        "exceptions": row["exceptions"],
        "created_at": row["created_at"],
        "available_at": due,
        "reserved_at": row["reserved_at"],
        "worker_id": row["worker_id"],
        "batch_id": row["batch_id"],
        "tags": [str(tag) for tag in known.get("tags") or []],
        "payload": payload,
    }


def masked_payload(text: str) -> Any:
    """A payload as the object it is, secrets as `***`; as text where it is no JSON."""
    try:
        return _masker.mask(json.loads(text))
    except (ValueError, RecursionError):
        return _masker.text(str(text))


def masked(value: object) -> object:
    """Any value with its secrets as `***`."""
    return _masker.mask(value)


def as_json(value: Any) -> str:
    """*value* as indented JSON, for people."""
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)


def people(app: Any, ids: Iterable[Any]) -> dict[str, str]:
    """The users' names by their keys, in one query; of those that are gone nothing."""
    wanted = sorted({str(id) for id in ids if id is not None})
    model = app.settings(AuthSettings).model
    try:
        if isinstance(model, str):
            module, _, name = model.rpartition(".")
            model = getattr(import_module(module), name)
        users = model.find_many(wanted) if wanted else []
    except (ImportError, AttributeError, ValueError):
        return {}
    return {str(user.get_key()): _label(user) for user in users}


def _label(user: Any) -> str:
    attributes = user.get_attributes()
    return str(
        next(
            (attributes[n] for n in ("name", "email", "username") if attributes.get(n)),
            user.get_key(),
        )
    )
