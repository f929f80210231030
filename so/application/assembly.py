"""The assembly: how every system of the framework is made from the settings of its application.

Read from top to bottom it tells the whole house; `ROOMS` at the end is its table. Each room is
made when it is first asked for, so a command that needs no database never loads one.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from so.application import homes, logins
from so.errors import ConfigError, SixOrbitError
from so.settings.activity import ActivitySettings
from so.settings.app import AppSettings
from so.settings.auth import AuthSettings
from so.settings.cache import DRIVERS as CACHES
from so.settings.cache import CacheSettings
from so.settings.database import DatabaseSettings, SqliteSettings, driver_of
from so.settings.http import HttpLimits
from so.settings.mail import MailSettings
from so.settings.notifications import CHANNELS, NotificationSettings
from so.settings.queue import QueueSettings
from so.settings.session import SessionSettings
from so.settings.static import StaticSettings
from so.settings.trustedproxy import ProxySettings
from so.support.current import running
from so.support.scope import UNSET, current_scope

if TYPE_CHECKING:
    import logging

    from so.support.codec import Codec

# Every function takes the Application; to name its class here would close a circle.
App = Any

MOST_QUERIES = 200  # of one request, kept for its debug page


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


# --- data ---


def make_db(app: App) -> Any:
    """The connections of config/database.py."""
    from so.db.manager import Database

    settings = app.settings(DatabaseSettings)
    for connection in settings.connections.values():
        _make_folder(app.base_path(), connection)
    database = Database(
        settings.connections,
        settings.default,
        app.clock,
        folder=app.base_path(),
        redact=settings.redact,
        homes={t: name for t, name in homes.homes(app).items() if name != settings.default},
    )
    if app.is_debug():
        database.listen(_note_query)
    return database


def make_job_codec(app: App) -> Codec:
    """What jobs carry: models by alias and key."""
    from so.support.codec import Codec

    codec = Codec()
    _let_models_through(codec, as_reference=True)
    return codec


def make_cache_codec(app: App) -> Codec:
    """What the cache keeps: models with their attributes."""
    from so.support.codec import Codec

    codec = Codec()
    _let_models_through(codec, as_reference=False)
    return codec


def make_presence(app: App) -> Any:
    """What the validation rules `exists` and `unique` ask."""
    from so.db.presence import DatabasePresence

    return DatabasePresence(app.make("db"))


# --- http ---


def make_router(app: App) -> Any:
    """The routes, with those of `app.routes`."""
    from so.edge import groups
    from so.http.router import Router

    router = Router(
        root=app.settings(AppSettings).url or "",
        signer=lambda: app.make("signer"),
        clock=app.clock,
    )
    router.registry.make = app.make
    for name, middleware in groups.ALIASES.items():
        router.registry.alias(name, middleware)
    for name, members in groups.GROUPS.items():
        router.registry.group(name, members)
    router.registry.set_priority(groups.PRIORITY)
    # In place before the files are run: `Router.get(…)` in them means this one.
    app.instance("router", router)
    _load_routes(app, router)
    return router


def _load_routes(app: App, router: Any) -> None:
    mark = running.set(app)
    try:
        with app.own_modules():
            for name in app.settings(AppSettings).routes:
                if app.base_path(name).is_file():
                    router.group(app.base_path(name))
    finally:
        running.reset(mark)


def make_errors(app: App) -> Any:
    """Turns errors into answers."""
    from so.http.errors import ErrorHandler

    return ErrorHandler(
        app.is_debug(),
        app.storage_path("logs/emergency.log"),
        app.make("logger"),
        base_path=app.base_path(),
        queries=_queries_of_scope,
        secrets=[app.settings(AppSettings).key, *_passwords(app)],
    )


def _passwords(app: App) -> list[Any]:
    connections = app.settings(DatabaseSettings).connections.values()
    return [c.get("password") for c in connections if isinstance(c, Mapping)]


def make_validator(app: App) -> Any:
    """Validation against the database."""
    from so.http.validation.validator import Validation

    return Validation(app.make("presence"), app.clock)


def make_http_settings(app: App) -> Any:
    """Limits, disks and trusted proxies."""
    from so.db.rows import Collection
    from so.http.settings import HttpSettings

    return HttpSettings.of(
        app.settings(HttpLimits),
        app.settings(ProxySettings),
        app.base_path(),
        validate=lambda *args: app.make("validator").validate(*args),
        make_list=Collection,
    )


def _static_files(app: App) -> list[Any]:
    """The middleware for `public/`, where there is such a folder."""
    from so.http.static import StaticFiles

    settings = app.settings(StaticSettings)
    root = app.base_path(settings.root)
    if not settings.enabled or not root.is_dir():
        return []
    return [StaticFiles(root, settings.prefix, max_age_seconds=settings.max_age)]


def make_kernel(app: App) -> Any:
    """The WSGI application, with the middleware around every request."""
    from so.edge.context import RequestContext
    from so.edge.maintenance import RefuseWhileDown
    from so.http.kernel import Kernel

    kernel = Kernel(
        app.make("router"),
        app.make("errors"),
        app.make,
        middleware=[
            app.make(RequestContext),
            RefuseWhileDown(app.make("maintenance")),
            *_static_files(app),
            *app.settings(AppSettings).middleware,
        ],
        settings=app.make("http_settings"),
        logger=app.make("logger"),
    )
    # Given out already while it boots: a middleware that is made now may ask for it.
    app.instance("kernel", kernel)
    try:
        kernel.boot()  # a misspelt middleware is found now, not at the request that needs it
    except BaseException:
        app.forget_instance("kernel")
        raise
    return kernel


# --- cache and limits ---


def make_shared_clock(app: App) -> Any:
    """The time by the database that cache, locks and limits are in: one for all of them."""
    from so.systems.cache.sharing import clock_of

    return clock_of(app.make("db").source(homes.cache_home(app)), app.clock)


def make_caches(app: App) -> Any:
    """A cache for each driver, made when it is asked for."""
    from so.systems import cache

    settings = app.settings(CacheSettings)
    source = app.make("db").source(homes.cache_home(app))
    clock = app.make("shared_clock")
    locks = cache.DatabaseLocks(source, clock)

    def build(store: Any, shared: bool = True) -> Callable[[], Any]:
        return lambda: cache.Cache(
            store(),
            settings.prefix,
            locks=locks if shared else None,
            codec=app.make("cache_codec"),
            compute_seconds=settings.compute_seconds,
            wait_seconds=settings.wait_seconds,
            compress_bytes=settings.compress_bytes,
        )

    def database() -> Any:
        return cache.DatabaseStore(source, clock, max_bytes=settings.max_bytes)

    def file() -> Any:
        path = app.base_path(settings.path)
        return cache.FileStore(path, app.clock, max_bytes=settings.max_bytes)

    return cache.Caches(
        {
            "database": build(database),
            "array": build(
                lambda: cache.ArrayStore(app.clock, max_entries=settings.max_entries), shared=False
            ),
            "null": build(lambda: cache.NullStore(app.clock), shared=False),
            "file": build(file),
            "tiered": build(
                lambda: cache.TieredStore(
                    database(),
                    stale_seconds=settings.stale_seconds,
                    max_entries=settings.max_entries,
                    near_bytes=settings.near_bytes,
                )
            ),
        },
        settings.default,
    )


def make_limiter(app: App) -> Any:
    """Counts attempts, for `throttle` and logins."""
    from so.systems.cache.limits import DatabaseCounters, RateLimiter, SteadyCounters

    settings = app.settings(CacheSettings)
    source = app.make("db").source(homes.cache_home(app))
    counters = DatabaseCounters(source, app.make("shared_clock"))
    return RateLimiter(SteadyCounters(counters, app.clock), settings.prefix)


# --- sessions and logins ---


def make_sessions(app: App) -> Any:
    """Sessions in their table, or in this process."""
    from so.systems.sessions import Sessions

    settings = app.settings(SessionSettings)
    return Sessions(
        app.make("db").source(homes.session_home(app)) if settings.driver == "database" else None,
        lifetime_minutes=settings.lifetime,
        absolute_lifetime_minutes=settings.absolute_lifetime,
        guest_lifetime_minutes=settings.guest_lifetime,
        touch_seconds=settings.touch_seconds,
        grace_seconds=settings.grace_seconds,
        max_bytes=settings.max_bytes,
        clock=app.clock,
        signer=app.make("signer"),
        encrypt=settings.encrypt,
        cipher=logins.cipher_of(app),
        key_of=lambda user: logins.key_of(app, user),
        on_ended=lambda user_id, count: logins.sessions_ended(app, user_id, count),
    )


def make_hasher(app: App) -> Any:
    """Hashes passwords as strongly as config/auth.py says."""
    from so.systems.auth import PasswordHasher

    cost = app.settings(AuthSettings).scrypt
    return PasswordHasher(
        ln=cost.ln,
        r=cost.r,
        p=cost.p,
        max_concurrent=cost.max_concurrent,
        wait_seconds=cost.wait_seconds,
    )


def auth_here(app: App) -> Any:
    """The login of the request that is answered here."""
    from so.edge.session import auth_here as here

    return here(app.make("authentication"))


def make_cookie_settings(app: App) -> Any:
    """How the cookies of sessions look."""
    from so.edge.cookies import CookieSettings

    settings = app.settings(SessionSettings)
    return CookieSettings(
        name=settings.cookie,
        remember_name=settings.remember_name,
        device_name=settings.device_name,
        xsrf_name=settings.xsrf,
        path=settings.path,
        domain=settings.domain,
        secure=settings.secure,
        same_site=settings.same_site,
        minutes=settings.cookie_minutes,
    )


def make_csrf_settings(app: App) -> Any:
    """Which paths and sites may send forms without a token."""
    from so.edge.csrf import CsrfSettings

    settings = app.settings(SessionSettings)
    return CsrfSettings(settings.csrf_except, settings.trusted_origins)


def make_header_settings(app: App) -> Any:
    """How long browsers stay with HTTPS."""
    from so.edge.headers import HeaderSettings

    return HeaderSettings(app.settings(HttpLimits).hsts_seconds)


def make_context_settings(app: App) -> Any:
    """Whether a request may bring its id."""
    from so.edge.context import ContextSettings

    return ContextSettings(app.settings(HttpLimits).trust_request_id)


# --- queue, activity log, notifications ---


def make_queue(app: App) -> Any:
    """The queue, with the application's container for what its jobs ask for."""
    from so.systems.queue import Queue
    from so.systems.queue.carrying import captured

    settings = app.settings(QueueSettings)
    queue = Queue(
        app.make("db").source(homes.queue_home(app)),
        clock=app.clock,
        default=settings.default,
        default_queue=settings.queue,
        call=app.call,
        codec=app.make("job_codec"),
        caller=app.make("db") if settings.connection else None,
        limiter=lambda name: app.make("limiter").limiter(name),
        after_commit=settings.after_commit,
        capture=lambda: captured(lambda: _causer(app)),
        wake_folder=str(app.base_path(settings.wake_path)),
        timezone=settings.timezone,
    )
    queue.control.is_down = app.make("maintenance").is_down
    return queue


