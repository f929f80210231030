"""Jobs that behave badly, and jobs that leave a trace in the table `effects`."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from typing import Any

from so.support.current import current
from so.support.processes import fork
from so.systems.queue import Job


def connection() -> Any:
    """The connection of the application, in whichever process this is."""
    return current("queue").source.connection()


def leave(mark: str) -> None:
    """Write a row into `effects`."""
    connection().run("insert into effects (mark, pid) values (?, ?)", (mark, os.getpid()))


def leave_error(error: Exception) -> None:
    """A callback: leaves what went wrong."""
    leave(f"caught {error}")


class Leaves(Job):
    """Leaves its mark, after a while."""

    tries = 3

    def __init__(self, mark: str, seconds: float = 0.0) -> None:
        self.mark, self.seconds = mark, seconds

    def handle(self) -> None:
        leave(f"start {self.mark}")
        time.sleep(self.seconds)
        leave(f"end {self.mark}")

    def failed(self, exception: BaseException) -> None:
        leave(f"failed {self.mark} {type(exception).__name__}")


class Marks(Leaves):
    """Leaves its marks in the file that SO_MARKS names, while the database may be away."""

    def handle(self) -> None:
        mark("start", self.mark)
        time.sleep(self.seconds)
        mark("end", self.mark)


def mark(what: str, name: str) -> None:
    """Write one line into the file of marks."""
    with open(os.environ["SO_MARKS"], "ab", buffering=0) as file:
        file.write(f"{what} {name} {time.time():.3f}\n".encode())


class Books(Job):
    """Leaves its mark in one transaction with its removal."""

    transactional = True
    tries = 0
    max_crashes = 1000

    def __init__(self, mark: str) -> None:
        self.mark = mark

    def handle(self) -> None:
        leave(self.mark)
        time.sleep(0.001)


class Plain(Job):
    """Leaves its mark at least once."""

    tries = 0
    max_crashes = 1000

    def __init__(self, mark: str) -> None:
        self.mark = mark

    def handle(self) -> None:
        leave(self.mark)


class Tracked(Plain):
    """Leaves its mark with the id of its row, at least once."""

    def handle(self) -> None:
        leave(f"{self.mark} {self.job_id}")


class Dies(Leaves):
    """Kills its own process."""

    tries = 0

    def handle(self) -> None:
        leave("start dies")
        os.kill(os.getpid(), signal.SIGKILL)


class Hangs(Leaves):
    """Does not end by itself, in one of several ways."""

    tries = 1
    timeout = 1

    def handle(self) -> None:
        leave(f"start {self.mark}")
        getattr(self, f"by_{self.mark}")()

    def by_sleep(self) -> None:
        time.sleep(600)

    def by_loop(self) -> None:
        while True:
            pass

    def by_regex(self) -> None:
        re.match(r"(a+)+$", "a" * 60 + "b")

    def by_c_loop(self) -> None:
        sum(range(10**13))

    def by_catching(self) -> None:
        while True:
            with contextlib.suppress(BaseException):
                time.sleep(600)

    def by_child(self) -> None:
        with subprocess.Popen(["sleep", "999"]) as child:
            leave(f"child {child.pid}")
            child.wait()

    def by_socket(self) -> None:
        with socket.socket() as server, socket.socket() as client:
            server.bind(("127.0.0.1", 0))
            server.listen()
            client.connect(server.getsockname())
            client.recv(1)

    def by_lock(self) -> None:
        with connection().separate() as other, other.transaction():
            other.run("update effects set pid = 1 where mark = 'start lock'")
            connection().run("update effects set pid = 2 where mark = 'start lock'")


class HangsInFailed(Leaves):
    """Fails, or dies, and then does not come out of `failed()`."""

    tries = 1
    timeout = 1
    max_crashes = 1

    def handle(self) -> None:
        if self.mark == "crash":
            os.kill(os.getpid(), signal.SIGKILL)
        raise ValueError

    def failed(self, exception: BaseException) -> None:
        leave(f"failed {self.mark}")
        while True:
            with contextlib.suppress(BaseException):
                time.sleep(600)


class Forks(Leaves):
    """Forks a process that comes out of the handler as well."""

    tries = 1

    def handle(self) -> None:
        pid = fork()  # beside threads of the worker, which a child of this kind leaves alone
        if pid == 0:
            if self.mark == "raises":
                raise ValueError
            if self.mark == "exits":
                sys.exit(3)
            return
        os.waitpid(pid, 0)


class LeavesChild(Leaves):
    """Is too late, with a child in a session of its own."""

    tries = 1
    timeout = 1

    def handle(self) -> None:
        child = subprocess.Popen(["sleep", "78"], start_new_session=True)
        leave(f"child {child.pid}")
        while True:
            with contextlib.suppress(BaseException):
                time.sleep(600)


class ClosesEverything(Leaves):
    """Closes what it did not open."""

    tries = 1

    def handle(self) -> None:
        os.closerange(3, 1024)


class DiesAtOnce(Leaves):
    """Does not even get as far as to be made."""

    def __init__(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


class Leaks(Leaves):
    """Keeps ten megabytes."""

    kept: list[bytes] = []

    def handle(self) -> None:
        self.kept.append(os.urandom(10_000_000))
        leave(self.mark)


class ShowsSockets(Leaves):
    """Leaves the inodes of the sockets and database files that its process has open."""

    def handle(self) -> None:
        connection()
        for number in os.listdir("/proc/self/fd"):
            try:
                target = os.readlink(f"/proc/self/fd/{number}")
            except OSError:
                continue
            if target.startswith("socket:"):
                leave(f"{self.mark} {target}")


class Cancellable(Leaves):
    """Says how far it is until somebody stops it."""

    timeout = 30

    def handle(self) -> None:
        leave(f"start {self.mark}")
        for number in range(10_000):
            self.progress(number, 10_000, "Waiting for the end")
            time.sleep(0.02)


class Refuses(Plain):
    """Fails at once."""

    tries = 1

    def handle(self) -> None:
        raise ValueError(self.mark)
