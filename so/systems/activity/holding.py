"""Legal holds: what concerns a record or a person is neither pruned nor erased until released.

A hold is an entry of the log `audit`, as everything that verification relies on: signed, sealed,
and with who asked for it and why.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from so.errors import ActivityError
from so.systems.activity import stored

if TYPE_CHECKING:
    from so.systems.activity.trail import Trail

HELD, RELEASED = "held", "released"


def hold(log: Trail, kind: str, id: str, reason: str) -> None:
    """Keep every row about or by *kind*:*id* until it is released. *reason* is what for."""
    _note(log, HELD, "On hold", kind, id, reason)


def release(log: Trail, kind: str, id: str, reason: str) -> None:
    """End the hold of *kind*:*id*; ActivityError if there is none."""
    if (kind, id) not in held(log):
        raise ActivityError(f"{kind}:{id} is not on hold")
    _note(log, RELEASED, "Released", kind, id, reason)


def held(log: Trail) -> dict[tuple[str, str], str]:
    """What is on hold now, and why; entries that nobody signed hold and release nothing."""
    connection, ring = log.db.connection(), log.integrity.ring if log.integrity else None
    found: dict[tuple[str, str], str] = {}
    for rows in stored.walk(connection, "log_name = 'audit' and event in (?, ?)", [HELD, RELEASED]):
        erased = stored.erasures(connection, rows)
        for row in rows:
            if ring is not None and stored.judge(row, ring, erased)[0] is not None:
                continue
            told = json.loads(row.value("properties") or "{}")
            kind, _, id = str(told.get("record")).partition(":")
            found.pop((kind, id), None)
            if row.value("event") == HELD:
                found[(kind, id)] = str(told.get("reason"))
    return found


def _note(log: Trail, event: str, text: str, kind: str, id: str, reason: str) -> None:
    if not (kind and id):
        raise ActivityError(f"'{kind}:{id}' names nobody: give a type and an id")
    if not reason or not reason.strip():
        raise ActivityError("a hold needs a reason: it is what the trail will show")
    record = f"{kind}:{id}"
    log.certify(event, f"{text}: {record}: {reason}", {"record": record, "reason": reason})
