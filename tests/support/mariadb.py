"""A throw-away MariaDB server for one pytest session: its own data directory, socket and port.

`SIXORBIT_TEST_MYSQL=mysql://root@127.0.0.1:PORT` reuses a running server instead. Every session
makes databases of its own, so several may share one server.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import random
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from tests.support.places import place


class ServerMissing(Exception):
    """No server is installed here, and none was named."""


class ServerFailed(Exception):
    """A server is installed, but did not start: that is no reason to skip a test."""


_AS_ROOT = ["--user=root"] if os.getuid() == 0 else []  # it refuses to be root unless told


@dataclass
class MariaDB:
    """A running server; root without a password."""

    host: str
    port: int
    username: str = "root"
    password: str = ""
    folder: Path | None = None
    options: list[str] = field(default_factory=list)
    process: subprocess.Popen[bytes] | None = None

    def config(self, database: str | None = None, **more: object) -> dict[str, object]:
        """Settings of a connection to it."""
        return {
            "driver": "mysql",
            "host": self.host,
            "port": self.port,
            "username": self.username,
            "password": self.password,
            "database": database,
            **more,
        }

    def start(self) -> None:
        """Start (again) on the same folder and port, and wait until it answers."""
        assert self.folder is not None
        temporary = self.folder / "tmp"
        temporary.mkdir(exist_ok=True)
        command = [
            _tool("mariadbd"),
            "--no-defaults",
            *_AS_ROOT,
            f"--datadir={self.folder / 'data'}",
            # Its own: a server that starts deletes the temporary tables it finds, others' too.
            f"--tmpdir={temporary}",
            f"--socket={self.folder / 's.sock'}",
            f"--pid-file={self.folder / 'pid'}",
            f"--port={self.port}",
            "--bind-address=127.0.0.1",
            "--skip-name-resolve",
            "--skip-log-bin",
            f"--log-error={self.folder / 'error.log'}",
            "--max-connections=300",
            "--innodb-flush-log-at-trx-commit=0",
            "--innodb-buffer-pool-size=64M",
            "--innodb-log-file-size=16M",
            # Tables come and go by the thousand: what they held need not be remembered.
            "--innodb-stats-persistent=0",
            *self.options,
        ]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=_die_with_parent,
        )
        self.wait()

    def wait(self, seconds: float = 60) -> None:
        """Until it accepts connections."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.process is not None and self.process.poll() is not None:
                raise ServerFailed(f"mariadbd ended with {self.process.returncode}: {self.log()}")
            with socket.socket() as probe:
                probe.settimeout(1)
                if probe.connect_ex((self.host, self.port)) == 0:
                    return
            time.sleep(0.02)
        raise ServerFailed(f"mariadbd did not answer in {seconds} s: {self.log()}")

    def log(self) -> str:
        """The end of its error log."""
        assert self.folder is not None
        path = self.folder / "error.log"
        return path.read_text(errors="replace")[-2000:] if path.exists() else "(no log)"

    def kill(self) -> None:
        """`kill -9`."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        """End it and delete its folder."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)


def find_or_start() -> MariaDB:
    """The server of SIXORBIT_TEST_MYSQL, or a new one. Raises ServerMissing."""
    url = os.environ.get("SIXORBIT_TEST_MYSQL")
    if url:
        parts = urlsplit(url)
        server = MariaDB(
            parts.hostname or "127.0.0.1",
            parts.port or 3306,
            parts.username or "root",
            parts.password or "",
        )
        server.wait(10)
        return server
    return launch()


def launch(*options: str) -> MariaDB:
    """A new server in a temporary folder. Raises ServerMissing where none is installed."""
    for attempt in range(3):
        try:
            return _launch(list(options))
        except ServerFailed:
            if attempt == 2:
                raise
            time.sleep(1)  # a busy machine, or one that is cleaning up just now
    raise AssertionError("unreachable")


def _launch(options: list[str]) -> MariaDB:
    folder = place("so-mariadb-", in_memory())
    try:
        _install(folder)
        for _ in range(5):
            server = MariaDB("127.0.0.1", free_port(), folder=folder, options=options)
            try:
                server.start()
            except ServerFailed:
                continue  # another session took the port between our look and its bind
            return server
        raise ServerFailed(f"no free port was found: {server.log()}")
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def in_memory(needed: int = 1 << 30) -> str | None:
    """A folder in memory with *needed* bytes free: what makes and drops tables is 5 x faster there.

    None, the usual temporary folder, where there is none, as in small containers.
    """
    with contextlib.suppress(OSError):
        if os.access("/dev/shm", os.W_OK) and shutil.disk_usage("/dev/shm").free >= needed:
            return "/dev/shm"
    return None


def _install(folder: Path) -> None:
    done = subprocess.run(
        [
            _tool("mariadb-install-db"),
            "--no-defaults",
            *_AS_ROOT,
            f"--datadir={folder / 'data'}",
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
        ],
        capture_output=True,
        timeout=120,
    )
    if done.returncode:
        raise ServerFailed(f"mariadb-install-db failed: {done.stdout!r} {done.stderr!r}")


def _die_with_parent() -> None:
    """On Linux: no server stays behind when the tests are killed."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def _tool(name: str) -> str:
    found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    if found is None:
        raise ServerMissing(f"{name} is not installed (Debian: apt-get install mariadb-server)")
    return found


def free_port() -> int:
    """A port below the range that the kernel hands out to clients."""
    for _ in range(200):
        port = random.randint(20_000, 32_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise ServerFailed("no free port between 20000 and 32000")
