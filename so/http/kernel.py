"""The WSGI heart: environ → request → scope → middleware → route → action → response → bytes.

It knows neither the container nor the configuration: what it needs of them is handed over.
Whatever an application raises, in middleware, in an action, in a stream or in the renderer of
errors, the client gets one well-formed response.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any, Protocol

from so.errors import (
    HeadersTooLargeException,
    HttpException,
    MethodNotAllowedException,
    UriTooLongException,
)
from so.http.body import check_length
from so.http.cookies import keep_to_one
from so.http.middleware import Layer, Make, Stage, pipeline
from so.http.request import OVERRIDES, Request
from so.http.request_base import Environ
from so.http.response import BYTES, TEXT, Response, as_bytes, checked_status, encoded, status_of
from so.http.results import to_response
from so.http.router import Router
from so.http.routing.invocation import BindingNotFound, not_found
from so.http.routing.route import Route
from so.http.settings import DEFAULTS, HttpSettings
from so.http.slices import CHUNK_BYTES, FileSlice
from so.support.httpwords import STATUS_LINES, status_line
from so.support.scope import Scope, current_scope, enter, leave

StartResponse = Callable[..., Any]

_BODILESS = frozenset((204, 304))
_is_text = str.__instancecheck__


class Errors(Protocol):
    """What the kernel needs of an error handler."""

    def report(self, exc: BaseException, /) -> None:
        """Write it down."""

    def render(self, request: Any, exc: BaseException, /) -> Response:
        """Answer it."""


class PlainErrors:
    """The error handler of a kernel that was given none: a line of text, and a line in the log."""

    def report(self, exc: BaseException) -> None:
        """Log what is the server's fault."""
        if status_of(exc) >= 500:
            logging.getLogger("so").error("%s: %s", type(exc).__name__, exc, exc_info=exc)

    def render(self, request: Any, exc: BaseException) -> Response:
        """The message of an HttpException; of anything else nothing but that it happened."""
        status = status_of(exc)
        text = str(exc) if status < 500 else "Internal Server Error"
        headers = getattr(exc, "headers", None) or {}
        return Response(text, status, {"Content-Type": TEXT, **headers})


