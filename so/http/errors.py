"""Turns exceptions into responses and into log lines.

A program gets JSON, a person gets a page; with debug on, both learn what happened, with secrets
masked, and without it nothing but the status. Every answer carries X-Request-Id, and so does the
line in the log. Whatever breaks in here ends in a plain 500 and in `emergency.log`.

Pages are drawn by so/http/error_pages.py. Who may see debug pages, where the emergency log
lies and which logger is written to is decided by the application.
"""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from so.errors import (
    AuthenticationException,
    AuthorizationException,
    HttpException,
    ValidationException,
)
from so.http.error_pages import debug_page
from so.http.flash import INTENDED, keep_interrupted
from so.http.locations import chosen, onsite
from so.http.quiet_page import Way, quiet_page
from so.http.response import JsonResponse, RedirectResponse, Response, status_of
from so.http.results import to_response
from so.support.httpwords import phrase
from so.support.ids import short_id
from so.support.masking import Masker
from so.support.plain import plain
from so.support.scope import current_scope, current_session
from so.support.signatures import call_with

REQUEST_ID_HEADER = "X-Request-Id"
SERVER_ERROR = "Internal Server Error"
AWAY_RETRY_SECONDS = 5  # after which a database that could not answer may be asked again
LOST = (
    "You had been logged out, so nothing was done yet. Log in, and the page is there again, "
    "with what you typed."
)

Renderer = Callable[..., Any]
Reporter = Callable[..., Any]


