"""Personal access tokens for programs: `id|secret`, shown once, stored as SHA-256 only.

A token carries abilities, which narrow what its owner may do and never widen it. The middleware
`auth:token` reads the Authorization header and asks here.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from so.db.manager import current_database
from so.db.model import Model
from so.db.sweeping import swept
from so.errors import AuthError, AuthorizationException, DatabaseError, RelationError
from so.settings.auth import AuthSettings
from so.support.clock import Clock
from so.support.current import current
from so.support.ids import token as new_secret
from so.support.naming import ClassNames, of_one_table
from so.support.numbers import row_id
from so.support.scope import current_scope
from so.systems.auth.abilities import ALL, checked_abilities, grants
from so.systems.auth.security import end_of, moment
from so.systems.auth.users import type_of

if TYPE_CHECKING:
    from so.db.manager import ConnectionSource

TOUCH_SECONDS = 60
LONGEST_NAME = 255  # characters of the name of a token
SCOPE_KEY = "access_token"
IMPERSONATOR = "impersonator"  # under this name who acts as another user is in scope.data

_PLAIN = re.compile(r"([1-9][0-9]{0,17})\|([A-Za-z0-9_-]{43})", re.ASCII)
_COLUMNS = (
    "id, tokenable_type, tokenable_id, name, token, abilities, last_used_at, expires_at, "
    "created_at, password_mark"
)

logger = logging.getLogger("so.auth")
_owners = ClassNames(
    AuthError,
    "among the classes with access tokens, and who has one's would be let in as the other",
    of_one_table,
)


@dataclass(slots=True)
class AccessToken:
    """One token as stored; `token` is the SHA-256 of its secret."""

    id: int
    tokenable_type: str
    tokenable_id: str
    name: str
    token: str
    abilities: list[str]
    last_used_at: datetime | None
    expires_at: datetime | None
    created_at: datetime | None
    password_mark: str | None  # of the owner's password when it was made
    source: AccessTokens

    def can(self, ability: str) -> bool:
        """True if this token was made for *ability*, by name or by wildcard (`orders.*`, `*`)."""
        return grants(self.abilities, ability)

    def cant(self, ability: str) -> bool:
        """The opposite of `can()`."""
        return not self.can(ability)

    def is_expired(self, now: datetime) -> bool:
        """True from the second of `expires_at` on."""
        return self.expires_at is not None and self.expires_at <= now

    def revoke(self) -> bool:
        """Make it worthless at once; False if it was gone already."""
        return self.source.revoke(self.id)

    def to_dict(self) -> dict[str, Any]:
        """For JSON, without the hash."""
        return {
            "id": self.id,
            "name": self.name,
            "abilities": list(self.abilities),
            "last_used_at": self.last_used_at,
            "expires_at": self.expires_at,
            "created_at": self.created_at,
        }


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token just made; *plain_text* is shown to its owner now and never again."""

    plain_text: str
    token: AccessToken


