"""One browser's session as one request sees it.

Nothing is read before it is asked for and nothing is written that did not change. The cookie
holds a secret of 256 random bits, the table only its SHA-256; a secret that leads to no row is
never adopted. What becomes of the row is in life.py.

Cookies, requests and who is logged in are the business of so/edge and so/systems/auth.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from typing import Any

from so.systems.sessions.bag import BESIDE, LOGIN, PREVIOUS, TOKEN, Bag, text_of_key
from so.systems.sessions.ending import end_user
from so.systems.sessions.life import Fate, Life, Marks
from so.systems.sessions.masks import fits, mask


class Session:
    """The values, the id and the login of one session; made by `Sessions.open()`."""

    def __init__(self, life: Life, above: Session | None = None) -> None:
        """*above* is the session beside whose login this one is."""
        self._life, self._store, self._above = life, life.store, above
        self._beside: dict[str, Session] = {}

    @property
    def _values(self) -> Bag:
        return self._life.values()

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
        """Remove everything, logins included; the id stays."""
        self._end_beside()
        self._values.clear()

    def remember(self, key: str, fn: Callable[[], Any]) -> Any:
        """The value at *key*, made by *fn* and kept if there is none."""
        if self.missing(key):
            self.put(key, fn())
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
        bag = self._life.bag
        if bag is not None and bag.has_changes and self._life.standing is Fate.OURS:
            self.set_previous_url(url)

    def leave_idle(self) -> None:
        """Let this request not count as activity: a page sent it by itself, and nobody is there."""
        self._life.is_idle = True

    # --- id and token ---

    def id(self) -> str:
        """The id of the row: the SHA-256 of the cookie's secret, not the secret."""
        return self._life.id()

    def ids(self) -> list[str]:
        """The id, and those of the rows of logins beside."""
        return [self.id(), *self._rows_beside().values()]

    @property
    def started(self) -> bool:
        """True if there is a session: one was found, or this request has begun one."""
        return self._values.is_changed or self.is_stored

    @property
    def is_stored(self) -> bool:
        """True if this request has looked into a session that is in the store."""
        return self._life.row is not None

    def regenerate(self, destroy: bool = True) -> None:
        """Give the session a new id, keeping its values.

        The old id is dead at once and the CSRF token is new, as a change of privilege needs it.
        With `destroy=False` the old id goes on leading here for the seconds of grace, so that
        requests under way keep their session, and forms on the screen stay valid.
        """
        self._life.rename(0 if destroy else self._life.limits.grace_seconds)
        if destroy and self.started:
            self.regenerate_token()
        if self._above is not None:  # to whose id this login belongs
            self._above.regenerate(destroy)

    def invalidate(self) -> None:
        """End this session: its row goes, and what is put from now on is in a new one."""
        self._end_beside()
        self._life.end()

    def token(self) -> str:
        """The secret that this site's forms carry; begins the session if there is none."""
        return self._values.ensure_token()

    def regenerate_token(self) -> None:
        """Make forms rendered so far worthless."""
        self._values.new_token()

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
        self._life.load()
        return None if self._life.row is None else self._life.row.created_at

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
        begun = int(self._life.clock.time()) if since is None else since
        self.regenerate()
        self.update_identity(identity)
        self.token()
        self._life.note_login(Marks(series, remembered_until, begun))

    def update_identity(self, identity: Mapping[str, Any]) -> None:
        """Change what `identity()` gives without a new login.

        Where that is another user from now on, he finds nothing of the one before.
        """
        before = (self.identity() or {}).get("id")
        if before is not None and str(before) != str(identity.get("id")):
            self.flush()
            if self._above is not None:  # where he put what he put
                self._above.forget(list(self._above.all()))
        self._values.put(LOGIN, dict(identity))

    def sign_out(self) -> None:
        """End the login, and the session unless somebody is logged in beside it."""
        if all(self.beside(whose).identity() is None for whose in self._rows_beside()):
            self.invalidate()
            return
        self.regenerate()
        self._values.forget(LOGIN)
        self._life.note_login(Marks(None, 0, int(self._life.clock.time())))

    def beside(self, whose: str) -> Session:
        """The login of *whose* in this session, beside the one of another kind of users.

        It has a row of its own, which names its user and ends the login when it is deleted. No
        cookie leads there, only this session.
        """
        whose = whose.replace(".", ":")  # no path
        found = self._beside.get(whose)
        if found is None:
            row_id = self._rows_beside().get(whose)
            found = self._beside[whose] = Session(self._life.beside(row_id), self)
        return found

    def has_beside(self, whose: str) -> bool:
        """True if there is, or was, such a login."""
        whose = whose.replace(".", ":")
        return whose in self._beside or whose in self._rows_beside()

    def _rows_beside(self) -> dict[str, str]:
        found = self._values.get(BESIDE)
        return found if isinstance(found, dict) else {}

    def _end_beside(self) -> None:
        for whose in self._rows_beside():
            self.beside(whose).invalidate()

    def _save_beside(self) -> None:
        for whose, session in self._beside.items():
            session.save()
            key, here = f"{BESIDE}.{whose}", session.is_stored
            if here and self._rows_beside().get(whose) != session.id():
                self.put(key, session.id())
            elif not here and session._life.standing is not Fate.ELSEWHERE:
                self.forget(key)

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
            if row.remember_series == series and self._life.take(self._store.read(row.id)):
                self._values.take_over(before)
                return True
        self._life.begin_anew(Fate.ELSEWHERE)
        return False

    def end_series(self, user_id: Any, series: str) -> None:
        """End every session of a remember-me series."""
        self._store.delete_for_user(str(user_id), series=series)

    def end_others(self, user_id: Any) -> int:
        """End every other session of that user."""
        row = self._life.row
        keep = [] if row is None else [row.id]
        return end_user(self._store, self._life.seal, str(user_id), keep)

    # --- the end of the request, for so/edge ---

    def save(self) -> None:
        """Store what changed; without a change, note the activity once in a while.

        Safe to call at any time and more than once. Raises SessionError for a session larger
        than the limit, whose stored form then stays as it was.
        """
        self._save_beside()
        self._life.save()

    def sent(self) -> None:
        """The head of the response is on its way, and with it the last cookie.

        What a streamed body puts from now on is saved if there is a session; beginning or ending
        one, or changing its id, raises SessionError.
        """
        self._life.sent()

    def cookie_change(self, *, refresh: bool = False) -> str | None:
        """What the response has to say: a secret to set, '' to take the cookie back, or None.

        With *refresh*, the secret also comes back whenever the row's activity was noted, for
        cookies that carry an end of their own.
        """
        return self._life.cookie_change(refresh)


def _flat(keys: tuple[str | Iterable[str], ...]) -> list[str]:
    """`("a", "b")` and `(["a", "b"],)` alike."""
    names: list[str] = []
    for key in keys:
        several = isinstance(key, Iterable) and not isinstance(key, (str, Enum))
        names.extend(text_of_key(name) for name in (key if several else [key]))
    return names