def make_schedule(app: App) -> Any:
    """What recurs, as the application's module says in its `define(schedule)`."""
    schedule = app.make("queue").schedule
    if not schedule.is_defined:
        schedule.is_defined = True
        name = app.settings(QueueSettings).schedule
        file = app.base_path(name.replace(".", "/") + ".py")
        define = getattr(app.import_module(name), "define", None) if file.is_file() else None
        if define is not None:
            define(schedule)
    return schedule


def make_factories(app: App) -> Callable[[], None]:
    """Reads the application's `database/factories`; each factory says there whose it is."""

    def read() -> None:
        for file in sorted(app.database_path("factories").glob("[!_]*.py")):
            spec = importlib.util.spec_from_file_location(f"factories.{file.stem}", file)
            assert spec is not None
            assert spec.loader is not None
            with app.own_modules():  # its models are of this application, and of no other
                spec.loader.exec_module(importlib.util.module_from_spec(spec))

    return read


def make_seeding(app: App) -> Callable[[type], Any]:
    """Makes a seeder and runs it, whatever its `run` asks for given."""
    return lambda cls: app.call(app.make(cls).run)


def make_activity(app: App) -> Any:
    """The activity log, which asks the scope and the login who did it."""
    from so.systems.activity import ActivityLog

    settings = app.settings(ActivitySettings)
    log = ActivityLog(
        app.make("db"),
        enabled=settings.enabled,
        default_log=settings.default_log,
        mask=settings.mask,
        failure=settings.failure,
        causer=lambda: _causer(app),
        clock=app.clock,
        integrity_mode=settings.integrity,
        keys=[settings.key, *settings.previous_keys],
        seal_delay_seconds=settings.seal_delay_seconds,
        rows_per_seal=settings.rows_per_seal,
    )
    if settings.alert:
        alarm = log.on_tampering

        def tell(report: Any) -> None:
            alarm(report)
            _tell_of_tampering(app, settings.alert, report)

        log.on_tampering = tell
    return log


