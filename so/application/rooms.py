"""Joins the rooms: the one place that reads configuration and builds every system from it.

Read from top to bottom it tells the whole assembly. Each room is made when it is first asked
for, so a command that needs no database never loads one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from so.application.running import current_application, running
from so.config import Config
from so.container import Container
from so.errors import ConfigError
from so.support.clock import Clock
from so.support.scope import UNSET, current_scope

if TYPE_CHECKING:
    import logging

    from so.support.codec import Codec


class Rooms(Container):
    """A container in which every system of the framework is bound."""

    config: Config
    clock: Clock
    _base: Path

    if TYPE_CHECKING:

        def is_debug(self) -> bool: ...
        def is_production(self) -> bool: ...
        def storage_path(self, path: str | Path = "") -> Path: ...
        def import_module(self, name: str) -> Any: ...
        def own_modules(self) -> AbstractContextManager[None]: ...

    def _bind_rooms(self) -> None:
        self.instance("app", self)
        self.instance("config", self.config)
        self.instance("clock", self.clock)
        for name in ROOMS:
            self.singleton(name, getattr(self, f"_make_{name}"))
        self.bind("request", lambda: _of_scope("request"))
        self.bind("session", lambda: _of_scope("session"))
        self.bind("cache", lambda: self.make("caches").store())
        self.bind("auth", self._auth_here)

    def __getattr__(self, name: str) -> Any:
        """A room by its name: `app.db`, `app.errors`, and whatever a provider bound."""
        if name.startswith("_") or not self.bound(name):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return self.make(name)

    def get_alias(self, abstract: Any) -> Any:
        """A class of the framework stands for the room of its kind, imported or not."""
        found = super().get_alias(abstract)
        if isinstance(found, type) and found not in self._bindings:
            room = CLASSES.get(f"{found.__module__}.{found.__qualname__}")
            return found if room is None or found in self._instances else room
        return found

    def bound(self, abstract: Any) -> bool:
        """True for rooms by their classes as well."""
        return super().bound(abstract) or super().bound(self.get_alias(abstract))

    has = bound
    __contains__ = bound

    def _make_logger(self) -> logging.Logger:
        from so.support import logs

        return logs.configure(self.config.get("logging", {}), "so", self._base)

    def _make_maintenance(self) -> Any:
        from so.support.maintenance import Maintenance

        return Maintenance(self.storage_path("down.json"))

    def _make_signer(self) -> Any:
        from so.support.signing import Signer

        keys = [self._key(), *self.config.get("app.previous_keys", [])]
        return Signer(*keys)

    def _key(self) -> str:
        """APP_KEY; outside production a missing one is made and kept in storage/."""
        key = self.config.get("app.key")
        if key:
            return str(key)
        if self.is_production():
            raise ConfigError("APP_KEY is not set: run `sixorbit key:generate`")
        file = self.storage_path("app.key")
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

    # --- data ---

    def _make_db(self) -> Any:
        from so.db import pagination
        from so.db.manager import Database
        from so.db.model import Model

        settings = {"connections": SQLITE, "default": "sqlite", **self.config.get("database", {})}
        pagination.resolve_page_using(_page_of_request)
        Model.resolve_observers_using(_make_observer)
        for connection in settings["connections"].values():
            _make_folder(self._base, connection)
        database = Database(
            settings["connections"],
            settings["default"],
            self.clock,
            folder=self._base,
            redact=settings.get("redact"),
        )
        if self.is_debug():
            database.listen(_note_query)
        return database

    def _source(self, name: str | None) -> Any:
        """The connection that a system is configured to use; the default one where none is."""
        db = self.make("db")
        return db.source(name if name in self.config.get("database.connections", ()) else None)

    def install_tables(self, connection: str | None = None) -> None:
        """Create the framework's tables where the systems keep theirs; harmless when they exist."""
        from so.db import schema

        db = self.make("db")
        if connection:
            schema.install(db.connection(connection))
            return
        schema.install(db.connection())
        for key in ("cache", "session", "queue"):
            own = self._source(self.config.get(f"{key}.connection")).connection()
            if own is not db.connection():
                schema.install(own)

    def _make_job_codec(self) -> Codec:
        from so.support.codec import Codec

        codec = Codec()
        _let_models_through(codec, as_reference=True)
        return codec

    def _make_cache_codec(self) -> Codec:
        from so.support.codec import Codec

        codec = Codec()
        _let_models_through(codec, as_reference=False)
        return codec

    def _make_presence(self) -> Any:
        from so.db.presence import DatabasePresence

        return DatabasePresence(self.make("db"))

    # --- http ---

    def _make_router(self) -> Any:
        from so.edge import groups
        from so.http.router import Router

        router = Router(
            root=self.config.get("app.url") or "",
            signer=lambda: self.make("signer"),
            clock=self.clock,
        )
        for name, middleware in groups.ALIASES.items():
            router.registry.alias(name, middleware)
        for name, members in groups.GROUPS.items():
            router.registry.group(name, members)
        router.registry.set_priority(groups.PRIORITY)
        # In place before the files are run: `Router.get(…)` in them means this one.
        self.instance("router", router)
        self._load_routes(router)
        return router

    def _load_routes(self, router: Any) -> None:
        mark = running.set(self)  # type: ignore[arg-type]  # an Application
        try:
            with self.own_modules():
                for name in self.config.get("app.routes", ["app/routes.py"]):
                    if (self._base / name).is_file():
                        router.group(self._base / name)
        finally:
            running.reset(mark)

    def _make_errors(self) -> Any:
        from so.http.errors import ErrorHandler

        return ErrorHandler(
            self.is_debug(),
            self.storage_path("logs/emergency.log"),
            self.make("logger"),
            base_path=self._base,
            queries=_queries_of_scope,
            secrets=[self.config.get("app.key"), *self._passwords()],
        )

    def _passwords(self) -> list[Any]:
        connections = self.config.get("database.connections", {}).values()
        return [c.get("password") for c in connections if isinstance(c, Mapping)]

    def _make_validator(self) -> Any:
        from so.http.validation.validator import Validation

        return Validation(self.make("presence"), self.clock)

    def _make_http_settings(self) -> Any:
        from so.db.rows import Collection
        from so.http.settings import HttpSettings

        return HttpSettings.from_config(
            self.config.get("http", {}),
            self.config.get("trustedproxy", {}),
            self._base,
            validate=lambda *args: self.make("validator").validate(*args),
            make_list=Collection,
        )

    def _static_files(self) -> list[Any]:
        """The middleware for `public/`, where there is such a folder."""
        from so.http.static import StaticFiles

        settings = self.config.get("static") or {}
        root = self._base / settings.get("root", "public")
        if not settings.get("enabled", True) or not root.is_dir():
            return []
        prefix, age = settings.get("prefix", "/static"), settings.get("max_age", 3600)
        return [StaticFiles(root, prefix, max_age_seconds=age)]

    def _make_kernel(self) -> Any:
        from so.edge.context import RequestContext
        from so.edge.maintenance import RefuseWhileDown
        from so.http.kernel import Kernel

        kernel = Kernel(
            self.make("router"),
            self.make("errors"),
            self.make,
            middleware=[
                self.make(RequestContext),
                RefuseWhileDown(self.make("maintenance")),
                *self._static_files(),
                *self.config.get("app.middleware", []),
            ],
            settings=self.make("http_settings"),
            logger=self.make("logger"),
        )
        # Given out already while it boots: a middleware that is made now may ask for it.
        self.instance("kernel", kernel)
        try:
            kernel.boot()  # a misspelt middleware is found now, not at the request that needs it
        except BaseException:
            self.forget_instance("kernel")
            raise
        return kernel

    # --- cache and limits ---

    def _make_caches(self) -> Any:
        from so.systems import cache

        settings = self.config.get("cache", {})
        source = self._source(settings.get("connection"))
        locks = cache.DatabaseLocks(source, self.clock)

        def build(store: Any, shared: bool = True) -> Callable[[], Any]:
            return lambda: cache.Cache(
                store(),
                settings.get("prefix", "so_cache"),
                locks=locks if shared else None,
                codec=self.make("cache_codec"),
                compute_seconds=settings.get("compute_seconds", 60),
            )

        def database() -> Any:
            return cache.DatabaseStore(source, self.clock, max_bytes=settings.get("max_bytes", 0))

        return cache.Caches(
            {
                "database": build(database),
                "array": build(lambda: cache.ArrayStore(self.clock), shared=False),
                "null": build(lambda: cache.NullStore(self.clock), shared=False),
                "file": build(
                    lambda: cache.FileStore(
                        self._base / settings.get("path", "storage/cache"), self.clock
                    )
                ),
                "tiered": build(
                    lambda: cache.TieredStore(
                        database(),
                        stale_seconds=settings.get("stale_seconds", 1.0),
                        max_entries=settings.get("max_entries", 10_000),
                    )
                ),
            },
            settings.get("default", "database"),
        )

    def _make_limiter(self) -> Any:
        from so.systems.cache.limits import DatabaseCounters, RateLimiter

        source = self._source(self.config.get("cache.connection"))
        return RateLimiter(
            DatabaseCounters(source, self.clock), self.config.get("cache.prefix", "so_cache")
        )

    # --- sessions and logins ---

    def _make_sessions(self) -> Any:
        from so.systems.sessions import Sessions

        settings = self.config.get("session", {})
        driver = settings.get("driver", "database")
        if driver not in ("database", "array"):
            raise ConfigError(
                f"unknown session driver {driver!r}: set SESSION_DRIVER to database or array"
            )
        return Sessions(
            self._source(settings.get("connection")) if driver == "database" else None,
            lifetime_minutes=settings.get("lifetime", 120),
            absolute_lifetime_minutes=settings.get("absolute_lifetime", 0),
            touch_seconds=settings.get("touch_seconds", 60),
            grace_seconds=settings.get("grace_seconds", 30),
            max_bytes=settings.get("max_bytes", 1_048_576),
            clock=self.clock,
            signer=self.make("signer"),
            encrypt=settings.get("encrypt", False),
            cipher=self.make("session.cipher") if self.bound("session.cipher") else None,
        )

    def _make_hasher(self) -> Any:
        from so.systems.auth import PasswordHasher

        return PasswordHasher(**self.config.get("auth.scrypt", {}))

    def _make_authentication(self) -> Any:
        from so.systems import auth

        settings = self.config.get("auth", {})
        remember = auth.RememberTokens(
            self._source(self.config.get("session.connection")),
            lifetime_days=settings.get("remember_days", 30),
            grace_seconds=settings.get("remember_grace_seconds", 10),
            clock=self.clock,
        )
        throttle = auth.LoginThrottle(
            self.make("limiter"),
            per_account=settings.get("attempts_per_account", 5),
            per_address=settings.get("attempts_per_address", 5),
            window_seconds=settings.get("attempt_window_seconds", 60),
            clock=self.clock,
        )
        return auth.Authentication(
            auth.ModelUsers(self._user_model, settings.get("password", "password")),
            hasher=self.make("hasher"),
            throttle=throttle,
            remember=remember,
            absolute_lifetime_minutes=self.config.get("session.absolute_lifetime", 0),
            signer=self.make("signer"),
            legacy_check=auth.legacy_sha1(salt) if (salt := settings.get("legacy_salt")) else None,
            clock=self.clock,
        )

    def _make_steady_limiter(self) -> Any:
        """One for the whole process: it counts by itself while the database cannot be reached."""
        from so.systems.auth import SteadyLimiter

        return SteadyLimiter(self.make("limiter"), self.clock)

    def _user_model(self) -> Any:
        name = self.config.get("auth.model", "app.models.User")
        if not isinstance(name, str):
            return name
        module, _, cls = name.rpartition(".")
        try:
            return getattr(self.import_module(module), cls)
        except (ImportError, AttributeError) as error:
            raise ConfigError(f"auth.model {name!r} cannot be loaded: {error}") from error

    def _make_access_tokens(self) -> Any:
        from so.systems.auth import AccessTokens

        return AccessTokens(self.make("db"), clock=self.clock)

    def _make_gate(self) -> Any:
        from so.systems.auth import Gate

        return Gate(lambda: self._auth_here().user(), self.make)

    def _auth_here(self) -> Any:
        from so.edge.session import auth_here

        return auth_here(self.make("authentication"))

    def _make_cookie_settings(self) -> Any:
        from so.edge.cookies import CookieSettings

        settings = self.config.get("session", {})
        names = ("remember_name", "device_name", "path", "domain", "secure", "same_site", "minutes")
        given = {name: settings[name] for name in names if name in settings}
        return CookieSettings(**given, **_renamed(settings, cookie="name", xsrf="xsrf_name"))

    def _make_csrf_settings(self) -> Any:
        from so.edge.csrf import CsrfSettings

        return CsrfSettings(
            tuple(self.config.get("session.csrf_except", ())),
            tuple(self.config.get("session.trusted_origins", ())),
        )

    def _make_doors(self) -> Any:
        from so.edge.authenticate import Doors

        return Doors(self.config.get("auth.login", "/login"), self.config.get("auth.home", "/"))

    def _make_context_settings(self) -> Any:
        from so.edge.context import ContextSettings

        return ContextSettings(bool(self.config.get("http.trust_request_id", False)))

    # --- queue, activity log, notifications ---

    def _make_queue(self) -> Any:
        from so.systems.queue import Queue

        settings = self.config.get("queue", {})
        connection = settings.get("connection")
        db = self.make("db")
        queue = Queue(
            self._source(connection),
            clock=self.clock,
            default=settings.get("default", "database"),
            default_queue=settings.get("queue", "default"),
            call=self.call,
            codec=self.make("job_codec"),
            caller=db if connection else None,
            limiter=lambda name: self.make("limiter").limiter(name),
            after_commit=settings.get("after_commit", False),
            wake_folder=str(self._base / settings.get("wake_path", "storage/queue")),
            timezone=settings.get("timezone") or "UTC",
        )
        queue.control.is_down = self.make("maintenance").is_down
        return queue

    def _make_activity(self) -> Any:
        from so.systems.activity import ActivityLog

        settings = self.config.get("activity", {})
        return ActivityLog(
            self.make("db"),
            enabled=settings.get("enabled", True),
            default_log=settings.get("default_log", "default"),
            mask=settings.get("mask"),
            causer=self._causer,
            clock=self.clock,
            integrity_mode=settings.get("integrity"),
            keys=[settings.get("key"), *settings.get("previous_keys", [])],
            seal_delay_seconds=settings.get("seal_delay_seconds", 0.1),
            rows_per_seal=settings.get("rows_per_seal", 1000),
        )

    def _causer(self) -> Any:
        """Who is acting: what the scope says, or else whoever is logged in."""
        from so.systems.activity.context import current_causer

        who = current_causer()
        scope = current_scope()
        if who is None and scope is not None and scope.causer is UNSET and scope.request:
            return self._auth_here().user()
        return who

    def _make_notifications(self) -> Any:
        from so.edge.delivery import defer_with
        from so.systems import notifications as n

        settings = self.config.get("notifications", {})
        db, mail = self.make("db"), self.config.get("mail", {})
        default = settings.get("default", ["database"])
        return n.Notifications(
            db,
            {
                "database": lambda: n.DatabaseChannel(
                    db, self.clock, settings.get("max_bytes", 1_048_576)
                ),
                "mail": lambda: n.MailChannel(_transport(mail), mail.get("from", "erp@localhost")),
                "webhook": lambda: n.WebhookChannel(
                    settings.get("webhook_secret"), settings.get("webhook_timeout", 10)
                ),
                "log": n.LogChannel,
            },
            default=[default] if isinstance(default, str) else list(default),
            queue_all=bool(settings.get("queue", False)),
            defer=defer_with(lambda: self.make("queue"), settings.get("queue_name", "default")),
            clock=self.clock,
        )


