"""The bottom of a request: its environ, its headers, its cookies.

Nothing is parsed until it is asked for. The other layers are request_url.py (addresses),
request_input.py (query, forms, JSON, files) and request.py, which joins them.
"""

from __future__ import annotations

from typing import Any

from so.http.cookies import parse_cookies
from so.http.headers import readable
from so.http.settings import DEFAULTS, HttpSettings

Environ = dict[str, Any]


class Text(str):
    """A text that may also be called: `request.host` and `request.host()` are the same."""

    __slots__ = ()

    def __call__(self) -> str:
        """The text itself."""
        return str(self)


class Number(int):
    """A number that may also be called, as Text."""

    def __call__(self) -> int:
        """The number itself."""
        return int(self)


class RequestBase:
    """An environ and what its header fields say."""

    _cookies: dict[str, str] | None = None

    def __init__(self, environ: Environ, settings: HttpSettings = DEFAULTS) -> None:
        self.environ = environ
        self.settings = settings

    # --- headers --------------------------------------------------------------------------------

    def header(self, name: str, default: Any = None) -> Any:
        """The header *name* (any case, `-` or `_`), else *default*."""
        key = name.upper().replace("-", "_")
        if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            key = f"HTTP_{key}"
        value = self.environ.get(key)
        if value is None or (value == "" and key[:5] != "HTTP_"):
            return default
        return readable(str(value))

    def has_header(self, name: str) -> bool:
        """True if the client sent the header."""
        return self.header(name) is not None

    @property
    def headers(self) -> dict[str, str]:
        """All header fields, by name in lower case."""
        found = {}
        for key, value in self.environ.items():
            if key.startswith("HTTP_"):
                found[key[5:].replace("_", "-").lower()] = readable(str(value))
            elif key in ("CONTENT_TYPE", "CONTENT_LENGTH") and value:
                found[key.replace("_", "-").lower()] = readable(str(value))
        return found

    def user_agent(self) -> str | None:
        """The User-Agent header."""
        agent = self.environ.get("HTTP_USER_AGENT")
        return None if agent is None else readable(str(agent))

    def bearer_token(self) -> str | None:
        """The token of `Authorization: Bearer …`; None without one."""
        scheme, _, token = str(self.environ.get("HTTP_AUTHORIZATION", "")).strip().partition(" ")
        token = token.strip().partition(",")[0]
        return token if scheme.lower() == "bearer" and token else None

    def content_type(self) -> str:
        """The media type of the body in lower case, without parameters."""
        return str(self.environ.get("CONTENT_TYPE") or "").partition(";")[0].strip().lower()

    def server(self, name: str, default: Any = None) -> Any:
        """A value of the environ, as `REMOTE_ADDR`."""
        return self.environ.get(name, default)

    # --- cookies --------------------------------------------------------------------------------

    @property
    def cookies(self) -> dict[str, str]:
        """All cookies."""
        if self._cookies is None:
            header = self.environ.get("HTTP_COOKIE")
            self._cookies = parse_cookies(str(header)) if header else {}
        return self._cookies

    def cookie(self, name: str, default: Any = None) -> Any:
        """The cookie *name*, else *default*."""
        return self.cookies.get(name, default)

    def has_cookie(self, name: str) -> bool:
        """True if the client sent the cookie."""
        return name in self.cookies
