"""The names under which the middleware of this room is known, the default groups, the order.

Names only: an application that uses no sessions loads none of their modules.
"""

from __future__ import annotations

ALIASES: dict[str, str] = {
    "context": "so.edge.context.RequestContext",
    "headers": "so.edge.headers.SafeHeaders",
    "session": "so.edge.session.StartSession",
    "csrf": "so.edge.csrf.VerifyCsrf",
    "auth": "so.edge.authenticate.Authenticate",
    "guest": "so.edge.authenticate.RedirectIfAuthenticated",
    "throttle": "so.edge.throttle.Throttle",
    "can": "so.edge.authenticate.Authorize",
    "confirm": "so.edge.authenticate.Confirm",
    "verified": "so.edge.authenticate.Verified",
    "two_factor": "so.edge.authenticate.TwoFactorDemanded",
}

GROUPS: dict[str, list[str]] = {
    "web": ["headers", "session", "csrf"],
    "api": ["headers", "throttle:60,1"],
}

PRIORITY: list[str] = [
    "context",
    "headers",
    "session",
    "csrf",
    "auth",
    "guest",
    # After the login, so that users are counted as such and not by the address of their office.
    "throttle",
    "verified",
    "two_factor",
    "can",
    # Last: nobody is asked for his password for what he may not do.
    "confirm",
]
