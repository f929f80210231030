"""Reading rows for pages: the newest by key, payloads without their secrets, names of users.

No page counts or sorts a large table: rows come by their primary key, newest first, and a search
looks through so many of them and no more.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from importlib import import_module
from typing import Any

from so.http.request import Request
from so.settings.auth import AuthSettings
from so.support.masking import Masker
from so.support.numbers import row_id

HOW_MANY = 50  # rows of a page
STEPS = (200, 800)  # rows that one search looks through; the next page goes on from there
LABELS = ("name", "number", "title", "email", "username", "code")
_masker = Masker()

Row = Mapping[str, Any]
Fits = Callable[[Row], bool]


@dataclass(frozen=True)
class SortOrder:
    """How a list is walked, newest first: by columns that an index ends with, the last unique."""

    columns: tuple[str, ...] = ("id",)

    def text(self, row: Row) -> str:
        """Where a page that ends with *row* goes on."""
        return "~".join(str(row[column]) for column in self.columns)

    def after(self, rows: Any, text: object) -> Any:
        """*rows* in this order, from the place *text* on; from the newest if it is none."""
        for column in self.columns:
            rows = rows.order_by_desc(column)
        values = self._read(str(text or ""))
        if values is None:
            return rows
        if len(values) == 1:
            return rows.where(self.columns[0], "<", values[0])
        first, id = self.columns
        # Said as a range of the first column, which an index is entered by.
        return rows.where(first, "<=", values[0]).where(
            lambda either: either.where(first, "<", values[0]).or_where(id, "<", values[1])
        )

    def _read(self, text: str) -> list[int | str] | None:
        parts = text.split("~")
        if len(parts) != len(self.columns):
            return None
        found = [_value(column, part) for column, part in zip(self.columns, parts, strict=True)]
        return None if None in found else found  # type: ignore[return-value]  # none is None


def _value(column: str, text: str) -> int | str | None:
    if column == "created_at":
        try:
            return datetime.fromisoformat(text).strftime("%Y-%m-%d %H:%M:%S.%f")
        except ValueError:
            return None
    return row_id(text)


NEWEST = SortOrder()


def page(
    rows: Any,
    request: Request,
    make: Callable[[Row], dict[str, Any]],
    *,
    order: SortOrder = NEWEST,
    may_fit: Fits | None = None,
    fits: Fits | None = None,
) -> tuple[list[dict[str, Any]], str | None]:
    """(a page of *rows* as dicts, newest first; where to go on, None at the end).

    *may_fit* sorts out rows as they are, cheaply; *fits* has the last word on what is shown.
    """
    if fits is None and may_fit is None:
        seen = list(order.after(rows, request.query("before")).limit(HOW_MANY).get())
        return [make(row) for row in seen], order.text(seen[-1]) if len(seen) == HOW_MANY else None
    found: list[dict[str, Any]] = []
    start = request.query("before")
    for some in STEPS:
        seen = list(order.after(rows.clone(), start).limit(some).get())
        for row in seen:
            if (may_fit is None or may_fit(row)) and _is_wanted(entry := make(row), fits):
                found.append(entry)
                if len(found) == HOW_MANY:
                    return found, order.text(row)
        if len(seen) < some:
            return found, None
        start = order.text(seen[-1])
    return found, str(start)


def _is_wanted(entry: dict[str, Any], fits: Fits | None) -> bool:
    return fits is None or fits(entry)


def needle(text: object) -> str:
    """*text* as it stands within JSON, in small letters: for sorting rows out before reading."""
    return json.dumps(str(text or ""), ensure_ascii=False)[1:-1].lower()


def job_row(row: Row, now: int) -> dict[str, Any]:
    """A row of `jobs` as pages show it."""
    payload = masked_payload(row["payload"])
    known = payload if isinstance(payload, dict) else {}
    due = int(row["available_at"])
    return {
        "id": row["id"],
        "uuid": row["uuid"],
        "job": str(known.get("displayName") or known.get("job") or "?"),
        "queue": row["queue"],
        "state": job_state(row, now),
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


def job_state(row: Row, now: int) -> str:
    """What a row of `jobs` is: waiting, delayed or running."""
    if int(row["available_at"]) <= now:
        return "waiting"
    return "delayed" if row["reserved_at"] is None else "running"


def masked_payload(text: str) -> Any:
    """A payload as the object it is, secrets as `***`; as text where it is no JSON."""
    try:
        return _masker.mask(json.loads(text))
    except (ValueError, RecursionError):
        return _masker.text(str(text))


def masked_text(text: str | None) -> str | None:
    """Words with their secrets as `***`."""
    return None if text is None else _masker.text(text)


def masked(value: object) -> object:
    """Any value with its secrets as `***`."""
    return _masker.mask(value)


def as_json(value: Any) -> str:
    """*value* as indented JSON, for people."""
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)


def people(app: Any, ids: Iterable[Any]) -> dict[str, str]:
    """The users' names by their keys, in one query; of those that are gone nothing."""
    wanted = sorted({str(id) for id in ids if id is not None})
    model = _user_model(app)
    try:
        users = model.find_many(wanted) if wanted else []
    except (AttributeError, ValueError):
        return {}
    return {str(user.get_key()): label(user) for user in users}


def user_type(app: Any) -> str | None:
    """What the class of users is called in columns such as `notifiable_type`."""
    model = _user_model(app)
    return None if model is None else str(getattr(model, "type_alias", None) or model.__name__)


def _user_model(app: Any) -> Any:
    model = app.settings(AuthSettings).model
    with suppress(ImportError, AttributeError, ValueError):
        if isinstance(model, str):
            module, _, name = model.rpartition(".")
            return getattr(import_module(module), name)
        return model
    return None


def label(model: Any) -> str:
    """What people call a row: its name, or its key."""
    attributes = model.get_attributes()
    return str(
        next(
            (attributes[n] for n in LABELS if attributes.get(n)),
            model.get_key(),
        )
    )
