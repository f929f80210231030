"""The assembly: how every system of the framework is made from the settings of its application.

`ROOMS` is the table of the house; the functions in it stand beside this file: stores.py (what is
kept), requests.py (how it is answered), logins.py (who is there), work.py (what is done and told).
Each room is made when it is first asked for: a command that needs no database never loads one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from so.application import homes, logins, requests, stores, work
from so.errors import ConfigError
from so.settings.app import AppSettings
from so.settings.cache import DRIVERS as CACHES
from so.settings.cache import CacheSettings
from so.settings.database import DatabaseSettings, SqliteSettings, driver_of
from so.settings.notifications import CHANNELS, NotificationSettings
from so.support.scope import current_scope

if TYPE_CHECKING:
    import logging


# Every function takes the Application; to name its class here would close a circle.
App = Any


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
        raise ConfigError("APP_KEY is not set: run `sixorbit key:generate`")
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


def refuse_unknown(app: App) -> None:
    """ConfigError for a connection, cache or channel that is chosen and that nobody made known.

    The names in question are those that a provider may add; others were refused before.
    """
    homes.homes(app)
    homes.queue_home(app)
    for name, connection in app.settings(DatabaseSettings).connections.items():
        zone = connection.get("timezone") if isinstance(connection, Mapping) else None
        if zone and zone != SqliteSettings.timezone:
            from so.db.options import check_zone

            check_zone(driver_of(connection), zone, name)
    cache = app.settings(CacheSettings).default
    if cache not in CACHES:
        app.make("caches").check(cache)
    for channel in app.settings(NotificationSettings).default:
        if channel not in CHANNELS and not app.make("notifications").has_channel(channel):
            raise ConfigError(
                f"NOTIFICATION_CHANNEL (config notifications.default) is {channel!r}: use one of "
                f"{', '.join(CHANNELS)}, or add it in a provider, by notifications().extend(…)"
            )


ROOMS: dict[str, Callable[[App], Any]] = {
    "logger": make_logger,
    "maintenance": make_maintenance,
    "signer": make_signer,
    "formats": make_formats,
    "db": stores.make_db,
    "job_codec": stores.make_job_codec,
    "cache_codec": stores.make_cache_codec,
    "presence": stores.make_presence,
    "router": requests.make_router,
    "errors": requests.make_errors,
    "validator": requests.make_validator,
    "http_settings": requests.make_http_settings,
    "kernel": requests.make_kernel,
    "shared_clock": stores.make_shared_clock,
    "caches": stores.make_caches,
    "limiter": stores.make_limiter,
    "sessions": stores.make_sessions,
    "hasher": stores.make_hasher,
    "users": logins.make_users,
    "guards": logins.make_guards,
    "login_throttle": logins.make_login_throttle,
    "authentication": logins.make_authentication,
    "access_tokens": logins.make_access_tokens,
    "security": logins.make_security,
    "two_factors": logins.make_two_factors,
    "accounts": logins.make_accounts,
    "aside": logins.make_aside,
    "password_rule": logins.make_password_rule,
    "current_password": logins.make_current_password,
    "roles": logins.make_roles,
    "gate": logins.make_gate,
    "cookie_settings": requests.make_cookie_settings,
    "csrf_settings": requests.make_csrf_settings,
    "doors": logins.make_doors,
    "context_settings": requests.make_context_settings,
    "header_settings": requests.make_header_settings,
    "queue": work.make_queue,
    "schedule": work.make_schedule,
    "factories": work.make_factories,
    "seeding": work.make_seeding,
    "activity": work.make_activity,
    "notifications": work.make_notifications,
    "vitals": work.make_vitals,
}
# Made anew whenever they are asked for.
PASSING: dict[str, Callable[[App], Any]] = {
    "request": lambda app: _of_scope("request"),
    "session": lambda app: _of_scope("session"),
    "cache": lambda app: app.make("caches").store(),
    "auth": requests.auth_here,
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