SQLITE = {"sqlite": {"driver": "sqlite", "database": "storage/database.sqlite"}}
ROOMS = (
    "logger", "maintenance", "signer", "db", "job_codec", "cache_codec", "presence", "router",
    "errors",
    "validator", "http_settings", "kernel", "caches", "limiter", "sessions", "hasher",
    "authentication", "steady_limiter", "access_tokens", "gate", "cookie_settings",
    "csrf_settings", "doors", "context_settings", "queue", "activity", "notifications",
)  # fmt: skip
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
    "so.systems.auth.throttle.SteadyLimiter": "steady_limiter",
    "so.systems.sessions.service.Sessions": "sessions",
    "so.systems.sessions.session.Session": "session",
    "so.systems.auth.guard.Authentication": "authentication",
    "so.systems.auth.guard.Auth": "auth",
    "so.systems.auth.gate.Gate": "gate",
    "so.systems.auth.tokens.AccessTokens": "access_tokens",
    "so.systems.auth.passwords.PasswordHasher": "hasher",
    "so.edge.cookies.CookieSettings": "cookie_settings",
    "so.edge.csrf.CsrfSettings": "csrf_settings",
    "so.edge.authenticate.Doors": "doors",
    "so.edge.context.ContextSettings": "context_settings",
    "so.systems.queue.queue.Queue": "queue",
    "so.systems.activity.log.ActivityLog": "activity",
    "so.systems.notifications.service.Notifications": "notifications",
}


