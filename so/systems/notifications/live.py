"""The live inbox: tells whoever listens in this process what is new, by server-sent events.

One look at the database a second serves all listeners of the process, however many they are; a
further one follows where something was found. Who may listen, and how the events reach him, is
decided in so/web/inbox.py.
"""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, Protocol

from so.db.manager import ConnectionSource
from so.settings.notifications import NotificationSettings
from so.support.clock import Clock
from so.support.codec import dumps
from so.support.listed import parts
from so.systems.notifications.inbox import DatabaseNotification, owner_columns

_log = logging.getLogger("so.notifications")

LOOK_SECONDS = 1.0
# A row shows when its transaction commits, and bears the time at which it was written: every look
# goes back a little, every tenth one by as much as a long transaction may take.
RECENT = timedelta(seconds=5)
LATE = timedelta(seconds=120)
LATE_EVERY = 10  # looks
BEAT_SECONDS = 15.0  # between two signs of life, which proxies wait for
KNOWN = 64  # ids that a position remembers
CATCH_UP = 100  # notifications told to one who comes back, the newest
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Owner = tuple[str, str]


class Line(Protocol):
    """The way to one listener."""

    def send(self, data: bytes) -> bool:
        """Pass *data* on; False when nobody is there any more."""

    def end(self) -> None:
        """End it in good order: the listener comes again by itself."""


