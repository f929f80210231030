"""The short names applications use: `DB`, `Router`, `app()`, `config()`, `cache()`, `session()` …

Each finds the running application and asks it; nothing below the application layer imports
this. With no application running they raise RuntimeError that says how to start one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, overload

from so.application import current_application, set_current
from so.support.current import current
from so.support.scope import current_scope

if TYPE_CHECKING:
    import logging

    from so.application import Application
    from so.config import Config
    from so.db.manager import Database
    from so.http.router import Router as RouterClass
    from so.http.routing.route import Route
    from so.systems.activity.pending import PendingActivity
    from so.systems.auth import Auth
    from so.systems.auth import Gate as GateClass
    from so.systems.auth.accounts import Accounts
    from so.systems.cache import Cache, RateLimiter
    from so.systems.cache.cache import Ttl
    from so.systems.cache.decorator import Cached
    from so.systems.notifications import Notifications
    from so.systems.queue import Batch, PendingBatch, PendingChain, PendingDispatch, Queue, Schedule
    from so.systems.sessions import Session, Sessions

T = TypeVar("T")
P = ParamSpec("P")
R = TypeVar("R")
__all__ = ["DB", "Gate", "Router", "app", "set_current"]


class _Room:
    """A room of the running application, found anew at every use; called, it gives the room."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        if attribute.startswith("__"):  # help() and other tools look for what functions have
            raise AttributeError(attribute)
        return getattr(current(self._name), attribute)

    def __call__(self) -> Any:
        return current(self._name)

    def __repr__(self) -> str:
        return f"<the running application's {self._name}>"


class _RouterRoom(_Room):
    """The running application's router; called, a new router of its own (for tests)."""

    def __call__(self) -> Any:
        from so.http.router import Router as RouterClass

        return RouterClass()


if TYPE_CHECKING:
    # As type checkers and editors see them; what they do when called is said above.
    class _Database(Database):
        def __call__(self) -> Database: ...

    class _Gate(GateClass):
        def __call__(self) -> GateClass: ...

    class _Router(RouterClass):
        def __call__(self) -> RouterClass: ...

    DB: _Database
    Gate: _Gate
    Router: _Router
else:
    DB, Gate, Router = _Room("db"), _Room("gate"), _RouterRoom("router")


@overload
def app(abstract: None = None) -> Application: ...
@overload
def app(abstract: type[T], **params: Any) -> T: ...
@overload
def app(abstract: Any, **params: Any) -> Any: ...
def app(abstract: Any = None, **params: Any) -> Any:
    """The running Application, or what its container makes of *abstract*."""
    here = current_application()
    return here if abstract is None else here.make(abstract, params)


def db() -> Database:
    """The running application's Database."""
    found: Database = current("db")
    return found


@overload
def config(key: None = None, default: Any = None) -> Config: ...
@overload
def config(key: Any, default: Any = None) -> Any: ...
def config(key: Any = None, default: Any = None) -> Any:
    """The setting *key*; the Config itself without a key; a dict of dotted keys sets them."""
    settings = current_application().config
    if key is None:
        return settings
    if isinstance(key, Mapping):
        return settings.set(key)
    return settings.get(key, default)


def logger() -> logging.Logger:
    """The application's logger."""
    found: logging.Logger = current("logger")
    return found


def current_route() -> Route | None:
    """The route being run; None outside a request."""
    scope = current_scope()
    return None if scope is None else scope.route


def route_is(*patterns: str) -> bool:
    """True if the current route's name fits one of *patterns* (`users.*`)."""
    return bool(current("router").is_(*patterns))


def url(path: str = "", params: Any = None) -> str:
    """The absolute URL of *path*; a dict of *params* is its query, a list more segments."""
    return str(current("router").urls.to(path, params))


def route(name: str, params: Any = None, absolute: bool = True, **kw: Any) -> Any:
    """The URL of the route called *name*.

    With the name of a channel and an address (or several), somebody to tell who is no model:
    `route("mail", "a@b.example").notify(…)`, short for `notifications().route(…)`.
    """
    router = current("router")
    if _is_address(params) and not router.has(name) and notifications().has_channel(name):
        return notifications().route(name, params)
    return str(router.route(name, params, absolute, **kw))


def _is_address(params: Any) -> bool:
    """True for an address, a list of some, and {address: name}; not for parameters of a route."""
    if isinstance(params, Mapping):
        return bool(params) and all("@" in str(key) for key in params)
    several = params if isinstance(params, list) else [params]
    return bool(several) and all(isinstance(one, str) for one in several)


