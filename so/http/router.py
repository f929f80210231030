"""The router: registers routes, finds the one for a request, and writes URLs to them.

The first registered route that matches wins; looking it up does not depend on how many there
are (routing/trie.py). Running the action and its middleware is the kernel's business.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from so.errors import RouteDefinitionError
from so.http.middleware import Layer, MiddlewareRegistry
from so.http.routing import resources
from so.http.routing.actions import resolve
from so.http.routing.groups import GroupAttributes, flat
from so.http.routing.route import Route
from so.http.routing.template import compiled
from so.http.routing.trie import ANY, HIT, MISS, Quick, Tree
from so.http.routing.urls import UrlGenerator
from so.http.routing.verbs import ALL_METHODS, Verbs
from so.support.clock import Clock
from so.support.scope import current_scope

if TYPE_CHECKING:
    from so.support.signing import Signer
Callback = Callable[..., Any] | str | Path


class Router(Verbs):
    """Registration, matching and URL generation for one application."""

    def __init__(
        self,
        *,
        root: str | Callable[[], str] = "",
        signer: Signer | Callable[[], Signer] | None = None,
        clock: Clock | None = None,
        controllers: Sequence[str] = ("app.controllers",),
    ) -> None:
        """*root* is the application's own address for URLs (such as `https://erp.example`); without
        it they take the request's. *signer* makes signed URLs possible. *controllers* are the
        packages where a bare class name in `'OrderController@show'` is looked for.
        """
        self.controllers = tuple(controllers)
        self.patterns: dict[str, str] = {}
        self.binders: dict[str, Callable[..., Any]] = {}
        self.models: dict[str, Any] = {}
        self.urls = UrlGenerator(self.named_routes, root, signer, clock)
        self.registry = MiddlewareRegistry(self.changed)
        self._routes: list[Route] = []
        self.fallback_route: Route | None = None
        self._names: dict[str, Route] | None = None
        self._trees: dict[str, Tree] | None = None
        self._quick: dict[str, Quick] = {}
        self._local = threading.local()
        self._lock = threading.RLock()
        self._listeners: list[Callable[[], object]] = []

    # --- registration -----------------------------------------------------------------------------

    def match(self, methods: str | Iterable[str], uri: str, action: object) -> Route:
        """Serve *uri* for each of *methods* by *action*; GET serves HEAD too.

        Raises RouteActionError for something that cannot be called, RouteDefinitionError for a
        malformed URI.
        """
        group = self.group_attributes
        handler = resolve(action, group.controller, self.controllers)
        route = Route(self, _methods(methods, uri), uri, action, handler, group)
        self.check_middleware(route, route.middleware_list)
        self._routes.append(route)
        self.changed()
        return route

    def drop(self, route: Route) -> None:
        """Serve *route* no more."""
        if route in self._routes:
            self._routes.remove(route)
            self.changed()

    def fallback(self, action: object) -> Route:
        """Answer by *action* where no route serves the path, whatever the method."""
        handler = resolve(action, self.group_attributes.controller, self.controllers)
        route = Route(self, ALL_METHODS, "{fallback?}", action, handler, self.group_attributes)
        route.is_fallback = True
        self.fallback_route = route
        self.changed()
        return route

    def redirect(self, uri: str, to: str, status: int = 302) -> Route:
        """Redirect *uri* to *to*, whose `{names}` are replaced by the path's values."""
        return self.any(uri, resources.redirection(to, status))

    def permanent_redirect(self, uri: str, to: str) -> Route:
        """Redirect *uri* to *to* with status 301."""
        return self.redirect(uri, to, 301)

    def group(
        self,
        attrs: Mapping[str, Any] | Callback | None = None,
        callback: Callback | None = None,
        **options: Any,
    ) -> Any:
        """Say *attrs* (prefix, middleware, name, where, controller, without_middleware) for all
        routes that *callback* registers: a callable, or the path of a routes file. Without a
        callback, a context manager for a `with` block.
        """
        if attrs is not None and not isinstance(attrs, Mapping):
            attrs, callback = None, attrs
        group = Group(self, GroupAttributes.read({**(attrs or {}), **options}))
        if callback is None:
            return group
        with group:
            self._load(callback)
        return None

    def _load(self, callback: Callback) -> None:
        if callable(callback):
            callback()
            return
        path = Path(callback)
        if not path.is_file():
            raise RouteDefinitionError(f"there is no routes file {str(path)!r}")
        import runpy

        runpy.run_path(str(path), init_globals={"Router": self, "router": self})

    def prefix(self, prefix: str) -> Registrar:
        """Begin a group or route with *prefix*."""
        return Registrar(self).prefix(prefix)

    def name(self, name: str) -> Registrar:
        """Begin a group or route whose names start with *name*."""
        return Registrar(self).name(name)

    as_ = name

    def middleware(self, *middleware: Any) -> Registrar:
        """Begin a group or route with *middleware*."""
        return Registrar(self).middleware(*middleware)

    def without_middleware(self, *middleware: Any) -> Registrar:
        """Begin a group or route without *middleware*."""
        return Registrar(self).without_middleware(*middleware)

    without = without_middleware

    def where(self, name: str | Mapping[str, str], pattern: str | None = None) -> Registrar:
        """Begin a group or route whose parameters are constrained."""
        return Registrar(self).where(name, pattern)

    def controller(self, controller: Any) -> Registrar:
        """Begin a group whose actions are methods of *controller*."""
        return Registrar(self).controller(controller)

    def pattern(self, name: str, regex: str) -> None:
        """Constrain every parameter called *name*, in routes registered from now on."""
        compiled(regex, f"{{{name}}}")
        self.patterns[name] = regex

    def bind(self, name: str, fn: Callable[..., Any]) -> None:
        """Give actions `fn(value)` (or `fn(value, route)`) for parameter *name*; None is a 404."""
        self.binders[name] = fn
        self.changed()

    def model(self, name: str, cls: Any) -> None:
        """Give actions the *cls* with that key for parameter *name*."""
        self.models[name] = cls
        self.changed()

    # --- middleware -------------------------------------------------------------------------------

    def middleware_alias(self, name: str | Mapping[str, Any], middleware: Any = None) -> None:
        """Know *middleware* as *name*."""
        self.registry.alias(name, middleware)

    def middleware_group(self, name: str, middleware: Iterable[Any]) -> None:
        """Let *name* stand for all of *middleware*."""
        self.registry.group(name, middleware)

    def push_middleware_to_group(self, name: str, *middleware: Any) -> None:
        """Add to the end of a middleware group."""
        self.registry.push_to_group(name, *middleware)

    def prepend_middleware_to_group(self, name: str, *middleware: Any) -> None:
        """Add to the front of a middleware group."""
        self.registry.prepend_to_group(name, *middleware)

    def remove_middleware_from_group(self, name: str, *middleware: Any) -> None:
        """Take out of a middleware group."""
        self.registry.remove_from_group(name, *middleware)

    def global_middleware(self, middleware: Iterable[Any]) -> None:
        """Run *middleware* around every request."""
        self.registry.set_globals(middleware)

    def middleware_priority(self, middleware: Iterable[Any]) -> None:
        """Keep *middleware* in this order, however routes list them."""
        self.registry.set_priority(middleware)

    def layers(self, route: Route) -> list[Layer]:
        """The middleware of *route*, resolved and in order; without the global ones."""
        try:
            return self.registry.layers(route.middleware_list, route.excluded)
        except RouteDefinitionError as error:
            raise RouteDefinitionError(f"route {route.uri!r}: {error}") from error

    def check_middleware(self, route: Route, middleware: Iterable[Any]) -> None:
        """Raise RouteDefinitionError, naming *route*, for parameters that make no sense."""
        try:
            self.registry.check_written(middleware)
        except RouteDefinitionError as error:
            raise RouteDefinitionError(f"route {route.uri!r}: {error}") from error

    def check(self) -> None:
        """Raise for what could not work: unknown middleware, arguments that nothing fills.

        The application calls it when it boots.
        """
        self.registry.layers(self.registry.globals)
        for route in self.routes():
            self.registry.check_at_boot(self.layers(route))
            _ = route.plan
        self._build()

    # --- matching ---------------------------------------------------------------------------------

    def find(self, method: str, path: str) -> tuple[Route, dict[str, str]] | None:
        """The route for *method* and the decoded *path*, with its parameters; None without one.

        Of two routes that match, the one registered first.
        """
        node = self._quick.get(method) or MISS
        whole = node.get(path or "/")
        if whole is not None:
            return whole, {}
        parts = path.split("/")
        for part in parts:
            node = node.get(part) or node[ANY]
        hit = node[HIT]
        if hit:
            if hit.extract is None:
                params = {}
                for name, at in hit.places:
                    params[name] = parts[at]
                return hit.route, params
            given = hit.extract(parts)
            if given is not None:
                return hit.route, given
        elif hit is None and self._trees is not None:
            return None
        # Two branches could serve it, a constraint refused, or the tree is not built yet.
        return self._search(method, parts)

    def find_parts(self, method: str, parts: Sequence[str]) -> tuple[Route, dict[str, str]] | None:
        """As `find`, for a path already cut into decoded segments, the first one empty."""
        return self._search(method, parts)

    def allowed(self, parts: Sequence[str]) -> list[str]:
        """The methods under which a path (in segments, the first one empty) is served."""
        return [m for m in ALL_METHODS if self._search(m, parts) is not None]

    def _search(self, method: str, parts: Sequence[str]) -> tuple[Route, dict[str, str]] | None:
        trees = self._build() if self._trees is None else self._trees
        tree = trees.get(method)
        if tree is None or not parts or parts[0]:
            return None
        return tree.search(parts[:-1] if len(parts) > 1 and not parts[-1] else parts)

    def _build(self) -> dict[str, Tree]:
        with self._lock:
            if self._trees is not None:
                return self._trees
            trees: dict[str, Tree] = {}
            # GET implies HEAD, so that one tree serves both, unless a route is for HEAD alone.
            is_one = all("GET" in r.methods or "HEAD" not in r.methods for r in self._routes)
            for route in self._routes:
                for method in route.methods:
                    if method != "HEAD" or not is_one:
                        trees.setdefault(method, Tree()).add(route)
            for tree in trees.values():
                tree.freeze()
            if is_one and "GET" in trees:
                trees["HEAD"] = trees["GET"]
            self._quick = {method: tree.quick for method, tree in trees.items()}
            self._trees = trees
            return trees

    # --- asking -----------------------------------------------------------------------------------

    def has(self, *names: str) -> bool:
        """True if routes of all *names* exist."""
        known = self.named_routes()
        return all(name in known for name in names)

    def routes(self) -> list[Route]:
        """All routes, in order of registration, the fallback last."""
        return [*self._routes, *([self.fallback_route] if self.fallback_route else [])]

    def named_routes(self) -> dict[str, Route]:
        """The routes by name; of two with one name, the later."""
        if self._names is None:
            self._names = {r.route_name: r for r in self.routes() if r.route_name is not None}
        return self._names

    def current(self) -> Route | None:
        """The route of the request under way."""
        scope = current_scope()
        return None if scope is None else scope.route

    def is_(self, *patterns: str) -> bool:
        """True if the current route's name fits one of *patterns* (`orders.*`)."""
        route = self.current()
        return route is not None and route.is_named(*patterns)

    def clear(self) -> None:
        """Forget all routes."""
        self._routes.clear()
        self.fallback_route = None
        self.changed()

    # --- URLs -------------------------------------------------------------------------------------

    def route(self, name: str, params: Any = None, absolute: bool = True, **kw: Any) -> str:
        """The URL of the route called *name*; see `UrlGenerator.route`."""
        return self.urls.route(name, params, absolute, **kw)

    url = route

    def signed_route(self, name: str, params: Any = None, absolute: bool = True, **kw: Any) -> str:
        """The URL of a route with a signature; see `UrlGenerator.signed`."""
        return self.urls.signed(name, params, None, absolute, **kw)

    def temporary_signed_route(
        self, name: str, expires: Any, params: Any = None, absolute: bool = True, **kw: Any
    ) -> str:
        """The URL of a route with a signature that ends; see `UrlGenerator.signed`."""
        return self.urls.signed(name, params, expires, absolute, **kw)

    # --- inside the room --------------------------------------------------------------------------

    @property
    def group_stack(self) -> list[GroupAttributes]:
        """The groups open in this thread, outermost first."""
        try:
            stack: list[GroupAttributes] = self._local.stack
        except AttributeError:
            stack = self._local.stack = []
        return stack

    @property
    def group_attributes(self) -> GroupAttributes:
        """What the open groups say together."""
        stack = self.group_stack
        return stack[-1] if stack else _NOTHING

    def changed(self) -> None:
        """Forget what was derived from the routes."""
        self._trees = None
        self._quick = {}
        self._names = None
        for listener in self._listeners:
            listener()

    def on_change(self, listener: Callable[[], object]) -> None:
        """Call *listener* after every change of routes or middleware."""
        self._listeners.append(listener)


