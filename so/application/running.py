"""Which application is running: one ContextVar, and a process-wide default for new threads."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING

from so.config import Env
from so.support import current as current_systems

if TYPE_CHECKING:
    from so.application.application import Application

running: ContextVar[Application | None] = ContextVar("so_application", default=None)
defaults: list[Application] = []  # entered applications; the last one serves new threads


def current_application() -> Application:
    """The running application; raises RuntimeError that says how to start one."""
    found = running.get() or (defaults[-1] if defaults else None)
    if found is None:
        raise RuntimeError(
            "no application is running: use `with Application(path):`, or set_current(app) in tests"
        )
    return found


def set_current(app: Application | None) -> None:
    """Make *app* the current application here and for new threads; None for none at all."""
    defaults[:] = [] if app is None else [app]
    running.set(app)


def _dotenv() -> Mapping[str, str]:
    found = running.get() or (defaults[-1] if defaults else None)
    return {} if found is None else found.dotenv


Env.follow(_dotenv)


def _provide(name: str) -> None:
    current_systems.provide(name, lambda: current_application().make(name))


for _room in (
    "db", "router", "queue", "activity", "notifications", "auth", "cache", "sessions", "hasher",
    "validator", "authentication", "accounts", "access_tokens", "two_factors", "roles", "gate",
    "password_rule", "current_password", "factories", "seeding",
):  # fmt: skip
    _provide(_room)
