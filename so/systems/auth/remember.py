"""Remember-me cookies: one series for each device, a new validator at each use.

The cookie is `series.validator`; the table holds the validator's SHA-256 only. A validator that
was used already means that the cookie was copied: the series ends. For some seconds after a
change the one before still counts, for requests that left the browser at the same moment.

That a series also needs a row in `sessions` is checked by guard.py.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from so.db.sweeping import swept
from so.settings.auth import AuthSettings
from so.support.clock import Clock
from so.support.ids import token

if TYPE_CHECKING:
    from so.db.manager import ConnectionSource

_COOKIE = re.compile(r"([0-9a-f]{32})\.([A-Za-z0-9_-]{43})", re.ASCII)
_COLUMNS = (
    "series, user_id, validator, previous_validator, changed_at, password_mark, created_at, "
    "expires_at"
)


@dataclass(frozen=True, slots=True)
class Series:
    """One remembered device; times are unix seconds."""

    series: str
    user_id: str
    validator: str
    previous_validator: str | None
    changed_at: int
    password_mark: str | None
    created_at: int
    expires_at: int


@dataclass(frozen=True, slots=True)
class Presented:
    """A cookie as it was found: `state` is 'current', 'previous' or 'stolen'."""

    state: str
    row: Series


class RememberTokens:
    """The table `remember_tokens`."""

    def __init__(
        self,
        db: ConnectionSource,
        *,
        lifetime_days: float = AuthSettings.remember_days,
        grace_seconds: int = AuthSettings.remember_grace_seconds,
        clock: Clock | None = None,
    ) -> None:
        self._db = db
        self.lifetime_seconds = int(lifetime_days * 86_400)
        self._grace_seconds = grace_seconds
        self._clock = clock or Clock()

    def begin(self, user_id: Any, password_mark: str | None) -> tuple[Series, str]:
        """A new series for *user_id* → the series and its cookie."""
        now, validator = int(self._clock.time()), token()
        row = Series(
            secrets.token_hex(16),
            str(user_id),
            _hash(validator),
            None,
            now,
            password_mark,
            now,
            now + self.lifetime_seconds,
        )
        self._db.connection().insert(
            f"insert into remember_tokens ({_COLUMNS}) "  # noqa: S608  # constant column names
            "values (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                row.series,
                row.user_id,
                row.validator,
                row.previous_validator,
                row.changed_at,
                row.password_mark,
                row.created_at,
                row.expires_at,
            ),
        )
        return row, f"{row.series}.{validator}"

    def find(self, cookie: str) -> Presented | None:
        """What *cookie* is; None if it is none of ours or its time is over."""
        form = _COOKIE.fullmatch(cookie)
        row = self._read(form[1]) if form else None
        if form is None or row is None:
            return None
        now, given = self._clock.time(), _hash(form[2])
        if row.expires_at <= now:
            return None
        if hmac.compare_digest(given, row.validator):
            return Presented("current", row)
        was_current = hmac.compare_digest(given, row.previous_validator or "")
        is_recent = now - row.changed_at <= self._grace_seconds
        return Presented("previous" if was_current and is_recent else "stolen", row)

    def _read(self, series: str) -> Series | None:
        rows = self._db.connection().select_tuples(
            f"select {_COLUMNS} from remember_tokens where series = ?",  # noqa: S608  # constant
            (series,),
            use_read=False,
        )
        return Series(*rows[0]) if rows else None

    def change(self, row: Series) -> str | None:
        """Give *row* a new validator → the cookie; None if another request was first."""
        validator, now = token(), int(self._clock.time())
        changed = self._db.connection().update(
            "update remember_tokens set validator = ?, previous_validator = ?, changed_at = ? "
            "where series = ? and validator = ?",
            (_hash(validator), row.validator, now, row.series, row.validator),
        )
        return f"{row.series}.{validator}" if changed == 1 else None

    def mark(self, series: str, password_mark: str | None) -> None:
        """Note that the password was changed by the owner of this device."""
        self._db.connection().update(
            "update remember_tokens set password_mark = ? where series = ?",
            (password_mark, series),
        )

    def remark(self, user_id: str, old: str, new: str) -> None:
        """The same password has another hash: what was bound to the old one goes on."""
        self._db.connection().update(
            "update remember_tokens set password_mark = ? where user_id = ? and password_mark = ?",
            (new, user_id, old),
        )

    def forget(self, series: str) -> None:
        """End one series."""
        self._db.connection().delete("delete from remember_tokens where series = ?", (series,))

    def forget_user(self, user_id: Any, *, keep: str | None = None) -> int:
        """End every series of *user_id*, all but *keep* → how many."""
        return self._db.connection().delete(
            "delete from remember_tokens where user_id = ? and series <> ?",
            (str(user_id), keep or ""),
        )

    def prune(self, batch: int = 500) -> int:
        """Remove series whose time is over, in batches → how many."""
        connection, values = self._db.connection(), (int(self._clock.time()),)
        ended = "remember_tokens", "id", "expires_at <= ?"
        return swept(connection, *ended, values, batch, by="expires_at")


def series_of(cookie: str | None) -> str | None:
    """The series that *cookie* names, without a look at whether it is genuine."""
    form = _COOKIE.fullmatch(cookie or "")
    return form[1] if form else None


def _hash(validator: str) -> str:
    return hashlib.sha256(validator.encode()).hexdigest()
