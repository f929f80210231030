"""URLs to named routes, as Laravel writes them, and signed ones that cannot be altered.

A signature covers the path and the query, whatever their order, but not the host, so that it
holds behind proxies and under several names of one site.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, urlencode

from so.errors import RouteNotFoundError, SixOrbitError, UrlGenerationError
from so.http.locations import joined_mounts
from so.http.routing.template import Parameter, Segment
from so.http.urltext import READABLE, encode, query_string, text_of
from so.support.clock import Clock
from so.support.scope import current_request

if TYPE_CHECKING:
    from so.http.request import Request
    from so.http.routing.route import Route
    from so.support.signing import Signer

PURPOSE = "url"


class UrlGenerator:
    """Writes URLs for the routes of one router."""

    def __init__(
        self,
        named: Callable[[], Mapping[str, Route]],
        root: str | Callable[[], str],
        signer: Signer | Callable[[], Signer] | None,
        clock: Clock | None,
    ) -> None:
        self._routes = named
        self.root = root
        self.signer = signer
        self._clock = clock or Clock()

    def configured(self) -> str:
        """The application's own address, without a slash at its end; "" if none is set."""
        return (self.root() if callable(self.root) else self.root).rstrip("/")

    def base(self) -> str:
        """The address in front of every path, without a slash at its end.

        What a trusted proxy says, else the configured root, else the address of the request; with
        the prefix under which the request came.
        """
        request, configured = _request(), self.configured()
        if request is None:
            return configured or "http://localhost"
        if not configured or request.is_forwarded():
            return str(request.root())
        return joined_mounts(configured, request.script_name())

    def to(self, path: str = "", params: Any = None) -> str:
        """The URL of *path*; a list adds segments to it, a dict a query. A URL stays as it is."""
        if path.startswith(("http://", "https://", "//", "mailto:", "tel:", "#")):
            return path
        path, hash_, fragment = path.partition("#")
        path, mark, query = path.partition("?")
        mount = _mount()
        if mount and f"{path}/".startswith(f"{mount}/"):
            path = path[len(mount) :]  # written by `route(…, absolute=False)`
        url = f"{self.base()}/{quote(path.strip('/'), safe=READABLE + '%')}"
        if params is not None and not isinstance(params, Mapping):
            values = params if isinstance(params, (list, tuple)) else [params]
            url = "/".join([url.rstrip("/"), *(encode(text_of(value)) for value in values)])
            params = None
        return url.rstrip("/") + _query(query, params or {}) + (hash_ and f"#{fragment}")

    def route(self, name: str, params: Any = None, absolute: bool = True, **kw: Any) -> str:
        """The URL of the route called *name*.

        *params*: a dict by name, a list in order, or the one value; what the template does not
        hold becomes the query. Models stand for their route key. With *absolute* False it begins
        with the path, below the prefix of the application. Raises RouteNotFoundError, and
        UrlGenerationError if a parameter is missing.
        """
        path = self._path(self._named(name), self._given(name, params, kw))
        return self._whole(path, absolute)

    def signed(
        self,
        name: str,
        params: Any = None,
        expires: int | float | timedelta | datetime | None = None,
        absolute: bool = True,
        **kw: Any,
    ) -> str:
        """As `route`, with a signature; *expires* is seconds or a timedelta from now, or a time."""
        given = self._given(name, params, kw)
        for reserved in ("signature", "expires"):
            if reserved in given:
                raise UrlGenerationError(
                    f"{reserved!r} is the name of a part of every signed URL: rename the parameter "
                    f"of route {name!r}"
                )
        if expires is not None:
            given["expires"] = str(self._moment(expires))
        url = self._path(self._named(name), given)
        path, _, query = url.partition("?")
        mac = self._signer().mac(_canonical(path, query), PURPOSE)
        return f"{self._whole(url, absolute)}{'&' if query else '?'}signature={mac}"

    def has_valid_signature(self, request: Request) -> bool:
        """True if the URL of *request* was signed here, is unaltered and has not expired."""
        query = str(request.environ.get("QUERY_STRING", ""))
        pairs = parse_qsl(query, keep_blank_values=True, errors="replace")
        macs = [value for key, value in pairs if key == "signature"]
        if len(macs) != 1:
            return False
        rest = urlencode([pair for pair in pairs if pair[0] != "signature"])
        path = quote("/" + request.decoded_path().strip("/"), safe=READABLE)
        if not self._signer().verify(_canonical(path, rest), macs[0], PURPOSE):
            return False
        expires = [value for key, value in pairs if key == "expires"]
        return not expires or (expires[0].isdecimal() and self._clock.time() < int(expires[0]))

    def _named(self, name: str) -> Route:
        route = self._routes().get(name)
        if route is None:
            raise RouteNotFoundError(f"Route [{name}] not defined.")
        return route

    def _given(self, name: str, params: Any, kw: Mapping[str, Any]) -> dict[str, Any]:
        if isinstance(params, Mapping):
            return {**params, **kw}
        if params is None:
            return dict(kw)
        values = list(params) if isinstance(params, (list, tuple)) else [params]
        names = [n for n in self._named(name).parameter_names if n not in kw]
        if len(values) > len(names):
            raise UrlGenerationError(
                f"the route {name!r} takes {len(names)} value(s) by position, {len(values)} given: "
                "name those for the query in a dict"
            )
        return {**dict(zip(names, values, strict=False)), **kw}

    def _whole(self, url: str, absolute: bool) -> str:
        front = self.base() if absolute else _mount()
        return front + (url[1:] if front and url.partition("?")[0] == "/" else url)

    def _path(self, route: Route, given: Mapping[str, Any]) -> str:
        """Path and query, as the application itself knows them."""
        left = dict(given)
        written = [self._segment(route, segment, left) for segment in route.segments]
        path = "/" + "/".join(text for text in written if text)
        if path.startswith("//"):
            path = f"/%2F{path[2:]}"  # a value that begins with a slash is no other host
        return path + _query("", left)

    def _segment(self, route: Route, segment: Segment, left: dict[str, Any]) -> str:
        text = ""
        for part in segment.parts:
            text += encode(self._value(route, part, left) if isinstance(part, Parameter) else part)
        return text

    def _value(self, route: Route, part: Parameter, left: dict[str, Any]) -> str:
        value = left.pop(part.name, route.default_values.get(part.name))
        text = "" if value is None else text_of(value, part.field)
        if text == "" and not part.optional:
            raise UrlGenerationError(
                f"Missing required parameter for [Route: {route.route_name}] "
                f"[URI: {route.uri}] [Missing parameter: {part.name}]."
            )
        return text

    def _moment(self, expires: int | float | timedelta | datetime) -> int:
        if isinstance(expires, datetime):
            return int(expires.timestamp())
        seconds = expires.total_seconds() if isinstance(expires, timedelta) else expires
        return int(self._clock.time() + seconds)

    def _signer(self) -> Signer:
        if self.signer is None:
            raise SixOrbitError(
                "signed URLs need a key: set APP_KEY (run `bin/sixorbit key:generate`), or give "
                "the Router a signer"
            )
        if callable(self.signer):
            self.signer = self.signer()
        return self.signer


def _request() -> Request | None:
    found: Request | None = current_request()
    return found


def _mount() -> str:
    request = _request()
    return "" if request is None else request.script_name()


def _query(before: str, params: Mapping[str, Any]) -> str:
    both = "&".join(part for part in (before, query_string(params)) if part)
    return f"?{both}" if both else ""


def _canonical(path: str, query: str) -> str:
    """What is signed: the same text for every spelling of one path and query."""
    pairs = sorted(parse_qsl(query, keep_blank_values=True, errors="replace"))
    return f"{path.rstrip('/') or '/'}?{urlencode(pairs)}"
