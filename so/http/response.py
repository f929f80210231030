"""Responses: status, headers, cookies and a body, which is bytes or a stream of them.

Files with ranges are in files.py, the ways to say where to redirect in helpers.py. The kernel
calls `prepare(request)` once, before the first byte goes out.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from so.errors import SixOrbitError
from so.http.conditions import is_unmodified
from so.http.cookies import cookie_header
from so.http.flash import ERRORS, current_input, flash, flash_input, kept_errors
from so.http.headers import Headers, Items
from so.http.locations import header_text, onsite, percent_encoded
from so.support.codec import dumps
from so.support.httpwords import http_date
from so.support.markup import escape
from so.support.scope import current_scope

if TYPE_CHECKING:
    from so.http.request import Request

HTML = "text/html; charset=utf-8"
TEXT = "text/plain; charset=utf-8"
JSON = "application/json"
BYTES = "application/octet-stream"
_REDIRECTS = (201, 301, 302, 303, 307, 308)  # 201: here is what was made
_JSON_FIELD = ("Content-Type", JSON)

Chunks = Iterable[bytes | str]


class Response:
    """What goes back to the client.

    Attributes: status, headers (case-insensitive, several values a name), body (bytes; empty for a
    stream). Methods that change it return it. Middleware adds cookies and headers freely; nothing
    with CR, LF or NUL gets in (ValueError).
    """

    default_type = HTML

    def __init__(self, content: Any = "", status: int = 200, headers: Items | None = None) -> None:
        """*content* is text (sent as UTF-8 HTML unless *headers* say otherwise), bytes or None."""
        self.status = checked_status(status)
        self.headers = Headers(headers)
        self.chunks: Iterable[bytes | str] | None = None
        self.body = as_bytes(content)
        self.headers.setdefault("Content-Type", self.default_type)

    # --- makers ---------------------------------------------------------------------------------

    @staticmethod
    def html(markup: object, status: int = 200, headers: Items | None = None) -> Response:
        """A page."""
        return Response(str(markup), status, headers)

    @staticmethod
    def json(data: Any, status: int = 200, headers: Items | None = None) -> JsonResponse:
        """*data* as JSON."""
        return JsonResponse(data, status, headers)

    @staticmethod
    def redirect(url: str, status: int = 302) -> RedirectResponse:
        """To another page of this site; `redirect().away(url)` goes elsewhere."""
        return RedirectResponse(onsite(url), status)

    @staticmethod
    def download(path: str | Path, name: str | None = None, headers: Items | None = None) -> Any:
        """The file at *path*, to be saved as *name*; OSError if it is not there."""
        from so.http.files import FileResponse

        return FileResponse(path, headers=headers, save_as=name or Path(path).name)

    @staticmethod
    def file(path: str | Path, headers: Items | None = None) -> Any:
        """The file at *path*, shown if the browser can: with ranges, ETag and Last-Modified."""
        from so.http.files import FileResponse

        return FileResponse(path, headers=headers)

    @staticmethod
    def stream(
        chunks: Chunks | Callable[[], Chunks], status: int = 200, headers: Items | None = None
    ) -> Response:
        """The text or bytes that *chunks* yields, sent as they come; TypeError for nothing such."""
        response = Response("", status, headers)
        response.chunks = chunks() if callable(chunks) else chunks
        if not isinstance(response.chunks, Iterable):
            raise TypeError(f"cannot stream {response.chunks!r}: give texts or bytes one by one")
        return response

    @staticmethod
    def no_content(status: int = 204) -> Response:
        """Nothing but a status."""
        return Response("", status)

    # --- headers --------------------------------------------------------------------------------

    def header(self, name: str, value: object, replace: bool = True) -> Self:
        """Set header *name*; with replace=False add one more of it."""
        if replace:
            self.headers.set(name, value)
        else:
            self.headers.add(name, value)
        return self

    def with_headers(self, headers: Items) -> Self:
        """Set all of *headers*."""
        self.headers.update(headers)
        return self

    def without_header(self, name: str) -> Self:
        """Remove header *name*."""
        self.headers.discard(name)
        return self

    def cookie(
        self,
        name: str,
        value: str,
        minutes: float = 0,
        path: str | None = "/",
        domain: str | None = None,
        secure: bool | None = None,
        httponly: bool = True,
        samesite: str | None = "lax",
    ) -> Self:
        """Set a cookie for *minutes* (0: until the browser ends); secure=None: as the request."""
        if secure is None:
            secure = _is_secure()
        written = cookie_header(name, str(value), minutes, path, domain, secure, httponly, samesite)
        self.headers.add("Set-Cookie", written)
        return self

    def without_cookie(self, name: str, path: str | None = "/", domain: str | None = None) -> Self:
        """Make the browser forget a cookie."""
        secure = True if name.startswith("__") else None
        return self.cookie(name, "", -1, path, domain, secure)

    def etag(self, value: str, weak: bool = False) -> Self:
        """Name this version of the content, for `not_modified` and caches."""
        quoted = value if value.startswith(('"', 'W/"')) else f'"{value}"'
        self.headers.set("ETag", f"W/{quoted}" if weak and quoted[0] == '"' else quoted)
        return self

    def last_modified(self, at: datetime | float) -> Self:
        """Say when the content last changed."""
        self.headers.set("Last-Modified", http_date(at))
        return self

    def not_modified(self, request: Request) -> bool:
        """True, and this response becomes 304, if the client holds this version already."""
        etag, modified = self.headers.get("ETag"), self.headers.get("Last-Modified")
        if not is_unmodified(request, etag, modified):
            return False
        self.status = 304
        self.body = b""
        self.close()
        self.chunks = None
        return True

    # --- body -----------------------------------------------------------------------------------

    @property
    def content(self) -> str:
        """The body as text."""
        return self.body.decode("utf-8", "replace")

    @property
    def is_streamed(self) -> bool:
        """True if the body comes in chunks and `body` is empty."""
        return self.chunks is not None

    def set_content(self, content: Any) -> Self:
        """Replace the body."""
        self.close()
        self.chunks = None
        self.body = as_bytes(content)
        return self

    def prepare(self, request: Request) -> None:
        """Last changes that depend on the request; the kernel calls it before sending."""

    def close(self) -> None:
        """Let go of what a stream holds; safe to call twice."""
        close = getattr(self.chunks, "close", None)
        if callable(close):
            close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.status}>"


class JsonResponse(Response):
    """*data* as compact UTF-8 JSON; `data` keeps the value."""

    default_type = JSON

    def __init__(self, data: Any = None, status: int = 200, headers: Items | None = None) -> None:
        """ValueError for NaN and infinity, TypeError for what has no JSON form."""
        self.status = status if status == 200 else checked_status(status)
        self.headers = Headers(headers)
        if headers is None:
            self.headers.trust("content-type", _JSON_FIELD)
        else:
            self.headers.setdefault("Content-Type", JSON)
        self.chunks = None
        self.data = data
        self.body = json_bytes(data)

    @classmethod
    def success(cls, data: Any = None, message: str | None = None, code: int = 200) -> JsonResponse:
        """`{"success": true, "message": …, "data": …}`."""
        return cls({"success": True, "message": message or "Success", "data": data}, code)

    @classmethod
    def error(cls, message: str | None = None, code: int = 400, errors: Any = None) -> JsonResponse:
        """`{"success": false, "message": …, "errors": …}`."""
        return cls(
            {
                "success": False,
                "message": message or "An error occurred.",
                "errors": [] if errors is None else errors,
            },
            code,
        )

    @classmethod
    def created(cls, data: Any = None, message: str | None = None) -> JsonResponse:
        """As `success`, with status 201."""
        return cls.success(data, message or "Created successfully.", 201)

    @classmethod
    def no_content(cls, status: int = 204) -> JsonResponse:
        """Nothing but a status."""
        response = cls(None, status)
        response.body = b""
        return response


class RedirectResponse(Response):
    """To another URL; `target` is where."""

    def __init__(self, target: str, status: int = 302, headers: Items | None = None) -> None:
        """*target* is the programmer's: it is not judged, and gets no prefix, unlike in `redirect`.

        ValueError if it is empty or holds CR, LF or NUL, or if *status* sends nobody anywhere.
        """
        super().__init__("", status, headers)
        if self.status not in _REDIRECTS:
            raise ValueError(f"{status!r} is no redirect: use 301, 302, 303, 307 or 308")
        self._set_target(target)

    def with_(self, key: str | Mapping[str, Any], value: Any = None) -> Self:
        """Flash *key* to the session, for the next request."""
        for name, item in key.items() if isinstance(key, Mapping) else [(key, value)]:
            flash(name, item)
        return self

    def with_input(self, data: Mapping[str, Any] | None = None) -> Self:
        """Flash the request's input (or *data*) for `old()`; passwords never."""
        flash_input(current_input() if data is None else data)
        return self

    def only_input(self, *keys: str) -> Self:
        """Flash *keys* of the input."""
        given = current_input()
        return self.with_input({k: given[k] for k in keys if k in given})

    def except_input(self, *keys: str) -> Self:
        """Flash the input but *keys*."""
        return self.with_input({k: v for k, v in current_input().items() if k not in keys})

    def with_errors(self, errors: Any, bag: str = "default") -> Self:
        """Flash *errors*: a dict by field, a list, a text, or a ValidationException."""
        flash(ERRORS, kept_errors(errors, bag))
        return self

    def with_cookie(self, name: str, value: str, minutes: float = 0, **options: Any) -> Self:
        """Set a cookie."""
        return self.cookie(name, value, minutes, **options)

    def with_fragment(self, fragment: str) -> Self:
        """Go to the element *fragment* of the page."""
        base = self.target.partition("#")[0]
        self._set_target(f"{base}#{percent_encoded(fragment.removeprefix('#'))}")
        return self

    def _set_target(self, target: str) -> None:
        if not target:
            raise ValueError("a redirect needs a target: give it a URL or a path")
        # The header refuses control characters; encoding must not slip them past it.
        self.headers.set("Location", target)
        url = header_text(target)
        self.target = url
        self.headers.set("Location", url)
        link = escape(url)
        self.body = f'<!doctype html><title>Redirecting</title><a href="{link}">{link}</a>'.encode()