class ErrorHandler:
    """What the kernel calls after a raise: `report(exc)`, then `render(request, exc)`."""

    def __init__(
        self,
        debug: bool = False,
        emergency_log: str | Path | None = None,
        logger: logging.Logger | None = None,
        *,
        base_path: str | Path | None = None,
        queries: Callable[[], Iterable[Any]] | None = None,
        secrets: Iterable[object] = (),
        own_page: Callable[[int], Renderer | None] = lambda status: None,
        way: Callable[[], Way] = Way,
    ) -> None:
        """
        *queries* gives what the debug page lists (objects with sql, bindings, time_ms); *secrets*
        are values to cover wherever they turn up, such as the application key. *own_page* finds
        the application's page for a status, which is called with the request and the exception;
        *way* says where the others lead.
        """
        self.debug = debug
        self.emergency_log = None if emergency_log is None else Path(emergency_log)
        self.logger = logger or logging.getLogger("so")
        self.base_path = None if base_path is None else Path(base_path)
        self.queries = queries
        self.secrets = tuple(secrets)
        self.own_page = own_page
        self.way = way
        self._renderers: list[tuple[type[BaseException], Renderer]] = []
        self._reporters: list[tuple[type[BaseException], Reporter]] = []
        self._silent: tuple[type[BaseException], ...] = ()

    # --- registration ---------------------------------------------------------------------------

    def renderable(self, cls: type[BaseException], fn: Renderer) -> ErrorHandler:
        """Answer *cls* and its subclasses by `fn(exception, request)`; None leaves it to others.

        The one registered last is asked first. TypeError for what is no class of exceptions, or
        no function: it would be found while an error is told.
        """
        _check(cls, fn)
        self._renderers.insert(0, (cls, plain(fn, "the renderer")))
        return self

    def reportable(self, cls: type[BaseException], fn: Reporter) -> ErrorHandler:
        """Also tell `fn(exception)` of *cls* and its subclasses; False from it ends the report."""
        _check(cls, fn)
        self._reporters.append((cls, plain(fn, "the reporter")))
        return self

    def dont_report(self, *classes: type[BaseException]) -> ErrorHandler:
        """Never log exceptions of these *classes*."""
        for cls in classes:
            _check(cls)
        self._silent += classes
        return self

    # --- report ---------------------------------------------------------------------------------

    def should_report(self, exc: BaseException) -> bool:
        """False for what the client did wrong (any status below 500) and for `dont_report`."""
        return not isinstance(exc, self._silent) and status_of(exc) >= 500

    def report(self, exc: BaseException) -> None:
        """Write *exc* to the log, unless it is the client's fault; never raises."""
        try:
            self._report(exc)
        except Exception as failure:
            self._emergency("report", exc, failure, request_id())

    def _report(self, exc: BaseException) -> None:
        if isinstance(exc, self._silent):
            return
        own = getattr(exc, "report", None)
        if callable(own) and own() is not False:
            return
        if not self.should_report(exc):
            return
        for cls, fn in self._reporters:
            if isinstance(exc, cls) and fn(exc) is False:
                return
        self._log(exc)

    def _log(self, exc: BaseException) -> None:
        tell = getattr(exc, "context", None)
        context = tell() if callable(tell) else None
        extra = {"request_id": request_id(), "context": context or {}}
        self.logger.error("%s: %s", type(exc).__name__, exc, exc_info=exc, extra=extra)

    # --- render ---------------------------------------------------------------------------------

    def render(self, request: Any, exc: BaseException) -> Response:
        """The response for *exc*; never raises, whatever the renderers do."""
        id_ = request_id()
        try:
            response = self._respond(request, exc, id_)
        except Exception as failure:
            self._emergency("render", exc, failure, id_)
            response = Response(SERVER_ERROR, 500, {"Content-Type": "text/plain; charset=utf-8"})
        return response.header(REQUEST_ID_HEADER, id_)

    def _respond(self, request: Any, exc: BaseException, id_: str) -> Response:
        custom = self._custom(request, exc)
        if custom is not None:
            return as_response(custom, status_of(exc), request)
        if expects_json(request):
            return self._json(request, exc)
        if isinstance(exc, ValidationException):
            return self._back_with_errors(request, exc, id_)
        if isinstance(exc, AuthenticationException) and exc.redirect_to is not None:
            return _to_login(request, exc.redirect_to, exc)
        return self._page(request, exc, id_)

    def _custom(self, request: Any, exc: BaseException) -> Any:
        own = getattr(exc, "render", None)
        if callable(own):
            answer = own(request)
            if answer is not None:
                return answer
        for cls, fn in self._renderers:
            if isinstance(exc, cls):
                answer = _call(fn, exc, request)
                if answer is not None:
                    return answer
        return None

    def _json(self, request: Any, exc: BaseException) -> Response:
        status = status_of(exc)
        body: dict[str, Any] = {"message": self._message(request, exc)}
        if isinstance(exc, ValidationException):
            body["errors"] = exc.errors
        elif not isinstance(exc, (AuthenticationException, AuthorizationException)):
            body["status"] = status
            if self.debug:
                body |= self._trace(request, exc)
        return JsonResponse(body, status, headers_of(exc))

    def _message(self, request: Any, exc: BaseException) -> str:
        """What the client may read: the author's words of an HttpException, else the status."""
        if isinstance(exc, HttpException):
            return exc.message or phrase(exc.status)
        if self.debug:
            return self._masker(request).text(str(exc)) or type(exc).__name__
        return phrase(status_of(exc))

    def _trace(self, request: Any, exc: BaseException) -> dict[str, Any]:
        masker = self._masker(request)
        frames = traceback.extract_tb(exc.__traceback__)
        last = frames[-1] if frames else None
        return {
            "exception": f"{type(exc).__module__}.{type(exc).__qualname__}",
            "file": last.filename if last else None,
            "line": last.lineno if last else None,
            "trace": [
                {
                    "file": frame.filename,
                    "line": frame.lineno,
                    "function": frame.name,
                    "code": masker.text(frame.line or ""),
                }
                for frame in reversed(frames)
            ],
        }

    def _page(self, request: Any, exc: BaseException, id_: str) -> Response:
        status = status_of(exc)
        if self.debug and status >= 500:
            masker = self._masker(request)
            page = debug_page(exc, status, request, self._run(), masker, self.base_path, id_)
        else:
            own = self._own_page(request, exc, id_)
            if own is not None:
                return own.with_headers(headers_of(exc)).header("Cache-Control", "no-store")
            page = self._quiet(request, exc, id_)
        response = Response.html(page, status).with_headers(headers_of(exc))
        response.header("Cache-Control", "no-store")
        response.header("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
        return response

    def _own_page(self, request: Any, exc: BaseException, id_: str) -> Response | None:
        """The application's own page; one that fails itself gives way to ours."""
        status = status_of(exc)
        try:
            draw = self.own_page(status)
            return None if draw is None else as_response(draw(request, exc), status, request)
        except Exception as failure:
            self._emergency("draw the application's page for", exc, failure, id_)
            return None

    def _quiet(self, request: Any, exc: BaseException, id_: str) -> str:
        status, said = status_of(exc), self._message(request, exc)
        errors = exc.errors if isinstance(exc, ValidationException) else None
        is_usual = not errors and said in (phrase(status), getattr(exc, "default_message", None))
        is_theirs = isinstance(exc, HttpException) and not exc.is_technical and not is_usual
        return quiet_page(
            status,
            id_,
            self._way(request),
            words=said if is_theirs else "",
            detail=said if self.debug and not is_theirs and not is_usual else "",
            errors=errors,
        )

    def _way(self, request: Any) -> Way:
        """Where to go from an error; a request too broken to ask leads to the first page."""
        try:
            way, mount = self.way(), str(request.script_name())
            back = previous_url(request) if request.previous_url("") else None
            login = way.login and mount + way.login
            return replace(way, root=mount + way.root, back=back, login=login)
        except Exception:
            return Way()

    def _run(self) -> list[Any]:
        """The queries run so far; the database may be the very thing that is broken."""
        try:
            return [] if self.queries is None else list(self.queries())
        except Exception:
            return []

    def _back_with_errors(self, request: Any, exc: ValidationException, id_: str) -> Response:
        target = previous_url(request)
        if target is None:
            # A GET that does not pass its own rules would be sent back to itself for ever.
            return Response.html(self._quiet(request, exc, id_), exc.status)
        return RedirectResponse(target).with_errors(exc.errors).with_input()

    def _masker(self, request: Any) -> Masker:
        masker = Masker(values=self.secrets)
        if request is not None:
            for part in ("cookies", "all", "headers"):
                masker.learn_from(_read(request, part))
            masker.learn(_texts(_read(request, "cookies")))
            # The token of `Bearer abc` however short it is: it may stand alone in a message.
            masker.learn(str(_read(request, "headers").get("authorization", "")).split()[1:])
        return masker

    # --- the last resort ------------------------------------------------------------------------

    def _emergency(self, doing: str, exc: BaseException, failure: BaseException, id_: str) -> None:
        """Keep both tracebacks where nothing of ours is needed: a file, else standard error."""
        when = datetime.now(UTC).isoformat(timespec="milliseconds")
        text = (
            f"[{when}] request={id_} the error handler failed to {doing} an exception\n"
            f"{_traceback(failure)}--- while handling ---\n{_traceback(exc)}\n"
        )
        try:
            if self.emergency_log is None:
                raise OSError("no emergency log is set")
            self.emergency_log.parent.mkdir(parents=True, exist_ok=True)
            with self.emergency_log.open("a", encoding="utf-8", errors="backslashreplace") as file:
                file.write(text)
        except OSError:
            sys.stderr.write(text)


def headers_of(exc: BaseException) -> dict[str, str]:
    """The headers that *exc* sends to the client; when to come back where a database is away."""
    if isinstance(exc, HttpException):
        return dict(exc.headers)
    return {"Retry-After": str(AWAY_RETRY_SECONDS)} if status_of(exc) == 503 else {}


def request_id() -> str:
    """The id under which this unit of work stands in the log; a new one outside of any."""
    scope = current_scope()
    return short_id() if scope is None else scope.request_id


def expects_json(request: Any) -> bool:
    """True when the client wants JSON; a request too broken to ask is judged by its Accept."""
    if request is None:
        return False
    try:
        return bool(request.expects_json())
    except Exception:
        environ = getattr(request, "environ", None) or {}
        return "json" in str(environ.get("HTTP_ACCEPT", ""))


def as_response(answer: Any, status: int, request: Any) -> Response:
    """What a renderer returned, as a Response; what carries no status of its own gets *status*."""
    response = to_response(answer, request)
    if not isinstance(answer, (Response, tuple)):
        response.status = status
    return response


def previous_url(request: Any) -> str | None:
    """Where to send a person back to: the page before, on this site; None if that is this one."""
    target = onsite(str(request.previous_url("/")))
    is_itself = _path_of(target) == _path_of(str(request.full_url()))
    return None if is_itself and request.method() in ("GET", "HEAD") else target


def _path_of(url: str) -> str:
    parts = urlsplit(url)
    return parts.path.rstrip("/") + (f"?{parts.query}" if parts.query else "")


def _to_login(request: Any, page: str, exc: AuthenticationException) -> Response:
    """To the login page, remembering where the person wanted to go."""
    session = current_session()
    if session is not None:
        back: str | None = str(request.full_url())
        if request.method() not in ("GET", "HEAD"):
            back = keep_interrupted(request, session)
            if back is not None:
                session.flash("note", LOST)
        if back is not None:
            session.put(INTENDED, back)
    return RedirectResponse(chosen(page)).with_headers(exc.headers)


def _call(fn: Renderer, exc: BaseException, request: Any) -> Any:
    """Call *fn* with the exception and, if it takes two arguments, the request."""
    return call_with(fn, exc, request)


def _read(request: Any, part: str) -> Any:
    """One part of a request for the page; a request that cannot be read shows nothing of it."""
    try:
        value = getattr(request, part)
        value = value() if callable(value) else value
        return dict(value.items())
    except Exception:
        return {}


def _texts(values: Any) -> Iterable[object]:
    return values.values() if isinstance(values, Mapping) else ()


def _traceback(exc: BaseException) -> str:
    try:
        return "".join(traceback.format_exception(exc))
    except Exception:
        # An exception whose __str__ raises must not take the last resort down with it.
        return f"{type(exc).__qualname__} (its text cannot be read)\n"


def _check(cls: object, fn: object = print) -> None:
    if not isinstance(cls, type) or not issubclass(cls, BaseException):
        raise TypeError(f"{cls!r} is no class of exceptions")
    if not callable(fn):
        raise TypeError(f"{fn!r} cannot be called with a {cls.__name__}")