class AccessTokens:
    """The table `personal_access_tokens`."""

    def __init__(
        self,
        db: ConnectionSource,
        *,
        clock: Clock | None = None,
        prefix: str = AuthSettings.token_prefix,
        lifetime_days: float = AuthSettings.token_days,
    ) -> None:
        """Plain texts begin with *prefix*, by which scanners for leaked secrets know them.

        A token that is given no end lives *lifetime_days*; 0: for ever.
        """
        self._db = db
        self._clock = clock
        self._prefix, self._lifetime = prefix, timedelta(days=lifetime_days)

    def _now(self) -> datetime:
        return (self._clock or self._db.connection().clock).now()

    def create(
        self,
        owner_type: str,
        owner_id: Any,
        name: str,
        abilities: list[str] = ALL,
        expires_at: datetime | timedelta | None = None,
        password_mark: str | None = None,
    ) -> NewToken:
        """Make a token for the model (*owner_type*, *owner_id*), for everything unless told.

        TypeError for abilities that are no list of texts, and for a name that is none.
        """
        if not isinstance(name, str):
            raise TypeError(f"the name of a token is a text, not {name!r}")
        if len(name) > LONGEST_NAME:
            raise AuthError(f"the name of a token has {LONGEST_NAME} characters at most: {name!r}")
        now, secret, granted = self._now(), new_secret(), checked_abilities(abilities)
        ends = self._end(now, expires_at)
        id = self._db.connection().insert_get_id(
            "insert into personal_access_tokens (tokenable_type, tokenable_id, name, token, "
            "abilities, expires_at, password_mark, created_at, updated_at) "
            "values (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                owner_type,
                str(owner_id),
                name,
                _hash(secret),
                json.dumps(granted),
                ends,
                password_mark,
                now,
                now,
            ),
        )
        stored = AccessToken(
            id, owner_type, str(owner_id), name, _hash(secret), granted, None, ends, now,
            password_mark, self,
        )  # fmt: skip
        return NewToken(f"{self._prefix}{id}|{secret}", stored)

    def _end(self, now: datetime, given: datetime | timedelta | None) -> datetime | None:
        ends = end_of(now, given, "expires_at")
        return now + self._lifetime if ends is None and self._lifetime else ends

    def find(self, plain_text: str | None) -> AccessToken | None:
        """The live token that *plain_text* is; None for anything else, without saying why."""
        form = _PLAIN.fullmatch((plain_text or "").removeprefix(self._prefix))
        if form is None:
            return None
        found = self._select("id = ?", int(form[1]))
        if not found or not hmac.compare_digest(found[0].token, _hash(form[2])):
            return None
        return None if found[0].is_expired(self._now()) else found[0]

    def owner(self, token: AccessToken) -> Any:
        """The model that *token* belongs to; None if it, or its class, is no more."""
        try:
            kind = _owners.find(token.tokenable_type) or Model.for_alias(token.tokenable_type)
        except RelationError:
            return None
        return kind.find(token.tokenable_id)

    def for_owner(self, owner_type: str, owner_id: Any) -> list[AccessToken]:
        """The owner's tokens, oldest first."""
        return self._select(
            "tokenable_type = ? and tokenable_id = ? order by id", owner_type, str(owner_id)
        )

    def _select(self, condition: str, *values: object) -> list[AccessToken]:
        rows = self._db.connection().select_tuples(
            f"select {_COLUMNS} from personal_access_tokens "  # noqa: S608  # constant texts
            f"where {condition}",
            values,
            use_read=False,
        )
        return [self._token(row) for row in rows]

    def _token(self, row: tuple[Any, ...]) -> AccessToken:
        id, owner_type, owner_id, name, token, abilities, used, ends, created, mark = row
        return AccessToken(
            int(id),
            owner_type,
            owner_id,
            name,
            token,
            _abilities(abilities),
            moment(used),
            moment(ends),
            moment(created),
            mark,
            self,
        )

    def used(self, token: AccessToken) -> None:
        """Note the use of *token*, at most once a minute; a failure to note it is only logged."""
        now = self._now()
        since = now - timedelta(seconds=TOUCH_SECONDS)
        if token.last_used_at is not None and token.last_used_at > since:
            return
        try:
            self._db.connection().update(
                "update personal_access_tokens set last_used_at = ? "
                "where id = ? and (last_used_at is null or last_used_at <= ?)",
                (now, token.id, since),
            )
        except DatabaseError:
            logger.exception("the use of access token %s could not be noted", token.id)
        token.last_used_at = now

    def revoke(self, id: int | str) -> bool:
        """Remove one token; False if it was not there."""
        sql = "delete from personal_access_tokens where id = ?"
        number = row_id(id)
        return number is not None and self._db.connection().delete(sql, (number,)) == 1

    def revoke_all(self, owner_type: str, owner_id: Any) -> int:
        """Remove every token of an owner → how many."""
        return self._db.connection().delete(
            "delete from personal_access_tokens where tokenable_type = ? and tokenable_id = ?",
            (owner_type, str(owner_id)),
        )

    def remark(self, owner_type: str, owner_id: Any, old: str, new: str) -> None:
        """The same password has another hash: what was bound to the old one goes on."""
        self._db.connection().update(
            "update personal_access_tokens set password_mark = ? "
            "where tokenable_type = ? and tokenable_id = ? and password_mark = ?",
            (new, owner_type, str(owner_id), old),
        )

    def prune(self, hours: float = 24, batch: int = 500) -> int:
        """Remove tokens that expired more than *hours* ago, in batches → how many."""
        connection, values = self._db.connection(), (self._now() - timedelta(hours=hours),)
        return swept(connection, "personal_access_tokens", "id", "expires_at <= ?", values, batch)


class HasApiTokens:
    """For a user model: `class User(HasApiTokens, Model)`."""

    @classmethod
    def _defined(cls) -> None:
        _owners.know(type_of(cls), cls)

    def create_token(
        self,
        name: str,
        abilities: list[str] = ALL,
        expires_at: datetime | timedelta | None = None,
    ) -> NewToken:
        """Make a token, for everything unless told; its `.plain_text` is shown once.

        *abilities* is a list of texts, TypeError otherwise: `orders.read`, `orders.*`, `*`. A
        request that came with a token itself can only hand on abilities that this token has, and
        who acts as another user makes no tokens: else AuthorizationException (403).
        """
        wanted = checked_abilities(abilities)
        scope = current_scope()
        if scope is not None and scope.data.get(IMPERSONATOR) is not None:
            raise AuthorizationException("A token would outlast acting as this user.")
        own: AccessToken | None = scope.data.get(SCOPE_KEY) if scope is not None else None
        if own is not None and not all(own.can(ability) for ability in wanted):
            raise AuthorizationException("A token cannot grant more than it has.")
        return self._tokens().create(*self._token_owner(), name, wanted, expires_at, _mark_of(self))

    def tokens(self) -> list[AccessToken]:
        """This user's tokens, oldest first."""
        return self._tokens().for_owner(*self._token_owner())

    def revoke_tokens(self) -> int:
        """Make all of them worthless → how many there were."""
        return self._tokens().revoke_all(*self._token_owner())

    def _tokens(self) -> AccessTokens:
        try:
            found: AccessTokens = current("access_tokens")
        except RuntimeError:  # a script without an application
            here: Any = getattr(type(self), "connection", None)
            if here is None or isinstance(here, str):
                here = current_database().source(here)
            found = AccessTokens(here)
        return found

    def _token_owner(self) -> tuple[str, Any]:
        own: Any = self
        return type_of(own), own.get_key()


def _mark_of(owner: Any) -> str | None:
    """What binds a token to its owner's password; None where no application runs."""
    try:
        mark: str = current("authentication").password_mark(owner)
    except RuntimeError:
        return None
    return mark


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _abilities(text: str | None) -> list[str]:
    try:
        found = json.loads(text or "[]")
    except ValueError:
        return []
    return [item for item in found if isinstance(item, str)] if isinstance(found, list) else []
