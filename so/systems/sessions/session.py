"""One browser's session as one request sees it.

Nothing is read before it is asked for and nothing is written that did not change. The cookie
holds a secret of 256 random bits, the table only its SHA-256; a secret that leads to no row is
never adopted. Saving is conditional on (id, version): a parallel request's values are merged,
and a session that was deleted meanwhile is never brought back.

Cookies, requests and who is logged in are the business of so/edge and so/systems/auth.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from so.errors import CodecError, DatabaseError, SessionError
from so.support.clock import Clock
from so.support.codec import Codec, default_codec
from so.support.ids import token as new_secret
from so.support.signing import Signer
from so.systems.sessions.bag import LOGIN, PREVIOUS, TOKEN, Bag, Data, text_of_key
from so.systems.sessions.masks import fits, mask
from so.systems.sessions.stores import DatabaseStore, Move, StoredSession, owner_key

SECRET = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)
OPTIMISTIC_TRIES = 3
MAC_PURPOSE = "session"
# A request that began before its session got a new id may still be running this long after.
MOVE_NOTICE_SECONDS = 300

TOO_LATE = (
    "the response is on its way, with the cookies it has: begin or end the session, or put into a "
    "new one, before the action returns"
)

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


def id_of(secret: str) -> str:
    """The id under which the row of this cookie's *secret* is stored."""
    return hashlib.sha256(secret.encode()).hexdigest()


