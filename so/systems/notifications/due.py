"""Sends what was held back, as soon as it is due: one by one, or in a digest."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple, Protocol

from so.errors import RecordNotFoundError
from so.support.clock import Clock
from so.support.progress import steps
from so.systems.notifications.delivery import FAILED, HELD, MUTED, REFUSED, Delivery, Outcome
from so.systems.notifications.later import DIGESTED, Digest
from so.systems.notifications.ledger import LEASE, Kept, Ledger
from so.systems.notifications.message import MailMessage, Notification
from so.systems.notifications.preferences import Preferences

_log = logging.getLogger("so.notifications")
TRIED_FOR = timedelta(days=1)  # what could not be sent is tried again for so long
_TRIED = "not sent yet: "


class _Item(NamedTuple):
    kept: Kept
    delivery: Delivery

    @property
    def is_for_digest(self) -> bool:
        return bool(self.delivery.notification.digest) and self.kept.channel == DIGESTED


class Sender(Protocol):
    """What is asked of the service when something is due."""

    def to(self, addresses: Mapping[str, Any]) -> Any: ...

    def attempt(self, delivery: Delivery) -> bool: ...

    def attempt_together(
        self, deliveries: Sequence[Delivery], digest: Callable[[list[Delivery]], Notification]
    ) -> int: ...

    def announce_failure(self, delivery: Delivery, error: BaseException) -> None: ...


class HeldBack:
    """What waits in the ledger, and how it goes out."""

    def __init__(
        self, service: Sender, ledger: Ledger, preferences: Preferences, clock: Clock
    ) -> None:
        self._service, self._ledger = service, ledger
        self._preferences, self._clock = preferences, clock

    def send(self) -> int:
        """Send all that is due; how many notifications.

        What fails is tried again for a day. Two processes may do this at once. One that is killed
        in the middle leaves what it had taken to the next, a quarter of an hour later.
        """
        count, step = 0, steps(lambda: int(self._ledger.due().count()))
        while taken := self._ledger.take_due():
            items = self._unmuted([item for kept in taken if (item := self._revived(kept))])
            count += sum(self._sent([it]) for it in items if not it.is_for_digest)
            count += self._digested([it for it in items if it.is_for_digest])
            step(len(taken))
        return count

    def _digested(self, items: Sequence[_Item]) -> int:
        """Send *items* as one mail; one that cannot be written holds up none of the others."""
        mails: dict[str, MailMessage] = {}
        for item in items:
            what, who = item.delivery.notification, item.delivery.notifiable
            try:
                mails[item.delivery.id] = MailMessage.of(what.written_for(DIGESTED, who))
            except Exception as error:
                self._try_again(item, error)
        written = [item for item in items if item.delivery.id in mails]
        return self._sent(written, lambda wanted: Digest([mails[it.id] for it in wanted]))

    def _revived(self, kept: Kept) -> _Item | None:
        try:
            who, addresses, what = self._ledger.revived(kept)
        except RecordNotFoundError as error:
            self._ledger.settle(kept, Outcome(REFUSED, f"who or what it is about is gone: {error}"))
        except Exception as error:
            _log.exception("a notification that was held back cannot be read")
            self._ledger.settle(kept, Outcome(FAILED, f"cannot be read: {error}"))
        else:
            to = who if addresses is None else self._service.to(addresses)
            return _Item(kept, Delivery(kept.notification_id, to, what, kept.channel))
        return None

    def _unmuted(self, items: Sequence[_Item]) -> list[_Item]:
        """Those that nobody has muted while they waited."""
        muted = self._preferences.of([item.delivery for item in items])
        wanted = []
        for item in items:
            why = muted.why(item.delivery)
            if why is None:
                wanted.append(item)
            else:
                self._ledger.settle(item.kept, Outcome(MUTED, why))
        return wanted

    def _sent(
        self,
        items: Sequence[_Item],
        digest: Callable[[list[Delivery]], Digest] | None = None,
    ) -> int:
        try:
            if digest is None or len(items) < 2:
                return sum(self._service.attempt(item.delivery) for item in items)
            return self._service.attempt_together([item.delivery for item in items], digest)
        except Exception as error:
            for item in items:
                self._try_again(item, error)
            return 0

    def _try_again(self, item: _Item, error: Exception) -> None:
        now = self._clock.now()
        since = self._failing_since(item.kept) or now
        if now - since >= TRIED_FOR:
            self._service.announce_failure(item.delivery, error)
            return
        reason = f"{_TRIED}since {since.isoformat()}: {type(error).__name__}: {error}"
        self._ledger.settle(item.kept, Outcome(HELD, reason, now + LEASE))

    @staticmethod
    def _failing_since(kept: Kept) -> datetime | None:
        said, _, rest = (kept.reason or "").partition("since ")
        return datetime.fromisoformat(rest.partition(": ")[0]) if said == _TRIED else None
