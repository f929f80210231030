"""The cache and sessions on MariaDB, beside Django's where BENCH_VENV has it.

BENCH_VENV=VENV python bench/on_mariadb.py        # VENV: Django and mysql-connector-python

Both sides use the same server, in processes of their own, in interleaved rounds; each says which
driver it has, as one without its compiled half reads 3 to 5 times slower. What is printed is the
processor time and the time of the clock of one operation in microseconds, best of the rounds, and
how many times Django's the project's speed is.
"""

from __future__ import annotations

import io
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "5"))
KEYS = [f"report:{number}" for number in range(500)]
TTL = 3600
USER = {"id": 7, "name": "Ada", "roles": ["clerk", "approver"]}
Calls = dict[str, Callable[[], object]]


def value(number: int) -> dict[str, Any]:
    return {"id": number, "name": f"Report {number}", "tags": ["month", "sales"], "total": 1.5}


def cache_calls(get: Any, put: Any, count: Any, many: Any) -> Calls:
    for number, key in enumerate(KEYS):
        put(key, value(number), TTL)
    put("counter", 0, TTL)
    tick = itertools.count()
    assert get(KEYS[3]) == value(3)
    assert many(KEYS[:100])[KEYS[3]] == value(3)
    return {
        "cache get": lambda: get(KEYS[next(tick) % len(KEYS)]),
        "cache set": lambda: put(KEYS[next(tick) % len(KEYS)], value(7), TTL),
        "cache increment": lambda: count("counter"),
        "cache get_many of 100": lambda: many(KEYS[:100]),
    }


def session_calls(application: Any) -> Calls:
    def call(path: str, cookie: str = "") -> tuple[list[tuple[str, str]], bytes]:
        environ = {
            "REQUEST_METHOD": "GET", "PATH_INFO": path, "QUERY_STRING": "", "SCRIPT_NAME": "",
            "SERVER_NAME": "localhost", "SERVER_PORT": "80", "SERVER_PROTOCOL": "HTTP/1.1",
            "HTTP_HOST": "localhost", "REMOTE_ADDR": "127.0.0.1", "HTTP_COOKIE": cookie,
            "wsgi.version": (1, 0), "wsgi.url_scheme": "http", "wsgi.input": io.BytesIO(),
            "wsgi.errors": sys.stderr, "wsgi.multithread": True, "wsgi.multiprocess": True,
            "wsgi.run_once": False,
        }  # fmt: skip
        heads: list[tuple[str, str]] = []
        answer = application(environ, lambda status, headers, error=None: heads.extend(headers))
        body = b"".join(answer)
        getattr(answer, "close", lambda: None)()
        return heads, body

    heads, _ = call("/login")
    cookie = next(text for name, text in heads if name.lower() == "set-cookie").split(";")[0]
    assert json.loads(call("/read", cookie)[1]) == {"user": 7}
    assert json.loads(call("/write", cookie)[1]) == {"count": 1}
    return {
        "session read": lambda: call("/read", cookie),
        "session write": lambda: call("/write", cookie),
    }


def ours(config: dict[str, Any]) -> Calls:
    """The project, as it ships."""
    sys.path.insert(0, str(ROOT))
    from so import Router, session
    from so.application import Application

    places = {"default": "main", "connections": {"main": config, "cache": config}}
    folder = Path(tempfile.mkdtemp(prefix="so_bench_"))
    (folder / "config").symlink_to(ROOT / "config")
    settings = {"env": "production", "key": "bench" * 8, "providers": [], "routes": []}
    app = Application(folder, {"app": settings, "database": places})
    with app:
        app.install_tables()
        with Router.group(middleware="web"):
            Router.get("/login", lambda: session().put({"user": USER, "count": 0}) or {"ok": True})
            Router.get("/read", lambda: {"user": session("user.id")})
            Router.get("/write", lambda: {"count": session().increment("count")})
        store = app.make("cache")
    return {
        **cache_calls(store.get, store.put, store.increment, store.many),
        **session_calls(app),
    }


