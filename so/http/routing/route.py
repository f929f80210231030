"""One route: a URI template, the methods it serves, its action, and what was said about it.

A route is shared by all threads and holds nothing of a request; `parameters` and `parameter()`
read the values of the request under way from its scope.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from typing import TYPE_CHECKING, Any, Protocol

from so.errors import RouteDefinitionError
from so.http.routing.actions import RouteAction
from so.http.routing.groups import GroupAttributes, flat
from so.http.routing.invocation import ActionPlan, NoSuchRoute, Served, model_binder
from so.http.routing.template import compiled, parse
from so.support.scope import current_scope
from so.support.signatures import arity

if TYPE_CHECKING:
    from so.http.request import Request

NUMBER = "[0-9]+"
ALPHA = "[a-zA-Z]+"
ALPHA_NUMERIC = "[a-zA-Z0-9]+"
UUID = "[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"
ULID = "[0-7][0-9a-hjkmnp-tv-zA-HJKMNP-TV-Z]{25}"
SLUG = "[a-z0-9]+(?:-[a-z0-9]+)*"


class RouteKeeper(Protocol):
    """What a route asks of the router that keeps it."""

    patterns: dict[str, str]
    binders: dict[str, Callable[..., Any]]
    models: dict[str, Any]

    def check_middleware(self, route: Route, middleware: Iterable[Any]) -> None: ...

    def drop(self, route: Route) -> None: ...

    def changed(self) -> None: ...


class Route:
    """A registered route; each method that changes it returns it, so that calls can be chained.

    Attributes: uri (no slash at either end; "/" for the root), methods, action (as given),
    handler (as resolved), route_name, middleware_list, excluded, wheres, default_values.
    """

    def __init__(
        self,
        router: RouteKeeper,
        methods: Iterable[str],
        uri: str,
        action: object,
        handler: RouteAction,
        group: GroupAttributes,
    ) -> None:
        self._router = router
        self.methods = list(methods)
        self.action = action
        self.handler = handler
        self.middleware_list: list[Any] = list(group.middleware)
        self.excluded: list[Any] = list(group.without)
        self.wheres: dict[str, str] = dict(group.where)
        self.default_values: dict[str, Any] = {}
        self.missing_handler: Callable[..., Any] | None = None
        self.is_fallback = False
        self._name_prefix = group.name
        self.route_name: str | None = None
        self._plan: ActionPlan | None = None
        self._set_uri(f"{group.prefix}/{uri}")

    # --- definition -----------------------------------------------------------------------------

    def name(self, name: str) -> Route:
        """Call it *name*, after the group's prefix; a second call appends."""
        before = self._name_prefix if self.route_name is None else self.route_name
        self.route_name = before + name
        self._changed()
        return self

    def middleware(self, *middleware: Any) -> Route:
        """Run *middleware* too, after the group's."""
        more = flat(middleware)
        try:
            self._router.check_middleware(self, more)
        except RouteDefinitionError:
            self._router.drop(self)  # it was to be guarded, so it must not be open
            raise
        self.middleware_list += more
        self._changed()
        return self

    def without_middleware(self, *middleware: Any) -> Route:
        """Leave *middleware* out: names, classes or groups."""
        self.excluded += flat(middleware)
        self._changed()
        return self

    without = without_middleware

    def where(self, name: str | Mapping[str, str], pattern: str | None = None) -> Route:
        """Let parameter *name* hold only what *pattern* (a regular expression) matches wholly."""
        given = {name: pattern} if isinstance(name, str) else dict(name)
        for key, value in given.items():
            if value is None:
                raise RouteDefinitionError(f"where({key!r}) needs a regular expression")
            compiled(value, self.uri)
            self.wheres[key] = value
        self._changed()
        return self

    def where_number(self, *names: str) -> Route:
        """Digits only."""
        return self.where(dict.fromkeys(names, NUMBER))

    def where_alpha(self, *names: str) -> Route:
        """ASCII letters only."""
        return self.where(dict.fromkeys(names, ALPHA))

    def where_alpha_numeric(self, *names: str) -> Route:
        """ASCII letters and digits only."""
        return self.where(dict.fromkeys(names, ALPHA_NUMERIC))

    def where_uuid(self, *names: str) -> Route:
        """A UUID in its form of 36 characters."""
        return self.where(dict.fromkeys(names, UUID))

    def where_ulid(self, *names: str) -> Route:
        """A ULID (26 characters)."""
        return self.where(dict.fromkeys(names, ULID))

    def where_slug(self, *names: str) -> Route:
        """Lower-case words and digits joined by single hyphens."""
        return self.where(dict.fromkeys(names, SLUG))

    def where_in(self, name: str, values: Iterable[Any]) -> Route:
        """One of *values*; an Enum class stands for its values, a text for itself."""
        return self.where(name, one_of([values] if isinstance(values, str) else values))

    def defaults(self, name: str, value: Any) -> Route:
        """Give the action *value* for *name* when the path does not."""
        self.default_values[name] = value
        self._changed()
        return self

    def missing(self, handler: Callable[..., Any]) -> Route:
        """Answer by `handler(request)` instead of 404 when a model of this route is not there."""
        self.missing_handler = handler
        return self

    def prefix(self, prefix: str) -> Route:
        """Put *prefix* in front of the URI."""
        self._set_uri(f"{prefix}/{self.uri}")
        self._changed()
        return self

    def can(self, ability: str, *parameters: str) -> Route:
        """Require *ability*, for the models of the named route *parameters*."""
        return self.middleware("can:" + ",".join([ability, *parameters]))

    def throttle(self, limit: int | str = 60, minutes: int | float = 1) -> Route:
        """Allow *limit* requests in *minutes*, or what the limiter named *limit* says."""
        given = f"{limit},{minutes:g}" if isinstance(limit, int) else limit
        return self.middleware(f"throttle:{given}")

    # --- reading --------------------------------------------------------------------------------

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """The names in the template, in order."""
        return self._names

    @property
    def parameters(self) -> dict[str, Any]:
        """The values of the request under way; empty outside one that this route serves."""
        scope = current_scope()
        if scope is None or scope.route is not self:
            return {}
        params: dict[str, Any] = scope.request.route_parameters
        return params

    def parameter(self, name: str, default: Any = None) -> Any:
        """The value of one parameter of the request under way (a model, if it is bound to one)."""
        scope = current_scope()
        if self.parameters.get(name) is None or scope is None:
            return default
        return self.bound(scope.request, name)

    def is_named(self, *patterns: str) -> bool:
        """True if the name fits one of *patterns*, where `*` stands for any text."""
        from so.http.patterns import fits

        return self.route_name is not None and fits(self.route_name, patterns)

    def binding_field(self, name: str) -> str | None:
        """`slug` for `{post:slug}`, else None."""
        for segment in self.segments:
            for parameter in segment.parameters:
                if parameter.name == name:
                    return parameter.field
        return None

    def __repr__(self) -> str:
        return f"<Route {'|'.join(self.methods)} {self.uri}>"

    # --- running --------------------------------------------------------------------------------

    @property
    def plan(self) -> ActionPlan:
        """How to call the action; worked out at the first request."""
        if self._plan is None:
            self._plan = ActionPlan(self._served())
        return self._plan

    def _served(self) -> Served:
        names = dict.fromkeys([*self.parameter_names, *self.default_values])
        binders = {name: self.router_binder(name) for name in names}
        return Served(
            self.uri,
            self.handler,
            self.parameter_names,
            {name: binder for name, binder in binders.items() if binder is not None},
            self.binding_field,
            self.bound,
            tuple(names),
        )

    def bound(self, request: Request, name: str) -> Any:
        """The value of parameter *name* in *request*: what it is bound to, looked up once."""
        bindings = request.bindings
        if name in bindings:
            return bindings[name]
        value = request.route_parameters.get(name)
        binder = self.plan.binders.get(name)
        if binder is not None and isinstance(value, str):
            value = bindings[name] = binder(value)
        return value

    def router_binder(self, name: str) -> Callable[[str], Any] | None:
        """What `Router.bind` or `Router.model` said about parameter *name*."""
        router = self._router
        if name in router.binders:
            return _explicit(router.binders[name], self)
        if name in router.models:
            return model_binder(router.models[name], self.binding_field(name))
        return None

    def _set_uri(self, uri: str) -> None:
        # Joining prefixes leaves double slashes; no path with one matches anything.
        self.uri = "/".join(part for part in uri.split("/") if part) or "/"
        self.segments = parse("" if self.uri == "/" else self.uri)
        self._names = tuple(p.name for segment in self.segments for p in segment.parameters)
        for name, pattern in self._router.patterns.items():
            if name in self._names:
                self.wheres.setdefault(name, pattern)

    def _changed(self) -> None:
        self._plan = None
        self._router.changed()


def _explicit(binder: Callable[..., Any], route: Route) -> Callable[[str], Any]:
    takes_route = arity(binder) > 1

    def bind(value: str) -> Any:
        found = binder(value, route) if takes_route else binder(value)
        if found is None:
            raise NoSuchRoute(f"The route {route.uri} could not be found.")
        return found

    return bind


def one_of(values: Iterable[Any]) -> str:
    """The pattern for exactly one of *values*; an Enum class stands for its values."""
    import re

    texts = [str(v.value if isinstance(v, Enum) else v) for v in values]
    if not texts:
        raise RouteDefinitionError("where_in() was given no values: name at least one")
    return "|".join(re.escape(text) for text in texts)
