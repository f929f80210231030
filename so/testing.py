"""Tools for testing an application: a client, a database that is put back, time that is moved.

    with Application(path) as app, RefreshDatabase(app):
        Client(app).post("/orders", json={"sku": "A"}).assert_status(201)

The client speaks WSGI without a socket, through `wsgiref.validate`, so a response that a strict
server would refuse fails the test. All of it works with pytest, unittest or neither.
"""

from __future__ import annotations

import contextlib
import contextvars
import json as jsonlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ContextDecorator, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.cookies import CookieError, SimpleCookie
from importlib import import_module
from types import SimpleNamespace
from typing import Any, Self
from urllib.parse import quote, unquote, urljoin, urlsplit
from wsgiref.validate import validator

from so.application import current_application
from so.http.dots import get as get_dotted
from so.http.headers import Headers
from so.http.testing_environ import make_environ
from so.support.clock import Clock

MOST_REDIRECTS = 10
"""Redirects followed before the client takes them for a circle."""

WsgiApp = Callable[..., Any]


class Result:
    """One answer: `status`, `headers`, `body` (bytes), `text`, and assertions about them.

    Every assertion gives the result back, so they can be chained, and fails with the answer's
    first words in its message.
    """

    def __init__(
        self, status: int, headers: Headers, body: bytes, url: str, redirects: list[str]
    ) -> None:
        """The answer to the request for *url*, reached over *redirects*."""
        self.status = status
        self.headers = headers
        self.body = body
        self.url = url
        self.redirects = redirects

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode("utf-8", "replace")

    def json(self, path: str | None = None) -> Any:
        """The body read as JSON, or what stands there at the dotted *path*."""
        data = jsonlib.loads(self.body)
        return data if path is None else get_dotted(data, path)

    @property
    def cookies(self) -> dict[str, str]:
        """The cookies this answer sets, by name; deleted ones are empty."""
        return {name: unquote(morsel.value) for name, morsel in _morsels(self.headers)}

    # --- assertions -----------------------------------------------------------

    def assert_status(self, status: int) -> Self:
        """Fail unless the status is *status*."""
        return self._check(self.status == status, f"expected status {status}")

    def assert_ok(self) -> Self:
        """Fail unless the status is 200."""
        return self.assert_status(200)

    def assert_created(self) -> Self:
        """Fail unless the status is 201."""
        return self.assert_status(201)

    def assert_not_found(self) -> Self:
        """Fail unless the status is 404."""
        return self.assert_status(404)

    def assert_forbidden(self) -> Self:
        """Fail unless the status is 403."""
        return self.assert_status(403)

    def assert_unauthorized(self) -> Self:
        """Fail unless the status is 401."""
        return self.assert_status(401)

    def assert_redirect(self, to: str | None = None) -> Self:
        """Fail unless it is a redirect, and leads to *to* (a path, or a whole URL)."""
        target = self.headers.get("Location", "")
        self._check(self.status in (301, 302, 303, 307, 308), "expected a redirect")
        same = to is None or urljoin(self.url, target) == urljoin(self.url, to)
        return self._check(same, f"expected a redirect to {to}, not {target}")

    def assert_header(self, name: str, value: str | None = None) -> Self:
        """Fail unless the header is there (and is *value*)."""
        found = self.headers.get(name)
        self._check(found is not None, f"expected a header {name}")
        return self._check(value in (None, found), f"expected {name}: {value}, not {found}")

    def assert_cookie(self, name: str, value: str | None = None) -> Self:
        """Fail unless the answer sets the cookie *name* (to *value*)."""
        found = self.cookies.get(name)
        self._check(found is not None, f"expected a cookie {name}")
        return self._check(value in (None, found), f"expected cookie {name}={value}, not {found}")

    def assert_see(self, text: str) -> Self:
        """Fail unless *text* stands in the body."""
        return self._check(text in self.text, f"expected to see {text!r}")

    def assert_dont_see(self, text: str) -> Self:
        """Fail if *text* stands in the body."""
        return self._check(text not in self.text, f"expected not to see {text!r}")

    def assert_json(self, expected: Any) -> Self:
        """Fail unless the body is JSON that holds *expected*; objects may hold more besides."""
        found = self._json()
        return self._check(_holds(found, expected), f"expected JSON that holds {expected!r}")

    def assert_exact_json(self, expected: Any) -> Self:
        """Fail unless the body is JSON equal to *expected*."""
        return self._check(self._json() == expected, f"expected exactly the JSON {expected!r}")

    def assert_json_path(self, path: str, expected: Any) -> Self:
        """Fail unless *expected* stands at the dotted *path* of the JSON body."""
        found = get_dotted(self._json(), path)
        return self._check(found == expected, f"expected {expected!r} at {path}, not {found!r}")

    def assert_invalid(self, *fields: str) -> Self:
        """Fail unless validation refused each of *fields* (JSON, status 422)."""
        self.assert_status(422)
        errors = self._json().get("errors", {})
        missing = [field for field in fields if field not in errors]
        return self._check(not missing, f"expected errors for {missing}, got {sorted(errors)}")

    def _json(self) -> Any:
        try:
            return self.json()
        except ValueError:
            raise AssertionError(self._told("expected JSON")) from None

    def _check(self, holds: bool, expected: str) -> Self:
        if not holds:
            raise AssertionError(self._told(expected))
        return self

    def _told(self, expected: str) -> str:
        return f"{expected}; {self.url} answered {self.status}: {self.text[:500]}"

    def __repr__(self) -> str:
        return f"<Result {self.status} {self.url}>"


