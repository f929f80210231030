"""How a request is answered: routes, errors, validation, the kernel and what is at its edge."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from so.settings.app import AppSettings
from so.settings.auth import AuthSettings
from so.settings.database import DatabaseSettings
from so.settings.http import HttpLimits
from so.settings.session import SessionSettings
from so.settings.static import StaticSettings
from so.settings.trustedproxy import ProxySettings
from so.support.current import running
from so.support.scope import current_scope

App = Any

MOST_QUERIES = 200  # of one request, kept for its debug page


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
        own_page=lambda status: _error_page(app, status),
        way=lambda: _way(app),
    )


def _error_page(app: App, status: int) -> Any:
    """The application's page for *status*: `page(request, error)` of app/errors/404.py or 4xx.py.

    Or the function that `http.error_pages` names for the status.
    """
    named = {str(key): name for key, name in app.settings(HttpLimits).error_pages.items()}
    for name in (str(status), f"{status // 100}xx"):
        if name in named:
            module, _, function = str(named[name]).rpartition(".")
            return getattr(app.import_module(module), function)
        if app.base_path(f"app/errors/{name}.py").is_file():
            return app.import_module(f"app.errors.{name}").page
    return None


def _way(app: App) -> Any:
    """Where a page for an error leads."""
    from so.http.quiet_page import Way

    login = app.settings(AuthSettings).login
    has_login = app.make("router").find("GET", login) is not None
    return Way(app.settings(AppSettings).name, login=login if has_login else None)


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
    """The middleware for the icon, and for `public/` where there is such a folder."""
    from so.http.static import Favicon, StaticFiles

    settings = app.settings(StaticSettings)
    root = app.base_path(settings.root)
    if not settings.enabled:
        return []
    icon = Favicon(app.make("router"), root / "favicon.ico", settings.max_age)
    if not root.is_dir():
        return [icon]
    return [icon, StaticFiles(root, settings.prefix, max_age_seconds=settings.max_age)]


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


def make_auth(app: App) -> Any:
    """The login of the request that is answered here."""
    from so.edge.session import auth_here

    return auth_here(app.make("authentication"))


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
