"""Anchors: number, hash and time of a seal, written down where this database cannot reach."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from so.db.connection import Connection
from so.errors import ActivityError, IntegrityError
from so.systems.activity import stored
from so.systems.activity.report import Report


def compare(connection: Connection, lines: Iterable[str], report: Report) -> None:
    """Compare the seals with what *lines* say; finding none of them is a finding as well."""
    known: dict[int, str] = {}
    is_empty = True
    for line in filter(str.strip, lines):
        is_empty = False
        anchor = parsed(line)
        if anchor is None:
            report.unknown(f"{line.strip()[:80]!r} is no line of an anchor")
            continue
        no, seal_hash = anchor
        if known.setdefault(no, seal_hash) != seal_hash:
            report.fault(stored.EDITED, f"the anchors of seal {no} contradict each other", seal=no)
            continue
        fault = contradiction(connection, no, seal_hash)
        if fault is not None:
            report.fault(*fault, seal=no)
    if is_empty:
        text = "the anchor is empty: nothing was written down, or somebody wiped it"
        report.fault(stored.TRUNCATED, text)


def find(connection: Connection, seal_hash: str, report: Report) -> None:
    """There must be a seal of that hash."""
    wanted = seal_hash.strip().lower()
    if not stored.seals(connection, "seal_hash = ? limit 1", [wanted]):
        text = f"no seal has the hash {wanted[:80]}: the trail was cut, set back or written anew"
        report.fault(stored.TRUNCATED, text)


def contradiction(connection: Connection, no: int, seal_hash: str) -> tuple[str, str] | None:
    """Kind and text of what is wrong with the seal that was anchored; None if nothing is."""
    found = stored.seals(connection, "seal_no = ?", [no])
    if not found:
        text = f"seal {no} was anchored and is missing: the trail was cut or set back"
        return stored.TRUNCATED, text
    if found[0].seal_hash != seal_hash:
        return stored.EDITED, f"seal {no} is not the one that was anchored"
    return None


def parsed(line: str) -> tuple[int, str] | None:
    """Number and hash of a line; None if it is no anchor."""
    words = line.split()
    if len(words) >= 2 and words[0].isascii() and words[0].isdecimal() and len(words[0]) < 19:
        return int(words[0]), words[1]
    return None


def lines_of(second: Connection) -> list[str]:
    """The anchors that `keep` wrote to another database."""
    sql = "select seal_no, seal_hash, sealed_at from activity_anchors order by seal_no"
    return [" ".join(map(str, row)) for row in second.select_tuples(sql, use_read=False)]


def keep(connection: Connection, second: Connection, line: str) -> None:
    """Write *line* to a table of another database, which is made if it is not there.

    Raises IntegrityError, and writes nothing, if what is there contradicts *connection*.
    """
    second.unprepared(
        "create table if not exists activity_anchors (seal_no bigint not null primary key, "
        "seal_hash char(64) not null, sealed_at char(26) not null)"
    )
    known = lines_of(second)
    _refuse_other(connection, known[-1:], f"connection {second.name}")
    if line not in known:
        no, seal_hash, sealed_at = line.split(" ", 2)
        second.insert(
            "insert into activity_anchors (seal_no, seal_hash, sealed_at) values (?, ?, ?)",
            [int(no), seal_hash, sealed_at],
        )


def append(connection: Connection, path: Path, line: str | None) -> None:
    """Add *line*, if there is one, to the file, unless it is the last one.

    Raises IntegrityError, and writes nothing, if what the file ends with contradicts the database;
    ActivityError if it cannot be written.
    """
    try:
        known = path.read_text("utf-8-sig", "replace").split("\n") if path.exists() else []
        known = [each for each in known if each.strip()]
        _refuse_other(connection, known[-1:], str(path))
        if line is not None and line not in known[-1:]:
            with path.open("a", encoding="utf-8") as out:
                out.write(line + "\n")
    except OSError as error:
        raise ActivityError(
            f"cannot write the anchor to {path}: {(error.strerror or str(error)).lower()}; name a "
            "file in a folder that is there, and that this user may write to"
        ) from error


def _refuse_other(connection: Connection, ends: Iterable[str], place: str) -> None:
    """IntegrityError if the last of the anchors at *place* is none of this trail."""
    for last in ends:
        anchor = parsed(last)
        text = None if anchor else f"{last[:80]!r} is no anchor"
        if anchor is not None:
            fault = contradiction(connection, *anchor)
            text = None if fault is None else fault[1]
        if text is not None:
            raise IntegrityError(
                f"nothing was added to {place}, for it ends with another trail: {text}; run "
                "activity:verify with that anchor"
            )
