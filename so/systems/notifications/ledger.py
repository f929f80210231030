"""The ledger of deliveries: what came of each, and why. The table `notification_deliveries`.

An inbox row that was written at once is its own note: there is no other one here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from so.db.manager import ConnectionSource
from so.support.clock import Clock
from so.support.codec import Codec
from so.systems.notifications.delivery import FAILED, SENT, WANTED, Delivery, Outcome
from so.systems.notifications.inbox import owner_columns

LONGEST_REASON = 500  # characters, as the column holds
ROWS = 500  # to a statement


class Ledger:
    """Notes outcomes; a delivery that was made stays noted as that."""

    def __init__(self, db: ConnectionSource, clock: Clock, codec: Codec | None = None) -> None:
        """*codec* writes what could not be sent, so that it can be sent again."""
        self._db = db
        self._clock = clock
        self._codec = codec

    def status(self, delivery: Delivery) -> str | None:
        """What came of *delivery*; None if nothing was decided."""
        query = self._rows().where("notification_id", delivery.id)
        found: str | None = query.where("channel", delivery.channel).value("status")
        return found

    def decide(self, outcomes: Sequence[tuple[Delivery, Outcome]]) -> None:
        """Note what was decided where nothing was before: the first who decides, decides."""
        rows = [self._row(delivery, outcome) for delivery, outcome in outcomes]
        for start in range(0, len(rows), ROWS):
            self._rows().insert_or_ignore(rows[start : start + ROWS])

    def note(self, delivery: Delivery, outcome: Outcome) -> None:
        """Note what came of *delivery*, in place of what was noted before."""
        row = self._row(delivery, outcome)
        changed = {name: row[name] for name in ("status", "reason", "payload", "sent_at")}
        query = self._rows().where("notification_id", delivery.id)
        query = query.where("channel", delivery.channel).where("status", "<>", SENT)
        if not query.update(changed):
            self._rows().insert_or_ignore(row)

    def begin_anew(self, ids: Sequence[str]) -> None:
        """Forget of *ids* what was decided and not sent: they are asked for again."""
        for start in range(0, len(ids), ROWS):
            query = self._rows().where_in("notification_id", list(ids[start : start + ROWS]))
            query.where("status", "<>", SENT).delete()

    def of(self, id: str) -> list[dict[str, Any]]:
        """The rows of the notification *id*, a channel each."""
        columns = [
            "channel", "status", "reason", "sent_at", "type", "notifiable_type", "notifiable_id"
        ]  # fmt: skip
        rows = self._rows().where("notification_id", id).order_by("channel").get(columns)
        return [dict(row) for row in rows]

    def take_failed(self, id: str, channel: str | None = None) -> list[tuple[str, Any, Any, Any]]:
        """What of *id* has failed and is kept, for one who asks to send it again: channel,
        recipient, addresses and notification.
        """
        query = self._rows().where("notification_id", id).where("status", FAILED)
        query = query.where_not_null("payload")
        if channel is not None:
            query = query.where("channel", channel)
        taken = []
        for row in query.get(["channel", "payload"]):
            mine = self._rows().where("notification_id", id).where("channel", row["channel"])
            if self._codec and mine.where("status", FAILED).update({"status": WANTED}):
                taken.append((row["channel"], *self._codec.decode(row["payload"])))
        return taken

    def _row(self, delivery: Delivery, outcome: Outcome) -> dict[str, Any]:
        who = delivery.notifiable
        has_key = hasattr(who, "get_key") and who.get_key() is not None
        owner = owner_columns(who) if has_key else {"notifiable_type": None, "notifiable_id": None}
        return {
            "notification_id": delivery.id,
            "channel": delivery.channel,
            "status": outcome.status,
            "sent_at": self._clock.now(),
            "reason": None if outcome.reason is None else outcome.reason[:LONGEST_REASON],
            "type": delivery.notification.alias(),
            **owner,
            "payload": self._payload(delivery) if outcome.status == FAILED else None,
        }

    def _payload(self, delivery: Delivery) -> str | None:
        who, what = delivery.notifiable, delivery.notification
        if self._codec is None or not what.resendable:
            return None
        addresses = getattr(who, "addresses", None)
        carried = [None, addresses, what] if addresses is not None else [who, None, what]
        return self._codec.encode(carried) if self._codec.can_write(carried) else None

    def _rows(self) -> Any:
        return self._db.connection().table("notification_deliveries")
