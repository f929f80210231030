"""`Certificates`: what was pruned or erased refers to a row of the trail that says so."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from so.db.connection import Connection
from so.db.words import marks
from so.support.listed import parts
from so.systems.activity import stored
from so.systems.activity.keys import KeyRing
from so.systems.activity.report import Report


class Certificates:
    """Those that one verification came across, and how often each was referred to."""

    def __init__(self, connection: Connection, ring: KeyRing, report: Report) -> None:
        self._connection = connection
        self._ring = ring
        self._report = report
        self._needed: dict[tuple[str, str], Any] = {}
        self._counts: Counter[tuple[str, str]] = Counter()

    def need(self, uid: Any, event: str, seal: int | None = None, count: int = 1) -> None:
        """Somebody refers to the certificate *uid*, of so many rows that were *event*."""
        self._needed.setdefault((str(uid), event), seal)
        self._counts[(str(uid), event)] += count

    def check(self, in_force: str | None) -> None:
        """Each must be there, be what was written, and be of at least as many rows."""
        rows = self._rows()
        erased = stored.erasures(self._connection, list(rows.values()))
        for (uid, event), seal in self._needed.items():
            row = rows.get(uid)
            text = self._fault(row, event, in_force, erased)
            if text is None and row is not None and _rows_of(row) < self._counts[(uid, event)]:
                text = f"is of {_rows_of(row)} rows, and {self._counts[(uid, event)]} refer to it"
            if text is not None:
                text = f"the certificate {uid} of rows that were {event} {text}"
                self._report.fault(stored.PRUNED, text, seal=seal)

    def _fault(
        self, row: stored.Stored | None, event: str, in_force: str | None, erased: Any
    ) -> str | None:
        if row is None or row.value("log_name") != "audit" or row.value("event") != event:
            return "is missing"
        fault, _ = stored.judge(row, self._ring, erased, in_force=in_force)
        return None if fault in (None, stored.KEY_UNKNOWN) else f"is not what was written: {fault}"

    def _rows(self) -> dict[str, stored.Stored]:
        uids = list({uid for uid, _ in self._needed})
        return {
            row.uid: row
            for part in parts(uids)
            for row in stored.rows(self._connection, f"uid in ({marks(part)})", part)
        }


def _rows_of(row: stored.Stored) -> float:
    """How many rows the certificate says it is of; any number where it does not say."""
    try:
        found = json.loads(row.value("properties") or "{}").get("rows")
    except (AttributeError, TypeError, ValueError):
        return 0
    return found if type(found) is int else float("inf")
