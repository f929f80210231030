"""A kernel and a client for tests: WSGI without a socket, always through wsgiref.validate."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from wsgiref import validate as wsgi

from so.http.headers import Headers
from so.http.kernel import Kernel
from so.http.request import Request
from so.http.router import Router


class Answer:
    """What came back: status, headers, body."""

    def __init__(self, status: str, headers: list[tuple[str, str]], body: bytes) -> None:
        self.status = int(status[:3])
        self.line = status
        self.headers = Headers()
        for name, value in headers:
            self.headers.add(name, value.encode("latin-1").decode("utf-8", "replace"))
        self.body = body

    @property
    def text(self) -> str:
        return self.body.decode()

    def json(self) -> Any:
        return json.loads(self.body)

    def header(self, name: str) -> str | None:
        return self.headers.get(name)


def send(app: Callable[..., Any], environ: dict[str, Any], *, validate: bool = True) -> Answer:
    """Fire *environ* at the WSGI callable *app*; the answer is checked in any case."""
    begun: list[Any] = []

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        begun[:] = [status, headers]
        return lambda data: None

    chunks = (wsgi.validator(app) if validate else app)(environ, start_response)
    try:
        body = b"".join(chunks)
    finally:
        close = getattr(chunks, "close", None)
        if close:
            close()
    wsgi.check_status(begun[0])
    wsgi.check_headers(begun[1])
    wsgi.check_content_type(begun[0], begun[1])
    return Answer(begun[0], begun[1], body)


class Client:
    """`Client(router).get("/users/5")`."""

    def __init__(self, router: Router | None = None, **kernel: Any) -> None:
        self.router = router or Router()
        self.kernel = Kernel(self.router, **kernel)

    def request(self, method: str, uri: str, **options: Any) -> Answer:
        return send(self.kernel, Request.create(uri, method, **options).environ)

    def get(self, uri: str, **options: Any) -> Answer:
        return self.request("GET", uri, **options)

    def post(self, uri: str, **options: Any) -> Answer:
        return self.request("POST", uri, **options)