@dataclass
class Position:
    """How far a listener has been told: all up to *floor*, and beyond it the *known* ids.

    As text it is the id of the last event, with which a browser comes back.
    """

    floor: datetime
    known: dict[str, datetime] = field(default_factory=dict)

    def is_new(self, id: str, at: datetime) -> bool:
        """Is this a row that was not told yet?"""
        return at > self.floor and _short(id) not in self.known

    def note(self, id: str, at: datetime) -> None:
        """It is told; what is too old to be asked about again is forgotten."""
        self.known[_short(id)] = at
        self.floor = max(self.floor, at - LATE)
        for short, when in sorted(self.known.items(), key=lambda item: item[1]):
            if when <= self.floor or len(self.known) > KNOWN:
                self.floor = max(self.floor, when)
                del self.known[short]

    def __str__(self) -> str:
        return "-".join([str((self.floor - _EPOCH) // timedelta(microseconds=1)), *self.known])

    @classmethod
    def read(cls, text: str | None) -> Position | None:
        """The position that *text* is; None for what is none."""
        floor, *known = (text or "").split("-")
        with suppress(ValueError, OverflowError):
            if floor.isascii() and floor.isdigit() and len(known) <= KNOWN:
                at = _EPOCH + timedelta(microseconds=int(floor))
                return cls(at, dict.fromkeys(known, at + LATE))
        return None


@dataclass(eq=False)
class Listener:
    """Somebody who hears of an inbox: whose, by which way, how far he was told, until when."""

    owner: Owner
    line: Line
    position: Position
    until: float
    beat_at: float


class LiveInbox:
    """The listeners of one process."""

    def __init__(
        self,
        db: ConnectionSource,
        clock: Clock | None = None,
        *,
        seconds: float = NotificationSettings.stream_seconds,
        runs: bool = True,
    ) -> None:
        """*seconds* until a listener is sent away, to come again; without *runs* nothing is looked
        for but by `look()`.
        """
        self._db = db
        self._clock = clock or Clock()
        self._seconds = seconds
        self._runs = runs
        self._listeners: set[Listener] = set()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._looks = 0
        self._read: dict[tuple[str, datetime], None] = {}
        self._is_away = False

    def __len__(self) -> int:
        return len(self._listeners)

    # --- coming and going ---

    def first(self, user: Any, last: str | None = None) -> tuple[Position, bytes]:
        """What *user* is told at once: what came after the event *last*, and how many are unread.

        Who was told nothing yet has everything there is behind him.
        """
        owner, told = _owner_of(user), b""
        position, now = Position.read(last), self._clock.now()
        if position is None or position.floor > now:  # a moment to come would silence all until it
            position = Position(now - LATE)
            for row in self._after(owner, position.floor, KNOWN + 1):
                position.note(*row)
        else:
            rows = self._after(owner, position.floor, CATCH_UP)
            told = self._told(position, rows[::-1], self._shown([id for id, _ in rows]))
        return position, told + _unread(self._counts([owner]).get(owner, 0))

    def listen(self, user: Any, position: Position, line: Line) -> None:
        """Tell *line* from now on what is new to *user* beyond *position*."""
        now = self._clock.monotonic()
        owner = _owner_of(user)
        with self._lock:
            # Spread, so that those who came together do not come again together.
            until = now + self._seconds * (1 - len(self._listeners) % 32 / 64)
            self._listeners.add(Listener(owner, line, position, until, now + BEAT_SECONDS))
            if self._runs and self._thread is None:
                self._thread = threading.Thread(target=self._run, name="so-inbox", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        pause = threading.Event()
        while True:
            self.look()
            with self._lock:
                if not self._listeners:
                    self._thread = None
                    break
            pause.wait(LOOK_SECONDS)
        with suppress(Exception):
            self._db.connection().close()

    def close(self) -> None:
        """Send everybody away: the application ends."""
        with self._lock:
            listeners, self._listeners = list(self._listeners), set()
        for listener in listeners:
            listener.line.end()

    # --- looking ---

    def look(self) -> None:
        """Tell everybody what is new: one statement, and two more where there is something."""
        with self._lock:
            listeners = list(self._listeners)
        if not listeners:
            return
        try:
            self._tell(listeners)
            self._is_away = False
        except Exception:
            if not self._is_away:
                _log.exception("the inboxes cannot be looked at; it is tried again")
            self._is_away = True
        self._keep(listeners)

    def _tell(self, listeners: list[Listener]) -> None:
        by_owner: dict[Owner, list[Listener]] = defaultdict(list)
        for listener in listeners:
            by_owner[listener.owner].append(listener)
        changed, new = self._changed(by_owner)
        if not changed:
            return
        counts = self._counts(changed)
        shown = self._shown({id for rows in new.values() for id, _ in rows})
        for owner in changed:
            rows = sorted(new.get(owner, ()), key=_age)
            for listener in by_owner[owner]:
                told = self._told(listener.position, rows, shown)
                self._send(listener, told + _unread(counts.get(owner, 0)))

    def _changed(
        self, by_owner: dict[Owner, list[Listener]]
    ) -> tuple[set[Owner], dict[Owner, list[tuple[str, datetime]]]]:
        """Whose inbox has changed, and the rows in it that are new to one of its listeners."""
        now = self._clock.now()
        since = now - (RECENT if self._looks % LATE_EVERY else LATE)
        self._looks += 1
        changed: set[Owner] = set()
        new: dict[Owner, list[tuple[str, datetime]]] = defaultdict(list)
        read: dict[tuple[str, datetime], None] = {}
        zone = self._db.connection().zone
        for id, *names, created_at, read_at in self._rows(since, now - RECENT):
            owner: Owner = (names[0], names[1])
            if owner not in by_owner:
                continue
            if read_at is not None:
                read[id, read_at] = None
                changed |= {owner} - ({owner} if (id, read_at) in self._read else set())
            at = _aware(created_at, zone)
            if at is not None and any(
                listener.position.is_new(id, at) for listener in by_owner[owner]
            ):
                new[owner].append((id, at))
                changed.add(owner)
        self._read = read
        return changed, new

    def _rows(self, created: datetime, read: datetime) -> Iterable[Any]:
        columns = ["id", "notifiable_type", "notifiable_id", "created_at", "read_at"]
        connection = self._db.connection()
        old, new = (connection.table("notifications").select(columns) for _ in range(2))
        # Made distinct here: to do it SQLite 3.53 walks the whole table by its key.
        query = new.where("created_at", ">=", created).union_all(old.where("read_at", ">=", read))
        return dict.fromkeys(connection.select_tuples(query.to_sql(), query.get_bindings()))

    def _after(self, owner: Owner, floor: datetime, most: int) -> list[tuple[str, datetime]]:
        """The newest *most* of those written after *floor*, newest first."""
        query = _of([owner], DatabaseNotification.on(self._db)).where("created_at", ">", floor)
        query = query.order_by_desc("created_at").order_by_desc("id")
        rows = query.limit(most).get(["id", "created_at"])
        return [(row.id, row.created_at) for row in rows]

    def _counts(self, owners: Iterable[Owner]) -> dict[Owner, int]:
        """How many are unread, of those who have any."""
        query = _of(owners, self._db.connection().table("notifications")).where_null("read_at")
        names = ["notifiable_type", "notifiable_id"]
        rows = query.select(names).select_raw("count(*) as unread").group_by(*names).get()
        return {(row[names[0]], row[names[1]]): int(row["unread"]) for row in rows}

    def _shown(self, ids: Iterable[str]) -> dict[str, bytes]:
        """Each notification as the JSON that a listener gets; those that are gone left out."""
        found = {}
        for some in parts(list(ids)):
            query = DatabaseNotification.on(self._db).where_in("id", some)
            found.update({row.id: dumps(row.to_dict()).encode() for row in query.get()})
        return found

    # --- telling ---

    @staticmethod
    def _told(
        position: Position, rows: list[tuple[str, datetime]], shown: dict[str, bytes]
    ) -> bytes:
        """The events of those of *rows* that are new at *position*, which moves on."""
        events = []
        for id, at in [row for row in rows if position.is_new(*row)]:
            position.note(id, at)
            if id in shown:
                head = f"id: {position}\nevent: notification\ndata: ".encode()
                events.append(head + shown[id] + b"\n\n")
        return b"".join(events)

    def _send(self, listener: Listener, data: bytes) -> None:
        if not listener.line.send(data):
            self._forget(listener)

    def _forget(self, listener: Listener) -> None:
        with self._lock:
            self._listeners.discard(listener)

    def _keep(self, listeners: list[Listener]) -> None:
        """Give signs of life, and send away who was here long enough: he may be logged out."""
        now = self._clock.monotonic()
        for listener in listeners:
            if now >= listener.until:
                listener.line.end()
                self._forget(listener)
            elif now >= listener.beat_at:
                listener.beat_at = now + BEAT_SECONDS
                self._send(listener, b":\n\n")


def _unread(count: int) -> bytes:
    return b'event: unread\ndata: {"unread":%d}\n\n' % count


def _owner_of(user: Any) -> Owner:
    columns = owner_columns(user)
    return columns["notifiable_type"], columns["notifiable_id"]


def _of(owners: Iterable[Owner], query: Any) -> Any:
    """*query* for the rows of *owners*, all of one type but in odd applications."""
    by_type: dict[str, list[str]] = defaultdict(list)
    for type_, id in owners:
        by_type[type_].append(id)

    def any_of(some: Any) -> None:
        for type_, ids in by_type.items():
            some.or_where(
                lambda one, t=type_, i=ids: one.where("notifiable_type", t).where_in(
                    "notifiable_id", i
                )
            )

    return query.where(any_of)


def _age(row: tuple[str, datetime]) -> tuple[datetime, str]:
    return row[1], row[0]


def _short(id: str) -> str:
    return id.replace("-", "")[-8:]


def _aware(at: Any, zone: tzinfo) -> datetime | None:
    """A time as a database of that *zone* gives it; None for what is none, written by hand."""
    try:
        found = datetime.fromisoformat(at) if isinstance(at, str) else at
    except ValueError:
        return None
    if not isinstance(found, datetime):
        return None
    return found if found.tzinfo is not None else found.replace(tzinfo=zone)