def _tell_of_tampering(app: App, addresses: Iterable[str], report: Any) -> None:
    """A mail to each of *addresses*; that one could not be sent does not undo the verification."""
    from so.application.alarms import TrailTampered

    for address in addresses:
        try:
            told = app.make("notifications").route("mail", address)
            told.notify_now(TrailTampered(report.summary))
        except SixOrbitError:
            app.make("logger").exception("nobody was told at %s of what verify found", address)


def _causer(app: App) -> Any:
    """Who is acting: what the scope says, or else whoever is logged in."""
    from so.systems.activity.context import current_causer

    who = current_causer()
    scope = current_scope()
    if who is None and scope is not None and scope.causer is UNSET and scope.request:
        return auth_here(app).user()
    return who


def make_notifications(app: App) -> Any:
    """Notifications and their channels."""
    from so.edge.delivery import defer_with
    from so.systems import notifications as n

    settings, mail = app.settings(NotificationSettings), app.settings(MailSettings)
    db = app.make("db")
    return n.Notifications(
        db,
        {
            "database": lambda: n.DatabaseChannel(db, app.clock, settings.max_bytes),
            "mail": lambda: n.MailChannel(_transport(mail), mail.sender),
            "webhook": lambda: n.WebhookChannel(
                settings.webhook_secret,
                settings.webhook_timeout,
                app.clock,
                private=settings.webhook_private,
            ),
            "log": n.LogChannel,
        },
        default=list(settings.default),
        queue_all=settings.queue,
        defer=defer_with(lambda: app.make("queue"), settings.queue_name),
        clock=app.clock,
        codec=app.make("job_codec"),
    )


