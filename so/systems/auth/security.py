"""What is known of a login beside the columns of an application's own users.

One row in `user_security` for a user of whom there is something to know: the address that was
confirmed, a lock, a second factor. No row is a user with none of it.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from so.errors import UniqueConstraintError
from so.support.clock import Clock

if TYPE_CHECKING:
    from so.db.manager import ConnectionSource

_COLUMNS = (
    "verified_email", "verified_at", "locked_at", "locked_until", "lock_reason",
    "two_factor_secret", "two_factor_on_at", "two_factor_step", "password_changed_at",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Security:
    """One row; moments are aware UTC."""

    verified_email: str | None = None
    verified_at: datetime | None = None
    locked_at: datetime | None = None
    locked_until: datetime | None = None
    lock_reason: str | None = None
    two_factor_secret: str | None = None
    two_factor_on_at: datetime | None = None
    two_factor_step: int = 0
    password_changed_at: datetime | None = None

    def is_locked(self, now: datetime) -> bool:
        """True while an administrator's lock holds."""
        if self.locked_at is None:
            return False
        return self.locked_until is None or now < self.locked_until


class SecurityRows:
    """The table `user_security`; users are named by `Authentication.key_of()`."""

    def __init__(self, db: ConnectionSource, *, clock: Clock | None = None) -> None:
        self._db = db
        self.clock = clock or Clock()

    def read(self, user_id: str) -> Security:
        """The row of *user_id*, an empty one where there is none."""
        rows = self._db.connection().select_tuples(
            f"select {', '.join(_COLUMNS)} from user_security "  # noqa: S608  # constant names
            "where user_id = ?",
            (user_id,),
            use_read=False,
        )
        if not rows:
            return Security()
        found = dict(zip(_COLUMNS, rows[0], strict=True))
        return Security(**{name: _read(name, value) for name, value in found.items()})

    def write(self, user_id: str, **values: Any) -> None:
        """Set *values* in the row of *user_id*, made if there is none."""
        if self.change(user_id, **values):
            return
        names = ", ".join(["user_id", *values])
        marks = ", ".join("?" * (len(values) + 1))
        try:
            self._db.connection().insert(
                f"insert into user_security ({names}) values ({marks})",  # noqa: S608  # constant
                (user_id, *values.values()),
            )
        except UniqueConstraintError:  # another request made it just now
            self.change(user_id, **values)

    def change(
        self, user_id: str, where: str = "", bindings: tuple[Any, ...] = (), **values: Any
    ) -> bool:
        """Set *values* if the row is there, and *where* (a constant text) holds; False if not."""
        sets = ", ".join(f"{name} = ?" for name in values)
        condition = f" and {where}" if where else ""
        return (
            self._db.connection().update(
                f"update user_security set {sets} where user_id = ?{condition}",  # noqa: S608
                (*values.values(), user_id, *bindings),
            )
            == 1
        )


class LastLogins:
    """The table `last_logins`, beside the sessions: there no import is in the way of a login."""

    def __init__(self, db: ConnectionSource) -> None:
        self._db = db

    def of(self, user_id: str) -> datetime | None:
        """When *user_id* last logged in; None for never."""
        sql = "select at from last_logins where user_id = ?"
        found = self._db.connection().scalar(sql, (user_id,), use_read=False)
        return None if found is None else datetime.fromtimestamp(int(found), UTC)

    def note(self, user_id: str, at: datetime) -> None:
        """*user_id* logs in now."""
        connection, second = self._db.connection(), int(at.timestamp())
        sql = "update last_logins set at = ? where user_id = ?"
        if connection.update(sql, (second, user_id)):
            return
        # Another login of the same user may have come first.
        with contextlib.suppress(UniqueConstraintError):
            connection.insert(
                "insert into last_logins (user_id, at) values (?, ?)", (user_id, second)
            )


def _read(name: str, value: Any) -> Any:
    return moment(value) if name.endswith(("_at", "_until")) else value


def end_of(now: datetime, given: object, what: str) -> datetime | None:
    """When something ends that begins *now*: a datetime (of UTC, unless it says) or a timedelta.

    None for never; TypeError that names *what* for anything else.
    """
    if given is None:
        return None
    if isinstance(given, timedelta):
        return now + given
    if isinstance(given, datetime):
        return moment(given)
    raise TypeError(f"{what} is a datetime, a timedelta or None, not {given!r}")


def moment(value: Any) -> datetime | None:
    """A stored time as aware UTC, from the text of SQLite or the datetime of MySQL."""
    if value is None:
        return None
    found = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
