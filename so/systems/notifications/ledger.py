"""The ledger of deliveries: what came of each, and why. The table `notification_deliveries`.

An inbox row that was written at once is its own note: there is no other one here.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from so.db.manager import ConnectionSource
from so.errors import NotificationError
from so.support.clock import Clock
from so.support.codec import Codec
from so.support.listed import parts
from so.systems.notifications.delivery import FAILED, HELD, SENT, WANTED, Delivery, Outcome
from so.systems.notifications.inbox import owner_columns

LONGEST_REASON = 500  # characters, as the column holds
LEASE = timedelta(minutes=15)  # how long what was taken is left to whoever took it
_BEING_SENT = "being sent by {}"
_LAPSED = "; it ended before it could note what came of it, and notification:due looks into it"
_LOST = "whoever sent it ended before it was noted, and nothing was kept to send it again"
MOST_TAKEN = 200  # for one recipient at a time


class Kept(NamedTuple):
    """A row of the ledger that can be made a delivery again."""

    notification_id: str
    channel: str
    payload: str
    reason: str | None


class Ledger:
    """Notes outcomes; a delivery that was made stays noted as that."""

    def __init__(self, db: ConnectionSource, clock: Clock, codec: Codec | None = None) -> None:
        """*codec* writes what could not be sent, so that it can be sent again."""
        self._db = db
        self._clock = clock
        self._codec = codec

    def status(self, delivery: Delivery) -> str | None:
        """What came of *delivery*; None if nothing was decided."""
        found: str | None = self._row_for(delivery).value("status")
        return found

    def decide(self, outcomes: Sequence[tuple[Delivery, Outcome]]) -> None:
        """Note what was decided where nothing was before: the first who decides, decides."""
        rows = [self._row(delivery, outcome) for delivery, outcome in outcomes]
        for some in parts(rows):
            self._rows().insert_or_ignore(some)

    def note(self, delivery: Delivery, outcome: Outcome) -> None:
        """Note what came of *delivery*, in place of what was noted before."""
        row = self._row(delivery, outcome)
        changed = {name: row[name] for name in ("status", "reason", "payload", "sent_at", "due_at")}
        if not self._row_for(delivery).where("status", "<>", SENT).update(changed):
            self._rows().insert_or_ignore(row)

    def claim(self, delivery: Delivery, holder: str, *, keep: bool = False) -> bool:
        """Take *delivery* before it is made; False if it was made, or somebody else is about to.

        *keep* it so that it can be made without *holder*, whom no job brings back.
        Who is killed keeps it until its lease is over, or until *holder* comes again. So what was
        sent, and could not be noted any more, is sent again: twice rather than not at all.
        """
        now = self._clock.now()
        taken = Outcome(WANTED, _BEING_SENT.format(holder), now + LEASE)
        row = {**self._row(delivery, taken), "payload": self._payload(delivery) if keep else None}
        if self._rows().insert_or_ignore(row):
            return True
        free = self._row_for(delivery).where("status", "<>", SENT)
        free.where(lambda q: self._is_free(q, now).or_where("reason", taken.reason))
        changed = {name: row[name] for name in ("status", "reason", "due_at", "payload")}
        return bool(free.update(changed))

    def is_taken(self, delivery: Delivery) -> bool:
        """Is somebody about to make it?"""
        taken = self._row_for(delivery).where_not_in("status", [SENT, HELD])
        return bool(taken.where("due_at", ">", self._clock.now()).exists())

    def give_back(self, delivery: Delivery, holder: str) -> None:
        """Let whoever wants have what *holder* took and did not make."""
        mine = self._row_for(delivery).where("reason", _BEING_SENT.format(holder))
        mine.where("status", WANTED).update({"reason": None, "due_at": None})

    def begin_anew(self, ids: Sequence[str]) -> None:
        """Forget of *ids* what was decided and not sent: they are asked for again.

        What is held keeps its time: whoever is told of something ever again would never hear it.
        What somebody is sending just now stays his.
        """
        now = self._clock.now()
        for some in parts(ids):
            query = self._rows().where_in("notification_id", some)
            query = query.where_not_in("status", [SENT, HELD])
            query.where(lambda q: self._is_free(q, now)).delete()

    @staticmethod
    def _is_free(query: Any, now: datetime) -> Any:
        return query.where_null("due_at").or_where("due_at", "<=", now)

    def of(self, id: str) -> list[dict[str, Any]]:
        """The rows of the notification *id*, a channel each."""
        id = str(id)  # a server compares a number with the beginning of a text
        columns = [
            "channel", "status", "reason", "sent_at", "type", "notifiable_type", "notifiable_id"
        ]  # fmt: skip
        mine = self._rows().where("notification_id", id)
        rows = [dict(row) for row in mine.clone().order_by("channel").get(columns)]
        lapsed = set(self._lapsed(mine).pluck("channel"))
        for row in rows:
            if row["channel"] in lapsed:
                row["reason"] += _LAPSED
        return rows

    def _lapsed(self, query: Any) -> Any:
        """Those of *query* that somebody took, and had for too long."""
        lapsed = query.where("status", WANTED).where("due_at", "<=", self._clock.now())
        return lapsed.where("reason", "like", _BEING_SENT.format("process %"))

    def give_up_lost(self) -> int:
        """Let what was taken, never noted, and cannot be made again count as failed; how many."""
        lost = self._lapsed(self._rows()).where_null("payload")
        changed = {"status": FAILED, "reason": _LOST, "due_at": None, "sent_at": self._clock.now()}
        return int(lost.update(changed))

    def take_failed(self, id: str, channel: str | None = None) -> list[Kept]:
        """What of *id* has failed and is kept, for one who asks to send it again.

        Whoever else asks gets nothing for a while: should this process end, they may have it then.
        """
        query = self._rows().where("notification_id", str(id)).where("status", FAILED)
        if channel is not None:
            query = query.where("channel", channel)
        now = self._clock.now()
        return self._take(query.where(lambda q: self._is_free(q, now)))

    def overdue(self, since: datetime) -> tuple[int, str]:
        """How many should have gone out before *since*, and when the first of them should have."""
        late = self._rows().where_in("status", [HELD, WANTED]).where("due_at", "<", since)
        late = late.where(lambda q: q.where("status", HELD).or_where_not_null("payload"))
        row = late.select_raw("count(*) as n, min(due_at) as first").first()
        return int(row["n"]), str(row["first"])

    def due(self) -> Any:
        """The rows that were held back, or left behind by who is gone, and may go out now."""
        due = self._rows().where_in("status", [HELD, WANTED])
        due = due.where("due_at", "<=", self._clock.now())
        return due.where_not_null("payload")  # else one that nobody can read would stop the others

    def take_due(self) -> list[Kept]:
        """What was held back for one recipient by one channel, and may go out now."""
        due = self.due()
        first = due.clone().order_by("due_at").first()
        if first is None:
            return []
        same = ["channel", "notifiable_type", "notifiable_id"]
        if first["notifiable_id"] is None:
            same = ["channel", "notification_id"]  # addresses are told one by one
        return self._take(due.where({name: first[name] for name in same}))

    def _take(self, query: Any) -> list[Kept]:
        """Those rows of *query* that nobody else takes meanwhile."""
        taken = []
        again_at = self._clock.now() + LEASE
        for row in query.where_not_null("payload").order_by("sent_at").limit(MOST_TAKEN).get():
            kept = Kept(**{name: row[name] for name in Kept._fields})
            mine = self._row_of(kept).where("status", row["status"])
            was = row["due_at"]
            mine = mine.where_null("due_at") if was is None else mine.where("due_at", was)
            if mine.update({"due_at": again_at}):
                taken.append(kept)
        return taken

    def revived(self, kept: Kept) -> tuple[Any, Any, Any]:
        """Recipient, addresses and notification of what was kept; raises for what is gone."""
        if self._codec is None:
            raise NotificationError("nothing can be read of what was kept: give a codec")
        who, addresses, what = self._codec.decode(kept.payload)
        return who, addresses, what

    def settle(self, kept: Kept, outcome: Outcome) -> None:
        """Note what became of *kept*, which stays kept."""
        reason = (outcome.reason or "")[:LONGEST_REASON] or None
        changed = {
            "status": outcome.status, "reason": reason, "due_at": outcome.due_at,
            "sent_at": self._clock.now(),
        }  # fmt: skip
        self._row_of(kept).update(changed)

    def can_keep(self, delivery: Delivery) -> bool:
        """Can *delivery* be written down, to be made later?"""
        return self._payload(delivery) is not None

    def _row_for(self, delivery: Delivery) -> Any:
        of_it = self._rows().where("notification_id", delivery.id)
        return of_it.where("channel", delivery.channel)

    def _row_of(self, kept: Kept) -> Any:
        return self._rows().where("notification_id", kept.notification_id).where(
            "channel", kept.channel
        )  # fmt: skip

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
            "payload": self._payload(delivery) if outcome.status in (FAILED, HELD) else None,
            "due_at": outcome.due_at,
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
