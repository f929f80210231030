"""Brings the console into an application: its routes, its watch over requests, its history."""

from __future__ import annotations

from typing import Any

from so.container import ServiceProvider
from so.settings.console import ConsoleSettings


class ConsoleProvider(ServiceProvider):
    """Registered in `app.providers`; removable."""

    _statements: Any = None

    def write_statements(self) -> None:
        """Write slow statements, if any were heard of; asked where work comes by anyway."""
        if self._statements is not None:
            self._statements.write()

    def register(self) -> None:
        """Nothing is made before somebody needs it."""

    def boot(self) -> None:
        """Join the router, the error handler and the queue as soon as each is there."""
        settings = self.app.settings(ConsoleSettings)
        if not settings.enabled:
            return
        for name, join in (
            ("db", self._hear_statements),
            ("router", self._add_routes),
            ("errors", self._hear_errors),
            ("queue", self._keep_history),
        ):
            self.call_after_resolving(name, join)

    def _hear_statements(self, db: Any) -> None:
        from so.web.console.statements import Statements

        settings = self.app.settings(ConsoleSettings)
        if settings.requests and settings.statements:
            self._statements = Statements(self.app, settings)
            db.listen(self._statements.hear)

    def _add_routes(self, routes: Any) -> None:
        from so.web.console.site import PAGES, Site
        from so.web.console.watch import WatchRequests

        settings = self.app.settings(ConsoleSettings)
        site = Site(self.app)
        with routes.group(prefix=settings.path, middleware=list(settings.middleware)):
            for path, name in PAGES.items():
                routes.get(path or "/", site.show(name)).name(f"console.{name}{path.count('{')}")
            routes.post("/do/{action}", site.act).name("console.do")
        routes.global_middleware(
            [*routes.registry.globals, WatchRequests(self.app, settings, self)]
        )

    def _hear_errors(self, errors: Any) -> None:
        from so.web.console.watch import note_exception

        errors.reportable(Exception, note_exception)

    def _keep_history(self, queue: Any) -> None:
        import so.web.console.jobs  # noqa: F401 - a worker knows a job by its class being there
        from so.web.console.history import History

        queue.looping(History(self.app, self.app.settings(ConsoleSettings)).note)
        queue.looping(self.write_statements)
