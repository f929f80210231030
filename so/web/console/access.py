"""Who may see the console, and who may act in it.

The abilities `console.view` and `console.operate` decide. Where an application has defined neither,
nobody is let in but whoever sits at this machine, with APP_ENV=local.
"""

from __future__ import annotations

import ipaddress
from typing import Any

from so.errors import AuthenticationException, AuthorizationException
from so.http.request import Request
from so.settings.console import ConsoleSettings

VIEW, OPERATE = "console.view", "console.operate"


class Access:
    """What one application allows."""

    def __init__(self, app: Any, settings: ConsoleSettings) -> None:
        self._app = app
        self._settings = settings

    def require(self, ability: str, request: Request) -> None:
        """Raise 403 for somebody who may not; who is not known yet is asked to log in."""
        if self.allows(ability, request):
            return
        if ability == VIEW and self._app.make("auth").guest():
            raise AuthenticationException("Log in to see the console.")
        raise AuthorizationException(self.refusal(ability))

    def refusal(self, ability: str) -> str:
        """Why somebody may not, in words."""
        if ability == OPERATE and self._settings.read_only:
            return "The console is read-only here (console.read_only)."
        what = "look at" if ability == VIEW else "act in"
        return f"Your login may not {what} the console: whoever does needs the ability {ability}."

    def allows(self, ability: str, request: Request) -> bool:
        """Whether whoever sent *request* may."""
        if ability == OPERATE and self._settings.read_only:
            return False
        gate = self._app.make("gate")
        if gate.allows(ability):
            return True
        return not gate.has(ability) and self._is_at_this_machine(request)

    def _is_at_this_machine(self, request: Request) -> bool:
        if not self._app.environment("local"):
            return False
        try:
            return ipaddress.ip_address(request.ip() or "").is_loopback
        except ValueError:
            return False