@dataclass
class _Cookie:
    """A cookie as the client keeps it: the value as it came, and where it is sent."""

    value: str
    path: str = "/"
    secure: bool = False


class Client:
    """A browser without a screen: sends requests, keeps cookies, may follow redirects."""

    def __init__(
        self,
        app: WsgiApp,
        *,
        headers: Mapping[str, str] | None = None,
        base_url: str = "http://localhost",
        follow_redirects: bool = False,
    ) -> None:
        """Talk to *app*, sending *headers* with every request."""
        self.app = validator(app)
        self.headers = dict(headers or {})
        self.base_url = base_url
        self.follow_redirects = follow_redirects
        self._cookies: dict[str, _Cookie] = {}

    # --- requests -----------------------------------------------------------

    def get(self, url: str, data: Any = None, **options: Any) -> Result:
        """GET; *data* goes into the query."""
        return self.request("GET", url, data, **options)

    def head(self, url: str, data: Any = None, **options: Any) -> Result:
        """HEAD."""
        return self.request("HEAD", url, data, **options)

    def options(self, url: str, data: Any = None, **options: Any) -> Result:
        """OPTIONS."""
        return self.request("OPTIONS", url, data, **options)

    def post(self, url: str, data: Any = None, **options: Any) -> Result:
        """POST."""
        return self.request("POST", url, data, **options)

    def put(self, url: str, data: Any = None, **options: Any) -> Result:
        """PUT."""
        return self.request("PUT", url, data, **options)

    def patch(self, url: str, data: Any = None, **options: Any) -> Result:
        """PATCH."""
        return self.request("PATCH", url, data, **options)

    def delete(self, url: str, data: Any = None, **options: Any) -> Result:
        """DELETE."""
        return self.request("DELETE", url, data, **options)

    def request(
        self,
        method: str,
        url: str,
        data: Any = None,
        *,
        json: Any = None,
        files: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        cookies: Mapping[str, str] | None = None,
        environ: Mapping[str, Any] | None = None,
        follow_redirects: bool | None = None,
    ) -> Result:
        """Send a request.

        *data* is a dict of form fields, text or bytes; *json* any value; *files* maps fields to
        paths, bytes or (name, content[, type]). *cookies* and *headers* are for this request only.
        """
        result = self._send(method, url, data, json, files, headers, cookies, environ, [])
        follow = self.follow_redirects if follow_redirects is None else follow_redirects
        while follow and result.status in (301, 302, 303, 307, 308):
            result = self._follow(method, result, headers)
        return result

    def _follow(self, method: str, result: Result, headers: Mapping[str, str] | None) -> Result:
        passed = [*result.redirects, result.url]
        if len(passed) > MOST_REDIRECTS:
            raise AssertionError(f"redirected in a circle: {' → '.join(passed)}")
        target = urljoin(result.url, result.headers.get("Location", ""))
        if result.status not in (307, 308) and method != "HEAD":
            method = "GET"
        return self._send(method, target, None, None, None, headers, None, None, passed)

    def _send(
        self,
        method: str,
        url: str,
        data: Any,
        json: Any,
        files: Mapping[str, Any] | None,
        headers: Mapping[str, str] | None,
        cookies: Mapping[str, str] | None,
        environ: Mapping[str, Any] | None,
        passed: list[str],
    ) -> Result:
        whole = self._whole(url)
        made = make_environ(
            whole, method, data, json, {**self.headers, **(headers or {})}, None, files, environ
        )
        sent = self._sent_cookies(whole, cookies)
        if sent:
            made["HTTP_COOKIE"] = sent
        status, fields, body = _call(self.app, made)
        result = Result(status, fields, body, whole, passed)
        self._keep_cookies(fields)
        return result

    def _whole(self, url: str) -> str:
        """*url* with scheme and host; its path is sent as it stands, `..` and `//` included."""
        if url.startswith("/"):
            return self.base_url + url
        return urljoin(f"{self.base_url}/", url)

    # --- what is kept between requests -----------------------------------------------------------

    def with_header(self, name: str, value: str) -> Self:
        """Send this header from now on."""
        self.headers[name] = value
        return self

    def with_token(self, token: str) -> Self:
        """Send this bearer token from now on."""
        return self.with_header("Authorization", f"Bearer {token}")

    @property
    def cookies(self) -> dict[str, str]:
        """The cookies kept, by name."""
        return {name: unquote(cookie.value) for name, cookie in self._cookies.items()}

    def set_cookie(self, name: str, value: str) -> Self:
        """Keep a cookie as if the application had set it."""
        self._cookies[name] = _Cookie(quote(value))
        return self

    def forget_cookies(self) -> Self:
        """Drop all cookies, as a browser does that is started afresh."""
        self._cookies.clear()
        return self

    def _sent_cookies(self, url: str, extra: Mapping[str, str] | None) -> str:
        parts = urlsplit(url)
        sent = {
            name: cookie.value
            for name, cookie in self._cookies.items()
            if (parts.scheme == "https" or not cookie.secure)
            and f"{parts.path or '/'}/".startswith(f"{cookie.path.rstrip('/')}/")
        }
        sent |= {name: quote(str(value)) for name, value in (extra or {}).items()}
        return "; ".join(f"{name}={value}" for name, value in sent.items())

    def _keep_cookies(self, headers: Headers) -> None:
        for name, morsel in _morsels(headers):
            if morsel["max-age"] and int(morsel["max-age"]) <= 0:
                self._cookies.pop(name, None)
            else:
                kept = _Cookie(morsel.coded_value, morsel["path"] or "/", bool(morsel["secure"]))
                self._cookies[name] = kept


