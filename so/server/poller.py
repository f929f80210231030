"""Waiting for many descriptors: epoll where there is one, else poll. Both level-triggered."""

from __future__ import annotations

import contextlib
import select
from typing import Any

if hasattr(select, "epoll"):
    IN, OUT = select.EPOLLIN, select.EPOLLOUT
    # Of several processes that wait for the same listener, wake one and not all.
    _ALONE = select.EPOLLEXCLUSIVE
else:  # pragma: no cover (not on Linux)
    IN, OUT, _ALONE = select.POLLIN, select.POLLOUT, 0


class Poller:
    """The few calls the loop needs."""

    def __init__(self) -> None:
        self._epoll = hasattr(select, "epoll")
        self._poll: Any = select.epoll() if self._epoll else select.poll()
        self.register = self._poll.register
        self.modify = self._poll.modify

    def register_listener(self, fd: int) -> None:
        """Watch a listening socket that other processes watch too."""
        self._poll.register(fd, IN | _ALONE)

    def unregister(self, fd: int) -> None:
        """Watch *fd* no longer, if it was watched."""
        with contextlib.suppress(OSError, KeyError):
            self._poll.unregister(fd)

    def poll(self, seconds: float) -> list[tuple[int, int]]:
        """What happened within *seconds*: pairs of descriptor and events."""
        if self._epoll:
            return list(self._poll.poll(seconds))
        return list(self._poll.poll(seconds * 1000))  # pragma: no cover (not on Linux)


def new_poller() -> Poller:
    """A poller for this process; one made before a fork must not be used after it."""
    return Poller()
