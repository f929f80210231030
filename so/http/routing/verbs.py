"""The ways to register a route that follow from `match` and `resource`.

Shared by the router and by what `Router.prefix(…)` and its like return.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from so.http.routing import resources
from so.http.routing.actions import find_class

if TYPE_CHECKING:
    from so.http.routing.route import Route

ALL_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


class Verbs:
    """get, post, put, patch, delete, options, any, resource, api_resource."""

    controllers: tuple[str, ...]
    """Packages where a bare class name is looked for."""

    def match(self, methods: str | Iterable[str], uri: str, action: object) -> Route:
        """Serve *uri* for each of *methods* by *action*."""
        raise NotImplementedError

    def resource(
        self,
        name: str,
        controller: Any,
        only: str | Iterable[str] | None = None,
        except_: str | Iterable[str] | None = None,
        names: str | Mapping[str, str] | None = None,
        parameters: str | Mapping[str, str] | None = None,
        middleware: Any = None,
    ) -> list[Route]:
        """The routes index, create, store, show, edit, update and destroy of *controller*.

        *only* and *except_* choose among them; *names* replaces the first part of all their names,
        or some names one by one; *parameters* replaces `{id}`, for a nested name each part.
        """
        chosen = resources.chosen(only, except_)
        if isinstance(controller, str):
            controller = find_class(controller, self.controllers)
        return [
            self.match(one.methods, one.uri, one.action).name(one.name).middleware(middleware)
            for one in resources.planned(name, controller, chosen, names, parameters)
        ]

    def get(self, uri: str, action: object) -> Route:
        """Serve GET (and HEAD) of *uri* by *action*."""
        return self.match(("GET",), uri, action)

    def post(self, uri: str, action: object) -> Route:
        """Serve POST of *uri* by *action*."""
        return self.match(("POST",), uri, action)

    def put(self, uri: str, action: object) -> Route:
        """Serve PUT of *uri* by *action*."""
        return self.match(("PUT",), uri, action)

    def patch(self, uri: str, action: object) -> Route:
        """Serve PATCH of *uri* by *action*."""
        return self.match(("PATCH",), uri, action)

    def delete(self, uri: str, action: object) -> Route:
        """Serve DELETE of *uri* by *action*."""
        return self.match(("DELETE",), uri, action)

    def options(self, uri: str, action: object) -> Route:
        """Serve OPTIONS of *uri* by *action*."""
        return self.match(("OPTIONS",), uri, action)

    def any(self, uri: str, action: object) -> Route:
        """Serve every method of *uri* by *action*."""
        return self.match(ALL_METHODS, uri, action)

    def api_resource(self, name: str, controller: Any, **options: Any) -> list[Route]:
        """A resource without the pages `create` and `edit`."""
        left_out = [options.pop("except_", None) or [], *resources.PAGES]
        spread = [x for part in left_out for x in ([part] if isinstance(part, str) else part)]
        return self.resource(name, controller, except_=spread, **options)
