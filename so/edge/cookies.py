"""How this application's own cookies are named, flagged and read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from so.errors import ConfigError
from so.settings.session import SessionSettings

if TYPE_CHECKING:
    from so.http.request import Request
    from so.http.response import Response

HOST_PREFIX = "__Host-"
_STRANGE = re.compile(r"[^A-Za-z0-9_-]")


@dataclass(frozen=True, slots=True)
class CookieSettings:
    """The cookies of sessions: names and flags, as config/session.py has them.

    `secure=None` follows each request's scheme. Over HTTPS, at the path `/` and without a domain,
    names get the prefix `__Host-`: no other host and no plain HTTP page can plant such a cookie.
    """

    name: str = SessionSettings.cookie
    remember_name: str = SessionSettings.remember_name
    device_name: str = SessionSettings.device_name
    xsrf_name: str | None = SessionSettings.xsrf
    path: str = SessionSettings.path
    domain: str | None = SessionSettings.domain
    secure: bool | None = SessionSettings.secure
    same_site: str = SessionSettings.same_site
    minutes: float = 0  # 0: until the browser is closed

    def __post_init__(self) -> None:
        if self.same_site.lower() == "none" and not self.secure:
            raise ConfigError(
                "session.same_site is 'none', which browsers take over HTTPS only: "
                "set SESSION_SECURE_COOKIE=true"
            )

    def is_secure(self, request: Request) -> bool:
        """True if cookies of this response are for HTTPS only."""
        return request.is_secure() if self.secure is None else self.secure

    def full_name(self, name: str, request: Request) -> str:
        """*name* with the prefix that browsers enforce, where it can be used."""
        guarded = self.path == "/" and not self.domain and self.is_secure(request)
        return HOST_PREFIX + name if guarded else name

    def remember_name_of(self, kind: str | None) -> str:
        """The cookie by which users of that *kind* are remembered: a browser may hold several."""
        own = self.remember_name
        return own if kind is None else f"{own}_{_STRANGE.sub('_', kind)}"

    def read(self, name: str, request: Request) -> str | None:
        """The cookie *name*; None if there is none, and '' if there are two that differ.

        Two differ when a neighbouring host has set one of the same name: then neither is to be
        believed.
        """
        header = str(request.environ.get("HTTP_COOKIE") or "")
        if name not in header:
            return None
        full = self.full_name(name, request)
        found = set(_values(header, full))
        if len(found) > 1:
            return ""
        return found.pop() if found else None

    def write(
        self, response: Response, request: Request, name: str, value: str, *, minutes: float = 0
    ) -> None:
        """Set the cookie *name*, or take it back if *value* is empty."""
        minutes = minutes if value else -1
        self._write(response, request, self.full_name(name, request), value, minutes, True)

    def write_plain(
        self, response: Response, request: Request, name: str, value: str, minutes: float = 0
    ) -> None:
        """Set a cookie that scripts read by its plain *name*."""
        self._write(response, request, name, value, minutes, False)

    def _write(
        self,
        response: Response,
        request: Request,
        name: str,
        value: str,
        minutes: float,
        httponly: bool,
    ) -> None:
        secure = self.is_secure(request)
        response.cookie(
            name, value, minutes, self.path, self.domain, secure, httponly, self.same_site
        )


def _values(header: str, name: str) -> Iterator[str]:
    for pair in header.split(";"):
        key, _, value = pair.strip().partition("=")
        if key == name:
            is_quoted = len(value) > 1 and value[0] == value[-1] == '"'
            yield value[1:-1] if is_quoted else value
