"""One WSGI call through router, two middleware and a JSON response, without a socket.

    python bench/http_app.py          # with the peers that this interpreter can import

CPU time per call, best of interleaved rounds. Flask, Falcon and Bottle are compared where they
are installed; each does the same: two middleware that add a header, a route with an integer
parameter, a JSON body of three keys.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from wsgiref.util import setup_testing_defaults

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

ROUNDS = 9
CALLS = 4000

App = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def item(id: int) -> dict[str, Any]:
    return {"id": id, "name": f"Item {id}", "active": True}


def sixorbit() -> App:
    from so.http.kernel import Kernel
    from so.http.request import Request
    from so.http.response import Response
    from so.http.router import Router

    class First:
        def handle(self, request: Request, next: Callable[[Request], Response]) -> Response:
            return next(request).header("X-First", "1")

    class Second:
        def handle(self, request: Request, next: Callable[[Request], Response]) -> Response:
            return next(request).header("X-Second", "1")

    router = Router()
    router.get("/json/{id}", item).middleware(First, Second)
    return Kernel(router)


def flask() -> App:
    from flask import Flask, jsonify

    app = Flask("bench")

    @app.after_request
    def first(response: Any) -> Any:
        response.headers["X-First"] = "1"
        return response

    @app.after_request
    def second(response: Any) -> Any:
        response.headers["X-Second"] = "1"
        return response

    @app.get("/json/<int:id>")
    def show(id: int) -> Any:
        return jsonify(item(id))

    return app.wsgi_app


def falcon() -> App:
    import falcon as package

    class First:
        def process_response(self, req: Any, resp: Any, resource: Any, ok: bool) -> None:
            resp.set_header("X-First", "1")

    class Second:
        def process_response(self, req: Any, resp: Any, resource: Any, ok: bool) -> None:
            resp.set_header("X-Second", "1")

    class Show:
        def on_get(self, req: Any, resp: Any, id: int) -> None:
            resp.media = item(id)

    app = package.App(middleware=[First(), Second()])
    app.add_route("/json/{id:int}", Show())
    return app


def bottle() -> App:
    import bottle as package

    app = package.Bottle()

    @app.hook("after_request")
    def first() -> None:
        package.response.set_header("X-First", "1")

    @app.hook("after_request")
    def second() -> None:
        package.response.set_header("X-Second", "1")

    @app.get("/json/<id:int>")
    def show(id: int) -> dict[str, Any]:
        return item(id)

    return app


def environ() -> dict[str, Any]:
    made: dict[str, Any] = {
        "PATH_INFO": "/json/42",
        "QUERY_STRING": "",
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_ACCEPT": "application/json",
        "HTTP_ACCEPT_ENCODING": "gzip, deflate, br",
        "HTTP_USER_AGENT": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36",
        "HTTP_COOKIE": "so_session=0123456789abcdef0123456789abcdef",
        "HTTP_CONNECTION": "keep-alive",
    }
    setup_testing_defaults(made)
    return made


def check(app: App) -> None:
    """The answer must be the same from all."""
    begun: list[Any] = []
    body = b"".join(
        app(environ(), lambda status, headers, info=None: begun.extend([status, headers]))
    )
    names = {name.lower() for name, _ in begun[1]}
    assert begun[0] == "200 OK", begun
    assert json.loads(body) == item(42)
    assert {"x-first", "x-second", "content-length"} <= names, names


def seconds(app: App, base: dict[str, Any]) -> float:
    def start_response(status: str, headers: Any, exc_info: Any = None) -> None:
        pass

    gc.collect()
    start = time.process_time()
    for _ in range(CALLS):
        b"".join(app(dict(base), start_response))
    return (time.process_time() - start) / CALLS


def main() -> None:
    apps: dict[str, App] = {}
    for make in (sixorbit, falcon, bottle, flask):
        try:
            apps[make.__name__] = make()
        except ImportError:
            print(f"{make.__name__:10} not installed")
    for app in apps.values():
        check(app)
    base = environ()
    best = dict.fromkeys(apps, 9.0)
    for _ in range(ROUNDS):
        for name, app in apps.items():
            best[name] = min(best[name], seconds(app, base))
    for name, took in best.items():
        rate = best["sixorbit"] / took
        print(f"{name:10} {took * 1e6:8.2f} us a call {rate:8.2f} of sixorbit's rate")


if __name__ == "__main__":
    main()
