"""How whoever is asking writes numbers and dates: `local().moment(order.created_at)`.

A user says it by `preferred_locale` and `preferred_timezone`, attributes or methods of the model;
one that says nothing, a guest, a job and a command have `app.locale` and `app.timezone`.
"""

from __future__ import annotations

from typing import Any

from so.edge.session import AUTH
from so.errors import ConfigError, SixOrbitError
from so.support.current import current
from so.support.formats import Formats
from so.support.scope import current_scope


def local(user: Any = None) -> Formats:
    """The way of writing of *user*; without one, that of whoever is logged in here.

    What a user asks for that there is not does not count: it was typed long ago, perhaps on
    another machine.
    """
    default: Formats = current("formats")
    someone = _user() if user is None else user
    if someone is None:
        return default
    locale = _said(someone, "preferred_locale") or default.locale
    zone = _said(someone, "preferred_timezone") or default.zone
    for pair in ((locale, zone), (default.locale, zone), (locale, default.zone)):
        try:
            return Formats(*pair)
        except ConfigError:
            continue
    return default


def _user() -> Any:
    scope = current_scope()
    if scope is None:
        return None
    login = scope.data.get(AUTH)
    return login.user() if login is not None else None


def _said(user: Any, name: str) -> str:
    try:
        said = getattr(user, name, None)
    except SixOrbitError:  # a model that allows no missing columns
        return ""
    found = said() if callable(said) else said
    return found if isinstance(found, str) else ""
