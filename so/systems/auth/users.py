"""How authentication finds users: through a model class, known only by what it can do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from so.errors import AuthError

PASSWORD = "password"  # noqa: S105  # the key in credentials


class Users(Protocol):
    """Where users come from."""

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


class ModelUsers:
    """Users from a model class with `find()` and `first_where()`.

    A method `can_sign_in()` on the model, if there is one, ends all access when it says False.
    """

    def __init__(self, model: Any, password: str = PASSWORD) -> None:
        """*model* is the class, or a function that gives it when it is first needed."""
        self._given, self._model = model, model if isinstance(model, type) else None
        self._password = password

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

    def by_id(self, key: Any) -> Any:
        """The user with that key, or None."""
        return None if key is None else self.model.find(key)

    def by_credentials(self, credentials: Mapping[str, Any]) -> Any:
        """The user whom *credentials* name, whatever the password in them; or None."""
        by = {name: value for name, value in credentials.items() if name != PASSWORD}
        # None would find whoever has no such value, and a list or dict is no name of anybody.
        if not by or not all(isinstance(value, (str, int)) for value in by.values()):
            return None
        return self.model.first_where(by)

    def key_of(self, user: Any) -> Any:
        """The key of *user*."""
        get_key: Callable[[], Any] | None = getattr(user, "get_key", None)
        return get_key() if callable(get_key) else user.id

    def password_of(self, user: Any) -> str | None:
        """The stored hash, or None for a user who cannot log in with a password."""
        # The stored one: a new password that has not been saved yet counts for nothing.
        stored = getattr(user, "get_original", None)
        value = stored(self._password) if callable(stored) else getattr(user, self._password, None)
        return value if isinstance(value, str) and value else None

    def replace_password(self, user: Any, old: str | None, new: str) -> bool:
        """Store the hash *new* if it still is *old*; False if somebody was first."""
        key_name = getattr(self.model, "primary_key", "id")
        found = self.model.where({key_name: self.key_of(user), self._password: old})
        if found.update({self._password: new}) != 1:
            return False
        setattr(user, self._password, new)
        sync = getattr(user, "sync_original", None)
        if callable(sync):
            sync()
        return True

    def may_sign_in(self, user: Any) -> bool:
        """False for a user who is locked out."""
        ask = getattr(user, "can_sign_in", None)
        return bool(ask()) if callable(ask) else True
