"""The row behind one session, and the cookie: what becomes of both in one request.

A row is read when it is first asked for, and saved conditionally on (id, version): a parallel
request's values are merged, and a session that was deleted meanwhile is never brought back. What
is in a session is the business of bag.py; who uses it, of session.py.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Any

from so.errors import CodecError, ConfigError, DatabaseError, SessionError
from so.support.clock import Clock
from so.support.codec import Codec
from so.support.ids import token as new_secret
from so.support.signing import Signer
from so.systems.sessions.bag import LOGIN, Bag, Data
from so.systems.sessions.stores import Move, SessionTable, StoredSession, owner_key

SECRET = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)
OPTIMISTIC_TRIES = 3
MAC_PURPOSE = "session"
# A request that began before its session got a new id may still be running this long after.
MOVE_NOTICE_SECONDS = 300

TOO_LATE = (
    "the response is on its way, with the cookies it has: begin or end the session, or put into a "
    "new one, before the action returns"
)

TOO_MANY = "too many sessions"
OnEnded = Callable[[str, int, str], object]  # user_id, how many, why ("" if somebody asked for it)

logger = logging.getLogger("so.sessions")


@dataclass(frozen=True, slots=True)
class Limits:
    """How long sessions last and how much they hold; all of it decided by the application."""

    idle_seconds: int
    guest_seconds: int  # idle, where nobody is logged in
    absolute_seconds: int  # 0: no limit
    touch_seconds: int
    grace_seconds: int
    max_bytes: int
    per_user: int  # sessions at once; 0: no limit

    @classmethod
    def of(
        cls,
        lifetime_minutes: float,
        guest_minutes: float,
        absolute_minutes: float,
        touch_seconds: int,
        grace_seconds: int,
        max_bytes: int,
        per_user: int,
    ) -> Limits:
        """As the settings say it, 0 minutes for no limit. ConfigError if nothing would last."""
        if lifetime_minutes <= 0:
            raise ConfigError(
                f"session.lifetime is {lifetime_minutes} minutes: set SESSION_LIFETIME above 0"
            )
        idle = int(lifetime_minutes * 60)
        guests = min(idle, int(guest_minutes * 60) or idle)
        absolute = max(0, int(absolute_minutes * 60))
        # Noting activity too rarely would end sessions early that are in use.
        touch = min(touch_seconds, idle // 10, guests // 10)
        return cls(idle, guests, absolute, touch, grace_seconds, max_bytes, per_user)


@dataclass(frozen=True, slots=True)
class Visitor:
    """From where and with what the request came."""

    ip_address: str | None = None
    user_agent: str | None = None


@dataclass(frozen=True, slots=True)
class RowSeal:
    """How rows are written: by *codec*, signed by *signer* and encrypted by *cipher*, if any."""

    codec: Codec
    signer: Signer | None = None
    cipher: Any = None

    def is_authentic(self, row: StoredSession) -> bool:
        """True for a row that nobody has altered beside us."""
        if self.signer is None:
            return True
        return self.signer.verify(_signed_text(row), row.mac or "", MAC_PURPOSE)

    def put_on(self, row: StoredSession) -> StoredSession:
        """*row* with its seal."""
        if self.signer is not None:
            row.mac = self.signer.mac(_signed_text(row), MAC_PURPOSE)
        return row

    def closed(self, text: str) -> str:
        """*text* as it is stored."""
        return text if self.cipher is None else str(self.cipher.encrypt(text))

    def plain(self, row: StoredSession) -> str:
        """The text of *row*."""
        text = row.payload or "{}"
        return text if self.cipher is None else str(self.cipher.decrypt(text))

    def opened(self, row: StoredSession) -> Bag | None:
        """The values in *row*; None, and a line in the log, if they are not what we wrote."""
        if not self.is_authentic(row):
            logger.warning("session row %s was altered outside: dropped", row.id[:16])
            return None
        try:
            return Bag(self.plain(row), self.codec)
        except (CodecError, ValueError) as error:
            logger.warning("session row %s cannot be read: %s", row.id[:16], error)
            return None


class Fate(Enum):
    """Whose the session is, as this request has found out so far."""

    OURS = auto()  # what changes is saved
    ELSEWHERE = auto()  # under an id that is not ours to know: row and cookie are left alone
    ENDED = auto()  # while this request ran: nothing is kept and the cookie is taken back


@dataclass(slots=True)
class Marks:
    """What a login notes in the row beside the values."""

    series: str | None
    remembered_until: int
    begun: int


def id_of(secret: str) -> str:
    """The id under which the row of this cookie's *secret* is stored."""
    return hashlib.sha256(secret.encode()).hexdigest()


