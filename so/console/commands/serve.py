"""`serve`: the web server, with the settings of config/server.py."""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from so.application.trail import note_settings
from so.console.command import Command
from so.errors import CommandError, UsageError
from so.http.error_pages import debug_page
from so.http.quiet_page import Way, quiet_page
from so.settings.app import AppSettings
from so.settings.server import ServerSettings
from so.support.httpwords import status_line
from so.support.ids import short_id
from so.support.masking import Masker

# Where to listen can be said in one way at a time.
_WAYS = {"fd": "--fd", "socket": "--socket", "host": "--host or --port", "port": "--host or --port"}
# What the server of the standard library can't do.
_NOT_SIMPLE = (
    "socket", "fd", "workers", "threads", "cert", "key", "access-format", "max-requests", "grace",
    "pages", "reload",
)  # fmt: skip


class Serve(Command):
    """Serves the application until it is told to stop."""

    signature = (
        "serve {--host=@server.host : Address to listen on} {--port=@server.port : Port}"
        " {--socket=@server.socket : Path of a Unix socket to listen on instead}"
        " {--fd= : Number of an inherited socket to listen on instead}"
        " {--workers=@server.workers : Processes}"
        " {--threads=@server.threads : Requests at the same time, in each process}"
        " {--access-log=?@server.access_log : Write a line for each request to this file, or to"
        " standard output}"
        " {--access-format=@server.access_format : Of these lines: common or json}"
        " {--cert=@server.cert : File with a TLS certificate}"
        " {--key=@server.key : File with its key}"
        " {--max-requests=@server.limits.max_requests : Replace a process after so many; 0 is"
        " never}"
        " {--grace=@server.limits.grace_seconds : Seconds for what still runs when the server is"
        " stopped}"
        " {--pages=@server.pages : Who sees /healthz, /readyz and /metrics: loopback, everyone"
        " or off}"
        " {--reload : Restart when the code changes; for development}"
        " {--simple : Use the server of the standard library}"
    )
    keeps_rights = True

    def handle(self) -> int:
        """Serve; the exit code of the server."""
        self.app.ready()
        note_settings(self.app)
        if self.option("simple"):
            return self._serve_simple()
        from so.server import serve

        return serve(
            self.app,
            self._text("host"),
            self._number("port"),
            socket=self._socket(),
            fd=self._number("fd"),
            workers=self._number("workers"),
            threads=self._number("threads"),
            factory=self._factory(),
            cert=self._text("cert"),
            key=self._text("key"),
            access_log=self._access_log(),
            access_format=self._text("access-format"),
            pages=self._text("pages"),
            reload=self._watched(),
            broken=self._broken if self.option("reload") else None,
            on_listening=self._announce,
            **self._limits(),
        )

    def _serve_simple(self) -> int:
        from so.server.simple import serve_simple

        for name in _NOT_SIMPLE:
            if self.is_given(name):
                raise UsageError(f"--simple knows no --{name}: leave one of them out")
        return serve_simple(
            self.app,
            self._text("host"),
            self._number("port"),
            access_log=self._access_log() is not None,
            on_listening=self._announce,
            **self._limits(),
        )

    def _socket(self) -> str | None:
        """The path to listen on, if any: another place on the command line wins over settings."""
        given = {way for name, way in _WAYS.items() if self.is_given(name)}
        if len(given) > 1:
            raise UsageError(f"{' and '.join(sorted(given))} exclude each other: choose one")
        return self._text("socket") if given <= {"--socket"} else None

    def _factory(self) -> Callable[[], Any]:
        base, name = self.app.base_path(), self.app.environment()
        return lambda: fresh_application(base, name)

    def _broken(self, error: BaseException) -> Any:
        """What answers every request while the code cannot be loaded: to a developer, why."""
        key, base = self.app.settings(AppSettings).key, self.app.base_path()
        if self.app.is_debug():
            page = debug_page(error, 500, None, (), Masker(values=[key]), base, short_id())
        else:
            page = quiet_page(500, short_id(), Way())
        return _always(page.encode("utf-8", "replace"), status_line(500))

    def _announce(self, places: list[str]) -> None:
        # Who started it may be gone, or its disk full: that is no reason not to serve.
        with contextlib.suppress(CommandError, OSError):
            self.line(f"Serving {', '.join(places)}   (Ctrl-C stops)")

    def _watched(self) -> tuple[str, ...]:
        if not self.option("reload"):
            return ()
        base = self.app.base_path()
        return tuple(str(base / name) for name in ("app", "config", "so", ".env"))

    def _access_log(self) -> str | None:
        found = self._text("access-log")
        if found is None or found == "-":
            return None if found is None else "-"
        return str(self.app.base_path(found))

    def _limits(self) -> dict[str, Any]:
        given = {
            "max_requests": self._number("max-requests"),
            "grace_seconds": self._number("grace"),
        }
        return {**self.app.settings(ServerSettings).limits.to_config(), **given}

    def _text(self, option: str) -> Any:
        value = self.option(option)
        return None if value in (None, "") else str(value)

    def _number(self, option: str) -> Any:
        value = self.option(option)
        if not isinstance(value, str):
            return value  # as the setting has it
        if not (value.isascii() and value.isdigit()):
            raise UsageError(f"--{option}={value} is no whole number")
        return int(value)


def _always(page: bytes, status: str) -> Callable[..., list[bytes]]:
    """A WSGI application that has one answer."""

    def answer(environ: Any, start_response: Any) -> list[bytes]:
        headers = [
            ("Content-Type", "text/html; charset=utf-8"),
            ("Content-Length", str(len(page))),
            ("Cache-Control", "no-store"),
        ]
        start_response(status, headers)
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [page]

    return answer


def fresh_application(base: Path, environment: str) -> Any:
    """The application in *base* with the code and the settings as they are now.

    For a process that already has an older one: everything that came from the folder, and the
    framework itself, is imported anew beside it.
    """
    _forget_code(base)
    from so.application import Application, set_current

    app = Application(base)
    app.use_environment(environment)
    set_current(app)
    app.make("logger")
    app.ready()
    return app


def _forget_code(base: Path) -> None:
    """Forget the modules of the framework and of the application in *base*.

    The server that calls this goes on with those it holds; it meets the new ones by WSGI only.
    """
    importlib.invalidate_caches()
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        ours = name.partition(".")[0] == "so"
        if ours or (file and Path(file).is_relative_to(base) and not _is_installed(Path(file))):
            del sys.modules[name]


def _is_installed(file: Path) -> bool:
    """Whether *file* belongs to a package of others, in an environment inside the folder."""
    return "site-packages" in file.parts
