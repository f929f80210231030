"""How authentication finds users: through a model class, known only by what it can do."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

from so.errors import AuthError, CredentialsError, QueryError, ValidationException

PASSWORD = "password"  # noqa: S105  # the key in credentials
LONGEST_ADDRESS = 254  # characters of an e-mail address, by RFC 5321
_ADDRESS = re.compile(r"[^\s@,;:<>()\[\]\\\"]+@[^\s@,;:<>()\\\"]+")
_LONE = re.compile("[\ud800-\udfff]")  # halves of characters, which JSON can spell
SAME_TO_THE_DATABASE = 20  # rows looked at: a collation may take many names for one


def type_of(user: Any) -> str:
    """The name of the kind of *user*, as rows hold it: the model's alias, or its class name."""
    return str(getattr(user, "type_alias", None) or type(user).__name__)


def normal_name(text: str) -> str:
    """One spelling for a name that people write in several: case, width, space at the ends."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold()).strip()


def checked_address(given: object) -> str:
    """*given* as the address of a mailbox, without space around it; ValidationException else.

    Whoever may change his address writes into the head of a mail by it.
    """
    text = given.strip() if isinstance(given, str) else ""
    if len(text) > LONGEST_ADDRESS or not text.isprintable() or not _ADDRESS.fullmatch(text):
        raise ValidationException({"email": "The email field must be a valid email address."})
    return text


def names_in(credentials: object) -> dict[str, Any] | None:
    """The names in *credentials*, apart from the password; None where they name nobody.

    Names are text: a number, a bool, a list or None names nobody, whatever a database would
    compare it with, and neither does text that no database stores. Beside a name, whole numbers,
    bools and None are conditions: `{"email": …, "active": 1}`.
    """
    if not isinstance(credentials, Mapping):
        return None
    by = {name: value for name, value in credentials.items() if name != PASSWORD}
    fits = all(
        isinstance(name, str) and name.isidentifier() and _may_be_asked_for(value)
        for name, value in by.items()
    )
    return by if fits and any(isinstance(value, str) for value in by.values()) else None


def _may_be_asked_for(value: object) -> bool:
    if isinstance(value, str):
        return bool(value) and not _LONE.search(value)
    return value is None or (isinstance(value, int) and abs(value) < 2**63)


class Users(Protocol):
    """Where users come from."""

    column: str
    """The one that holds the hash."""

    def made(self, values: Mapping[str, Any]) -> Any:
        """A new user with those of *values* that may be mass-assigned, not saved yet."""
        ...

    def by_id(self, key: Any) -> Any:
        """The user with that key, or None."""
        ...

    def by_credentials(self, credentials: Mapping[str, Any]) -> Any:
        """The user whom *credentials* name, whatever the password in them; or None."""
        ...

    def key_of(self, user: Any) -> Any:
        """The key of *user*."""
        ...

    def password_of(self, user: Any) -> str | None:
        """The stored hash, or None for a user who cannot log in with a password."""
        ...

    def replace_password(self, user: Any, old: str | None, new: str) -> bool:
        """Store the hash *new* if it still is *old*; False if somebody was first."""
        ...

    def may_sign_in(self, user: Any) -> bool:
        """False for a user who is locked out."""
        ...

    def knows(self, user: Any) -> bool:
        """True if *user* is one of these users."""
        ...

    def kind(self) -> str:
        """The name of their kind, as rows hold it."""
        ...


class ModelUsers:
    """Users from a model class with `find()` and `first_where()`.

    A method `can_sign_in()` on the model, if there is one, ends all access when it says False.
    """

    def __init__(self, model: Any, password: str = PASSWORD) -> None:
        """*model* is the class, or a function that gives it when it is first needed."""
        self._given, self._model = model, model if isinstance(model, type) else None
        self.column = self._password = password

    @property
    def model(self) -> Any:
        """The class."""
        if self._model is None:
            if not callable(self._given):
                raise AuthError(
                    "no user model is set: name one in config/auth.py, "
                    "such as 'model': 'app.models.user.User'"
                )
            self._model = self._given()
        return self._model

    def made(self, values: Mapping[str, Any]) -> Any:
        """A new user with those of *values* that may be mass-assigned, not saved yet."""
        return self.model().fill(dict(values)) if values else self.model()

    def by_id(self, key: Any) -> Any:
        """The user with that key, or None."""
        is_one = key is not None and not isinstance(key, (bool, list, tuple, set, dict))
        return self.model.find(key) if is_one else None

    def by_credentials(self, credentials: Mapping[str, Any]) -> Any:
        """The user whom *credentials* name, whatever the password in them; or None.

        What is found must have the names that were given, whatever a collation takes for the
        same; capitals make no difference, on no engine. CredentialsError (422) for a name that is
        no column of these users.
        """
        by = names_in(credentials)
        if by is None:
            return None
        try:
            return self._named(by)
        except QueryError:
            self._refuse_unknown(by)
            raise

    def _named(self, by: Mapping[str, Any]) -> Any:
        normal = {name: _normal(value) for name, value in by.items()}
        for found in (self._where(by), self._where(normal), self._in_other_capitals(by)):
            same = [user for user in found if _has_names(user, normal)]
            if same:
                exact = (user for user in same if all(getattr(user, n) == by[n] for n in by))
                return next(exact, same[0])
        return None

    def _where(self, names: Mapping[str, Any]) -> Iterator[Any]:
        yield from self.model.where(names).limit(SAME_TO_THE_DATABASE).get()

    def _in_other_capitals(self, by: Mapping[str, Any]) -> Iterator[Any]:
        # Elsewhere the collation has looked already.
        if self.model.query().get_connection().dialect.name == "sqlite":
            yield from self.alike(by)

    def alike(self, by: Mapping[str, Any]) -> Iterator[Any]:
        """The users with the names of *by*, in whatever capitals.

        Looks at every row, unless there is an index on `lower(column)`.
        """
        query = self.model.query()
        for name, value in by.items():
            if isinstance(value, str):
                column = query.get_connection().grammar.wrap_value(name)
                query = query.where_raw(f"lower({column}) in (?, ?)", _as_lowered(value))
        yield from query.limit(SAME_TO_THE_DATABASE).get()

    def _refuse_unknown(self, by: Mapping[str, Any]) -> None:
        query = self.model.where_raw("1 = 0")
        known, _ = query.get_connection().fetch(query.to_sql(), query.get_bindings())
        for name in by:
            if name.lower() not in map(str.lower, known):
                said = f"No user has a {name!r}: log in by a column of theirs, such as email."
                raise CredentialsError({name: said}, said)

    def key_of(self, user: Any) -> Any:
        """The key of *user*."""
        get_key: Callable[[], Any] | None = getattr(user, "get_key", None)
        return get_key() if callable(get_key) else user.id

    def password_of(self, user: Any) -> str | None:
        """The stored hash, or None for a user who cannot log in with a password."""
        value = self._stored(user)
        return value if isinstance(value, str) and value else None

    def _stored(self, user: Any) -> Any:
        """What the column holds: a new password that has not been saved yet counts for nothing."""
        stored = getattr(user, "get_original", None)
        return stored(self._password) if callable(stored) else getattr(user, self._password, None)

    def replace_password(self, user: Any, old: str | None, new: str) -> bool:
        """Store the hash *new* if it still is *old*; False if somebody was first."""
        key_name = getattr(self.model, "primary_key", "id")
        # No password is None or an empty text, as the application has it.
        before = self._stored(user) if old is None else old
        found = self.model.where({key_name: self.key_of(user), self._password: before})
        if found.update({self._password: new}) != 1:
            return False
        setattr(user, self._password, new)
        sync = getattr(user, "sync_original", None)
        if callable(sync):
            sync()
        return True

    def knows(self, user: Any) -> bool:
        """True if *user* is one of these users."""
        return isinstance(user, self.model)

    def kind(self) -> str:
        """The name of their kind, as rows hold it."""
        return str(getattr(self.model, "type_alias", None) or self.model.__name__)

    def may_sign_in(self, user: Any) -> bool:
        """False for a user who is locked out."""
        ask = getattr(user, "can_sign_in", None)
        return bool(ask()) if callable(ask) else True


class Directory(Protocol):
    """A directory of a company, such as LDAP: `auth.users` names a class of this kind.

    `find` gives a user of the application's own model, made or brought up to date if need be.
    `check` and `after_login` may be missing: then the stored hash decides, and nothing happens.
    """

    def find(self, credentials: Mapping[str, str]) -> Any:
        """The user whom *credentials* name, without the password; or None."""
        ...

    def check(self, user: Any, password: str) -> bool:
        """True if *password* is that of *user*."""
        ...

    def after_login(self, user: Any) -> object:
        """Called when *user* has logged in: to bring roles up to date, say."""
        ...


class DirectoryUsers(ModelUsers):
    """Users of the application's model, found and checked by a `Directory`."""

    def __init__(self, directory: Any, model: Any, password: str = PASSWORD) -> None:
        super().__init__(model, password)
        self._directory = directory

    def by_credentials(self, credentials: Mapping[str, Any]) -> Any:
        """The user whom the directory finds; names are text here as well."""
        by = names_in(credentials)
        return None if by is None else self._directory.find(by)

    def check(self, user: Any, password: str) -> bool | None:
        """What the directory says of *password*; None where it leaves that to the stored hash."""
        ask = getattr(self._directory, "check", None)
        # Many directories take a login with no password for one of nobody, and say yes.
        return bool(password) and ask(user, password) is True if callable(ask) else None

    def after_login(self, user: Any) -> None:
        """Tell the directory, if it wants to know."""
        tell = getattr(self._directory, "after_login", None)
        if callable(tell):
            tell(user)


def _normal(value: Any) -> Any:
    return normal_name(value) if isinstance(value, str) else value


def _has_names(user: Any, normal: Mapping[str, Any]) -> bool:
    for name, value in normal.items():
        found = getattr(user, name, None)
        if value != (normal_name(str(found)) if isinstance(value, str) else found):
            return False
    return True


def _as_lowered(text: str) -> list[str]:
    """What `lower()` of SQLite, which knows ASCII alone, makes of *text*, small or in capitals."""
    return [normal_name(text), "".join(c.lower() if c.isascii() else c for c in text.upper())]
