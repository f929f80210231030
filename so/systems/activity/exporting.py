"""The trail for auditors: rows as CSV, JSON or JSON lines, one at a time, and its figures."""

from __future__ import annotations

import contextlib
import csv
import io
import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, time
from typing import Any

from so.db.connection import Connection
from so.errors import ActivityError
from so.systems.activity.stored import log_table

COLUMNS = (
    "id", "created_at", "log_name", "event", "description", "subject_type", "subject_id",
    "subject_label", "causer_type", "causer_id", "causer_label", "batch_uuid", "properties",
    "context", "uid", "seal_no",
)  # fmt: skip
FORMATS = ("csv", "json", "jsonl")
_RUNS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def export(
    connection: Connection, format: str, where: str, bindings: Sequence[Any]
) -> Iterator[str]:
    """The rows that match, oldest first, as pieces of text; memory does not grow with them."""
    if format not in FORMATS:
        raise ActivityError(f"unknown format {format!r}: use one of {', '.join(FORMATS)}")
    sql = f"select {', '.join(COLUMNS)} from {log_table(connection)} where {where} order by id"  # noqa: S608
    _, found = connection.stream(sql, bindings)
    yield from {"csv": _csv, "json": _json, "jsonl": _jsonl}[format](found)


def conditions(
    *,
    since: str | None = None,
    until: str | None = None,
    log: str | None = None,
    subject: str | None = None,
    causer: str | None = None,
) -> tuple[str, list[Any]]:
    """SQL and bindings of a selection; days and moments are UTC, *until* includes its whole day.

    *subject* and *causer* are written TYPE:ID. Raises ActivityError for what means nothing.
    """
    parts: list[tuple[str, Any]] = []
    if since:
        parts.append(("created_at >= ?", moment(since)))
    if until:
        parts.append(("created_at <= ?", moment(until, end_of_day=True)))
    if log:
        parts.append(("log_name = ?", log))
    for role, given in (("subject", subject), ("causer", causer)):
        if given:
            kind, id = reference(given)
            parts += [(f"{role}_type = ?", kind), (f"{role}_id = ?", id)]
    return " and ".join(part for part, _ in parts) or "1 = 1", [value for _, value in parts]


def reference(text: str) -> tuple[str, str]:
    """`TYPE:ID` as a pair; ActivityError for anything else."""
    kind, colon, id = text.partition(":")
    if not (colon and kind and id):
        raise ActivityError(f"{text!r} names nobody: write TYPE:ID, such as user:42")
    return kind, id


def moment(text: str, *, end_of_day: bool = False) -> datetime:
    """A day (`2026-04-01`) or a moment (ISO 8601) as a datetime in UTC."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise ActivityError(f"{text!r} is no date: write 2026-04-01, or with a time") from error
    if end_of_day and len(text) == len("2026-04-01"):
        found = datetime.combine(found.date(), time.max)
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def harmless(value: Any) -> Any:
    """A cell that a spreadsheet shows instead of running it: `'` goes before a formula."""
    if isinstance(value, str) and value.lstrip(" \u00a0").startswith(_RUNS):
        return "'" + value
    return value


def _cells(row: Sequence[Any]) -> list[Any]:
    return [_time(value) if isinstance(value, datetime) else value for value in row]


def _time(value: datetime) -> str:
    return value.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds")


def _csv(found: Iterator[Sequence[Any]]) -> Iterator[str]:
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(COLUMNS)
    for row in found:
        yield _taken(buffer)
        writer.writerow([harmless(value) for value in _cells(row)])
    yield _taken(buffer)


def _taken(buffer: io.StringIO) -> str:
    text = buffer.getvalue()
    buffer.seek(0)
    buffer.truncate()
    return text


def _record(row: Sequence[Any]) -> str:
    record = dict(zip(COLUMNS, _cells(row), strict=True))
    for name in ("properties", "context"):
        with contextlib.suppress(ValueError):  # a row written by hand: its text as it is
            record[name] = json.loads(record[name] or "{}")
    return json.dumps(record, ensure_ascii=False, separators=(",", ":"))


def _json(found: Iterator[Sequence[Any]]) -> Iterator[str]:
    lead = "[\n"
    for row in found:
        yield lead + _record(row)
        lead = ",\n"
    yield "[]\n" if lead == "[\n" else "\n]\n"


def _jsonl(found: Iterator[Sequence[Any]]) -> Iterator[str]:
    for row in found:
        yield _record(row) + "\n"


def stats(connection: Connection) -> dict[str, Any]:
    """Rows and characters by log, by event and by type of subject, and the state of the seals."""
    size = " + ".join(f"coalesce(length({name}), 0)" for name in ("properties", "context"))
    groups = {}
    for title, column in (("logs", "log_name"), ("events", "event"), ("subjects", "subject_type")):
        found = connection.select_tuples(
            f"select {column}, count(*), sum({size}), min(created_at), max(created_at) "  # noqa: S608
            f"from {log_table(connection)} group by {column} order by count(*) desc, {column}"
        )
        groups[title] = [
            {"name": name, "rows": rows, "bytes": int(size_ or 0), "first": first, "last": last}
            for name, rows, size_, first, last in map(_cells, found)
        ]
    log, seals = connection.table("activity_log"), connection.table("activity_seals")
    return {
        "rows": log.count(),
        **groups,
        "unsealed": log.clone().where_null("seal_no").count(),
        "refused": log.clone().where("seal_no", 0).count(),
        "seals": seals.count(),
        "pruned_seals": seals.clone().where_not_null("pruned_at").count(),
        "erased": connection.table("activity_erasures").count(),
    }
