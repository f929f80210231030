"""Guards: the ways by which an application knows who is asking, each with users of its own.

    "guards": {
        "staff": {"driver": "session", "model": "app.models.User"},
        "portal": {"driver": "session", "model": "app.models.Customer"},
        "api": {"driver": "token"},
        "sso": {"driver": "header", "header": "X-Remote-User", "column": "email"},
    }

`session` and `token` are there without being named: the users of `auth.model` by login, and of any
model by access token; a guard that names a model takes the tokens of its users alone. In one
session there may be a login of each kind of users: guards of the same users share it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from so.errors import AuthError, ConfigError
from so.support.near import nearest
from so.systems.auth.users import Users

SESSION, TOKEN, HEADER = "session", "token", "header"
DRIVERS = (SESSION, TOKEN, HEADER)
SETTINGS = ("driver", "model", "users", "header", "column")


@dataclass(frozen=True, slots=True)
class Guard:
    """One way in. *users* None: of any model, as tokens have it."""

    name: str
    driver: str = SESSION
    users: Users | None = None
    header: str = "REMOTE_USER"  # which header, or variable of the server, names the user
    column: str = "email"  # and by which column he is found


class Guards:
    """The guards of one application by name."""

    def __init__(self, default: Guard, others: Mapping[str, Guard] | None = None) -> None:
        self.default = default
        self._named = {SESSION: default, TOKEN: Guard(TOKEN, TOKEN), **(others or {})}

    def named(self, name: str | None) -> Guard:
        """The guard *name*, the default one without; AuthError for one there is not."""
        if name is None:
            return self.default
        found = self._named.get(name)
        if found is None:
            close = nearest(name, self._named)
            hint = f"did you mean {close!r}?" if close else f"there are {', '.join(self._named)}"
            raise AuthError(f"there is no guard {name!r}; {hint}")
        return found

    def users(self) -> list[Users]:
        """The users of all guards, the default one's first, each once."""
        found = [guard.users for guard in (self.default, *self._named.values())]
        return [one for one in dict.fromkeys(found) if one is not None]


def read_guards(
    settings: Mapping[str, Mapping[str, Any]], default: Users, make: Callable[[str, Any], Users]
) -> Guards:
    """Guards from `auth.guards`; `make(kind, what)` gives the users of a model or a directory.

    ConfigError for a driver or a setting there is not.
    """
    found: dict[str, Guard] = {}
    for name, given in settings.items():
        driver = given.get("driver", SESSION)
        _known("driver", driver, DRIVERS, name)
        for setting in given:
            _known("setting", setting, SETTINGS, name)
        users: Users | None = None if driver == TOKEN else default
        for kind in ("model", "users"):
            if given.get(kind):
                users = make(kind, given[kind])
        more = {key: given[key] for key in ("header", "column") if key in given}
        found[name] = Guard(name, driver, users, **more)
    return Guards(Guard(SESSION, SESSION, default), found)


def _known(what: str, given: Any, known: tuple[str, ...], guard: str) -> None:
    if given not in known:
        close = nearest(str(given), known)
        hint = f"did you mean {close!r}?" if close else f"there are {', '.join(known)}"
        raise ConfigError(f"auth.guards.{guard} has no {what} {given!r}; {hint}")