def _transport(mail: MailSettings) -> Any:
    from so.systems import notifications as n

    if mail.driver == "log":
        return n.LogTransport()
    return n.SmtpTransport(
        mail.host,
        mail.port,
        encryption=mail.encryption,
        username=mail.username,
        password=mail.password,
        timeout=mail.timeout,
    )


def make_vitals(app: App) -> Any:
    """What monitors ask of the application."""
    from so.application.vitals import Vitals

    return Vitals(app)


ROOMS: dict[str, Callable[[App], Any]] = {
    "logger": make_logger,
    "maintenance": make_maintenance,
    "signer": make_signer,
    "formats": make_formats,
    "db": make_db,
    "job_codec": make_job_codec,
    "cache_codec": make_cache_codec,
    "presence": make_presence,
    "router": make_router,
    "errors": make_errors,
    "validator": make_validator,
    "http_settings": make_http_settings,
    "kernel": make_kernel,
    "shared_clock": make_shared_clock,
    "caches": make_caches,
    "limiter": make_limiter,
    "sessions": make_sessions,
    "hasher": make_hasher,
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
    "cookie_settings": make_cookie_settings,
    "csrf_settings": make_csrf_settings,
    "doors": logins.make_doors,
    "context_settings": make_context_settings,
    "header_settings": make_header_settings,
    "queue": make_queue,
    "schedule": make_schedule,
    "factories": make_factories,
    "seeding": make_seeding,
    "activity": make_activity,
    "notifications": make_notifications,
    "vitals": make_vitals,
}
# Made anew whenever they are asked for.
PASSING: dict[str, Callable[[App], Any]] = {
    "request": lambda app: _of_scope("request"),
    "session": lambda app: _of_scope("session"),
    "cache": lambda app: app.make("caches").store(),
    "auth": auth_here,
}
# Which room a class asks for, by name: looking it up imports nothing.
CLASSES = {
    "so.application.application.Application": "app",
    "so.config.Config": "config",
    "so.container.container.Container": "app",
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


def _note_query(query: Any) -> None:
    """Keep what the debug page lists with the request it was run for."""
    scope = current_scope()
    if scope is not None:
        noted = scope.data.setdefault("queries", [])
        if len(noted) < MOST_QUERIES:
            noted.append(query)


def _queries_of_scope() -> list[Any]:
    scope = current_scope()
    return [] if scope is None else scope.data.get("queries", [])


def _of_scope(name: str) -> Any:
    scope = current_scope()
    found = None if scope is None else getattr(scope, name)
    if found is None:
        raise RuntimeError(f"there is no {name} here: it exists while a request is answered")
    return found


def _make_folder(base: Path, connection: Any) -> None:
    """The folder of an SQLite file; a new installation has none yet."""
    if isinstance(connection, Mapping) and connection.get("driver") == "sqlite":
        name = str(connection.get("database", ""))
        if name and not name.startswith((":", "file:")):
            (base / name).parent.mkdir(parents=True, exist_ok=True)


def _let_models_through(codec: Codec, *, as_reference: bool) -> None:
    """Jobs carry a model's alias and key and fetch it afresh; the cache keeps its attributes."""
    from so.db.model import Model
    from so.systems.notifications import Notification

    def fetch(plain: list[Any]) -> Any:
        return Model.for_alias(plain[0]).find_or_fail(plain[1])

    def rebuild(plain: list[Any]) -> Any:
        cls: Any = Model.for_alias(plain[0])
        model = cls().set_raw_attributes(plain[1], sync=True)
        object.__setattr__(model, "_persisted", True)
        return model

    if as_reference:
        codec.register(
            Model, "model", lambda m: [m.type_alias, m.get_key()], fetch, subclasses=True
        )
        codec.register(
            Notification,
            "notification",
            lambda n: n.carried(codec.can_write),
            Notification.revived,
            subclasses=True,
        )
    else:
        codec.register(
            Model, "row", lambda m: [m.type_alias, m.get_attributes()], rebuild, subclasses=True
        )
