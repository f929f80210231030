"""Deletes old notifications and forgets their deliveries, as many at a time as take a moment."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

from so.db.manager import ConnectionSource
from so.errors import NotificationError
from so.support.progress import steps

SHORT_SECONDS = 0.03  # that a part should take: others wait so long, and on a slow disk longer
FIRST_ROWS, FEWEST_ROWS = 50, 10


class Cleaning:
    """One clean-up, in parts that each hold the database for some milliseconds."""

    def __init__(self, db: ConnectionSource, batch: int) -> None:
        """At most *batch* rows at a time, and as many fewer as keep it short."""
        if isinstance(batch, bool) or not isinstance(batch, int) or batch < 1:
            raise NotificationError(f"batch must be a whole number from 1, not {batch!r}")
        self._db = db
        self._batch = batch
        self._size = min(batch, FIRST_ROWS)

    def inbox(self, old: Callable[[Any], Any], column: str) -> int:
        """Delete the notifications that *old* picks, oldest *column* first; how many."""
        total = 0
        for ids in self._parts(lambda: old(self._rows("notifications")), "id", column):
            with self._db.connection().transaction():
                # Asked again: somebody may have marked one as unread meanwhile.
                total += int(old(self._rows("notifications")).where_in("id", ids).delete())
                kept = set(self._rows("notifications").where_in("id", ids).pluck("id"))
                gone = [id for id in ids if id not in kept]
                self._rows("notification_deliveries").where_in("notification_id", gone).delete()
        return total

    def ledger(self, until: datetime) -> None:
        """Forget deliveries of that age whose notification is in no inbox (any more)."""

        def old() -> Any:
            query = self._rows("notification_deliveries")
            inbox = "notifications.id", "=", "notification_deliveries.notification_id"
            query = query.left_join("notifications", *inbox).where_null("notifications.id")
            return query.where("notification_deliveries.sent_at", "<=", until)

        for ids in self._parts(old, "notification_deliveries.notification_id", "sent_at"):
            query = self._rows("notification_deliveries").where("sent_at", "<=", until)
            query.where_in("notification_id", ids).delete()

    def _parts(self, old: Callable[[], Any], id: str, column: str) -> Iterator[list[str]]:
        """The ids of what *old* picks, which must be gone from it when the next are asked for.

        Each part begins at the time where the last one ended: what is kept is not read again.
        """
        last, step = None, steps(lambda: int(old().count()))
        while True:
            query = old() if last is None else old().where(column, ">=", last)
            rows = query.order_by(column).limit(self._size).get([f"{id} as id", f"{column} as at"])
            if not rows:
                return
            begun = time.monotonic()
            yield sorted({row["id"] for row in rows})
            step(len(rows))
            self._rest(time.monotonic() - begun)
            last = rows[-1]["at"]

    def _rest(self, took: float) -> None:
        """Let others write for as long as they had to wait; take more or fewer the next time.

        A few more after a short part, and after a long one what it should have been: a machine that
        is busy now and then makes long ones of those that were short.
        """
        if took > SHORT_SECONDS:
            self._size = max(FEWEST_ROWS, int(self._size * SHORT_SECONDS / took))
        elif took < SHORT_SECONDS / 3:
            self._size = min(self._batch, self._size + FEWEST_ROWS)
        time.sleep(took)

    def _rows(self, table: str) -> Any:
        return self._db.connection().table(table)
