"""The session part: an application whose pages read and change a session in an SQLite file."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
USER = {"id": 7, "name": "Ada", "roles": ["clerk", "approver"]}


def session_server(port: int, workers: int, threads: int, db_path: str) -> dict[str, Any]:
    """The command that serves /login, /read and /write on *port*, sessions in *db_path*."""
    options = {"port": port, "workers": workers, "threads": threads, "db": db_path}
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    # -P: the neighbours of this file are called queue and http, as modules of the library are.
    return {"argv": [sys.executable, "-P", str(Path(__file__).resolve()), *words], "cwd": str(ROOT)}


def application(db_path: str) -> Any:
    """A production application with the project's own settings and the tables made."""
    from so import Router, session
    from so.application import Application

    def login() -> dict[str, bool]:
        session().invalidate()
        session().put({"user": USER, "count": 0})
        return {"ok": True}

    def read() -> dict[str, Any]:
        return {"user": session("user.id")}

    def write() -> dict[str, Any]:
        return {"count": session().increment("count")}

    folder = Path(tempfile.mkdtemp(prefix="so_session_"))
    (folder / "config").symlink_to(ROOT / "config")
    app = Application(
        folder,
        {
            "app": {
                "env": "production",
                "key": "Zk3vQp9mXr7sLd2wTg5h",
                "providers": [],
                "routes": [],
            },
            "database": {
                "default": "main",
                "connections": {"main": {"driver": "sqlite", "database": db_path}},
            },
            "cache": {"connection": "main"},
        },
    )
    with app:
        app.install_tables()
        with Router.group(middleware="web"):
            Router.get("/login", login)
            Router.get("/read", read)
            Router.get("/write", write)
    return app


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser()
    for name, kind in (("port", int), ("workers", int), ("threads", int), ("db", str)):
        parser.add_argument(f"--{name}", type=kind, required=True)
    options = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    from so.server import serve

    app = application(options.db)
    sys.exit(serve(app, port=options.port, workers=options.workers, threads=options.threads))


if __name__ == "__main__":
    main()