_NOTHING = GroupAttributes()


class Group:
    """An open group as a context manager; left, it restores what was said before."""

    def __init__(self, router: Router, attributes: GroupAttributes) -> None:
        self._router = router
        self._attributes = attributes

    def __enter__(self) -> Router:
        self._router.group_stack.append(self._attributes.within(self._router.group_attributes))
        return self._router

    def __exit__(self, *error: object) -> None:
        self._router.group_stack.pop()


class Registrar(Verbs):
    """Attributes gathered so far: `router.prefix("api").middleware("auth").group(…)`."""

    def __init__(self, router: Router, attributes: Mapping[str, Any] | None = None) -> None:
        self._router = router
        self._given = dict(attributes or {})
        self.controllers = router.controllers

    def prefix(self, prefix: str) -> Registrar:
        """Put *prefix* in front of every URI."""
        return self._with("prefix", prefix)

    def name(self, name: str) -> Registrar:
        """Put *name* in front of every name."""
        return self._with("name", str(self._given.get("name") or "") + name)

    as_ = name

    def middleware(self, *middleware: Any) -> Registrar:
        """Run *middleware* before every action."""
        return self._with("middleware", [*self._given.get("middleware", []), *flat(middleware)])

    def without_middleware(self, *middleware: Any) -> Registrar:
        """Leave *middleware* out."""
        before = self._given.get("without_middleware", [])
        return self._with("without_middleware", [*before, *flat(middleware)])

    without = without_middleware

    def where(self, name: str | Mapping[str, str], pattern: str | None = None) -> Registrar:
        """Constrain parameters by regular expressions."""
        given = {name: pattern} if isinstance(name, str) else dict(name)
        return self._with("where", {**self._given.get("where", {}), **given})

    def controller(self, controller: Any) -> Registrar:
        """Take actions given as text for methods of *controller*."""
        return self._with("controller", controller)

    def group(self, callback: Callback | None = None) -> Any:
        """Register what *callback* (a callable or the path of a routes file) registers, so."""
        return self._router.group(self._given, callback)

    def match(self, methods: str | Iterable[str], uri: str, action: object) -> Route:
        """One route with these attributes."""
        with self._router.group(self._given):
            return self._router.match(methods, uri, action)

    def _with(self, key: str, value: Any) -> Registrar:
        return Registrar(self._router, {**self._given, key: value})


def _methods(methods: str | Iterable[str], uri: str) -> tuple[str, ...]:
    given = [methods] if isinstance(methods, str) else list(methods)
    found: list[str] = []
    for method in given:
        method = method.upper()
        if method not in ALL_METHODS:
            raise RouteDefinitionError(
                f"the route {uri!r} names the method {method!r}: use one of "
                f"{', '.join(ALL_METHODS)}"
            )
        found.append(method)
        if method == "GET":
            found.append("HEAD")
    if not found:
        raise RouteDefinitionError(f"the route {uri!r} serves no method: name at least one")
    return tuple(dict.fromkeys(found))
