"""Starts real servers for the tests, and waits for them without guessing how long that takes."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DEADLINE_SECONDS = 60.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until(condition, what: str) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        time.sleep(0.01)


class Server:
    """A server process on a port of its own."""

    def __init__(
        self,
        argv: Sequence[str],
        port: int,
        log: Path,
        pass_fds: Sequence[int] = (),
        **environ: str,
    ) -> None:
        self.port = port
        self.address = ("127.0.0.1", port)
        self.log = log
        self.output = open(log, "ab")  # noqa: SIM115 (closed by stop)
        self.process = subprocess.Popen(
            argv,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), **environ},
            stdin=subprocess.DEVNULL,
            stdout=self.output,
            stderr=subprocess.STDOUT,
            pass_fds=pass_fds,
        )

    def wait_ready(self) -> None:
        def answers() -> bool:
            assert self.process.poll() is None, self.log.read_text()
            try:
                with socket.create_connection(self.address, 1) as link:
                    link.sendall(b"GET / HTTP/1.0\r\nHost: a\r\n\r\n")
                    return bool(link.recv(1))
            except OSError:
                return False

        wait_until(answers, f"the server: {self.log.read_text()}")

    def signal(self, signum: int) -> None:
        self.process.send_signal(signum)

    def wait(self) -> int:
        return self.process.wait(DEADLINE_SECONDS)

    def stop(self) -> int:
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
        try:
            code = self.wait()
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
            self.output.close()
        return code

    def workers(self) -> list[int]:
        """The process numbers of its children."""
        pid = self.process.pid
        with open(f"/proc/{pid}/task/{pid}/children") as file:
            return [int(each) for each in file.read().split()]


def serve_argv(app: str, port: int | None, **options: object) -> list[str]:
    """A command that serves *app* ("module:name") with `so.server.serve`."""
    if port is not None:
        options["port"] = port
    call = f"import sys; from so.server import serve; sys.exit(serve({app!r}, **{options!r}))"
    return [sys.executable, "-c", call]


@contextlib.contextmanager
def serving(app: str, log: Path, **options: object) -> Iterator[Server]:
    port = free_port()
    server = Server(serve_argv(app, port, **options), port, log)
    try:
        server.wait_ready()
        yield server
    finally:
        server.stop()
