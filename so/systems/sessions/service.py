"""Sessions as a whole: opening one for a request, listing devices, ending them, cleaning up."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from so.errors import ConfigError
from so.settings.session import SessionSettings
from so.support.agents import device_name
from so.support.clock import Clock
from so.support.codec import Codec, default_codec
from so.support.scope import current_session
from so.support.signing import Signer
from so.systems.sessions.ending import end_row, end_user
from so.systems.sessions.life import MOVE_NOTICE_SECONDS, Life, Limits, OnEnded, RowSeal, Visitor
from so.systems.sessions.session import Session
from so.systems.sessions.stores import SessionTable, StoredSession, owner_key, table_of_this_process

if TYPE_CHECKING:
    from so.db.manager import ConnectionSource

HANDLE_DIGITS = 24
_HANDLE = re.compile(rf"[0-9a-f]{{{HANDLE_DIGITS}}}")
_NOT_PRINTABLE = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")


class Cipher(Protocol):
    """What an installed encryption provider offers; the standard library has none."""

    def encrypt(self, text: str) -> str:
        """*text* as nobody else can read it."""
        ...

    def decrypt(self, text: str) -> str:
        """The text again; raises ValueError for what was altered."""
        ...


@dataclass(frozen=True, slots=True)
class Device:
    """One session in a list for people; the *handle* names it and opens nothing."""

    handle: str
    user_id: str | None
    ip_address: str | None
    user_agent: str | None
    last_activity: int
    created_at: int
    current: bool = False
    remembered: bool = False

    @property
    def ip(self) -> str | None:
        """The address it was last used from."""
        return self.ip_address

    @property
    def name(self) -> str:
        """What people call it: `Chrome on Windows`."""
        return device_name(self.user_agent)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "handle": self.handle,
            "user_id": self.user_id,
            "ip": self.ip_address,
            "user_agent": self.user_agent,
            "last_activity": self.last_activity,
            "created_at": self.created_at,
            "current": self.current,
            "remembered": self.remembered,
        }


class Devices(Sequence[Device]):
    """A list of sessions that is fetched when it is looked into; `count()` fetches none."""

    def __init__(
        self, fetch: Callable[[int | None], list[Device]], count: Callable[[], int] | None = None
    ) -> None:
        """*fetch* gives the first so many, or (None) all; *count* says how many there are."""
        self._fetch, self._count = fetch, count
        self._devices: list[Device] | None = None

    def to_list(self) -> list[Device]:
        """The sessions."""
        if self._devices is None:
            self._devices = self._fetch(None)
        return self._devices

    def count(self, *value: Any) -> int:
        """How many there are (or, as for any list, how many equal *value*)."""
        if value:
            return self.to_list().count(*value)
        if self._devices is None and self._count is not None:
            return self._count()
        return len(self)

    def __len__(self) -> int:
        return len(self.to_list())

    def __getitem__(self, index: Any) -> Any:
        if self._devices is None and isinstance(index, slice):
            begin, end = index.start or 0, index.stop
            if end is not None and begin >= 0 and end >= 0:  # the first ones: no more are fetched
                return self._fetch(end)[index]
        return self.to_list()[index]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, (Devices, list)) and self.to_list() == list(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return repr(self.to_list())


class Sessions:
    """Every session of the application, on every server that shares its database."""

    def __init__(
        self,
        db: ConnectionSource | None = None,
        *,
        lifetime_minutes: float = SessionSettings.lifetime,
        absolute_lifetime_minutes: float = SessionSettings.absolute_lifetime,
        touch_seconds: int = SessionSettings.touch_seconds,
        grace_seconds: int = SessionSettings.grace_seconds,
        max_bytes: int = SessionSettings.max_bytes,
        guest_lifetime_minutes: float = SessionSettings.guest_lifetime,
        clock: Clock | None = None,
        signer: Signer | None = None,
        store: SessionTable | None = None,
        codec: Codec = default_codec,
        encrypt: bool = SessionSettings.encrypt,
        cipher: Cipher | None = None,
        key_of: Callable[[Any], str] | None = None,
        on_ended: OnEnded = lambda user_id, count, reason: None,
        max_per_user: int = SessionSettings.max_per_user,
    ) -> None:
        """Without *db*, sessions live as long as this process.

        *absolute_lifetime_minutes* 0 sets no limit; *guest_lifetime_minutes* 0 is that of users.
        With a *signer*, rows altered in the database are dropped. *encrypt* needs a *cipher* and
        raises ConfigError without one. *key_of(user)* is what the column `user_id` holds of a
        model; *on_ended(user_id, count, reason)* hears of sessions that were ended from outside.
        Of one user there are *max_per_user* at once (0: no limit): a login ends the oldest.
        """
        if encrypt and cipher is None:
            raise ConfigError(
                "session.encrypt is on, but no cipher is installed (the standard library has "
                "none): bind one as `session.cipher`, or set SESSION_ENCRYPT=false"
            )
        lifetimes = lifetime_minutes, guest_lifetime_minutes, absolute_lifetime_minutes
        self.limits = Limits.of(*lifetimes, touch_seconds, grace_seconds, max_bytes, max_per_user)
        self.clock = clock or Clock()
        self._store = store or (table_of_this_process() if db is None else SessionTable(db))
        self._seal = RowSeal(codec, signer, cipher if encrypt else None)
        self._key, self._on_ended = key_of or _key, on_ended

    def open(
        self,
        secret: str | None = None,
        *,
        ip_address: str | None = None,
        user_agent: str | bytes | None = None,
    ) -> Session:
        """The session that the cookie's *secret* leads to, or a new one. Reads nothing yet."""
        visitor = Visitor(
            None if ip_address is None else ip_address[:45], clean_user_agent(user_agent)
        )
        return Session(
            Life(
                *(self._store, secret, self.limits, self.clock, visitor, self._seal),
                self._on_ended,
            )
        )

    # --- devices ---

    def for_user(self, user: Any) -> Devices:
        """The sessions of *user* (a model or a key) that are alive or remembered, newest first."""
        now, idle = self.clock.time(), self.limits.idle_seconds
        rows = self._store.for_user(self._key(user))
        alive = [r for r in rows if now - r.last_activity < idle or r.remembered_until > now]
        shown = self._shown(alive, self._current_ids())
        return Devices(lambda limit: shown[:limit])

    def active(self, minutes: float = 120) -> Devices:
        """The sessions used within the last *minutes*; `.count()` says how many, by a COUNT."""
        moment, here = int(self.clock.time() - minutes * 60), self._current_ids()
        return Devices(
            lambda limit: self._shown(self._store.active_since(moment, limit), here),
            lambda: self._store.count_active_since(moment),
        )

    def _shown(self, rows: list[StoredSession], here: Sequence[str]) -> list[Device]:
        now = self.clock.time()
        return [
            Device(
                handle=row.id[:HANDLE_DIGITS],
                user_id=row.user_id,
                ip_address=row.ip_address,
                user_agent=row.user_agent,
                last_activity=row.last_activity,
                created_at=row.created_at,
                current=row.id in here,
                remembered=row.remembered_until > now,
            )
            for row in rows
        ]

    # --- ending ---

    def revoke(self, handle: str, owner: Any = None) -> bool:
        """End the session called *handle*; False if *owner* has no such session.

        A remembered device is forgotten with it. Without *owner* anybody's is ended, which is
        for administrators.
        """
        if not isinstance(handle, str) or not _HANDLE.fullmatch(handle):
            return False
        rows = self._store.with_prefix(handle)
        if owner is not None:
            owned = owner_key(self._key(owner))
            rows = [row for row in rows if row.user_id == owned]
        for row in rows:
            end_row(self._store, self._seal, row.id)
            if row.user_id is not None:
                self._on_ended(row.user_id, 1, "")
        return bool(rows)

    def logout_everywhere(self, user: Any) -> int:
        """End every session of *user*, remembered devices included → how many there were."""
        return self._ended(self._key(user), ())

    def logout_others(self, user: Any, session: Session | None = None) -> int:
        """End every session of *user* but this request's (or *session*) → how many."""
        keep = self._current_ids() if session is None else session.ids()
        return self._ended(self._key(user), keep)

    def _ended(self, user_id: str, keep: Sequence[str]) -> int:
        count = end_user(self._store, self._seal, user_id, keep)
        if count:
            self._on_ended(user_id, count, "")
        return count

    def _current_ids(self) -> list[str]:
        session = current_session()
        return session.ids() if isinstance(session, Session) else []

    # --- cleaning up ---

    def cleanup(self, batch: int = 500) -> int:
        """Remove every session that is over, in batches → how many.

        Safe beside running servers and beside another cleanup; stopped half-way, the next one
        goes on. Remembered devices keep their row until they are forgotten. A session past its
        absolute lifetime is refused, so it is soon idle as well and goes then.
        """
        now, store = int(self.clock.time()), self._store
        idle_since = now - self.limits.idle_seconds
        removed = store.delete_idle(idle_since, batch)
        removed += store.delete_forgotten(now, idle_since, batch)
        if self.limits.guest_seconds < self.limits.idle_seconds:
            guests = now - self.limits.guest_seconds
            removed += store.delete_idle(guests, batch, guests_since=idle_since)
        store.forget_moves(now - MOVE_NOTICE_SECONDS, batch)
        return removed


def clean_user_agent(given: str | bytes | None) -> str | None:
    """Whatever a client calls itself, as text that any database stores: at most 500 characters."""
    if given is None:
        return None
    text = given.decode("utf-8", "replace") if isinstance(given, bytes) else given
    return _NOT_PRINTABLE.sub("\ufffd", text[:500])


def _key(user: Any) -> str:
    """The key of a model, or the key itself, as the column `user_id` holds it."""
    get_key = getattr(user, "get_key", None)
    return str(get_key() if callable(get_key) else user)