def json_bytes(data: Any) -> bytes:
    """*data* as compact UTF-8 JSON."""
    text = dumps(data)
    try:
        return text.encode()
    except UnicodeEncodeError:
        # Half a surrogate pair has no UTF-8; in JSON it has an escape.
        return text.encode("utf-8", "backslashreplace")


def as_bytes(content: Any) -> bytes:
    """A body from text, bytes or None; TypeError for anything else."""
    if isinstance(content, str):
        return content.encode("utf-8", "replace")
    if isinstance(content, (bytes, bytearray, memoryview)):
        return bytes(content)
    if content is None:
        return b""
    own = getattr(content, "__html__", None)
    if callable(own):
        return str(own()).encode("utf-8", "replace")
    if isinstance(content, (int, float)):
        return str(content).encode()
    raise TypeError(
        f"a response body is text or bytes, {type(content).__name__} given: use "
        "JsonResponse(data) or Response.stream(iterator)"
    )


def checked_status(status: int) -> int:
    """*status* if a response can carry it; ValueError for anything but 200 to 599."""
    number = int(status)
    if not 200 <= number <= 599:
        raise ValueError(f"{status!r} is not the status of a response: use 200 to 599")
    return number


def status_of(exc: BaseException) -> int:
    """The HTTP status that *exc* stands for: its own if it is one of ours, else 500."""
    status = getattr(exc, "status", 500) if isinstance(exc, SixOrbitError) else 500
    return status if isinstance(status, int) and 200 <= status <= 599 else 500


def encoded(chunks: Chunks) -> Generator[bytes, None, None]:
    """*chunks* as bytes, empty ones left out (WSGI servers may take one for the end)."""
    for chunk in chunks:
        if chunk:
            yield as_bytes(chunk)


def _is_secure() -> bool:
    scope = current_scope()
    return scope is not None and scope.request is not None and bool(scope.request.is_secure())
