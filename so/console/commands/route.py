"""`route:list`: what the application serves."""

from __future__ import annotations

from typing import Any

from so.console.command import Command
from so.http.patterns import fits
from so.http.router import Router
from so.http.routing.route import Route


class RouteList(Command):
    """In order of registration, which is the order of precedence."""

    signature = (
        "route:list {--method= : Only routes that serve this method} "
        "{--path= : Only paths that contain this text} "
        "{--name= : Only names that fit this pattern, where * stands for any text}"
    )

    def handle(self) -> int:
        """Print the table, or the same as JSON."""
        router: Router = self.app.make("router")
        rows = [_row(router, route) for route in router.routes() if self._is_wanted(route)]
        if self.wants_json:
            self.json(rows)
        elif rows:
            headers = ("Method", "URI", "Name", "Action", "Middleware")
            self.table(headers, [_cells(row) for row in rows])
        else:
            self.warn("No route is registered, or none fits.")
        return 0

    def _is_wanted(self, route: Route) -> bool:
        method, path, name = self.option("method"), self.option("path"), self.option("name")
        return (
            (not method or method.upper() in route.methods)
            and (not path or path.strip("/") in route.uri)
            and (not name or fits(route.route_name or "", [name]))
        )


def _row(router: Router, route: Route) -> dict[str, Any]:
    return {
        "methods": list(route.methods),
        "uri": "(fallback)" if route.is_fallback else route.uri,
        "name": route.route_name,
        "action": route.handler.label,
        "middleware": [layer.name for layer in router.layers(route)],
        "where": route.wheres,
    }


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    return (
        "|".join(row["methods"]),
        row["uri"],
        row["name"] or "",
        row["action"],
        ", ".join(row["middleware"]),
    )
