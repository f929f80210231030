"""A request's way to a page or an action of the console.

A page is a module with TITLE, `data(app, request)` and `draw(data, view)`: what `?format=json`
answers and what a person sees are the same data. An action is a POST; one that cannot be undone is
asked for once more, and each is written to the log `console`.

The abilities `console.view` and `console.operate` decide who may. Where an application has defined
neither, nobody is let in but whoever sits at this machine, with APP_ENV=local.
"""

from __future__ import annotations

import ipaddress
import secrets
from dataclasses import dataclass
from importlib import import_module
from typing import Any
from urllib.parse import urlencode

from so.errors import (
    AuthenticationException,
    AuthorizationException,
    HttpException,
    NotFoundException,
    SixOrbitError,
    ValidationException,
)
from so.http.request import Request
from so.http.response import JsonResponse, RedirectResponse, Response
from so.settings.app import AppSettings
from so.settings.console import ConsoleSettings
from so.settings.docs import DocsSettings
from so.support.markup import Markup, h
from so.support.scope import current_scope, current_session
from so.web.console.actions import ACTIONS, Action
from so.web.console.frame import Frame, document, policy

VIEW, OPERATE = "console.view", "console.operate"


class Access:
    """What one application allows."""

    def __init__(self, app: Any, settings: ConsoleSettings) -> None:
        self._app = app
        self._settings = settings

    def require(self, ability: str, request: Request) -> None:
        """Raise 403 for somebody who may not; who is not known yet is asked to log in."""
        if self.allows(ability, request):
            return
        if ability == VIEW and self._app.make("auth").guest():
            raise AuthenticationException("Log in to see the console.")
        raise AuthorizationException(self.refusal(ability))

    def refusal(self, ability: str) -> str:
        """Why somebody may not, in words."""
        if ability == OPERATE and self._settings.read_only:
            return "The console is read-only here (console.read_only)."
        what = "look at" if ability == VIEW else "act in"
        return f"Your login may not {what} the console: whoever does needs the ability {ability}."

    def allows(self, ability: str, request: Request) -> bool:
        """Whether whoever sent *request* may."""
        if ability == OPERATE and self._settings.read_only:
            return False
        gate = self._app.make("gate")
        if gate.allows(ability):
            return True
        return not gate.has(ability) and self._is_at_this_machine(request)

    def _is_at_this_machine(self, request: Request) -> bool:
        if not self._app.environment("local"):
            return False
        try:
            return ipaddress.ip_address(request.ip() or "").is_loopback
        except ValueError:
            return False


PAGES = {
    "": "overview", "/queue": "queue", "/queue/{queue}": "queue", "/jobs/{id}": "job",
    "/failed": "failed", "/failed/{fingerprint}": "failures", "/batches": "batches",
    "/workers": "workers", "/schedule": "schedule", "/sessions": "sessions", "/cache": "cache",
    "/audit": "audit", "/document": "document", "/notifications": "notifications",
    "/database": "database", "/requests": "requests",
}  # fmt: skip


@dataclass(frozen=True)
class View:
    """What drawing a page needs besides its data."""

    prefix: str
    may_operate: bool
    token: str
    query: dict[str, Any]

    def url(self, path: str = "", **query: object) -> str:
        """A page's address."""
        asked = f"?{urlencode(query)}" if query else ""
        return f"{self.prefix}{path}{asked}"

    def button(self, label: str, action: str, *, kind: str = "", **fields: object) -> Markup:
        """A form of one button; nothing for somebody who may only look."""
        if not self.may_operate:
            return Markup("")
        return h(
            "form",
            self.hidden(**fields),
            h("button", label, class_=f"{kind or ('danger' if ACTIONS[action].asks else '')}"),
            method="post",
            action=self.act(action),
        )

    def act(self, action: str) -> str:
        """The address of an action."""
        return self.url(f"/do/{action}")

    def hidden(self, **fields: object) -> list[Markup]:
        """Fields that nobody sees, the token against foreign forms among them."""
        given = {"_token": self.token, **fields}
        return [h("input", type="hidden", name=n, value=str(v)) for n, v in given.items()]


