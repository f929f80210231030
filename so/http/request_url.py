"""Where a request goes and where it comes from: path, host, scheme, address.

X-Forwarded-… headers count only when the peer that connected is a trusted proxy.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, unquote_to_bytes, urlsplit

from so.errors import BadRequestException
from so.http.locations import (
    as_browsers_read,
    below,
    has_control,
    header_text,
    is_ours,
    joined_mounts,
    origin,
    site,
)
from so.http.patterns import fits
from so.http.request_base import Number, RequestBase, Text
from so.http.urltext import query_string
from so.support.scope import current_session

_HOST = re.compile(r"(?:[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::([0-9]{0,5}))?")
_PATH_SAFE = "/@:;,=+!*|&$'()~-._"
_PORTS = {"http": 80, "https": 443}


class RequestUrl(RequestBase):
    """The address of a request, in all its parts."""

    _segments: list[str] | None = None

    # --- path -----------------------------------------------------------------------------------

    def path_segments(self) -> list[str]:
        """The path in decoded segments, the first (before the first slash) empty.

        Taken from the raw URI where the server hands it over, so that `%2F` does not divide.
        Raises BadRequestException if it is not UTF-8.
        """
        if self._segments is None:
            try:
                self._segments = self._raw_segments() or self._plain_path().split("/")
            except UnicodeError as error:
                raise BadRequestException("The path of the URL is not valid UTF-8.") from error
        return self._segments

    def _plain_path(self) -> str:
        path = str(self.environ.get("PATH_INFO") or "/")
        return path if path.isascii() else path.encode("latin-1").decode("utf-8")

    def _raw_segments(self) -> list[str] | None:
        """Segments of the raw URI; None if it has no escape or is not the path's."""
        raw = self.environ.get("REQUEST_URI") or self.environ.get("RAW_URI")
        if not isinstance(raw, str) or "%" not in raw:
            return None
        path = _path_of(raw)
        mount = str(self.environ.get("SCRIPT_NAME") or "")
        rest = str(self.environ.get("PATH_INFO") or "/")
        told = unquote_to_bytes(path).decode("latin-1")
        if told == rest:
            mount = ""  # a proxy may cut the prefix off before the server sees it
        elif told != mount + rest:
            return None  # something in between rewrote the path
        segments = [unquote_to_bytes(part).decode("utf-8") for part in path.split("/")]
        return [segments[0], *segments[1 + mount.rstrip("/").count("/") :]]

    @property
    def decoded_path(self) -> Text:
        """The path decoded, without slashes at its ends; "/" for the root."""
        return Text("/".join(self._readable_segments()).strip("/") or "/")

    def path(self) -> str:
        """The path as in the URL (encoded), without slashes at its ends; "/" for the root."""
        parts = [quote(part, safe=_PATH_SAFE[1:]) for part in self._readable_segments()]
        return "/".join(parts).strip("/") or "/"

    def uri(self) -> str:
        """The path with its slash in front, encoded, without the query."""
        return "/" + self.path().lstrip("/")

    def _readable_segments(self) -> list[str]:
        """The segments; those of a path that is not UTF-8 with U+FFFD, for messages."""
        try:
            return self.path_segments()
        except BadRequestException:
            raw = str(self.environ.get("PATH_INFO") or "/").encode("latin-1", "replace")
            return raw.decode("utf-8", "replace").split("/")

    def segments(self) -> list[str]:
        """The decoded segments that are not empty."""
        return [part for part in self._readable_segments() if part]

    def segment(self, number: int, default: Any = None) -> Any:
        """The segment *number*, counted from 1."""
        parts = self.segments()
        return parts[number - 1] if 1 <= number <= len(parts) else default

    def is_(self, *patterns: str) -> bool:
        """True if the decoded path fits one of *patterns* (`admin/*`)."""
        path = str(self.decoded_path)
        return fits(path, [pattern.strip("/") or "/" for pattern in patterns])

    # --- URLs -----------------------------------------------------------------------------------

    def root(self) -> str:
        """Scheme, host and mount point, without a slash at the end."""
        return f"{self.scheme}://{self.http_host}{self.script_name()}"

    def url(self) -> str:
        """The URL without its query."""
        path = self.path()
        return self.root() if path == "/" else f"{self.root()}/{path}"

    def full_url(self) -> str:
        """The URL with its query."""
        return self._with_query(self.query_text())

    def full_url_with_query(self, params: Mapping[str, Any]) -> str:
        """The URL with *params* added to its query; None removes one."""
        return self._with_query(query_string({**self._query_dict(), **params}))

    def _with_query(self, query: str) -> str:
        if not query:
            return self.url()
        return f"{self.url()}{'/' if self.path() == '/' else ''}?{query}"

    def _query_dict(self) -> dict[str, Any]:
        return {}

    def query_text(self) -> str:
        """The query as sent, without the question mark; what cannot stand in a URL is encoded."""
        query = str(self.environ.get("QUERY_STRING") or "")
        return quote(query, safe="/:?@[]!$&'()*+,;=%~-._", encoding="latin-1", errors="replace")

    def script_name(self) -> str:
        """Where the application is mounted (`/erp`); "" at the root of the host."""
        prefix = self._forwarded("prefix")
        mount = str(self.environ.get("SCRIPT_NAME") or "")
        if prefix is not None and re.fullmatch(r"(?:/[\w.~-]+)+/?", prefix):
            mount = joined_mounts(prefix, mount)
        return quote(mount.rstrip("/"), safe=_PATH_SAFE, encoding="latin-1", errors="replace")

    def mounted(self, path: str) -> str:
        """*path* below the mount point, where the client finds it; once, if it lies there."""
        mount = self.script_name()
        return below(mount, path) if mount else path

    # --- host and scheme ------------------------------------------------------------------------

    @property
    def scheme(self) -> Text:
        """`http` or `https`."""
        given = (self._forwarded("proto") or "").lower()
        if given in _PORTS:
            return Text(given)
        return Text("https" if self.environ.get("wsgi.url_scheme") == "https" else "http")

    def is_secure(self) -> bool:
        """True over HTTPS."""
        environ = self.environ
        if not self.settings.trusted_proxies:
            return environ.get("wsgi.url_scheme") == "https"
        return self.scheme == "https"

    @property
    def host(self) -> Text:
        """The host name, without a port."""
        return Text(_without_port(self._host_and_port()))

    @property
    def port(self) -> Number:
        """The port of the URL."""
        forwarded = self._forwarded("port")
        if forwarded is not None and _is_port(forwarded):
            return Number(forwarded)
        match = _HOST.fullmatch(self._host_and_port())
        if match is not None and match.group(1):
            return Number(match.group(1))
        return Number(_PORTS[self.scheme])

    @property
    def http_host(self) -> Text:
        """Host and port, the port left out where the scheme implies it."""
        port = int(self.port)
        return Text(self.host if port == _PORTS[self.scheme] else f"{self.host}:{port}")

    def own_sites(self) -> set[str]:
        """The hosts (with a port that the scheme does not imply) that count as this site."""
        router = self.settings.router
        configured = None if router is None else origin(router.urls.configured())
        # An APP_URL without a scheme has no host: then `https:evil.example` would be ours.
        sites = {site(str(self.scheme), str(self.http_host)), configured[1] if configured else ""}
        return sites - {""}

    def _host_and_port(self) -> str:
        """What the client calls us, if it is a host at all, else what the server does."""
        for given in (self._forwarded("host"), self.environ.get("HTTP_HOST")):
            if isinstance(given, str) and _HOST.fullmatch(given):
                return given
        name = str(self.environ.get("SERVER_NAME") or "localhost")
        port = str(self.environ.get("SERVER_PORT") or "")
        name = name if _HOST.fullmatch(name) else "localhost"
        return f"{name}:{port}" if _is_port(port) and ":" not in name else name

    # --- the client -----------------------------------------------------------------------------

    def ip(self) -> str | None:
        """The client's address: the nearest one that is not a trusted proxy."""
        addresses = self.ips()
        return addresses[0] if addresses else None

    def ips(self) -> list[str]:
        """The addresses on the way here, nearest first, without trusted proxies."""
        peer = str(self.environ.get("REMOTE_ADDR") or "")
        header = self._forwarded("for", whole=True)
        if header is None:
            return [peer] if peer else []
        way = [peer] if peer else []
        for part in reversed(header.split(",")):
            address = _address(part)
            if not address:
                break  # who wrote what stands before it nobody knows
            way.append(address)
        untrusted = [ip for ip in way if not self._is_proxy(ip)]
        # All of them proxies: then the farthest one is the client as far as we can tell.
        return untrusted or way[-1:]

    def _is_proxy(self, address: str) -> bool:
        if "*" in self.settings.trusted_proxies:
            return address == str(self.environ.get("REMOTE_ADDR") or "")
        return self.settings.trusts(address)

    def is_forwarded(self) -> bool:
        """True if a trusted proxy says under which host or scheme the client sees us."""
        return self._forwarded("host") is not None or self._forwarded("proto") is not None

    def _forwarded(self, name: str, whole: bool = False) -> str | None:
        """X-Forwarded-*name* if it may be believed: its last value, the one our proxy added."""
        settings = self.settings
        if not settings.trusted_proxies or name not in settings.trusted_headers:
            return None
        value = self.environ.get(f"HTTP_X_FORWARDED_{name.upper()}")
        if not value or not settings.trusts(str(self.environ.get("REMOTE_ADDR") or "")):
            return None
        return str(value) if whole else str(value).rpartition(",")[2].strip()

    # --- where from -----------------------------------------------------------------------------

    def previous_url(self, fallback: str = "/") -> str:
        """The page of this application that the user came from, else *fallback*."""
        referer = self.header("Referer")
        if referer and self._is_page_of_ours(str(referer)):
            return str(referer)
        session = current_session()
        known = getattr(session, "previous_url", None)
        url = known() if callable(known) else None
        return str(url) if url and self._is_page_of_ours(str(url)) else fallback

    def _is_page_of_ours(self, url: str) -> bool:
        """True for what lies on this site, and on it below the prefix of this application."""
        text = header_text(as_browsers_read(url))
        if has_control(url) or not is_ours(text, self.own_sites()):
            return False
        path = text if origin(text) is None else urlsplit(text).path or "/"
        return path.startswith("/") and path == below(self.script_name(), path)


def _path_of(raw: str) -> str:
    """The path in a request target: origin form, or absolute form as proxies send it."""
    path = raw.partition("?")[0].partition("#")[0]
    if path.lower().startswith(("http://", "https://")):
        path = "/" + path.partition("://")[2].partition("/")[2]
    return path


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0]


def _address(text: str) -> str:
    """One entry of X-Forwarded-For as an address; "" if it is none."""
    text = text.strip().strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return ""


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 6
