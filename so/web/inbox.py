"""Brings the inbox into an application, over HTTP; inbox_site.py answers.

`InboxProvider` in `app.providers` serves it below `notifications.inbox_path`; routes of the
application's own at the same addresses come before.
"""

from __future__ import annotations

from typing import Any

from so.container import ServiceProvider
from so.settings.notifications import NotificationSettings


class InboxProvider(ServiceProvider):
    """Registered in `app.providers`; removable."""

    def register(self) -> None:
        """Bind `live_inbox`, one for each process."""
        self.app.singleton("live_inbox", _live)

    def boot(self) -> None:
        """Add the routes as soon as there is a router, behind those of the application."""
        self.call_after_resolving("router", self._add_routes)

    def _add_routes(self, routes: Any) -> None:
        from so.web.inbox_site import InboxSite

        settings = self.app.settings(NotificationSettings)
        site, path = InboxSite(self.app, settings), settings.inbox_path
        routes.get(f"{path}/bell.js", site.bell).name("inbox.bell")
        with routes.group(prefix=path, middleware=list(settings.inbox_middleware)):
            routes.get("/", site.index).name("inbox.index")
            routes.get("/count", site.count).name("inbox.count")
            routes.get("/stream", site.stream).name("inbox.stream")
            routes.post("/read", site.read_all).name("inbox.read_all")
            routes.post("/{id}/read", site.read).where_uuid("id").name("inbox.read")
            routes.delete("/{id}", site.delete).where_uuid("id").name("inbox.delete")


def _live(app: Any) -> Any:
    from so.systems.notifications.live import LiveInbox

    seconds = app.settings(NotificationSettings).stream_seconds
    return LiveInbox(app.make("db"), app.clock, seconds=seconds)
