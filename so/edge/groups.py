"""The names under which the middleware of this room is known, the default groups, the order."""

from __future__ import annotations

from so.edge.authenticate import Authenticate, Authorize, RedirectIfAuthenticated
from so.edge.context import RequestContext
from so.edge.csrf import VerifyCsrf
from so.edge.session import StartSession
from so.edge.throttle import Throttle

ALIASES: dict[str, type] = {
    "context": RequestContext,
    "session": StartSession,
    "csrf": VerifyCsrf,
    "auth": Authenticate,
    "guest": RedirectIfAuthenticated,
    "throttle": Throttle,
    "can": Authorize,
}

GROUPS: dict[str, list[str]] = {
    "web": ["session", "csrf"],
    "api": ["throttle:60,1"],
}

PRIORITY: list[type] = [
    RequestContext,
    StartSession,
    VerifyCsrf,
    Authenticate,
    RedirectIfAuthenticated,
    # After the login, so that users are counted as such and not by the address of their office.
    Throttle,
    Authorize,
]
