"""The inbox over HTTP, as JSON and as a stream of server-sent events, for whoever is logged in.

An inbox of somebody else is not to be found.
"""

from __future__ import annotations

import hashlib
import random
from typing import Any

from so.db.pagination import Cursor
from so.errors import AuthenticationException, NotFoundException, ValidationException
from so.http.request import Request
from so.http.response import JsonResponse, Response
from so.settings.notifications import NotificationSettings
from so.support.places import shipped
from so.support.scope import current_scope
from so.systems.notifications.inbox import PAGE, DatabaseNotification, owner_columns
from so.systems.notifications.live import LiveInbox

LARGEST_PAGE = 200
RULES = {
    "per_page": f"integer|between:1,{LARGEST_PAGE}",
    "unread": "boolean",
    "cursor": "string",
}
# So many milliseconds after an end a browser comes again: spread, for after a restart all do.
COME_AGAIN_MS = (500, 3000)
_EVENTS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-store, private",
    "X-Accel-Buffering": "no",  # nginx hands each event on at once
}


class InboxSite:
    """What the routes of `InboxProvider` do."""

    def __init__(self, app: Any, settings: NotificationSettings) -> None:
        self._app = app
        self._poll_ms = int(settings.poll_seconds * 1000)

    def index(self, request: Request) -> JsonResponse:
        """One page, newest first: `?unread=1`, `?per_page=`, `?cursor=` of the page before."""
        given = request.validate(RULES)
        cursor = given.get("cursor")
        if cursor is not None and Cursor.decode(cursor) is None:
            raise ValidationException({"cursor": ["The cursor is none that a page gave."]})
        query = DatabaseNotification.where(self._owner())
        if request.boolean("unread"):
            query = query.where_null("read_at")
        query = query.order_by_desc("created_at").order_by_desc("id")
        return JsonResponse.success(
            query.cursor_paginate(int(given.get("per_page") or PAGE), cursor)
        )

    def count(self) -> JsonResponse:
        """How many are unread."""
        return JsonResponse.success({"unread": self._unread()})

    def read(self, id: str) -> JsonResponse:
        """Mark one as read; the notification."""
        user = self._user()
        return JsonResponse.success(self._app.make("notifications").mark_as_read(id, user))

    def read_all(self) -> JsonResponse:
        """Mark all as read; how many were not."""
        unread = DatabaseNotification.where(self._owner()).where_null("read_at")
        count = unread.update({"read_at": self._app.clock.now()})
        return JsonResponse.success({"read": int(count), "unread": self._unread()})

    def delete(self, id: str) -> Response:
        """Delete one."""
        self._app.make("notifications").delete(id, self._user())
        return JsonResponse.no_content()

    def stream(self, request: Request) -> Response:
        """What is new, as it comes. A browser comes back with the id of the last event it got."""
        live: LiveInbox = self._app.make("live_inbox")
        user = self._user()
        _is_no_activity()
        last = request.header("Last-Event-ID") or request.query("last")
        position, told = live.first(user, last if isinstance(last, str) else None)
        hold = request.environ.get("so.hold")
        line = hold() if hold is not None else None
        if line is not None:
            live.listen(user, position, line)
        # A server that holds nothing ends here: its clients ask again from time to time.
        wait = random.randint(*COME_AGAIN_MS) if line is not None else self._poll_ms  # noqa: S311
        return Response.stream([f"retry: {wait}\n\n".encode() + told], headers=_EVENTS)

    def bell(self, request: Request) -> Response:
        """The script that shows it in a page."""
        script = shipped("web/bell.js")
        response = Response(script, 200, {"Content-Type": "text/javascript; charset=utf-8"})
        response.etag(hashlib.sha256(script).hexdigest()[:32])
        response.header("Cache-Control", "no-cache").not_modified(request)
        return response

    def _user(self) -> Any:
        user = self._app.make("auth").user()
        if user is None:
            raise AuthenticationException()
        if not hasattr(user, "get_key"):
            raise NotFoundException()  # such as one of a directory: there is no inbox of his
        return user

    def _owner(self) -> dict[str, str]:
        return owner_columns(self._user())

    def _unread(self) -> int:
        return int(DatabaseNotification.where(self._owner()).where_null("read_at").count())


def _is_no_activity() -> None:
    """A page that listens is nobody who works: its session ends as if it did not."""
    scope = current_scope()
    if scope is not None and scope.session is not None:
        scope.session.leave_idle()
