"""The line between a supervisor and its child: small JSON messages both ways, and a death notice.

A socket pair. A message is one line; an empty line is a heartbeat. When either process dies the
kernel closes its end, which is how the other learns of it, even after SIGKILL. Who sends what is
decided by the two owners.
"""

import contextlib
import json
import os
import select
import signal
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

MESSAGE_BYTES = 1 << 20
READ_BYTES = 1 << 16
SEND_PATIENCE_SECONDS = 1.0

# `json.dumps` with an argument makes an encoder for each call.
_as_json = json.JSONEncoder(separators=(",", ":")).encode


class MessagePipe:
    """One non-blocking end: messages out are buffered, messages in are collected by line."""

    def __init__(self, link: socket.socket) -> None:
        """*link* belongs to the channel from here on."""
        link.setblocking(False)
        self.link = link
        self.is_open = True
        self.outgoing = bytearray()
        self.arrived: deque[Any] = deque()
        self._partial = b""

    def post(self, message: object) -> None:
        """Queue *message* and send what the kernel takes now. ValueError over a mebibyte."""
        line = _as_json(message).encode()
        if len(line) > MESSAGE_BYTES:
            raise ValueError(
                f"a message of {len(line)} bytes is too long for the lifeline: "
                f"send at most {MESSAGE_BYTES}, or a reference to the data"
            )
        self.outgoing += line + b"\n"
        self.flush()

    def beat(self) -> None:
        """Send a heartbeat, unless earlier bytes still wait (then they say it)."""
        if not self.outgoing:
            self.outgoing += b"\n"
        self.flush()

    def flush(self) -> None:
        """Send as much of the queue as the kernel takes without waiting."""
        while self.outgoing and self.is_open:
            try:
                sent = self.link.send(self.outgoing)
            except BlockingIOError:
                return
            except OSError:
                self.is_open = False
                return
            del self.outgoing[:sent]

    def pump(self) -> bool:
        """Read what is there into `arrived`; True when anything, even a heartbeat, was heard."""
        heard = False
        while self.is_open:
            try:
                piece = self.link.recv(READ_BYTES)
            except BlockingIOError:
                break
            except OSError:
                piece = b""
            if not piece:
                self.is_open = False
                break
            heard = True
            self._take(piece)
        return heard

    def _take(self, piece: bytes) -> None:
        *lines, self._partial = (self._partial + piece).split(b"\n")
        self.arrived.extend(json.loads(line) for line in lines if line)

    def close(self) -> None:
        """Close this end; the other one reads end of file."""
        self.is_open = False
        self.link.close()


class Lifeline:
    """A child's view of its supervisor. Safe to use from several threads of the child."""

    def __init__(self, link: socket.socket, slot: int, grace_seconds: float) -> None:
        """*slot* is the child's place, 0 to N-1; *grace_seconds* what it has to end by itself."""
        self.slot = slot
        self.grace_seconds = grace_seconds
        self.on_orphaned: Callable[[], None] | None = None
        """Called by a thread when the supervisor has died, before this process is to end."""
        self._channel = MessagePipe(link)
        self._lock = threading.Lock()

    def send(self, message: object) -> None:
        """Send *message* (small, JSON) to the supervisor; waits a second at most.

        What the supervisor did not take by then goes out ahead of the next message.
        """
        with self._lock:
            self._channel.post(message)
            self._linger()

    def beat(self) -> None:
        """Tell the supervisor that this child is alive and not stuck."""
        with self._lock:
            self._channel.beat()

    def receive(self, timeout: float = 0.0) -> Any | None:
        """The next message from the supervisor, or None when none came within *timeout* seconds."""
        deadline = time.monotonic() + timeout
        while True:
            with self._lock:
                self._channel.pump()
                if self._channel.arrived:
                    return self._channel.arrived.popleft()
            remaining = deadline - time.monotonic()
            if remaining <= 0 or not self._channel.is_open:
                return None
            _wait(self._channel.link, select.POLLIN, remaining)

    def fileno(self) -> int:
        """The descriptor to watch for messages in a selector of the child's own."""
        return self._channel.link.fileno()

    def is_intact(self) -> bool:
        """False once something in this process has closed its descriptor."""
        try:
            # Whoever has the number by now waits, unlike a channel.
            return not os.get_blocking(self._channel.link.fileno())
        except OSError:
            return False

    def parent_alive(self) -> bool:
        """False once the supervisor is gone."""
        return self._channel.is_open and not _wait(self._channel.link, 0, 0.0)

    def _linger(self) -> None:
        deadline = time.monotonic() + SEND_PATIENCE_SECONDS
        while self._channel.outgoing and self._channel.is_open:
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                return
            _wait(self._channel.link, select.POLLOUT, remaining)
            self._channel.flush()

    def watch_parent(self) -> None:
        """End this process when the supervisor dies: SIGTERM first, SIGKILL after the grace.

        A thread, because the main one may sit in user code; it sleeps in the kernel until then.
        """
        threading.Thread(target=self._outlive, name="lifeline", daemon=True).start()

    def _outlive(self) -> None:
        link = self._channel.link
        # No events asked for: poll() still reports the hang-up, and never wakes for a message.
        while not _wait(link, 0, 3600.0):
            pass
        if self.on_orphaned is not None:
            self.on_orphaned()
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(self.grace_seconds)
        with contextlib.suppress(OSError):
            os.killpg(0, signal.SIGKILL)


def _wait(link: socket.socket, events: int, seconds: float) -> bool:
    poller = select.poll()
    poller.register(link, events)
    return bool(poller.poll(max(0.0, seconds) * 1000))