def signed_route(name: str, params: Any = None, **kw: Any) -> str:
    """A URL of the route *name* that `request.has_valid_signature()` knows."""
    return str(current("router").signed_route(name, params, **kw))


def temporary_signed_route(name: str, expires: Any, params: Any = None, **kw: Any) -> str:
    """The same, valid until *expires* (seconds from now, timedelta or datetime)."""
    here = current("router")
    return str(here.temporary_signed_route(name, expires, params, **kw))


# --- systems --------------------------------------------------------------------------------------


def cache(store: str | None = None) -> Cache:
    """The default cache store, or the one called *store*."""
    found: Cache = current("caches").store(store)
    return found


def cached(
    ttl: Ttl, key: str | None = None, *, cache: Callable[[], Cache] = cache
) -> Callable[[Callable[P, R]], Cached[P, R]]:
    """Decorator: keep a function's results in the default store (or *cache*'s) for *ttl*."""
    from so.systems.cache import cached as decorator

    return decorator(ttl, key, cache=cache)


def rate_limiter() -> RateLimiter:
    """The rate limiter."""
    found: RateLimiter = current("limiter")
    return found


@overload
def session(key: None = None, default: Any = None) -> Session: ...
@overload
def session(key: Any, default: Any = None) -> Any: ...
def session(key: Any = None, default: Any = None) -> Any:
    """The request's session; one value of it; or, given a dict, puts its items."""
    scope = current_scope()
    if scope is None or scope.session is None:
        current_application()  # without one, that is the mend to name
        raise RuntimeError(
            "there is no session here: put the route into the group 'web', or add 'session'"
        )
    if key is None:
        return scope.session
    if isinstance(key, Mapping):
        return scope.session.put(key)
    return scope.session.get(key, default)


def sessions() -> Sessions:
    """All sessions: devices of a user, logging out everywhere, counting."""
    found: Sessions = current("sessions")
    return found


def auth(guard: str | None = None) -> Auth:
    """Who is logged in, and logging in and out; by the guard *guard* where one is named."""
    here: Auth = current("auth")
    return here if guard is None else here.guard(guard)


def accounts() -> Accounts:
    """Forgotten passwords, confirmed addresses, new passwords, locks."""
    found: Accounts = current("accounts")
    return found


def activity(log_name: str | None = None) -> PendingActivity:
    """A fresh entry for the activity log."""
    found: PendingActivity = current("activity").entry(log_name)
    return found


def notifications() -> Notifications:
    """The notification system: channels, marking as read, events."""
    found: Notifications = current("notifications")
    return found


def notify(notifiables: Any, notification: Any) -> None:
    """Send *notification* to one or many."""
    notifications().send(notifiables, notification)


def queue(connection: str | None = None) -> Queue:
    """The queue, or the one of another queue *connection*."""
    found: Queue = current("queue")
    return found if connection is None else found.others.get(connection, found)


def dispatch(job: Any) -> PendingDispatch:
    """Put *job* on its queue; it is stored before this line ends unless more is chained to it."""
    found: PendingDispatch = current("queue").dispatch(job)
    return found


def dispatch_sync(job: Any) -> Any:
    """Run *job* here and now; its exceptions are raised."""
    return current("queue").dispatch_sync(job)


def chain(jobs: Any) -> PendingChain:
    """Jobs that run one after the other, each only if the one before succeeded."""
    found: PendingChain = current("queue").chain(jobs)
    return found


def batch(jobs: Any) -> PendingBatch:
    """Jobs that run side by side and are counted together."""
    found: PendingBatch = current("queue").batch(jobs)
    return found


def find_batch(id: str) -> Batch | None:
    """The batch *id*; None if there is none."""
    found: Batch | None = current("queue").find_batch(id)
    return found


def schedule() -> Schedule:
    """What recurs: `schedule().job(Report("…")).daily_at("02:00")`."""
    found: Schedule = current("queue").schedule
    return found


def validate(data: Any, rules: Any, messages: Any = None, attributes: Any = None) -> dict[str, Any]:
    """*data* checked by *rules*; raises ValidationException with what is wrong.

    Only `unique` and `exists` need an application, whose database they ask.
    """
    from so.http.validation import validate as check

    return check(data, rules, messages, attributes)
