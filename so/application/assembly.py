"""The assembly: how every system of the framework is made from the settings of its application.

`ROOMS` is the table of the house; the functions in it stand beside this file: stores.py (what is
kept), requests.py (how it is answered), logins.py (who is there), work.py (what is done and told).
Each room is made when it is first asked for: a command that needs no database never loads one.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from so.config import Config, env
from so.errors import ConfigError
from so.settings import TOPICS, settings_class
from so.settings.app import AppSettings
from so.support.scope import current_scope

if TYPE_CHECKING:
    import logging


# Every function takes the Application; to name its class here would close a circle.
App = Any


# --- its settings ---


def settings_of(base: Path, dotenv: Mapping[str, str], given: Mapping[str, Any]) -> Config:
    """What `config/` in *base* says, *given* laid over it, the rest from variables and defaults.

    A setting's variable counts in the environment before `.env`; defaults stand in so/settings.
    """
    config = Config(base / "config", dotenv)
    _make_way(config, given)
    config.merge(given)
    config.settle({topic: partial(_whole, topic) for topic in TOPICS})
    return config


def _whole(topic: str, given: Any) -> dict[str, Any]:
    found: dict[str, Any] = env.settings(settings_class(topic), given)
    return found


def _make_way(config: Config, given: Mapping[str, Any]) -> None:
    """Forget a connection that is given with another driver: their settings do not mix."""
    connections = (given.get("database") or {}).get("connections") or {}
    for name, connection in connections.items():
        here = config.get(f"database.connections.{name}")
        if isinstance(here, Mapping) and isinstance(connection, Mapping):
            drivers = {one.get("driver", here.get("driver")) for one in (here, connection)}
            if len(drivers) > 1 and drivers != {"mysql", "mariadb"}:
                config.set(f"database.connections.{name}", None)


# --- its rooms ---


def make_logger(app: App) -> logging.Logger:
    """The logger `so`, with the channels of config/logging.py."""
    from so.support import logs

    return logs.configure(app.config.get("logging"), "so", app.base_path())


def make_maintenance(app: App) -> Any:
    """Whether this server is down for maintenance."""
    from so.support.maintenance import Maintenance

    return Maintenance(app.storage_path("down.json"))


def make_signer(app: App) -> Any:
    """Signs with APP_KEY, and still knows the keys before it."""
    from so.support.signing import Signer

    return Signer(_key(app), *app.settings(AppSettings).previous_keys)


def make_formats(app: App) -> Any:
    """How numbers and dates are written for whoever says nothing else."""
    from so.support.formats import Formats

    settings = app.settings(AppSettings)
    return Formats(settings.locale, settings.timezone)


def _key(app: App) -> str:
    """APP_KEY; outside production a missing one is made and kept in storage/."""
    key: str | None = app.settings(AppSettings).key
    if key:
        return key
    if app.is_production():
        raise ConfigError("APP_KEY is not set: run `bin/sixorbit key:generate`")
    file: Path = app.storage_path("app.key")
    if not file.is_file():
        from so.support.ids import token

        file.parent.mkdir(parents=True, exist_ok=True)
        part = file.with_name(f".{file.name}.{os.getpid()}")
        part.touch(0o600)
        part.write_text(token(32), "ascii")
        try:
            os.link(part, file)  # whoever is first decides, and nobody reads half a key
        except FileExistsError:
            pass
        finally:
            part.unlink()
    return file.read_text("ascii")


def _beside(file: str, rooms: str) -> dict[str, Callable[[App], Any]]:
    """Room → the function `make_ROOM` of *file*, which is loaded with the first that is made."""

    def maker(function: str) -> Callable[[App], Any]:
        def make(app: App) -> Any:
            return getattr(importlib.import_module(f"so.application.{file}"), function)(app)

        return make

    return {room: maker(f"make_{room}") for room in rooms.split()}


ROOMS: dict[str, Callable[[App], Any]] = {
    "logger": make_logger,
    "maintenance": make_maintenance,
    "signer": make_signer,
    "formats": make_formats,
    **_beside(
        "stores",
        "db job_codec cache_codec presence shared_clock caches limiter sessions hasher",
    ),
    **_beside(
        "requests",
        "router errors validator http_settings kernel"
        " cookie_settings csrf_settings context_settings header_settings",
    ),
    **_beside(
        "logins",
        "users guards login_throttle authentication access_tokens security two_factors accounts"
        " aside password_rule current_password roles gate doors",
    ),
    **_beside("work", "queue schedule factories seeding activity notifications vitals"),
}
# Made anew whenever they are asked for.
PASSING: dict[str, Callable[[App], Any]] = {
    "request": lambda app: _of_scope("request"),
    "session": lambda app: _of_scope("session"),
    "cache": lambda app: app.make("caches").store(),
    **_beside("requests", "auth"),
}
# Which room a class asks for, by name: looking it up imports nothing.
CLASSES = {
    "so.application.application.Application": "app",
    "so.config.Config": "config",
    "so.container.Container": "app",
    "so.support.clock.Clock": "clock",
    "so.support.maintenance.Maintenance": "maintenance",
    "so.support.signing.Signer": "signer",
    "logging.Logger": "logger",
    "so.db.manager.Database": "db",
    "so.http.router.Router": "router",
    "so.http.request.Request": "request",
    "so.http.errors.ErrorHandler": "errors",
    "so.http.kernel.Kernel": "kernel",
    "so.http.validation.validator.Validation": "validator",
    "so.systems.cache.stores.Caches": "caches",
    "so.systems.cache.cache.Cache": "cache",
    "so.systems.cache.limits.RateLimiter": "limiter",
    "so.systems.sessions.service.Sessions": "sessions",
    "so.systems.sessions.session.Session": "session",
    "so.systems.auth.authentication.Authentication": "authentication",
    "so.systems.auth.accounts.Accounts": "accounts",
    "so.systems.auth.roles.Roles": "roles",
    "so.systems.auth.guard.Auth": "auth",
    "so.systems.auth.gate.Gate": "gate",
    "so.systems.auth.tokens.AccessTokens": "access_tokens",
    "so.systems.auth.passwords.PasswordHasher": "hasher",
    "so.edge.cookies.CookieSettings": "cookie_settings",
    "so.edge.csrf.CsrfSettings": "csrf_settings",
    "so.edge.authenticate.Doors": "doors",
    "so.edge.context.ContextSettings": "context_settings",
    "so.edge.headers.HeaderSettings": "header_settings",
    "so.systems.queue.queue.Queue": "queue",
    "so.systems.activity.log.ActivityLog": "activity",
    "so.systems.notifications.service.Notifications": "notifications",
}


def _of_scope(name: str) -> Any:
    scope = current_scope()
    found = None if scope is None else getattr(scope, name)
    if found is None:
        raise RuntimeError(f"there is no {name} here: it exists while a request is answered")
    return found