MOST_QUERIES = 200  # of one request, kept for its debug page


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


def _make_observer(cls: type) -> Any:
    """An observer by the running application's container; plainly, where none is running."""
    try:
        app = current_application()
    except RuntimeError:
        return cls()
    return app.make(cls)


def _page_of_request(name: str) -> Any:
    scope = current_scope()
    return None if scope is None or scope.request is None else scope.request.query(name)


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
            lambda n: [n.alias(), list(n._arguments[0]), n._arguments[1]],
            lambda p: Notification.for_alias(p[0])(*p[1], **p[2]),
            subclasses=True,
        )
    else:
        codec.register(
            Model, "row", lambda m: [m.type_alias, m.get_attributes()], rebuild, subclasses=True
        )


def _transport(mail: Mapping[str, Any]) -> Any:
    from so.systems import notifications as n

    driver = mail.get("driver", "log")
    if driver == "log":
        return n.LogTransport()
    if driver != "smtp":
        raise ConfigError(f"unknown mail driver {driver!r}: set MAIL_DRIVER to log or smtp")
    names = ("port", "encryption", "username", "password", "timeout")
    return n.SmtpTransport(mail["host"], **{name: mail[name] for name in names if name in mail})


def _renamed(settings: Mapping[str, Any], **names: str) -> dict[str, Any]:
    return {new: settings[old] for old, new in names.items() if old in settings}
