"""`demo:*`: fill the database, make and import CSV files, run everything at once."""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from so import Command
from so.errors import CommandError, UsageError

if TYPE_CHECKING:
    import subprocess

START_SECONDS = 30
STOP_SECONDS = 40


class DemoSeed(Command):
    """Believable data; does nothing twice."""

    signature = (
        "demo:seed {--orders= : Nothing but so many orders, for tests and measurements; unset: a"
        " year of everything} {--seed=1 : Another seed, other data}"
    )
    description = "Create the demo's tables and fill them"

    def handle(self) -> int:
        from app.history import a_year
        from app.models import User
        from app.seed import seed

        self.app.install_tables()
        migrate = self.call_silently if self.wants_json else self.call
        if migrate("migrate", {"--force": True}) != 0:
            return 1
        if User.exists():
            self.report_done({"created": False}, "The demo data is there already.")
            return 0
        number = _whole(self.option("seed"), "seed")
        with self.hearing():
            if self.option("orders"):
                seed(_whole(self.option("orders"), "orders"), number)
            else:
                a_year(seed=number)
        self.report_done({"created": True}, "The demo data was created.")
        return 0


class DemoOrders(Command):
    """Writes a CSV for the import; the same lines and seed give the same file."""

    signature = (
        "demo:orders {--lines=1000 : Order lines} {--seed=1 : Another seed, other orders}"
        " {--bad-every=0 : Every so many lines one that is wrong} {--output= : File; else stdout}"
    )
    description = "Write a CSV of orders for the import"

    def handle(self) -> int:
        from app.seed import write_orders

        lines, seed, bad = (
            _whole(self.option(name), name) for name in ("lines", "seed", "bad-every")
        )
        target = self.option("output")
        if not target:
            write_orders(self.output.stream, lines, seed, bad)
            return 0
        with Path(target).open("w", encoding="utf-8", newline="") as file:
            write_orders(file, lines, seed, bad)
        return 0


class DemoImport(Command):
    """Imports here and now, with progress; a file that was begun goes on where it was."""

    signature = "demo:import {file : A CSV file, see app/importing.py for its columns}"
    description = "Import a CSV of orders"

    def handle(self) -> int:
        from app.importing import run_import
        from app.models import OrderImport

        file = Path(self.argument("file"))
        if not file.is_file():
            raise CommandError(f"there is no file {file}")
        job = self._begun(OrderImport, file)
        try:
            run_import(job, self.progress)
        except ValueError as error:
            job.force_fill({"status": "failed", "problem": str(error)}).save()
            raise CommandError(f"{file}: {error}") from error
        self.info(
            f"{job.imported} lines imported, {job.repeated} repeated, {job.rejected} rejected"
        )
        for error in job.related("errors").limit(20).get():
            self.warn(f"line {error.line_no}: {error.reason}")
        return 0

    def _begun(self, model, file: Path):
        """The unfinished import of this very content, or a new one with a copy of its own."""
        import hashlib
        import shutil

        with file.open("rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
        kept = self.app.storage_path("imports") / f"{digest}.csv"
        begun = model.where("path", str(kept)).where_in("status", ["waiting", "running"]).first()
        if begun is not None and kept.is_file():
            return begun
        kept.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, kept)
        return model.create(file_name=file.name[:191], path=str(kept), status="waiting")


class DemoRun(Command):
    """Database, data, web server and one worker; Ctrl-C stops all of it."""

    signature = "demo:run {--host=127.0.0.1 : Address} {--port=8000 : Port}"
    description = "Run the demo ERP with its server and a worker"

    def handle(self) -> int:
        import subprocess

        from app.seed import DEMO_PASSWORD, USERS

        host, port = self.option("host"), _whole(self.option("port"), "port")
        _free_or_error(host, port)
        if self.call("demo:seed") != 0:
            return 1
        # The children open connections of their own.
        self.app.close()
        for each in (signal.SIGINT, signal.SIGTERM):
            signal.signal(each, _stop)
        script = [sys.executable, str(self.app.base_path("bin/sixorbit"))]

        def start(*words: str) -> subprocess.Popen[bytes]:
            # A session of its own: Ctrl-C reaches this process alone, which ends the others.
            return subprocess.Popen([*script, *words], start_new_session=True)  # noqa: S603

        server = start("serve", f"--host={host}", f"--port={port}")
        work = ("queue:work", "--queue=default,reports")
        children = [server, start(*work), start("schedule:work")]
        try:
            _wait_until_it_answers(host, port, server)
            self.success(f"\nSixOrbit demo ERP: http://{host}:{port}")
            for name, email, role, *_ in USERS:
                self.line(f"  {role:<10} {email:<24} {DEMO_PASSWORD}   {name}")
            self.line("Guides: /docs   Console: /console   Stop: Ctrl-C\n")
            while server.poll() is None:
                time.sleep(0.2)
                if children[1].poll() is not None:
                    self.warn("The worker has ended; starting another one.")
                    time.sleep(1)
                    children[1] = start(*work)
            self.error("The web server has stopped; stopping the worker.")
            return 1
        except KeyboardInterrupt:
            self.line("Stopping …")
            return 0
        finally:
            _end(children)


def _stop(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _end(children: list[subprocess.Popen[bytes]]) -> None:
    from subprocess import TimeoutExpired

    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_IGN)
    for child in children:
        if child.poll() is None:
            child.terminate()
    for child in children:
        try:
            child.wait(STOP_SECONDS)
        except TimeoutExpired:
            child.kill()


def _free_or_error(host: str, port: int) -> None:
    """ServerError if *port* can't be had: somebody else's server would answer for ours."""
    from so.server.listen import open_listeners

    for listener in open_listeners(host, port, None, None, 1)[0]:
        listener.close()


def _wait_until_it_answers(host: str, port: int, server: subprocess.Popen[bytes]) -> None:
    import http.client

    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise CommandError("the demo could not start: see the message above")
        connection = http.client.HTTPConnection(host, port, timeout=2)
        try:
            connection.request("GET", "/login")
            if connection.getresponse().status == 200:
                return
        except OSError:
            time.sleep(0.1)
        finally:
            connection.close()
    raise CommandError(f"the web server did not answer within {START_SECONDS} seconds")


def _whole(text: object, name: str) -> int:
    if not (isinstance(text, str) and text.isascii() and text.isdecimal()):
        raise UsageError(f"--{name} must be a whole number, not {text!r}")
    return int(text)
