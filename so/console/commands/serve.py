"""`serve`: the web server, with the settings of config/server.py."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from so.console.command import Command
from so.errors import UsageError

# What a request needs, loaded before the fork: the workers share that memory.
_SHARED = (
    "so.application", "so.db.manager", "so.db.model", "so.db.dialects.sqlite", "so.edge.groups",
    "so.edge.session", "so.edge.csrf", "so.http.kernel", "so.http.request", "so.http.response",
    "so.http.router", "so.http.validation", "so.server.worker", "so.systems.cache",
    "so.systems.queue", "so.systems.sessions",
)  # fmt: skip


class Serve(Command):
    """Serves the application until it is told to stop."""

    signature = (
        "serve {--host= : Address to listen on} {--port= : Port}"
        " {--socket= : Path of a Unix socket to listen on instead}"
        " {--fd= : Number of an inherited socket to listen on instead}"
        " {--workers= : Processes} {--threads= : Requests at the same time, in each process}"
        " {--access-log=? : Write a line for each request to this file, or to standard output}"
        " {--access-format= : Of these lines: common or json}"
        " {--cert= : File with a TLS certificate} {--key= : File with its key}"
        " {--max-requests= : Replace a process after so many}"
        " {--grace= : Seconds for what still runs when the server is stopped}"
        " {--pages= : Who sees /healthz, /readyz and /metrics: loopback, everyone or off}"
        " {--reload : Restart when the code changes; for development}"
        " {--simple : Use the server of the standard library}"
    )
    description = "Serve the application over HTTP"
    # Each worker makes an application of its own, so that a reload brings new code.
    boots = False

    def handle(self) -> int:
        """Serve; the exit code of the server."""
        if self.option("simple"):
            return self._serve_simple()
        from so.server import serve

        # Messages of the server go where those of the application go.
        self.app.make("logger")
        for name in _SHARED:
            with contextlib.suppress(ImportError):
                importlib.import_module(name)
        return serve(
            self._factory(),
            self._text("host", "127.0.0.1"),
            self._number("port", 8000),
            socket=self._text("socket"),
            fd=self._number("fd"),
            workers=self._number("workers", 2),
            threads=self._number("threads", 4),
            factory=True,
            cert=self._text("cert"),
            key=self._text("key"),
            access_log=self._access_log(),
            access_format=self._text("access-format", "common"),
            pages=self._text("pages", "loopback"),
            reload=self._watched(),
            on_listening=self._announce,
            **self._limits(),
        )

    def _serve_simple(self) -> int:
        from so.server.simple import serve_simple

        self.app.boot()
        return serve_simple(
            self.app,
            self._text("host", "127.0.0.1"),
            self._number("port", 8000),
            access_log=self._access_log() is not None,
            on_listening=self._announce,
        )

    def _factory(self) -> Callable[[], Any]:
        base, name = self.app.base_path(), self.app.environment()
        return lambda: fresh_application(base, name)

    def _announce(self, places: list[str]) -> None:
        self.line(f"Serving {', '.join(places)}   (Ctrl-C stops)")
        with contextlib.suppress(Exception):
            self.output.stream.flush()

    def _watched(self) -> tuple[str, ...]:
        if not self.option("reload"):
            return ()
        base = self.app.base_path()
        return tuple(str(base / name) for name in ("app", "config", "so"))

    def _access_log(self) -> str | None:
        found = self._text("access-log")
        if found is None or found == "-":
            return None if found is None else "-"
        return str(self.app.base_path(found))

    def _limits(self) -> dict[str, Any]:
        limits = dict(self.app.config.get("server.limits") or {})
        for option, limit in (("max-requests", "max_requests"), ("grace", "grace_seconds")):
            value = self._number(option)
            if value is not None:
                limits[limit] = value
        return limits

    def _text(self, option: str, default: str | None = None) -> Any:
        value = self.option(option)
        if value is None:
            value = self.app.config.get("server." + option.replace("-", "_"))
        return default if value in (None, "") else str(value)

    def _number(self, option: str, default: int | None = None) -> Any:
        text = self._text(option)
        if text is None:
            return default
        if not (text.isascii() and text.isdigit()):
            raise UsageError(f"--{option}={text} is no whole number")
        return int(text)


def fresh_application(base: Path, environment: str) -> Any:
    """The application in *base*, read anew and ready for its first request."""
    from so.application import Application, set_current
    from so.config import Env

    Env.clear()
    app = Application(base)
    app.use_environment(environment)
    set_current(app)
    app.make("logger")
    app.boot()
    # Now rather than with the first request: whoever asks first should not wait for it.
    app.make("kernel")
    return app