class Kernel:
    """The WSGI callable over a router."""

    def __init__(
        self,
        router: Router | None = None,
        handle_error: Errors | None = None,
        make: Make | None = None,
        *,
        middleware: Iterable[Any] = (),
        settings: HttpSettings = DEFAULTS,
        make_scope: Callable[[], Scope] = Scope,
        logger: logging.Logger | None = None,
    ) -> None:
        """*make* builds controllers and middleware (the container's); *middleware* runs around
        every request, before the router's own global list; *make_scope* gives each request its
        scope.
        """
        self.router = router or Router()
        self.settings = replace(settings, router=self.router)
        self._errors = handle_error or PlainErrors()
        self._make: Make = make or _call
        self._middleware = list(middleware)
        self._make_scope = make_scope
        self._logger = logger or logging.getLogger("so")
        self._stages: dict[Route, tuple[Stage, list[Any]]] = {}
        self._entry: tuple[Stage, list[Any]] | None = None
        self._any_terminable = False
        self._few = settings.max_headers
        self._short = min(settings.max_header_bytes, settings.max_uri_bytes)
        self.router.on_change(self._forget)

    # --- WSGI -----------------------------------------------------------------------------------

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        request = Request(environ, self.settings)
        scope = self._make_scope()
        scope.request = request
        token = enter(scope)
        try:
            response = self._respond(request)
            chunks, terminable = response.chunks, self._terminable(request, scope)
            if chunks is None and not terminable:
                scope.close()
                body: Iterable[bytes] = self.whole(request, response)
            elif isinstance(chunks, FileSlice) and not terminable:
                scope.close()
                body = request.environ["wsgi.file_wrapper"](chunks, CHUNK_BYTES)
            else:
                body = _Sending(self, request, response, scope, terminable)
        finally:
            leave(token)
        try:
            start_response(
                STATUS_LINES.get(response.status) or status_line(response.status),
                response.headers.wsgi(),
            )
        except BaseException:
            close = getattr(body, "close", None)
            if close is not None:
                close()
            raise
        return body

    @staticmethod
    def whole(request: Request, response: Response) -> list[bytes]:
        """The body of a response that is no stream, its length noted."""
        body = response.body
        if response.status in _BODILESS:
            response.headers.discard("Content-Type")
            response.headers.discard("Content-Length")
            return []
        response.headers.complete(len(body), BYTES)
        return [] if request.environ.get("REQUEST_METHOD") == "HEAD" else [body]

    # --- without a server -----------------------------------------------------------------------

    def handle(self, request: Request) -> Response:
        """The response to *request*; a scope of its own is entered and closed around it."""
        if request.settings.router is not self.router:
            request.settings = self.settings
        scope = self._make_scope()
        scope.request = request
        token = enter(scope)
        try:
            response = self._respond(request)
            request.set("so.terminable", self._terminable(request, scope))
            if response.chunks is None:
                self.whole(request, response)
            scope.close()
        finally:
            leave(token)
        return response

    def terminate(self, request: Request, response: Response) -> None:
        """Tell the middleware that wants to know that *response* was sent."""
        for middleware in request.get("so.terminable", ()):
            self._tell(middleware, request, response)
        request.set("so.terminable", ())

    def boot(self) -> None:
        """Raise for what cannot work: unknown middleware, actions that cannot be called.

        What every request needs is made ready, too: a server boots before it forks, so that its
        workers share it and nobody's request waits for it.
        """
        self.router.check()
        self._compile_entry()

    # --- the way in -----------------------------------------------------------------------------

    def _respond(self, request: Request) -> Response:
        """The response, ready to be sent; never raises an Exception."""
        try:
            self._guard(request.environ)
            entry = self._entry or self._compile_entry()
            response = entry[0](request)
        except Exception as error:
            response = self.fail(request, error)
        if type(response.body) is not bytes or response.status not in STATUS_LINES:
            response = self._sound(request, response)
        if type(response).prepare is not Response.prepare or response.chunks is not None:
            response = self._prepared(request, response)
        if "Set-Cookie" in response.headers:
            keep_to_one(response.headers)
        return response

    def _guard(self, environ: Environ) -> None:
        """Refuse what is over a limit before anybody works on it."""
        if environ.get("CONTENT_LENGTH"):
            check_length(environ, self.settings)
        # All texts of the environ together are more than URL and headers, and one pass in C: only
        # where they are many or long is it worth to look closer.
        if (
            len(environ) > self._few
            or len("".join(filter(_is_text, environ.values()))) > self._short
        ):
            check_head(environ, self.settings)

    def _compile_entry(self) -> tuple[Stage, list[Any]]:
        """The global middleware around the dispatch."""
        listed = [*self._middleware, *self.router.registry.globals]
        layers = self.router.registry.layers(listed)
        entry = pipeline(layers, self._dispatch, self._make, self.fail)
        self._entry = entry
        self._note_terminable(layers)
        return entry

    def _dispatch(self, request: Request) -> Response:
        """Find the route and run it with its middleware."""
        try:
            environ = request.environ
            path = environ.get("PATH_INFO") or "/"
            raw = environ.get("REQUEST_URI") or environ.get("RAW_URI")
            method = environ.get("REQUEST_METHOD") or "GET"
            if method == "POST" and request.may_override():
                method = self._overridden(request)
            if path.isascii() and (raw is None or "%" not in raw):
                found = self.router.find(method, path)
            else:
                found = self.router.find_parts(method, request.path_segments())
            if found is None:
                return self._unserved(request, method)
            return self._run(request, found[0], found[1])
        except Exception as error:
            return self.fail(request, error)

    def _run(self, request: Request, route: Route, params: dict[str, Any]) -> Response:
        scope = current_scope()
        if scope is not None:
            scope.route = route
        request.route_parameters = (
            {**route.default_values, **params} if route.default_values else params
        )
        compiled = self._stages.get(route) or self._compile(route)
        return compiled[0](request)

    def _overridden(self, request: Request) -> str:
        """The method of a POST that may mean another one.

        A form that is long or brings files is read for it only if this path serves another one
        at all, so that an action may take an upload as a stream.
        """
        parts = request.path_segments()
        if any(self.router.find_parts(method, parts) for method in OVERRIDES):
            return request.method()
        is_served = self.router.find_parts("POST", parts) is not None
        return request.method_unread() if is_served else "POST"

    def _unserved(self, request: Request, method: str) -> Response:
        """The answer where no route serves method and path: 200 to OPTIONS, 405, fallback, 404."""
        allowed = self.router.allowed(request.path_segments())
        if allowed and method == "OPTIONS":
            return Response("", 200, {"Allow": ", ".join(allowed)})
        if allowed:
            listed = ", ".join(allowed)
            raise MethodNotAllowedException(
                f"The {method} method is not supported for route {request.path()}. "
                f"Supported methods: {listed}.",
                headers={"Allow": listed},
            )
        fallback = self.router.fallback_route
        if fallback is None:
            raise not_found(request)
        return self._run(request, fallback, {})

    def refuses_unread(self, environ: Environ) -> bool:
        """True for a request that is refused whatever is in its body: its length is over a limit,
        no route serves its path, or none its method.

        A server asks before it asks the client for the body (`Expect: 100-continue`).
        """
        request = Request(environ, self.settings)
        try:
            self._guard(environ)
            parts = request.path_segments()
        except HttpException:
            return True
        if any(self.router.find_parts(each, parts) for each in request.possible_methods()):
            return False
        return self.router.fallback_route is None or bool(self.router.allowed(parts))

    def _compile(self, route: Route) -> tuple[Stage, list[Any]]:
        """The middleware of *route* around its action."""
        layers = self.router.layers(route)
        compiled = pipeline(layers, self._action(route), self._make, self.fail)
        self._stages[route] = compiled
        self._note_terminable(layers)
        return compiled

    def _action(self, route: Route) -> Stage:
        call, fail = route.plan.bound(self._make), self.fail

        def run(request: Request) -> Response:
            try:
                result = call(request)
                return result if isinstance(result, Response) else to_response(result, request)
            except BindingNotFound as error:
                if route.missing_handler is None:
                    return fail(request, error)
                return to_response(route.missing_handler(request), request)
            except Exception as error:
                return fail(request, error)

        return run

    def _forget(self) -> None:
        self._stages.clear()
        self._entry = None

    # --- the way out ----------------------------------------------------------------------------

    def fail(self, request: Request, error: Exception) -> Response:
        """The response to an exception, by the error handler; plain words if that fails too."""
        try:
            self._errors.report(error)
            return to_response(self._errors.render(request, error), request)
        except Exception:
            self._logger.exception("the error handler failed")
            return _last_resort()

    def _sound(self, request: Request, response: Response) -> Response:
        """*response* if what was assigned to its status and body can be sent, else an error."""
        try:
            return _checked(response)
        except Exception as error:
            self._let_go(response)
            failure = self.fail(request, error)
        try:
            return _checked(failure)
        except Exception:
            self._logger.exception("the answer to an error cannot be sent")
            return _last_resort()

    def _prepared(self, request: Request, response: Response, retries: bool = True) -> Response:
        """*response* with its stream begun, so that one that fails at once is an error page."""
        try:
            response.prepare(request)
            self._begin(request, response)
            return response
        except Exception as error:
            self._let_go(response)
            failure = self.fail(request, error) if retries else _last_resort()
        return self._prepared(request, self._sound(request, failure), False)

    def _let_go(self, response: Response) -> None:
        try:
            response.close()
        except Exception:
            self._logger.exception("a stream failed when it was closed")

    def _begin(self, request: Request, response: Response) -> None:
        chunks = response.chunks
        if chunks is None:
            return
        if response.status in _BODILESS:
            response.close()
            response.chunks = None
        elif request.environ.get("REQUEST_METHOD") == "HEAD":
            response.close()
            response.chunks = ()
        elif not (_is_long_file(chunks) and "wsgi.file_wrapper" in request.environ):
            response.chunks = _Begun(chunks)
        response.headers.setdefault("Content-Type", BYTES)

    def _note_terminable(self, layers: Iterable[Layer]) -> None:
        if any(callable(getattr(layer.target, "terminate", None)) for layer in layers):
            self._any_terminable = True

    def _terminable(self, request: Request, scope: Scope) -> list[Any]:
        """The middleware that wants to know when the response was sent, outermost first."""
        if not self._any_terminable:
            return []
        everywhere = self._entry[1] if self._entry else []
        compiled = self._stages.get(scope.route)
        return [*everywhere, *(compiled[1] if compiled else []), *request.terminable]

    def finish(
        self, request: Request, response: Response, scope: Scope, terminable: list[Any]
    ) -> None:
        """After the last byte: close the stream, tell the middleware, close the scope."""
        token = enter(scope)
        try:
            self._let_go(response)
            for middleware in terminable:
                self._tell(middleware, request, response)
            scope.close()
        finally:
            leave(token)

    def _tell(self, middleware: Any, request: Request, response: Response) -> None:
        try:
            middleware.terminate(request, response)
        except Exception:
            self._logger.exception("terminate() of %s failed", type(middleware).__qualname__)

    def stream_failed(self, request: Request, error: Exception) -> None:
        """A stream broke when its beginning was on its way: write it down and cut the connection.

        A server that offers `so.abort` ends the connection then, so that the client does not take
        a part for the whole.
        """
        try:
            self._errors.report(error)
        except Exception:
            self._logger.exception("the error handler failed")
        abort = request.environ.get("so.abort")
        if callable(abort):
            abort()