class Site:
    """The console of one application."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._settings = app.settings(ConsoleSettings)
        self._access = Access(app, self._settings)

    def show(self, name: str) -> Any:
        """The action behind the page *name*."""

        def show(request: Request) -> Response:
            page = import_module(f"so.web.console.pages.{name}")
            if request.query("format") == "json":
                return self._json(page, request)
            data = self._data(page, request)
            title = page.title(data) if hasattr(page, "title") else page.TITLE
            return self._page(request, title, page.draw(data, self._view(request)))

        show.told_as = f"so.web.console.pages.{name}"  # type: ignore[attr-defined]
        return show

    def _data(self, page: Any, request: Request) -> Any:
        self._access.require(VIEW, request)
        self._read_from_writers()
        return page.data(self._app, request)

    def _json(self, page: Any, request: Request) -> Response:
        """The same for a program, which can do nothing with a page about an error either."""
        try:
            return _private(JsonResponse(self._data(page, request)))
        except HttpException as error:
            return _private(JsonResponse({"message": error.message}, error.status))

    def _read_from_writers(self) -> None:
        """A replica that stands still would show that all is as it was."""
        scope = current_scope()
        if scope is not None:
            scope.sticky.update(self._app.make("db").configured())

    def act(self, request: Request, action: str) -> Response:
        """Do what was asked, or ask first; then back to where it was asked."""
        if not _is_program(request):
            return self._act(request, action)
        try:
            return self._act(request, action)
        except HttpException as error:
            return _private(JsonResponse({"ok": False, "message": error.message}, error.status))

    def _act(self, request: Request, action: str) -> Response:
        found = ACTIONS.get(action)
        if found is None:
            raise NotFoundException(f"The console has no action {action!r}.")
        self._access.require(VIEW, request)
        self._access.require(OPERATE, request)
        given = {k: v for k, v in request.post().items() if k not in ("_token", "_back", "sure")}
        if found.asks and request.post("sure") != "yes":
            return self._ask(request, action, found, given)
        try:
            done = found.work(self._app, request)
        except (SixOrbitError, ValueError) as error:
            if isinstance(error, ValidationException):
                error = ValueError(error.first_error())
            return self._back(request, "bad", str(error), 422)
        if isinstance(done, Response):
            self._note(action, given, f"{found.label}.")
            return _private(done)
        self._note(action, given, done)
        return self._back(request, "ok", done, 200, found.gone)

    def _ask(self, request: Request, action: str, found: Action, given: dict[str, Any]) -> Response:
        if _is_program(request):
            text = f"{found.asks} Send sure=yes with it."
            return _private(JsonResponse({"ok": False, "message": text}, 409))
        view = self._view(request)
        fields = [
            h("input", type="hidden", name=name, value=str(value))
            for name, values in given.items()
            for value in (values if isinstance(values, list) else [values])
        ]
        back = self._where_from(request)
        body = [
            h("p", found.asks),
            h(
                "form",
                view.hidden(sure="yes", _back=back),
                fields,
                h(
                    "p",
                    [
                        h("button", found.label, class_="danger"),
                        " ",
                        h("a", "No, go back", href=back),
                    ],
                ),
                method="post",
                action=view.act(action),
                class_="card",
            ),
        ]
        return self._page(request, f"{found.label}?", document(body))

    def _note(self, action: str, given: dict[str, Any], done: str) -> None:
        entry = self._app.make("activity").entry("console").event(action)
        entry.with_properties({"given": given}).log(done)

    def _back(
        self, request: Request, kind: str, text: str, status: int, gone: str = ""
    ) -> Response:
        if _is_program(request):
            return JsonResponse({"ok": kind == "ok", "message": text}, status)
        back, prefix = self._where_from(request), self._prefix(request)
        if gone and back.startswith(f"{prefix}/jobs/"):
            back = f"{prefix}{gone}"
        answer: RedirectResponse = RedirectResponse(back, 303)
        return answer.with_("console", [kind, text])

    def _where_from(self, request: Request) -> str:
        """The page of the console on which the action was asked for; never another place."""
        prefix = self._prefix(request)
        given = str(request.post("_back") or request.header("Referer") or "")
        path = given.removeprefix(f"{request.scheme}://{request.http_host}")
        inside = path == prefix or path.startswith((f"{prefix}/", f"{prefix}?"))
        is_page = inside and "/do/" not in path and not any(c in path for c in "\\\r\n\t")
        return path if is_page else prefix or "/"

    def _page(self, request: Request, title: str, body: object) -> Response:
        nonce = secrets.token_urlsafe(16)
        session = current_session()
        noted = session.pull("console") if session is not None else None
        frame = Frame(
            brand=self._app.settings(AppSettings).name,
            prefix=self._prefix(request),
            home=request.root(),
            guides=self._guides(request),
            refresh_seconds=self._settings.refresh_seconds,
        )
        path = request.path().removeprefix(self._settings.path.strip("/"))
        text = frame.draw(
            title, body, path=path, nonce=nonce, notes=[tuple(noted)] if noted else []
        )
        return _private(Response.html(text).header("Content-Security-Policy", policy(nonce)))

    def _guides(self, request: Request) -> str | None:
        """Where the guides stand, if they are served."""
        docs = self._app.settings(DocsSettings)
        return f"{request.script_name()}/{docs.prefix.strip('/')}" if docs.enabled else None

    def _view(self, request: Request) -> View:
        return View(
            self._prefix(request),
            self._access.allows(OPERATE, request),
            "" if (session := current_session()) is None else session.token(),
            dict(request.query()),
        )

    def _prefix(self, request: Request) -> str:
        return f"{request.script_name()}/{self._settings.path.strip('/')}".rstrip("/")


def _is_program(request: Request) -> bool:
    return request.query("format") == "json" or request.expects_json()


def _private(response: Response) -> Response:
    return response.header("Cache-Control", "no-store")