def django(config: dict[str, Any]) -> Calls:
    """Django's database cache and sessions, with the driver's own back end."""
    from django.conf import settings
    from django.http import JsonResponse
    from django.urls import path

    def login(request: Any) -> Any:
        request.session["user"], request.session["count"] = USER, 0
        return JsonResponse({"ok": True})

    def read(request: Any) -> Any:
        return JsonResponse({"user": request.session["user"]["id"]})

    def write(request: Any) -> Any:
        request.session["count"] += 1
        return JsonResponse({"count": request.session["count"]})

    where = {"unix_socket": config["unix_socket"]} if config.get("unix_socket") else {}
    settings.configure(
        SECRET_KEY="x" * 50, ALLOWED_HOSTS=["*"], INSTALLED_APPS=["django.contrib.sessions"],
        ROOT_URLCONF=(path("login", login), path("read", read), path("write", write)),
        MIDDLEWARE=["django.middleware.common.CommonMiddleware",
                    "django.contrib.sessions.middleware.SessionMiddleware"],
        CACHES={"default": {"BACKEND": "django.core.cache.backends.db.DatabaseCache",
                            "LOCATION": "django_cache", "OPTIONS": {"MAX_ENTRIES": 1_000_000}}},
        DATABASES={"default": {
            "ENGINE": "mysql.connector.django", "NAME": config["database"], "CONN_MAX_AGE": None,
            "USER": config.get("username") or config.get("user"), "HOST": config.get("host", ""),
            "PASSWORD": config.get("password", ""), "PORT": config.get("port", ""),
            "OPTIONS": where}},
    )  # fmt: skip
    import django as package

    package.setup()
    from django.core.cache import cache
    from django.core.management import call_command
    from django.core.wsgi import get_wsgi_application

    call_command("createcachetable", verbosity=0)
    call_command("migrate", verbosity=0)
    calls = cache_calls(cache.get, cache.set, cache.incr, cache.get_many)
    return {**calls, **session_calls(get_wsgi_application())}


def worker(who: str) -> None:
    """Prepare one side; then measure everything once for each line that comes in."""
    import mysql.connector as driver

    compiled = "compiled" if getattr(driver, "HAVE_CEXT", False) else "in Python alone"
    print(f"{who}: mysql-connector-python {driver.__version__}, {compiled}", file=sys.stderr)
    calls = {"ours": ours, "django": django}[who](json.loads(os.environ["BENCH_CONFIG"]))
    for _ in sys.stdin:
        print(json.dumps({name: measured(call) for name, call in calls.items()}), flush=True)


def measured(call: Callable[[], object]) -> tuple[float, float]:
    """Microseconds of the processor and of the clock."""
    call()
    begun, cpu, count = time.perf_counter(), time.process_time(), 0
    while time.perf_counter() - begun < 0.25:
        call()
        count += 1
    used, took = time.process_time() - cpu, time.perf_counter() - begun
    return used / count * 1e6, took / count * 1e6


def main() -> int:
    """Start a server, run both sides in turn, print a table."""
    sys.path.insert(0, str(ROOT))
    from so.db.connection import Connection
    from tests.support.mariadb import ServerMissing, find_or_start

    try:
        server = find_or_start()
    except ServerMissing as missing:
        print(f"no MariaDB server, nothing is measured: {missing}")
        return 0
    venv = os.environ.get("BENCH_VENV")
    sides = {"ours": sys.executable, **({"django": f"{venv}/bin/python"} if venv else {})}
    running = {}
    try:
        for who, python in sides.items():
            with Connection(server.config()) as connection:
                connection.statement(f"create database bench_{who} collate utf8mb4_unicode_ci")
            environ = {**os.environ, "BENCH_CONFIG": json.dumps(server.config(f"bench_{who}"))}
            running[who] = subprocess.Popen(
                [python, "-P", __file__, who], env=environ, text=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            )  # fmt: skip
        report([{who: asked(one) for who, one in running.items()} for _ in range(ROUNDS)])
    finally:
        for one in running.values():
            one.terminate()
            one.wait(20)
        server.stop()
    return 0


def asked(side: subprocess.Popen[str]) -> dict[str, list[float]]:
    assert side.stdin is not None
    assert side.stdout is not None
    side.stdin.write("\n")
    side.stdin.flush()
    found: dict[str, list[float]] = json.loads(side.stdout.readline())
    return found


def report(rounds: list[dict[str, dict[str, list[float]]]]) -> None:
    print(f"{'µs, best of ' + str(len(rounds)):24}{'processor':>22}{'clock':>22}")
    for name in rounds[0]["ours"]:
        line = f"{name:24}"
        for at in (0, 1):
            best = {who: min(one[who][name][at] for one in rounds) for who in rounds[0]}
            times = f" ({best['django'] / best['ours']:.1f} ×)" if "django" in best else ""
            line += f"{best['ours']:14.0f}{times:>8}"
        print(line)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        worker(sys.argv[1])
    else:
        sys.exit(main())