class _Begun:
    """A stream whose first chunk is there already."""

    def __init__(self, source: Iterable[bytes | str]) -> None:
        self._source = source
        self._rest = encoded(source)
        self._first = next(self._rest, None)

    def __iter__(self) -> Iterator[bytes]:
        if self._first is not None:
            first, self._first = self._first, None
            yield first
            yield from self._rest

    def close(self) -> None:
        self._rest.close()
        close = getattr(self._source, "close", None)
        if callable(close):
            close()


class _Sending:
    """A body on its way: every chunk is made in the request's scope, which ends with `close`."""

    def __init__(
        self,
        kernel: Kernel,
        request: Request,
        response: Response,
        scope: Scope,
        terminable: list[Any],
    ) -> None:
        self._kernel = kernel
        self._request = request
        self._response = response
        self._scope = scope
        self._terminable = terminable
        self._is_open = True
        chunks = response.chunks
        self._chunks: Iterator[Any] = iter(
            kernel.whole(request, response) if chunks is None else chunks
        )

    def __iter__(self) -> _Sending:
        return self

    def __next__(self) -> bytes:
        token = enter(self._scope)
        try:
            chunk: bytes = next(self._chunks)
            return chunk
        except StopIteration:
            raise
        except Exception as error:
            self._chunks = iter(())
            self._kernel.stream_failed(self._request, error)
            raise StopIteration from None
        finally:
            leave(token)

    def close(self) -> None:
        """Called by the server when all was sent, or when the client is gone."""
        if self._is_open:
            self._is_open = False
            self._kernel.finish(self._request, self._response, self._scope, self._terminable)


