"""`Integrity`: signs rows as they are written, and has committed rows sealed soon after."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from operator import itemgetter
from typing import Any

from so.db.connection import Connection
from so.errors import ConfigError
from so.systems.activity import framing
from so.systems.activity.keys import ROW, KeyRing
from so.systems.activity.turns import SealTurn, turn_of

_signed = itemgetter("salt", *framing.FRAMED, *framing.CONTENT)
MODES = ("off", "mac", "seal")
TURN_SECONDS = 2.0  # for which one process seals for all


class Integrity:
    """`mode` is mac (rows are signed) or seal (and folded into seals); `ring` has the keys."""

    def __init__(self, mode: str, ring: KeyRing) -> None:
        self.mode = mode
        self.ring = ring
        self._mac = ring.signing(ROW)

    @property
    def seals(self) -> bool:
        """True if rows are folded into seals."""
        return self.mode == "seal"

    def sign(self, row: dict[str, Any]) -> None:
        """Add key_id and row_mac to *row*, whose values are as the database will hold them."""
        row["key_id"] = self.ring.key_id
        row["row_mac"] = self._mac(framing.signed(_signed(row)))


def integrity(mode: str | None, keys: Sequence[str | None]) -> Integrity | None:
    """The integrity that the settings ask for; None for off, the default without a key.

    Raises ConfigError for an unknown mode, and for mac or seal without a key.
    """
    given = [key for key in keys if key]
    wanted = mode or ("seal" if given else "off")
    if wanted not in MODES:
        raise ConfigError(f"unknown activity.integrity {mode!r}: use one of {', '.join(MODES)}")
    if wanted == "off":
        return None
    if not given or not keys[0]:
        raise ConfigError(f"activity.integrity is {wanted!r}, but there is no AUDIT_KEY: set it")
    return Integrity(wanted, KeyRing(*given))


class SealSoon:
    """Seals what was committed a moment ago, in a thread that ends when nothing is left.

    One thread of one process on this machine seals a database; the others only leave word that
    there is more. It has a connection of its own, so no business transaction waits for it. What is
    missed (the process ends, another machine seals), the next burst or `activity:seal` picks up.
    """

    def __init__(self, seal: Callable[[Connection], object], delay_seconds: float) -> None:
        self._seal = seal
        self._delay = delay_seconds
        self._last: tuple[Connection | None, Callable[[], None]] = None, lambda: None
        self._forget()

    def _forget(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._waiting: dict[str, Connection] = {}
        self._turns: dict[str, SealTurn] = {}
        self._thread: threading.Thread | None = None

    def after_commit_of(self, connection: Connection) -> None:
        """Have the database of *connection* sealed once its transaction is committed."""
        known, wake = self._last
        if known is not connection:
            wake = partial(self.wake, connection)
            self._last = connection, wake
        connection.after_commit(wake, again=False)

    def wake(self, connection: Connection) -> None:
        """Have the database of *connection* sealed soon; costs the caller next to nothing."""
        if self._pid != os.getpid():  # threads do not come along into a forked child
            self._forget()
        if connection.name in self._waiting:
            return
        with self._lock:
            self._waiting[connection.name] = connection
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="so-seal", daemon=True)
                self._thread.start()

    def wait(self, timeout_seconds: float = 10.0) -> None:
        """Until the thread that runs now has ended."""
        thread = self._thread
        if thread is not None:
            thread.join(timeout_seconds)

    def _run(self) -> None:
        while True:
            threading.Event().wait(self._delay)
            with self._lock:
                waiting, self._waiting = self._waiting, {}
                if not waiting:
                    self._thread = None
                    return
            for connection in waiting.values():
                self._seal_one(connection)

    def _seal_one(self, connection: Connection) -> None:
        try:
            turn = self._turns.get(connection.name)
            if turn is None:
                turn = self._turns[connection.name] = turn_of(connection)
            word = turn.ask()
            while turn.take():
                try:
                    self._have_turn(turn, connection)
                finally:
                    turn.give_up()
                before, word = word, turn.asked()
                if word == before:  # nobody left word after we had begun to look
                    turn.leave()
                    return
                threading.Event().wait(self._delay)
        except Exception:
            logging.getLogger("so.activity").warning("sealing failed", exc_info=True)

    def _have_turn(self, turn: SealTurn, connection: Connection) -> None:
        """Seal over one connection while there is more, for so long that it pays to have opened it.

        Then others may: who seals has less time for what else it does.
        """
        name, until = connection.name, time.monotonic() + TURN_SECONDS
        with connection.separate() as own:
            while True:
                with self._lock:
                    self._waiting.pop(name, None)
                latest = turn.asked()
                self._seal(own)
                is_more = turn.asked() != latest or name in self._waiting
                if not is_more or self._waiting.keys() - {name} or time.monotonic() > until:
                    return
                threading.Event().wait(self._delay)