def _call(app: WsgiApp, environ: dict[str, Any]) -> tuple[int, Headers, bytes]:
    """One WSGI call, in a context of its own, as a server's thread would be."""
    return contextvars.copy_context().run(_call_here, app, environ)


def _call_here(app: WsgiApp, environ: dict[str, Any]) -> tuple[int, Headers, bytes]:
    started: list[tuple[str, list[tuple[str, str]]]] = []
    written: list[bytes] = []

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        started[:] = [(status, headers)]
        return written.append

    chunks = app(environ, start_response)
    try:
        written += chunks
    finally:
        chunks.close()
    status, headers = started[0]
    fields = Headers()
    for name, value in headers:
        fields.add(name, value)
    return int(status.split(" ", 1)[0]), fields, b"".join(written)


def _morsels(headers: Headers) -> Iterator[tuple[str, Any]]:
    for written in headers.get_all("Set-Cookie"):
        jar: SimpleCookie = SimpleCookie()
        with contextlib.suppress(CookieError):
            jar.load(written)
        yield from jar.items()


def _holds(found: Any, expected: Any) -> bool:
    """True if *found* is *expected*, where its objects may have more keys."""
    if isinstance(expected, Mapping):
        return isinstance(found, Mapping) and all(
            key in found and _holds(found[key], value) for key, value in expected.items()
        )
    if isinstance(expected, (list, tuple)):
        return (
            isinstance(found, list)
            and len(found) == len(expected)
            and all(_holds(one, other) for one, other in zip(found, expected, strict=True))
        )
    return bool(found == expected)


# --- the database -----------------------------------------------------------