def check_head(environ: Environ, settings: HttpSettings) -> None:
    """Raise for a URL (414) or header fields (431) over their limits."""
    size = len(environ.get("PATH_INFO") or "") + len(environ.get("QUERY_STRING") or "")
    if size > settings.max_uri_bytes:
        raise UriTooLongException(
            f"The URL is longer than {settings.max_uri_bytes} bytes (http.max_uri_bytes)."
        )
    fields = [value for key, value in environ.items() if key.startswith("HTTP_")]
    if len(fields) > settings.max_headers:
        raise HeadersTooLargeException(
            f"The request has more than {settings.max_headers} header fields (http.max_headers)."
        )
    if sum(map(len, fields)) > settings.max_header_bytes:
        raise HeadersTooLargeException(
            f"The header fields are longer than {settings.max_header_bytes} bytes "
            "(http.max_header_bytes)."
        )


def _is_long_file(chunks: object) -> bool:
    """Whether a server had better send it by itself: no thread waits for its client then."""
    return isinstance(chunks, FileSlice) and chunks.is_long


def _last_resort() -> Response:
    """What is said where even the answer to an error failed."""
    return Response("Internal Server Error", 500, {"Content-Type": TEXT})


def _checked(response: Response) -> Response:
    """*response*, whose status and body were assigned by hand; raises for what cannot be sent."""
    response.status = checked_status(response.status)
    response.body = as_bytes(response.body)
    return response


def _call(cls: Any) -> Any:
    return cls()
