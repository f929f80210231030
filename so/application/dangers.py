"""What no application starts with: names that nobody knows, and in production what opens it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from so.application.homes import homes, queue_home
from so.errors import ConfigError
from so.settings.app import AppSettings
from so.settings.auth import AuthSettings
from so.settings.cache import DRIVERS as CACHES
from so.settings.cache import CacheSettings
from so.settings.database import DatabaseSettings, SqliteSettings, driver_of
from so.settings.notifications import CHANNELS, NotificationSettings
from so.settings.server import ServerSettings
from so.settings.session import SessionSettings
from so.settings.trustedproxy import ProxySettings
from so.support.signing import weakness

App = Any


def refuse_unknown(app: App) -> None:
    """ConfigError for a connection, cache or channel that is chosen and that nobody made known.

    The names in question are those that a provider may add; others were refused before.
    """
    homes(app)
    queue_home(app)
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


def dangers(app: App) -> list[str]:
    """Every danger in the settings of *app*, in words; none outside of production."""
    return list(_dangers(app)) if app.is_production() else []


def refuse_dangers(app: App) -> None:
    """Raise ConfigError that names them all."""
    found = dangers(app)
    if found:
        raise ConfigError("production refuses to start:\n- " + "\n- ".join(found))


def _dangers(app: App) -> Iterator[str]:
    settings = app.settings(AppSettings)
    if not settings.key:
        yield "APP_KEY is not set: run `bin/sixorbit key:generate`"
    elif (why := weakness(settings.key)) is not None:
        yield f"APP_KEY {why}: run `bin/sixorbit key:generate --rotate`"
    for key in settings.previous_keys:
        if (why := weakness(key)) is not None:
            yield f"a key of APP_PREVIOUS_KEYS {why}: what it signed is still accepted; take it out"
    if app.is_debug():
        yield "APP_DEBUG is on in production: error pages show code to everybody"
    if app.settings(SessionSettings).secure is False and _is_https(app, settings.url):
        yield "SESSION_SECURE_COOKIE is false over HTTPS: plain HTTP would carry the cookies"
    yield from _named_by_anybody(app)


def _named_by_anybody(app: App) -> Iterator[str]:
    """The guards that take a user's name from whoever connects."""
    if "*" not in app.settings(ProxySettings).proxies:
        return
    for name, given in app.settings(AuthSettings).guards.items():
        if given.get("driver") == "header":
            yield (
                f"the guard {name} believes in a user's name from whoever connects: name the "
                "proxies in TRUSTED_PROXIES instead of *"
            )


def _is_https(app: App, url: str | None) -> bool:
    return str(url or "").startswith("https:") or bool(app.settings(ServerSettings).cert)