class Life:
    """The row of one session in one request."""

    def __init__(
        self,
        store: SessionTable,
        secret: str | None,
        limits: Limits,
        clock: Clock,
        visitor: Visitor,
        seal: RowSeal,
        on_ended: OnEnded,
        *,
        row_id: str | None = None,
    ) -> None:
        """*row_id* names a row that no cookie leads to."""
        self.store, self.limits, self.clock = store, limits, clock
        self._on_ended = on_ended
        self._visitor, self.seal = visitor, seal
        # The cookie as it came, if it can be one of ours at all.
        self._presented = secret if secret and SECRET.fullmatch(secret) else None
        self._had_cookie = secret is not None
        self._row_id = row_id
        self.row: StoredSession | None = None
        self.bag: Bag | None = None
        self.standing = Fate.OURS
        self._secret: str | None = None  # to hand out, once there is a new one
        self._grace: int | None = None  # seconds the old id goes on; None: the id stays
        self._login: Marks | None = None  # to be noted by the next save
        self._doomed: list[str] = []
        self._was_noted = False  # the activity, so that a cookie with an end is due again
        self._is_sent = False
        self.is_idle = False  # a page sent this request by itself: nobody is there

    def beside(self, row_id: str | None) -> Life:
        """The life of another row in the same request; a new row's without *row_id*."""
        return Life(
            *(self.store, None, self.limits, self.clock, self._visitor, self.seal),
            self._on_ended,
            row_id=row_id,
        )

    # --- reading ---

    def values(self) -> Bag:
        """What is in the session."""
        self.load()
        if self.bag is None:
            raise SessionError("the session could not be opened")
        if self._is_sent and self.row is None:
            self.bag.closed = TOO_LATE
        return self.bag

    def load(self) -> None:
        """Find the row that the cookie leads to, once."""
        if self.bag is not None:
            return
        sought = self._row_id if self._presented is None else id_of(self._presented)
        if sought is None or not self.take(self.store.read(sought)):
            self.begin_anew()
            if sought is not None:
                self._follow_move(sought)

    def _follow_move(self, old_id: str) -> None:
        move = self.store.moved(old_id)
        if move is None:
            return
        now = self.clock.time()
        if now < move.readable_until and self.take(self.store.read(move.new_id)):
            return
        if now < move.created_at + MOVE_NOTICE_SECONDS:
            # The browser is about to get the new cookie, or has it: one of ours would push it out.
            self.standing = Fate.ELSEWHERE

    def take(self, row: StoredSession | None) -> bool:
        """Make *row* this session, unless it is over or not what we wrote."""
        bag = None if row is None or self._is_over(row) else self.seal.opened(row)
        if bag is None:
            return False
        self.row, self.bag, self.standing = row, bag, Fate.OURS
        return True

    def _is_over(self, row: StoredSession) -> bool:
        now, limits = self.clock.time(), self.limits
        idle = limits.guest_seconds if row.user_id is None else limits.idle_seconds
        if now - row.last_activity >= idle:
            return True
        return 0 < limits.absolute_seconds <= now - row.created_at and row.created_at > 0

    def id(self) -> str:
        """The id of the row as it is, or will be."""
        self.load()
        if self.row is not None and self._grace is None:
            return self.row.id
        return id_of(self._own_secret())

    def _own_secret(self) -> str:
        if self._secret is None:
            self._secret = new_secret()
        return self._secret

    # --- what is to become of it ---

    def begin_anew(self, standing: Fate | None = None) -> None:
        """Have an empty session without a row."""
        self.row, self.bag = None, Bag("{}", self.seal.codec)
        self._secret, self._grace, self._login = None, None, None
        self.standing = standing or self.standing

    def rename(self, grace: int) -> None:
        """Save it under a new id; the old one leads here for *grace* seconds more."""
        self._before_it_is_sent()
        self.load()
        self._grace = grace if self._grace is None else min(grace, self._grace)
        self._secret = None
        self.standing = Fate.OURS

    def end(self) -> None:
        """Let the row go; what is put from now on is in a new one."""
        self._before_it_is_sent()
        self.load()
        if self.row is not None:
            self._doomed.append(self.row.id)
        self.begin_anew()

    def note_login(self, marks: Marks) -> None:
        """Write *marks* into the row with the next save."""
        self._login = marks

    def sent(self) -> None:
        """The last cookie is on its way: what needs another one raises SessionError from now on."""
        self._is_sent = True

    def _before_it_is_sent(self) -> None:
        if self._is_sent:
            raise SessionError(TOO_LATE)

    # --- saving ---

    def save(self) -> None:
        """Store what changed; without a change, note the activity once in a while."""
        if self.bag is None:
            return
        self._delete_doomed()
        if self.standing is not Fate.OURS:
            return
        if self.row is None:
            self._insert(self.bag)
        else:
            self._update(self.bag, self.row)

    def _delete_doomed(self) -> None:
        for id in self._doomed:
            if not self.store.delete(id):
                # A parallel request gave it a new id: that is the one to end.
                move = self.store.moved(id)
                if move is not None:
                    self.store.delete(move.new_id)
        self._doomed.clear()

    def _insert(self, bag: Bag, over: str | None = None) -> None:
        """A new row of the values of *bag*, or of its changes laid *over* others'."""
        if not bag.is_changed:
            return
        bag.ensure_token()
        now = int(self.clock.time())
        empty = StoredSession(id_of(self._own_secret()), None, None, None, "", now, -1, now)
        made = self._made_from(empty, *self._merged(bag, over))
        self.store.insert(made)
        self._stored(made, bag, over)

    def _update(self, bag: Bag, row: StoredSession) -> None:
        text, data = self._merged(bag)
        if data is None and self._grace is None:
            self._touch(row)
        else:
            self._replace(bag, row, text, data)

    def _merged(self, bag: Bag, newer: str | None = None) -> tuple[str, Data | None]:
        text, data = bag.merged(newer)
        # A character of UTF-8 has at most four bytes, so that most texts need no second look.
        size = len(text) if len(text) * 4 < self.limits.max_bytes else _utf8_size(text)
        if size > self.limits.max_bytes:
            raise SessionError(
                f"the session holds {size} bytes, more than the {self.limits.max_bytes} of "
                "session.max_bytes: keep large things in a table and their keys in the session"
            )
        return text, data

    def _replace(self, bag: Bag, row: StoredSession, text: str, data: Data | None) -> None:
        newer: str | None = None
        login = self._login
        for _ in range(OPTIMISTIC_TRIES):
            made = self._made_from(row, text, data)
            if self.store.replace(row, made, self._move(row.id)):
                self._stored(made, bag, newer)
                return
            found = self._found_again(row.id)
            if found is None:
                self._begin_apart(bag, row, login)
                return
            row, newer = found, self.seal.plain(found)
            text, data = self._merged(bag, newer)
        if not self._replaced_locked(bag, row.id):
            self._begin_apart(bag, row, login)

    def _begin_apart(self, bag: Bag, row: StoredSession, login: Marks | None) -> None:
        """A login holds even if its guest's session went elsewhere, as a double click does it.

        Whoever gave a password here gets a session of its own: with the guest's values if another
        login took them along, with nothing of a session that was ended.
        """
        if login is None:
            return
        was_ended = self.standing is Fate.ENDED or row.user_id is not None
        text = "{}" if was_ended else self.seal.plain(row)
        self.begin_anew(Fate.OURS)
        self.bag, self._login = bag, login
        self._insert(bag, text)

    def _replaced_locked(self, bag: Bag, id: str) -> bool:
        """The same with the row held, after others have been quicker too often."""
        newer = ""

        def make(found: StoredSession) -> StoredSession:
            nonlocal newer
            newer = self.seal.plain(found)
            return self._made_from(found, *self._merged(bag, newer))

        made = self.store.replace_locked(id, make, self._move(id))
        if made is None:
            self.begin_anew(Fate.ENDED)
            return False
        self._stored(made, bag, newer)
        return True

    def _found_again(self, id: str) -> StoredSession | None:
        """The row as somebody else has left it; None, with nothing more to save, if it is gone."""
        found = self.store.read(id)
        move = None if found is not None else self.store.moved(id)
        if move is not None and self.clock.time() < move.readable_until:
            found = self.store.read(move.new_id)
        elif move is not None:
            self.standing = Fate.ELSEWHERE
            return None
        if found is None or not self.seal.is_authentic(found):
            self.begin_anew(Fate.ENDED)
            return None
        return found

    def _made_from(self, row: StoredSession, text: str, data: Data | None) -> StoredSession:
        """What takes the place of *row*: the new text, this request's marks, the seal."""
        login = self._login
        made = StoredSession(
            row.id if self._grace is None else id_of(self._own_secret()),
            row.user_id if data is None else _user_id(data),
            self._visitor.ip_address,
            self._visitor.user_agent,
            self.seal.closed(text),
            int(self.clock.time()),
            row.version + 1,
            row.created_at if login is None else login.begun,
            None,
            row.remember_series if login is None else login.series,
            row.remembered_until if login is None else login.remembered_until,
        )
        return self.seal.put_on(made)

    def _stored(self, made: StoredSession, bag: Bag, newer: str | None) -> None:
        series = None if self._login is None else self._login.series
        if series is not None:
            # One row for each remembered device: this login takes the place of the one before.
            self.store.delete_for_user(str(made.user_id), series=series, keep=[made.id])
        if self._login is not None and made.user_id is not None:
            self._end_oldest(made.user_id, made.id)
        bag.saved(self.seal.plain(made), newer)
        before = 0 if self.row is None else self.row.last_activity
        # A cookie with an end of its own is renewed as often as activity would be noted.
        self._was_noted |= made.last_activity - before >= self.limits.touch_seconds
        self.row, self._grace, self._login = made, None, None

    def _end_oldest(self, user_id: str, own: str) -> None:
        """Let a login in that makes one session too many, and the oldest go."""
        most, now = self.limits.per_user, int(self.clock.time())
        if not most:
            return
        idle_since = now - self.limits.idle_seconds
        ended = self.store.delete_oldest(user_id, own, most, now, idle_since)
        if ended:
            self._on_ended(user_id, ended, TOO_MANY)

    def _move(self, old_id: str) -> Move | None:
        """What to note about a change of id; None if the id stays."""
        if self._grace is None:
            return None
        now = int(self.clock.time())
        readable_until = now + self._grace if self._grace else 0
        return Move(old_id, id_of(self._own_secret()), readable_until, now)

    def _touch(self, row: StoredSession) -> None:
        now = int(self.clock.time())
        if self.is_idle or now - row.last_activity < self.limits.touch_seconds:
            return
        visitor = self._visitor
        touched = replace(
            row, last_activity=now, ip_address=visitor.ip_address, user_agent=visitor.user_agent
        )
        try:
            is_there = self.store.touch(touched)
        except DatabaseError as error:
            # What the request did is done: noting that it came is not worth failing it.
            logger.warning("activity of session %s could not be noted: %s", row.id[:16], error)
            return
        if is_there:
            self.row, self._was_noted = touched, True
        else:
            self.row = self._found_again(row.id)

    # --- the cookie ---

    def cookie_change(self, refresh: bool) -> str | None:
        """A secret to set, '' to take the cookie back, or None."""
        if self.bag is None or self.standing is Fate.ELSEWHERE:
            return None
        if self.row is None:
            return "" if self._had_cookie else None
        is_due = refresh and self._was_noted
        for secret, is_news in ((self._secret, True), (self._presented, is_due)):
            if is_news and secret is not None and id_of(secret) == self.row.id:
                return secret
        return None


def _utf8_size(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


def _signed_text(row: StoredSession) -> str:
    return f"{row.id}\n{row.version}\n{row.created_at}\n{row.payload}"


def _user_id(data: Data) -> str | None:
    """The key of the user these values belong to, for the column `user_id`.

    That is whoever logged in; else what the application itself put under `user_id`, as the
    original framework did.
    """
    login = data.get(LOGIN)
    key = login.get("id") if isinstance(login, dict) else data.get("user_id")
    return None if key is None or isinstance(key, (dict, list, bool)) else owner_key(key)
