"""The HTTP part: an application of four routes, compiled and served as docs/deployment.md says."""

from __future__ import annotations

import atexit
import compileall
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
FILES = {
    "config/app.py": 'config = {"env": "production", "key": "Zk3vQp9mXr7sLd2wTg5h",'
    ' "name": "bench"}\n',
    "config/logging.py": 'config = {"default": "stderr", "level": "warning"}\n',
    "app/__init__.py": "",
    "app/routes.py": """from so import JsonResponse, Request, Response, Router

PLAIN = b"Hello, World"
BIG = (b"0123456789abcdef" * 640)[:10240]


def plain() -> Response:
    return Response(PLAIN, headers={"Content-Type": "text/plain"})


def show(id: int) -> JsonResponse:
    return JsonResponse({"id": id, "name": f"Item {id}", "active": True})


def echo(request: Request) -> JsonResponse:
    return JsonResponse({"received": request.json()})


def big() -> Response:
    return Response(BIG, headers={"Content-Type": "text/plain"})


Router.get("/plain", plain)
Router.get("/json/{id}", show).where_number("id")
Router.post("/echo", echo)
Router.get("/big", big)
""",
}


def http_server(port: int, workers: int, threads: int) -> dict[str, Any]:
    """The command that serves the application on *port*."""
    folder = Path(tempfile.mkdtemp(prefix="so-bench-http-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    compileall.compile_dir(folder, quiet=1)
    call = "import sys; from so.console.main import main; sys.exit(main())"
    options = [f"--port={port}", f"--workers={workers}", f"--threads={threads}"]
    return {
        "argv": [sys.executable, "-c", call, "serve", *options],
        "env": {"PYTHONPATH": str(ROOT), "SIXORBIT_BASE": str(folder)},
    }