class Session:
    """The values, the id and the life of one session; made by `Sessions.open()`."""

    def __init__(
        self,
        store: DatabaseStore,
        secret: str | None,
        limits: Limits,
        clock: Clock,
        *,
        ip_address: str | None = None,
        user_agent: str | None = None,
        codec: Codec = default_codec,
        signer: Signer | None = None,
        cipher: Any = None,
    ) -> None:
        self._store, self._limits, self._clock = store, limits, clock
        self._codec, self._signer, self._cipher = codec, signer, cipher
        self._ip_address, self._user_agent = ip_address, user_agent
        # The cookie as it came, if it can be one of ours at all.
        self._presented = secret if secret and SECRET.fullmatch(secret) else None
        self._had_cookie = secret is not None
        self._secret: str | None = None  # the secret to hand out, once there is a new one
        self._row: StoredSession | None = None
        self._bag: Bag | None = None
        self._doomed: list[str] = []
        self._grace: int | None = None  # None: the id stays
        self._pending: dict[str, Any] = {}
        # Muted: what happens to this session stays in this request. Lost: it was ended meanwhile.
        self._is_muted = self._is_lost = self._is_renewed = self._is_sent = False
        self._is_idle = False  # this request came from a page by itself

    # --- values ---

    def get(self, key: str, default: Any = None) -> Any:
        """The value at the dotted *key*; *default*, called if it can be, when there is none."""
        return self._values.get(key, default)

    def put(self, key: str | Mapping[str, Any], value: Any = None) -> None:
        """Set the dotted *key*, or several from a dict: all of them, or none.

        CodecError for what cannot be stored.
        """
        self._values.put_all(key if isinstance(key, Mapping) else {key: value})

    def all(self) -> dict[str, Any]:
        """Everything the application has put here."""
        return self._values.visible()

    def only(self, *keys: str | Iterable[str]) -> dict[str, Any]:
        """The values of those *keys* that exist."""
        return {key: self.get(key) for key in _flat(keys) if self.exists(key)}

    def except_(self, *keys: str | Iterable[str]) -> dict[str, Any]:
        """Everything but *keys*."""
        without = set(_flat(keys))
        return {key: value for key, value in self.all().items() if key not in without}

    def has(self, *keys: str | Iterable[str]) -> bool:
        """True if every one of *keys* is there and is not None."""
        return all(self.get(key) is not None for key in _flat(keys))

    def exists(self, *keys: str | Iterable[str]) -> bool:
        """True if every one of *keys* is there, even as None."""
        return all(self._values.has_key(key) for key in _flat(keys))

    def missing(self, *keys: str | Iterable[str]) -> bool:
        """True if one of *keys* is not there."""
        return not self.exists(*keys)

    def pull(self, key: str, default: Any = None) -> Any:
        """The value at *key*, which is removed."""
        value = self.get(key, default)
        self.forget(key)
        return value

    def push(self, key: str, value: Any) -> None:
        """Put *value* at the end of the list at *key*."""
        self._values.push(key, value)

    def increment(self, key: str, by: int | float = 1) -> Any:
        """Add *by* to the number at *key* → the sum; those of parallel requests add up."""
        return self._values.add(key, by)

    def decrement(self, key: str, by: int | float = 1) -> Any:
        """Take *by* from the number at *key* → the difference."""
        return self._values.add(key, by, -1)

    def forget(self, *keys: str | Iterable[str]) -> None:
        """Remove *keys*."""
        for key in _flat(keys):
            self._values.forget(key)

    def flush(self) -> None:
        """Remove everything, the login included; the id stays."""
        self._values.clear()

    def remember(self, key: str, make: Callable[[], Any]) -> Any:
        """The value at *key*, made and kept if there is none."""
        if self.missing(key):
            self.put(key, make())
        return self.get(key)

    # --- flash ---

    def flash(self, key: str, value: Any = True) -> None:
        """Set *key* for this request and the next."""
        self._values.flash(key, value)

    def now(self, key: str, value: Any) -> None:
        """Set *key* for this request only."""
        self._values.now(key, value)

    def reflash(self) -> None:
        """Let everything flashed for this request last one more."""
        self._values.keep()

    def keep(self, *keys: str | Iterable[str]) -> None:
        """Let *keys* flashed for this request last one more."""
        self._values.keep(_flat(keys))

    def flash_input(self, values: Mapping[str, Any]) -> None:
        """Keep a form's *values* for the next request's `old()`."""
        self.flash("_old_input", dict(values))

    def old(self, key: str | None = None, default: Any = None) -> Any:
        """What the form field *key* held in the request before; all fields without *key*."""
        values = self.get("_old_input") or {}
        if key is None:
            return values
        return self.get(f"_old_input.{text_of_key(key)}", default)

    def previous_url(self) -> str | None:
        """The page that was noted last."""
        url = self.get(PREVIOUS)
        return url if isinstance(url, str) else None

    def set_previous_url(self, url: str) -> None:
        """Note *url* as the page to come back to."""
        self.put(PREVIOUS, url)

    def note_page(self, url: str) -> None:
        """Note *url* if this request writes its session anyway; reading alone writes nothing."""
        if self._bag is not None and self._bag.has_changes and not self._is_muted:
            self.set_previous_url(url)

    # --- id and token ---

    def id(self) -> str:
        """The id of the row: the SHA-256 of the cookie's secret, not the secret."""
        self._load()
        if self._row is not None and self._grace is None:
            return self._row.id
        return id_of(self._own_secret())

    @property
    def started(self) -> bool:
        """True if there is a session: one was found, or this request has begun one."""
        self._load()
        return self._row is not None or self._values.is_changed

    @property
    def is_stored(self) -> bool:
        """True if this request has looked into a session that is in the store."""
        return self._row is not None

    def regenerate(self, destroy: bool = True) -> None:
        """Give the session a new id, keeping its values.

        The old id is dead at once and the CSRF token is new, as a change of privilege needs it.
        With `destroy=False` the old id goes on leading here for the seconds of grace, so that
        requests under way keep their session, and forms on the screen stay valid.
        """
        self._before_it_is_sent()
        self._load()
        grace = 0 if destroy else self._limits.grace_seconds
        self._grace = grace if self._grace is None else min(grace, self._grace)
        self._secret = None
        self._is_muted = False
        if destroy and self.started:
            self.regenerate_token()

    def invalidate(self) -> None:
        """End this session: its row goes, and what is put from now on is in a new one."""
        self._before_it_is_sent()
        self._load()
        if self._row is not None:
            self._doomed.append(self._row.id)
        self._begin_anew()

    def token(self) -> str:
        """The secret that this site's forms carry; begins the session if there is none."""
        token = self._values.get(TOKEN)
        if not isinstance(token, str):
            self.regenerate_token()
            token = self._values.get(TOKEN)
        return str(token)

    def regenerate_token(self) -> None:
        """Make forms rendered so far worthless."""
        self._values.put(TOKEN, new_secret())

    def has_token(self) -> bool:
        """True if a form of this session has been rendered."""
        return self._values.has_key(TOKEN)

    def csrf_token(self) -> str:
        """`token()` as a form shows it: another text each time, so that it cannot be guessed
        letter by letter from the size of compressed pages."""
        return mask(self.token())

    def token_matches(self, given: object) -> bool:
        """True if *given* is this session's token, masked or plain; in constant time."""
        return self.has_token() and fits(given, str(self._values.get(TOKEN)))

    # --- login, for so/systems/auth ---

    def begun(self) -> int | None:
        """When the password was given, in unix seconds; None for a session that is not stored."""
        self._load()
        return None if self._row is None else self._row.created_at

    def identity(self) -> dict[str, Any] | None:
        """What `sign_in()` was given; None for a guest."""
        found = self._values.get(LOGIN)
        return found if isinstance(found, dict) else None

    def sign_in(
        self,
        identity: Mapping[str, Any],
        *,
        series: str | None = None,
        remembered_until: int = 0,
        since: int | None = None,
    ) -> None:
        """Log `identity['id']` in: a new id and token; a guest's values are kept, another user's
        are not.

        *series* ties the row to a remember-me cookie, which is worth nothing without it. The
        absolute lifetime counts from *since*, the moment the password was last given (now).
        """
        begun = int(self._clock.time()) if since is None else since
        self.regenerate()
        self.update_identity(identity)
        if not self.has_token():
            self.regenerate_token()
        self._pending = {
            "remember_series": series,
            "remembered_until": remembered_until,
            "created_at": begun,
        }

    def update_identity(self, identity: Mapping[str, Any]) -> None:
        """Change what `identity()` gives without a new login.

        Where that is another user from now on, he finds nothing of the one before.
        """
        before = (self.identity() or {}).get("id")
        if before is not None and str(before) != str(identity.get("id")):
            self._values.clear()
        self._values.put(LOGIN, dict(identity))

    def sign_out(self) -> None:
        """End the session of whoever is logged in."""
        self.invalidate()

    def has_series(self, user_id: Any, series: str) -> bool:
        """True while a row of that remember-me series exists; deleting rows ends the series."""
        rows = self._store.for_user(str(user_id))
        return any(row.remember_series == series for row in rows)

    def join_series(self, user_id: Any, series: str) -> bool:
        """Take part in the newest live session of *series*, whose cookie is on its way.

        False if it is not stored yet; then nothing of this request is kept.
        """
        before = self._values
        for row in self._store.for_user(str(user_id)):
            if row.remember_series == series and self._take(self._store.read(row.id)):
                self._values.take_over(before)
                return True
        self._begin_anew()
        self._is_muted = True
        return False

    def end_series(self, user_id: Any, series: str) -> None:
        """End every session of a remember-me series."""
        self._store.delete_for_user(str(user_id), series=series)

    def end_others(self, user_id: Any) -> int:
        """End every other session of that user."""
        return self._store.delete_for_user(str(user_id), keep=self._stored_id())

    def _stored_id(self) -> str | None:
        return None if self._row is None else self._row.id

    # --- loading ---

    @property
    def _values(self) -> Bag:
        self._load()
        if self._bag is None:
            raise SessionError("the session could not be opened")
        if self._is_sent and self._row is None:
            self._bag.closed = TOO_LATE
        return self._bag

    def sent(self) -> None:
        """The head of the response is on its way, and with it the last cookie.

        What a streamed body puts from now on is saved if there is a session; beginning or ending
        one, or changing its id, raises SessionError.
        """
        self._is_sent = True

    def _before_it_is_sent(self) -> None:
        if self._is_sent:
            raise SessionError(TOO_LATE)

    def _load(self) -> None:
        if self._bag is not None:
            return
        if self._presented is None or not self._take(self._store.read(id_of(self._presented))):
            self._begin_anew()
            if self._presented is not None:
                self._follow_move(id_of(self._presented))

    def _follow_move(self, old_id: str) -> None:
        move = self._store.moved(old_id)
        if move is None:
            return
        now = self._clock.time()
        if now < move.readable_until and self._take(self._store.read(move.new_id)):
            return
        # The browser is about to get the new cookie, or has it: one of ours would push it out.
        self._is_muted = now < move.created_at + MOVE_NOTICE_SECONDS

    def _take(self, row: StoredSession | None) -> bool:
        """Make *row* this session, unless it is over or not what we wrote."""
        if row is None or self._is_over(row):
            return False
        bag = self._opened(row)
        if bag is None:
            return False
        self._row, self._bag, self._is_muted = row, bag, False
        return True

    def _is_over(self, row: StoredSession) -> bool:
        now, limits = self._clock.time(), self._limits
        idle = limits.guest_seconds if row.user_id is None else limits.idle_seconds
        if now - row.last_activity >= idle:
            return True
        return 0 < limits.absolute_seconds <= now - row.created_at and row.created_at > 0

    def _opened(self, row: StoredSession) -> Bag | None:
        if not self._is_authentic(row):
            logger.warning("session row %s was altered outside: dropped", row.id[:16])
            return None
        try:
            return Bag(self._plain_text(row), self._codec)
        except (CodecError, ValueError) as error:
            logger.warning("session row %s cannot be read: %s", row.id[:16], error)
            return None

    def _is_authentic(self, row: StoredSession) -> bool:
        if self._signer is None:
            return True
        return self._signer.verify(_signed_text(row), row.mac or "", MAC_PURPOSE)

    def _plain_text(self, row: StoredSession) -> str:
        text = row.payload or "{}"
        return text if self._cipher is None else str(self._cipher.decrypt(text))

    def _begin_anew(self) -> None:
        self._row, self._bag = None, Bag("{}", self._codec)
        self._secret, self._grace, self._pending = None, None, {}

    def _own_secret(self) -> str:
        if self._secret is None:
            self._secret = new_secret()
        return self._secret

    # --- saving ---

    def save(self) -> None:
        """Store what changed; without a change, note the activity once in a while.

        Safe to call at any time and more than once. Raises SessionError for a session larger
        than the limit, whose stored form then stays as it was.
        """
        if self._bag is None:
            return
        self._delete_doomed()
        if self._is_muted:
            return
        if self._row is None:
            self._insert(self._bag)
        else:
            self._update(self._bag, self._row)

    def _delete_doomed(self) -> None:
        for id in self._doomed:
            if not self._store.delete(id):
                # A parallel request gave it a new id: that is the one to end.
                move = self._store.moved(id)
                if move is not None:
                    self._store.delete(move.new_id)
        self._doomed.clear()

    def _insert(self, bag: Bag, over: str | None = None) -> None:
        """A new row of the values of *bag*, or of its changes laid *over* others'."""
        if not bag.is_changed:
            return
        if not self.has_token():
            self.regenerate_token()
        now = int(self._clock.time())
        empty = StoredSession(id_of(self._own_secret()), None, None, None, "", now, -1, now)
        made = self._made_from(empty, *self._merged(bag, over))
        self._store.insert(made)
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
        size = len(text) if len(text) * 4 < self._limits.max_bytes else _utf8_size(text)
        if size > self._limits.max_bytes:
            raise SessionError(
                f"the session holds {size} bytes, more than the {self._limits.max_bytes} of "
                "session.max_bytes: keep large things in a table and their keys in the session"
            )
        return text, data

    def _replace(self, bag: Bag, row: StoredSession, text: str, data: Data | None) -> None:
        newer: str | None = None
        login = self._pending
        for _ in range(OPTIMISTIC_TRIES):
            made = self._made_from(row, text, data)
            if self._store.replace(row, made, self._move(row.id)):
                self._stored(made, bag, newer)
                return
            found = self._found_again(row.id)
            if found is None:
                self._begin_apart(bag, row, login)
                return
            row, newer = found, self._plain_text(found)
            text, data = self._merged(bag, newer)
        if not self._replaced_locked(bag, row.id):
            self._begin_apart(bag, row, login)

    def _begin_apart(self, bag: Bag, row: StoredSession, login: dict[str, Any]) -> None:
        """A login holds even if its guest's session went elsewhere, as a double click does it.

        Whoever gave a password here gets a session of its own: with the guest's values if another
        login took them along, with nothing of a session that was ended.
        """
        if not login:
            return
        text = "{}" if self._is_lost or row.user_id is not None else self._plain_text(row)
        self._is_muted = self._is_lost = False
        self._row, self._bag, self._grace, self._pending = None, bag, None, login
        self._insert(bag, text)

    def _replaced_locked(self, bag: Bag, id: str) -> bool:
        """The same with the row held, after others have been quicker too often."""
        newer = ""

        def make(found: StoredSession) -> StoredSession:
            nonlocal newer
            newer = self._plain_text(found)
            return self._made_from(found, *self._merged(bag, newer))

        made = self._store.replace_locked(id, make, self._move(id))
        if made is None:
            self._lose()
            return False
        self._stored(made, bag, newer)
        return True

    def _found_again(self, id: str) -> StoredSession | None:
        """The row as somebody else has left it; None, with nothing more to save, if it is gone."""
        found = self._store.read(id)
        move = None if found is not None else self._store.moved(id)
        if move is not None and self._clock.time() < move.readable_until:
            found = self._store.read(move.new_id)
        elif move is not None:
            # It has a new id that is not ours to know: leave both row and cookie alone.
            self._is_muted = True
            return None
        if found is None or not self._is_authentic(found):
            self._lose()
            return None
        return found

    def _lose(self) -> None:
        """The session was ended while this request ran: keep nothing, take the cookie back."""
        self._begin_anew()
        self._is_muted = self._is_lost = True

    def _made_from(self, row: StoredSession, text: str, data: Data | None) -> StoredSession:
        """What takes the place of *row*: the new text, this request's marks, the seal."""
        changed = self._pending
        made = StoredSession(
            row.id if self._grace is None else id_of(self._own_secret()),
            row.user_id if data is None else _user_id(data),
            self._ip_address,
            self._user_agent,
            text if self._cipher is None else str(self._cipher.encrypt(text)),
            int(self._clock.time()),
            row.version + 1,
            changed.get("created_at", row.created_at),
            None,
            changed.get("remember_series", row.remember_series),
            changed.get("remembered_until", row.remembered_until),
        )
        if self._signer is not None:
            made.mac = self._signer.mac(_signed_text(made), MAC_PURPOSE)
        return made

    def _stored(self, made: StoredSession, bag: Bag, newer: str | None) -> None:
        series = self._pending.get("remember_series")
        if series is not None:
            # One row for each remembered device: this login takes the place of the one before.
            self._store.delete_for_user(str(made.user_id), series=series, keep=made.id)
        bag.saved(made.payload if self._cipher is None else self._plain_text(made), newer)
        before = 0 if self._row is None else self._row.last_activity
        self._note_activity(made.last_activity, before)
        self._row, self._grace, self._pending = made, None, {}

    def _note_activity(self, now: int, before: int) -> None:
        """A cookie with an end of its own is renewed as often as activity would be noted."""
        self._is_renewed |= now - before >= self._limits.touch_seconds

    def _move(self, old_id: str) -> Move | None:
        """What to note about a change of id; None if the id stays."""
        if self._grace is None:
            return None
        now = int(self._clock.time())
        readable_until = now + self._grace if self._grace else 0
        return Move(old_id, id_of(self._own_secret()), readable_until, now)

    def leave_idle(self) -> None:
        """Let this request not count as activity: a page made it by itself, and nobody is there."""
        self._is_idle = True

    def _touch(self, row: StoredSession) -> None:
        now = int(self._clock.time())
        if self._is_idle or now - row.last_activity < self._limits.touch_seconds:
            return
        touched = replace(
            row, last_activity=now, ip_address=self._ip_address, user_agent=self._user_agent
        )
        try:
            is_there = self._store.touch(touched)
        except DatabaseError as error:
            # What the request did is done: noting that it came is not worth failing it.
            logger.warning("activity of session %s could not be noted: %s", row.id[:16], error)
            return
        if is_there:
            self._row, self._is_renewed = touched, True
        else:
            self._row = self._found_again(row.id)

    # --- the cookie, for so/edge ---

    def cookie_change(self, *, refresh: bool = False) -> str | None:
        """What the response has to say: a secret to set, '' to take the cookie back, or None.

        With *refresh*, the secret also comes back whenever the row's activity was noted, for
        cookies that carry an end of their own.
        """
        if self._bag is None or (self._is_muted and not self._is_lost):
            return None
        if self._row is None:
            return "" if self._had_cookie else None
        is_due = refresh and self._is_renewed
        for secret, is_news in ((self._secret, True), (self._presented, is_due)):
            if is_news and secret is not None and id_of(secret) == self._row.id:
                return secret
        return None


def _flat(keys: tuple[str | Iterable[str], ...]) -> list[str]:
    """`("a", "b")` and `(["a", "b"],)` alike."""
    names: list[str] = []
    for key in keys:
        several = isinstance(key, Iterable) and not isinstance(key, (str, Enum))
        names.extend(text_of_key(name) for name in (key if several else [key]))
    return names


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
