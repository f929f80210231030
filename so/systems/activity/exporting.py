"""The trail for auditors: rows, or the changes in them, as CSV, JSON or JSON lines; its figures."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime, time
from typing import Any

from so.db.connection import Connection
from so.errors import ActivityError, QueryError
from so.support.progress import steps
from so.systems.activity.rows import aware
from so.systems.activity.stored import is_undecodable

COLUMNS = (
    "id", "created_at", "log_name", "event", "description", "subject_type", "subject_id",
    "subject_label", "causer_type", "causer_id", "causer_label", "batch_uuid", "properties",
    "context", "uid", "seal_no",
)  # fmt: skip
CHANGE = (
    "id", "created_at", "causer_type", "causer_id", "causer_label", "subject_type", "subject_id",
    "subject_label", "log_name", "event", "description", "field", "old", "new", "seal_no",
)  # fmt: skip
TOLD_EVERY = 1000  # rows between two words on how far it is
FORMATS = ("csv", "json", "jsonl")
SEPARATORS = {",": ",", ";": ";", "tab": "\t"}
BOM = "\ufeff"
_FORMULA = "=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20"
_STARTS = re.compile(rf"^[ \u00a0]*[{_FORMULA}]")
# What another program takes for the end of a cell: there a formula begins as well.
# A comma only where it is not our own: JSON has many, and quoting covers them.
_RUNS = {
    separator: re.compile(rf"([{ends}][ \u00a0]*)(?=[{_FORMULA}])")
    for separator, ends in ((",", ";\t\r\n|"), (";", ";,\t\r\n|"), ("\t", ";,\t\r\n|"))
}
Rows = Iterator[Mapping[str, Any]]


@dataclass(frozen=True)
class Selection:
    """Which rows; days and moments are UTC, *until* includes its whole day.

    *subject*, *causer* and *person* (either of the two) are written TYPE:ID; *type* is a type of
    subject; *field* a column that changed.
    """

    since: str | None = None
    until: str | None = None
    log: str | None = None
    subject: str | None = None
    causer: str | None = None
    person: str | None = None
    type: str | None = None
    event: str | None = None
    field: str | None = None

    def told(self) -> dict[str, str]:
        """What was asked for."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return {name: value for name, value in values.items() if value}

    def conditions(self) -> tuple[str, list[Any]]:
        """SQL and bindings; ActivityError for what means nothing."""
        parts = self._period()
        for column, value in (
            ("log_name", self.log), ("subject_type", self.type), ("event", self.event)
        ):  # fmt: skip
            if value:
                parts.append((f"{column} = ?", [value]))
        for role, given in (("subject", self.subject), ("causer", self.causer)):
            if given:
                parts.append((f"{role}_type = ? and {role}_id = ?", [*reference(given)]))
        if self.person:
            about, by = (f"{r}_type = ? and {r}_id = ?" for r in ("subject", "causer"))
            parts.append((f"(({about}) or ({by}))", [*reference(self.person)] * 2))
        if self.field:  # a rough look; `_has` looks closely
            name = json.dumps(self.field, ensure_ascii=False)
            parts.append(("properties like ? escape '!'", [f"%{escaped(name)}:%"]))
        where = " and ".join(part for part, _ in parts) or "1 = 1"
        return where, [value for _, values in parts for value in values]

    def _period(self) -> list[tuple[str, list[Any]]]:
        first = moment(self.since) if self.since else None
        last = moment(self.until, end_of_day=True) if self.until else None
        if first is not None and last is not None and first > last:
            raise ActivityError(
                f"a period from {self.since} to {self.until} ends before it begins: give the "
                "earlier of the two first"
            )
        bounds = (("created_at >= ?", first), ("created_at <= ?", last))
        return [(sql, [at]) for sql, at in bounds if at is not None]


def rows(
    connection: Connection, selection: Selection, format: str, *, separator: str, bom: bool
) -> Iterator[str]:
    """The rows that match, oldest first, as pieces of text; memory does not grow with them."""
    return _written(connection, selection, COLUMNS, _whole, format, separator, bom)


def changes(
    connection: Connection, selection: Selection, format: str, *, separator: str, bom: bool
) -> Iterator[str]:
    """As `rows()`, one line for each field that changed; entries without any are one line, too."""

    def told(record: Mapping[str, Any]) -> Rows:
        return _changes_of(record, selection.field)

    return _written(connection, selection, CHANGE, told, format, separator, bom)


def _written(
    connection: Connection,
    selection: Selection,
    columns: Sequence[str],
    told: Callable[[Mapping[str, Any]], Rows],
    format: str,
    separator: str,
    bom: bool,
) -> Iterator[str]:
    # No generator, so that what is wrong is said before anything is written or noted.
    if format not in FORMATS:
        raise ActivityError(f"unknown format {format!r}: use one of {', '.join(FORMATS)}")
    if separator not in SEPARATORS:
        raise ActivityError(f"unknown separator {separator!r}: use one of {', '.join(SEPARATORS)}")
    where, bindings = selection.conditions()
    last = connection.scalar("select max(id) from activity_log", use_read=False) or 0
    chosen = f"from activity_log where {where} and id <= ?"
    lines = (
        line
        for record in _records(connection, chosen, [*bindings, last])
        if _has(record, selection.field)
        for line in told(record)
    )
    if format == "csv":
        return _csv(lines, columns, SEPARATORS[separator], bom)
    return (_json if format == "json" else _jsonl)(lines)


def _records(connection: Connection, chosen: str, bindings: Sequence[Any]) -> Rows:
    # Opened when the first is asked for: that it was read is noted before.
    found = _as_stored(connection, chosen, bindings)
    step = steps(lambda: int(connection.scalar(f"select count(*) {chosen}", bindings)))
    number = 0
    for number, row in enumerate(found, 1):
        yield dict(zip(COLUMNS, _cells(row), strict=True))
        if number % TOLD_EVERY == 0:
            step(TOLD_EVERY)
    step(number % TOLD_EVERY)


