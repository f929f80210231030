"""Brings the guides into an application, at /docs; docs_site.py and guides.py are loaded with them.

Take `DocsProvider` out of `app.providers`, or set `docs.enabled` to False, and nothing of them is
left.
"""

from __future__ import annotations

from typing import Any

from so.container import ServiceProvider
from so.settings.app import AppSettings
from so.settings.docs import DocsSettings


class DocsProvider(ServiceProvider):
    """Binds `guides`, and serves them as config/docs.py says."""

    def register(self) -> None:
        """Bind the guides, which the command `docs` reads as well."""
        self.app.singleton("guides", lambda app: _guides(app, app.settings(DocsSettings)))

    def boot(self) -> None:
        """Register the routes, as soon as somebody needs any.

        Not before: a mistake in a route must not stop `migrate` or `db:install`.
        """
        if self.app.settings(DocsSettings).enabled:
            self.call_after_resolving("router", self._add_routes)

    def _add_routes(self, routes: Any) -> None:
        from so.web.docs_site import DocsSite

        settings = self.app.settings(DocsSettings)
        name = self.app.settings(AppSettings).name
        site = DocsSite(self.app.make("guides"), settings.title or f"{name} guides", name)
        prefix = _prefix(settings)
        with routes.group(prefix=prefix, middleware=list(settings.middleware)):
            routes.get("/", site.index).name("docs.index")
            routes.get("/search", site.search).name("docs.search")
            routes.get("/pictures/{name}", site.picture).name("docs.picture")
            routes.get("/{page}", site.show).name("docs.show")


def _guides(app: Any, settings: DocsSettings) -> Any:
    from so.web.guides import Guides

    return Guides(app.base_path(settings.folder), settings.order, _prefix(settings))


def _prefix(settings: DocsSettings) -> str:
    return "/" + settings.prefix.strip("/")
