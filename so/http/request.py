"""The request: one lazy reader over a WSGI environ.

Headers and cookies are in request_base.py, addresses in request_url.py, input in
request_input.py; here are the method, what the client wants back, and what belongs to the
request while it runs: its route, session, user and attributes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from so.errors import BadRequestException
from so.http.flash import OLD_INPUT, without_secrets
from so.http.negotiation import Range, accepted, best, format_of, is_json_type, liking
from so.http.patterns import fits
from so.http.request_base import Text
from so.http.request_input import RequestInput
from so.http.request_url import RequestUrl
from so.http.testing_environ import make_environ
from so.support import scope as scopes

OVERRIDES = frozenset(("PUT", "PATCH", "DELETE"))


class Request(RequestInput, RequestUrl):
    """A request. `request.name` reads an attribute, else input, else a route parameter."""

    route_parameters: dict[str, Any] = {}
    _method: str | None = None
    _bindings: dict[str, Any] | None = None
    _attributes: dict[str, Any] | None = None
    _terminable: list[Any] | None = None
    _accepted: list[Range] | None = None

    @classmethod
    def create(
        cls,
        uri: str,
        method: str = "GET",
        data: Any = None,
        json: Any = None,
        headers: Mapping[str, Any] | None = None,
        cookies: Mapping[str, str] | None = None,
        files: Mapping[str, Any] | None = None,
        environ: Mapping[str, Any] | None = None,
    ) -> Request:
        """A request made by hand: *data* is a dict or list of fields or bytes, *json* any value,
        *files* maps names to paths, bytes, (name, content[, type]) or lists of those.
        """
        return cls(make_environ(uri, method, data, json, headers, cookies, files, environ))

    # --- method ---------------------------------------------------------------------------------

    def method(self) -> str:
        """The method, where a POST may say by `_method` or X-HTTP-Method-Override that it is a
        PUT, PATCH or DELETE.
        """
        if self._method is None:
            self._method = str(self.environ.get("REQUEST_METHOD") or "GET")
            if self._method == "POST":
                # Set before the form is read: should that fail, the error's renderer may ask again.
                wanted = str(self._override()).upper()
                if wanted in OVERRIDES:
                    self._method = wanted
        return self._method

    def _override(self) -> Any:
        header = self.environ.get("HTTP_X_HTTP_METHOD_OVERRIDE")
        if header:
            return header
        return self.post("_method") if self._is_form() else ""

    @property
    def real_method(self) -> Text:
        """The method on the wire."""
        return Text(self.environ.get("REQUEST_METHOD") or "GET")

    def may_override(self) -> bool:
        """True if the method might be another than on the wire; costs nothing to ask."""
        return self.environ.get("REQUEST_METHOD") == "POST" and (
            "HTTP_X_HTTP_METHOD_OVERRIDE" in self.environ or self._is_form()
        )

    def method_unread(self) -> str:
        """The method, for which no body is read that an action might want as a stream: a form that
        is long, brings files or can't be read means what it was sent as. `method()` agrees.
        """
        with suppress(BadRequestException):
            if self.environ.get("HTTP_X_HTTP_METHOD_OVERRIDE") or self._is_short_form():
                return self.method()
        self._method = str(self.real_method)
        return self._method

    def possible_methods(self) -> tuple[str, ...]:
        """The methods that it may mean, as far as that is known before a form is read."""
        method = str(self.real_method)
        if not self.may_override():
            return (method,)
        said = str(self.environ.get("HTTP_X_HTTP_METHOD_OVERRIDE") or "").upper()
        if said:
            return (said if said in OVERRIDES else method,)
        return (method, *OVERRIDES)

    def is_method(self, method: str) -> bool:
        """True if the method is *method*, in any case."""
        return self.method() == method.upper()

    # --- what the client wants ------------------------------------------------------------------

    def ajax(self) -> bool:
        """True if a script asks (X-Requested-With: XMLHttpRequest)."""
        return self.environ.get("HTTP_X_REQUESTED_WITH") == "XMLHttpRequest"

    def pjax(self) -> bool:
        """True if a script asks for a part of a page."""
        return str(self.environ.get("HTTP_X_PJAX", "")).strip().lower() in ("true", "1")

    def _ranges(self) -> list[Range]:
        if self._accepted is None:
            self._accepted = accepted(str(self.environ.get("HTTP_ACCEPT") or ""))
        return self._accepted

    def accepted_types(self) -> list[str]:
        """The media types of Accept, most wanted first."""
        return [kind for kind, quality in self._ranges() if quality]

    def accepts(self, *types: str) -> bool:
        """True if the client takes one of *types* (`text/html`, or `json`)."""
        return any(liking(self._ranges(), name)[0] for name in types)

    def prefers(self, types: list[str]) -> str | None:
        """Which of *types* the client likes best; None if none."""
        return best(self._ranges(), types)

    def wants_json(self) -> bool:
        """True if JSON is what the client likes best."""
        wanted = self.accepted_types()
        return bool(wanted) and is_json_type(wanted[0])

    def expects_json(self) -> bool:
        """True if an error should be JSON: asked for, sent, under /api/, or a script's request."""
        if self.wants_json() or self.is_json():
            return True
        if str(self.environ.get("PATH_INFO") or "").startswith("/api/"):
            return True
        wanted = self.accepted_types()
        if wanted and wanted[0] == "text/event-stream":  # an EventSource can show nobody a page
            return True
        return self.ajax() and not self.pjax() and (not wanted or wanted[0] in ("*/*", "*"))

    def format(self, default: str = "html") -> str:
        """The format (`html`, `json`, `csv`, …) that the client likes best."""
        return next((f for kind in self.accepted_types() if (f := format_of(kind))), default)

    # --- what belongs to it ---------------------------------------------------------------------

    def get(self, key: str, default: Any = None) -> Any:
        """An attribute that middleware left on the request."""
        return default if self._attributes is None else self._attributes.get(key, default)

    def set(self, key: str, value: Any) -> None:
        """Leave an attribute on the request."""
        if self._attributes is None:
            self._attributes = {}
        self._attributes[key] = value

    def route(self, name: str | None = None, default: Any = None) -> Any:
        """The route, or the value of its parameter *name* (a model, if it is bound to one)."""
        scope = scopes.current_scope()
        current = None if scope is None or scope.request is not self else scope.route
        if name is None:
            return current
        if current is None or self.route_parameters.get(name) is None:
            return self.route_parameters.get(name, default)
        return current.bound(self, name)

    def route_is(self, *patterns: str) -> bool:
        """True if the route's name fits one of *patterns*."""
        route = self.route()
        return (
            route is not None and route.route_name is not None and fits(route.route_name, patterns)
        )

    @property
    def bindings(self) -> dict[str, Any]:
        """What parameters of the route are bound to, as far as it was looked up."""
        if self._bindings is None:
            self._bindings = {}
        return self._bindings

    @property
    def terminable(self) -> list[Any]:
        """Middleware made for this request that wants to hear of its end."""
        if self._terminable is None:
            self._terminable = []
        return self._terminable

    def session(self) -> Any:
        """The session; RuntimeError if no middleware started one."""
        session = scopes.current_session()
        if session is None:
            raise RuntimeError(
                "this request has no session: put its route into the middleware group 'web'"
            )
        return session

    def user(self, guard: str | None = None) -> Any:
        """Who is logged in (by *guard*, where there are several); None for a guest."""
        scope = scopes.current_scope()
        if scope is None:
            return None
        guards = scope.data.get("auth")
        asked = getattr(guards, "user", None)
        if not callable(asked):
            return scope.user
        return asked() if guard is None else asked(guard)

    def old(self, key: str | None = None, default: Any = None) -> Any:
        """The input of the request before, where it was flashed."""
        session = scopes.current_session()
        return default if session is None else session.old(key, default)

    def flash(self) -> None:
        """Flash all input but passwords, for `old()` at the next request."""
        self.session().flash(OLD_INPUT, without_secrets(self.input()))

    def flash_only(self, *keys: str) -> None:
        """Flash *keys* of the input."""
        self.session().flash(OLD_INPUT, without_secrets(self.only(*keys)))

    def flash_except(self, *keys: str) -> None:
        """Flash the input but *keys*."""
        self.session().flash(OLD_INPUT, without_secrets(self.except_(*keys)))

    def fingerprint(self) -> str:
        """A hash of route, methods and client, to count requests by (RuntimeError outside one)."""
        route = self.route()
        if route is None:
            raise RuntimeError("a request has a fingerprint only while a route serves it")
        import hashlib

        text = "|".join([*route.methods, route.uri, str(self.host), self.ip() or ""])
        return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()

    def has_valid_signature(self) -> bool:
        """True if the URL was signed by this application, is unaltered and has not expired."""
        router = self.settings.router
        if router is None:
            raise RuntimeError("a signature can be checked only in an application with a router")
        return bool(router.urls.has_valid_signature(self))

    def validate(
        self,
        rules: Mapping[str, Any],
        messages: Mapping[str, str] | None = None,
        attributes: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """The input that *rules* name, valid; ValidationException (422) otherwise."""
        check = self.settings.validate or _default_validate()
        return check(self.all(), rules, messages, attributes)

    def is_disconnected(self) -> bool:
        """True if the server knows that the client is gone (`so.disconnected` in the environ)."""
        asked = self.environ.get("so.disconnected")
        return bool(asked()) if callable(asked) else False

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("_"):
            attributes = self._attributes
            if attributes is not None and name in attributes:
                return attributes[name]
            found = self.input()
            if name in found:
                return found[name]
            if name in self.route_parameters:
                return self.route(name)
        raise AttributeError(
            f"the request has no attribute, input or route parameter {name!r}: read it with "
            f"input({name!r}) if it may be missing"
        )

    def __repr__(self) -> str:
        return f"<Request {self.real_method} {self.uri()}>"


def _default_validate() -> Callable[..., dict[str, Any]]:
    # Imported late: the rules are many, and most requests validate nothing.
    from so.http.validation import validate

    return validate