def _as_stored(
    connection: Connection, chosen: str, bindings: Sequence[Any]
) -> Iterator[Sequence[Any]]:
    """The rows; from one on whose text is no UTF-8, with every text as bytes."""
    last = 0
    try:
        for row in connection.stream(f"select {', '.join(COLUMNS)} {chosen} order by id", bindings)[
            1
        ]:
            yield row
            last = row[0]
        return
    except QueryError as error:
        if not is_undecodable(connection, error):
            raise
    raw = ", ".join(
        f"case typeof({c}) when 'text' then cast({c} as blob) else {c} end" for c in COLUMNS
    )
    yield from connection.stream(
        f"select {raw} {chosen} and id > ? order by id", [*bindings, last]
    )[1]


def reference(text: str) -> tuple[str, str]:
    """`TYPE:ID` as a pair; ActivityError for anything else."""
    kind, colon, id = text.partition(":")
    if not (colon and kind and id):
        raise ActivityError(f"{text!r} names nobody: write TYPE:ID, such as user:42")
    return kind, id


def moment(text: str | datetime, *, end_of_day: bool = False) -> datetime:
    """A day (`2026-04-01`) or a moment (ISO 8601, or a datetime with a zone) in UTC."""
    if isinstance(text, datetime):
        return aware(text).astimezone(UTC)
    try:
        found = datetime.fromisoformat(text)
        if end_of_day and len(text) == len("2026-04-01"):
            found = datetime.combine(found.date(), time.max)
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (TypeError, ValueError, OverflowError) as error:
        raise ActivityError(f"{text!r} is no date: write 2026-04-01, or with a time") from error


def harmless(value: Any, separator: str = ",") -> Any:
    """A cell that a spreadsheet shows instead of running it: `'` goes before a formula.

    Also inside, after what a spreadsheet with another separator takes for the end of a cell.
    """
    if not isinstance(value, str):
        return value
    value = _RUNS[separator].sub(r"\1'", value)
    return "'" + value if _STARTS.match(value) else value


# --- records


def _whole(record: Mapping[str, Any]) -> Rows:
    yield record


def _changes_of(record: Mapping[str, Any], field: str | None) -> Rows:
    properties = _decoded(record["properties"])
    before, after = (_dict(properties.get(side)) for side in ("old", "attributes"))
    kept = {name: record[name] for name in CHANGE if name in record}
    names = [n for n in dict.fromkeys([*after, *before]) if field in (None, n)]
    if not names:
        yield {**kept, "field": None, "old": None, "new": None}
    for name in names:
        yield {**kept, "field": name, "old": before.get(name), "new": after.get(name)}


def _has(record: Mapping[str, Any], field: str | None) -> bool:
    if not field:
        return True
    properties = _decoded(record["properties"])
    return any(field in _dict(properties.get(side)) for side in ("old", "attributes"))


def _decoded(text: Any) -> dict[str, Any]:
    with contextlib.suppress(TypeError, ValueError):
        return _dict(json.loads(text or "{}"))
    return {}


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def escaped(text: str) -> str:
    """*text* as `like … escape '!'` takes it to the letter."""
    return re.sub(r"([!%_])", r"!\1", text)


def _cells(row: Sequence[Any]) -> list[Any]:
    return [_cell(value) if isinstance(value, (datetime, bytes)) else value for value in row]


def _cell(value: datetime | bytes) -> str:
    # Bytes: what somebody wrote past the log.
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else _time(value)


def _time(value: datetime) -> str:
    return value.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds")


# --- formats


def _csv(lines: Rows, columns: Sequence[str], separator: str, bom: bool) -> Iterator[str]:
    buffer = io.StringIO()
    writer = csv.writer(buffer, delimiter=separator)
    if bom:
        yield BOM
    writer.writerow(columns)
    for line in lines:
        yield _taken(buffer)
        writer.writerow([harmless(_plain(line[name]), separator) for name in columns])
    yield _taken(buffer)


def _plain(value: Any) -> Any:
    is_nested = isinstance(value, (dict, list, bool))
    return json.dumps(value, ensure_ascii=False) if is_nested else value


def _taken(buffer: io.StringIO) -> str:
    text = buffer.getvalue()
    buffer.seek(0)
    buffer.truncate()
    return text


def _record(line: Mapping[str, Any]) -> str:
    record = dict(line)
    for name in ("properties", "context"):
        if name in record:
            with contextlib.suppress(ValueError):  # a row written by hand: its text as it is
                record[name] = json.loads(record[name] or "{}")
    return json.dumps(record, ensure_ascii=False, separators=(",", ":"))


def _json(lines: Rows) -> Iterator[str]:
    lead = "[\n"
    for line in lines:
        yield lead + _record(line)
        lead = ",\n"
    yield "[]\n" if lead == "[\n" else "\n]\n"


def _jsonl(lines: Rows) -> Iterator[str]:
    for line in lines:
        yield _record(line) + "\n"


def stats(connection: Connection) -> dict[str, Any]:
    """Rows and characters by log, by event and by type of subject, and the state of the seals."""
    size = " + ".join(f"coalesce(length({name}), 0)" for name in ("properties", "context"))
    groups = {}
    for title, column in (("logs", "log_name"), ("events", "event"), ("subjects", "subject_type")):
        found = connection.select_tuples(
            f"select {column}, count(*), sum({size}), min(created_at), max(created_at) "  # noqa: S608
            f"from activity_log group by {column} order by count(*) desc, {column}"
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
