"""How data is kept: connections, codecs, caches, limits and sessions, from the settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from so.application import homes, logins
from so.application.requests import _note_query
from so.errors import CodecError, RelationError
from so.settings.auth import AuthSettings
from so.settings.cache import CacheSettings
from so.settings.database import DatabaseSettings
from so.settings.session import SessionSettings

if TYPE_CHECKING:
    from so.support.codec import Codec

App = Any


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


def make_shared_clock(app: App) -> Any:
    """The time by the database that cache, locks and limits are in: one for all of them."""
    from so.systems.cache.sharing import clock_of

    return clock_of(app.make("db").source(homes.cache_home(app)), app.clock)


def make_caches(app: App) -> Any:
    """A cache for each driver, made when it is asked for."""
    from so.systems import cache

    settings = app.settings(CacheSettings)
    source = app.make("db").source(homes.cache_home(app))
    locks = cache.DatabaseLocks(source, app.make("shared_clock"))

    def build(store: Callable[[], Any], shared: bool) -> Callable[[], Any]:
        return lambda: cache.Cache(
            store(),
            settings.prefix,
            locks=locks if shared else None,
            codec=app.make("cache_codec"),
            compute_seconds=settings.compute_seconds,
            wait_seconds=settings.wait_seconds,
            compress_bytes=settings.compress_bytes,
        )

    # What this process alone sees needs no locks that others see.
    drivers = {
        name: build(store, shared=name not in ("array", "null"))
        for name, store in _cache_stores(app, settings, source).items()
    }
    return cache.Caches(drivers, settings.default)


def _cache_stores(app: App, settings: CacheSettings, source: Any) -> dict[str, Callable[[], Any]]:
    """What makes the store of each driver."""
    from so.systems import cache

    clock = app.make("shared_clock")

    def database() -> Any:
        return cache.DatabaseStore(source, clock, max_bytes=settings.max_bytes)

    def file() -> Any:
        path = app.base_path(settings.path)
        return cache.FileStore(path, app.clock, max_bytes=settings.max_bytes)

    def array() -> Any:
        return cache.ArrayStore(app.clock, max_entries=settings.max_entries)

    def tiered() -> Any:
        return cache.TieredStore(
            database(),
            stale_seconds=settings.stale_seconds,
            max_entries=settings.max_entries,
            near_bytes=settings.near_bytes,
        )

    def null() -> Any:
        return cache.NullStore(app.clock)

    return {
        "array": array, "null": null, "database": database, "file": file, "tiered": tiered,
    }  # fmt: skip


def make_limiter(app: App) -> Any:
    """Counts attempts, for `throttle` and logins."""
    from so.systems.cache.limits import DatabaseCounters, RateLimiter, SteadyCounters

    settings = app.settings(CacheSettings)
    source = app.make("db").source(homes.cache_home(app))
    counters = DatabaseCounters(source, app.make("shared_clock"))
    return RateLimiter(SteadyCounters(counters, app.clock), settings.prefix)


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
        max_per_user=settings.max_per_user,
        clock=app.clock,
        signer=app.make("signer"),
        encrypt=settings.encrypt,
        cipher=logins.cipher_of(app),
        key_of=lambda user: logins.key_of(app, user),
        on_ended=lambda *ended: logins.sessions_ended(app, *ended),
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


def _make_folder(base: Path, connection: Any) -> None:
    """The folder of an SQLite file; a new installation has none yet."""
    if isinstance(connection, Mapping) and connection.get("driver") == "sqlite":
        name = str(connection.get("database", ""))
        if name and not name.startswith((":", "file:")):
            (base / name).parent.mkdir(parents=True, exist_ok=True)


def _let_models_through(codec: Codec, *, as_reference: bool) -> None:
    """Jobs carry a model's alias and key and fetch it afresh; the cache keeps its attributes.

    Either names the place of its class, too, which tells it from another one of its name.
    """
    from so.db.model import Model
    from so.systems.notifications import Notification

    if not as_reference:
        codec.register(Model, "row", _row, _from_row, subclasses=True)
        return
    codec.register(Model, "model", _reference, _fetched, subclasses=True)
    codec.register(
        Notification,
        "notification",
        lambda n: n.carried(codec.can_write),
        Notification.revived,
        subclasses=True,
    )


def _reference(model: Any) -> list[Any]:
    key = model.get_key()
    if key is None:
        raise CodecError(
            f"this {type(model).__name__} was never saved: a job carries a model by its key, "
            "so save it first, or carry its values"
        )
    return [model.type_alias, key, _place(model)]


def _fetched(plain: list[Any]) -> Any:
    alias, key, *place = plain
    return _model_class(alias, *place).find_or_fail(key)


def _row(model: Any) -> list[Any]:
    return [model.type_alias, model.get_attributes(), _place(model)]


def _from_row(plain: list[Any]) -> Any:
    alias, attributes, *place = plain
    model = _model_class(alias, *place)().set_raw_attributes(attributes, sync=True)
    object.__setattr__(model, "_persisted", True)
    return model


def _place(model: Any) -> str:
    from so.db.model.meta import place_of

    return place_of(type(model))


def _model_class(alias: str, place: str | None = None) -> Any:
    """By its alias; of several the one at *place*, which older texts do not say."""
    from so.db.model import Model

    try:
        return Model.for_alias(alias, place)
    except RelationError as error:
        raise CodecError(str(error)) from error
