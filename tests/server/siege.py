"""Hostile clients at full size, and how a decent one fares: `python -m tests.server.siege`.

200 sockets that drip, 1,000 idle ones, resets in the middle of a body, readers that never read
100 MB. Prints the 99th percentile of a normal client and the memory of the server for each.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import tempfile
import threading
import time
from pathlib import Path

KINDS = {
    "drip": "a byte of a head now and then",
    "idle": "one request, then silence on a connection kept alive",
    "fresh": "connected, and not a word",
    "unread": "asks for a big response and never reads it",
    "upload": "sends half a body and resets",
}


def memory_mb(pid: int) -> float:
    """Memory of *pid* and its children, shared pages counted once."""
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        family = [pid, *map(int, file.read().split())]
    total = 0
    for each in family:
        with contextlib.suppress(OSError), open(f"/proc/{each}/smaps_rollup") as file:
            total += sum(int(line.split()[1]) for line in file if line.startswith("Pss:"))
    return total / 1024


class Siege:
    """Keeps *count* clients of one *kind* at it, in a thread."""

    def __init__(self, address: tuple[str, int], kind: str, count: int, size: int = 0) -> None:
        self.address = address
        self.kind = kind
        self.count = count
        self.size = size
        self.links: list[socket.socket] = []
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._press)

    def __enter__(self) -> Siege:
        for number in range(self.count):
            self.links.append(self._connect(number))
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.thread.join()
        for link in self.links:
            link.close()

    def _connect(self, number: int) -> socket.socket:
        link = socket.create_connection(self.address, 20)
        if self.kind == "idle":
            link.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            while b"hello" not in link.recv(4096):
                pass
        elif self.kind == "unread":
            # Half of them made piece by piece, the other half in one.
            path = f"/big?{self.size // 65536}" if number % 2 else f"/big-whole?{self.size}"
            link.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        elif self.kind == "drip":
            link.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nX: ")
        return link

    def _press(self) -> None:
        while not self.over.wait(0.05):
            for place, link in enumerate(self.links):
                if self.over.is_set():
                    return
                with contextlib.suppress(OSError):
                    if self.kind == "drip":
                        link.sendall(b"x")
                    elif self.kind == "upload":
                        self._reset_upload(link)
                        self.links[place] = self._connect(place)

    def _reset_upload(self, link: socket.socket) -> None:
        head = b"POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n"
        with link:
            link.sendall(head + b"x" * 500_000)
            link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


def percentile(address: tuple[str, int], seconds: float) -> tuple[float, int]:
    """(99th percentile in ms, number) of a client that asks again and again."""
    times = []
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        begun = time.perf_counter()
        with socket.create_connection(address, 20) as link:
            link.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            while link.recv(4096):
                pass
        times.append(time.perf_counter() - begun)
        time.sleep(0.002)
    times.sort()
    return times[int(len(times) * 0.99)] * 1000, len(times)


def main() -> None:
    from tests.server.processes import serving

    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 4.0
    sizes = {"drip": 200, "idle": 1000, "fresh": 1000, "unread": 20, "upload": 50}
    for kind, count in sizes.items():
        with (
            tempfile.TemporaryDirectory() as folder,
            serving(
                "tests.server.apps:application", Path(folder) / "log", workers=2, threads=4
            ) as server,
        ):
            percentile(server.address, 0.5)
            pid = server.process.pid
            before = memory_mb(pid)
            with Siege(server.address, kind, count, size=100_000_000):
                p99, number = percentile(server.address, seconds)
                during = memory_mb(pid)
            print(
                f"{kind:7} {count:5} × {KINDS[kind]:52} p99 {p99:6.1f} ms of {number} requests, "
                f"memory {before:.0f} -> {during:.0f} MB"
            )


if __name__ == "__main__":
    print(os.uname().sysname, os.cpu_count(), "processors")
    main()
