"""What happens to logins and accounts, and who wants to hear of it.

    auth().on("login", lambda event: greet(event.user))
    auth().listen(lambda event: ...)                      # every event

An event is told after it has happened. A listener that fails is logged and stops nothing. What
the application does with events (the activity log, notifications) is joined in so/application.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from so.errors import AuthError
from so.support.near import nearest
from so.support.plain import plain
from so.support.scope import current_scope

NAMES = (
    "login", "failed", "lockout", "logout", "ended", "registered", "verified", "password_changed",
    "password_reset", "two_factor_on", "two_factor_off", "role_changed", "impersonated", "locked",
    "unlocked",
)  # fmt: skip

logger = logging.getLogger("so.auth")


@dataclass(frozen=True, slots=True)
class AuthEvent:
    """One event.

    *user* is whom it happened to; None where nobody is known, as in a failed login. *details*
    says more: `reason`, `until`, `roles`, `by` …, never a password, token or code.
    """

    name: str
    user: Any = None
    address: str | None = None
    agent: str | None = None
    request_id: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)

    def __getattr__(self, name: str) -> Any:
        """A detail by its name."""
        if not name.startswith("_") and name in self.details:
            return self.details[name]
        raise AttributeError(f"the event {self.name!r} has no {name!r}")


Listener = Callable[[AuthEvent], object]


class AuthEvents:
    """The listeners of one application."""

    def __init__(self) -> None:
        self._heard: list[tuple[str | None, Listener]] = []

    def on(self, name: str, fn: Listener) -> Listener:
        """Call `fn(event)` after each event *name*; AuthError for a name there is not."""
        if name not in NAMES:
            close = nearest(name, NAMES)
            hint = f"did you mean {close!r}?" if close else f"there are {', '.join(NAMES)}"
            raise AuthError(f"there is no auth event {name!r}; {hint}")
        self._heard.append((name, plain(fn, f"the listener of {name!r}")))
        return fn

    def listen(self, *given: Any) -> Listener:
        """Call `fn(event)` after every event; with a name before it, as `on()`."""
        if len(given) == 2:
            return self.on(*given)
        (fn,) = given
        self._heard.append((None, plain(fn, "the listener")))
        listener: Listener = fn
        return listener

    def fire(
        self,
        name: str,
        user: Any = None,
        *,
        address: str | None = None,
        agent: str | None = None,
        **details: Any,
    ) -> None:
        """Tell of *name*; address and agent are the request's unless they are given."""
        scope = current_scope()
        request = None if scope is None else scope.request
        event = AuthEvent(
            name,
            user,
            address if request is None or address else request.ip(),
            agent if request is None or agent else request.user_agent(),
            None if scope is None else scope.request_id,
            details,
        )
        for wanted, fn in list(self._heard):
            if wanted in (None, name):
                try:
                    fn(event)
                except Exception:
                    logger.exception("a listener of the auth event %s failed", name)