class RefreshDatabase(ContextDecorator):
    """Whatever happens inside is rolled back: every test finds the database as it was.

    A context manager, or a decorator of a test. The application's own transactions become
    savepoints; what waits for a commit (`after_commit`) runs when the outermost of those ends.
    What the application writes through other connections (a cache in a file of its own) stays.
    """

    def __init__(self, app: Any = None, *connections: str) -> None:
        """Hold the *connections* (default: the default one) of *app* or of a Database."""
        self._app = app
        self._names = connections or (None,)
        self._held: list[Any] = []

    def __enter__(self) -> Self:
        app: Any = current_application() if self._app is None else self._app
        database = app if hasattr(app, "transaction") else app.make("db")
        for name in self._names:
            connection = database.connection(name)
            connection.begin_transaction()
            _run_callbacks_at_first_level(connection)
            self._held.append(connection)
        return self

    def __exit__(self, *_: object) -> None:
        while self._held:
            connection = self._held.pop()
            del connection._run_callbacks, connection.after_commit
            connection.roll_back(to_level=0)


def _run_callbacks_at_first_level(connection: Any) -> None:
    """Make the outermost transaction of the application, which is the second here, count as such.

    Put on this one connection, for the length of a test, instead of a switch in the database
    layer that production would carry about.
    """
    give = type(connection).after_commit

    def after_commit(fn: Callable[[], object], *, again: bool = True) -> None:
        if connection.transaction_level() <= 1:
            fn()
        else:
            give(connection, fn, again=again)

    def run_callbacks() -> None:
        if connection.transaction_level() <= 1:
            waiting = [fn for _, fn in connection._on_commit]
            connection._on_commit.clear()
            connection._on_roll_back.clear()
            for fn in waiting:
                fn()

    connection.after_commit = after_commit
    connection._run_callbacks = run_callbacks


# --- time -----------------------------------------------------------


class Moved(AbstractContextManager["Moved"]):
    """A clock that was moved; leaving the block puts it back."""

    def __init__(self, clock: Clock, move: Callable[[Clock], object]) -> None:
        """Move *clock* now."""
        self.clock = clock
        self._before = clock.time() if clock.is_frozen else None
        move(clock)

    def travel(self, by: float | timedelta) -> Self:
        """Move on by seconds or a timedelta."""
        self.clock.travel(by)
        return self

    def back(self) -> None:
        """Let the clock be as it was before."""
        if self._before is None:
            self.clock.unfreeze()
        else:
            self.clock.freeze(self._before)

    def __exit__(self, *_: object) -> None:
        self.back()


def freeze_time(at: datetime | float | str | None = None, *, clock: Clock | None = None) -> Moved:
    """Stop the application's clock at *at* (datetime, seconds, ISO text; None: now).

    What names no zone is UTC. Works at once, and as a context manager that lets time run again at
    its end.
    """
    moment = datetime.fromisoformat(at) if isinstance(at, str) else at
    if isinstance(moment, datetime) and moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return Moved(clock or _clock(), lambda found: found.freeze(moment))


def travel(by: float | timedelta, *, clock: Clock | None = None) -> Moved:
    """Move the application's clock by seconds or a timedelta, and stop it there."""
    return Moved(clock or _clock(), lambda found: found.travel(by))


def travel_back(*, clock: Clock | None = None) -> None:
    """Let the application's clock run again."""
    (clock or _clock()).unfreeze()


def _clock() -> Clock:
    found: Clock = current_application().make("clock")
    return found


# --- fakes -----------------------------------------------------------

FAKES = {
    "queue": ("so.systems.queue", "queue_fake"),
    "notifications": ("so.systems.notifications", "notification_fake"),
}
"""What `fake` can put in place of the real thing."""


@contextmanager
def fake(*names: str) -> Iterator[Any]:
    """Replace systems by ones that only take notes: `with fake("queue") as q: q.assert_pushed(…)`.

    Several names give one object with an attribute for each.
    """
    unknown = [name for name in names if name not in FAKES]
    if unknown or not names:
        raise ValueError(f"cannot fake {unknown or 'nothing'}: choose from {', '.join(FAKES)}")
    with contextlib.ExitStack() as stack:
        found = {name: stack.enter_context(_fake_of(name)) for name in names}
        yield found[names[0]] if len(names) == 1 else SimpleNamespace(**found)


def _fake_of(name: str) -> Any:
    module, function = FAKES[name]
    return getattr(import_module(module), function)()
