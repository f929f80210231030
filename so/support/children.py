"""One child process, as the one who looks after it sees it: its signs of life, and its end."""

from __future__ import annotations

import contextlib
import math
import os
import signal
from dataclasses import dataclass
from typing import Any

from so.support.lifeline import MessagePipe
from so.support.processes import descendants


class Child:
    """The supervisor's view of one process it started."""

    def __init__(
        self, pid: int, slot: int, generation: int, channel: MessagePipe, now: float
    ) -> None:
        """*slot* is its place (0 to N-1); *generation* counts the processes in that place."""
        self.pid = pid
        self.slot = slot
        self.generation = generation
        self.started_at = now
        self.last_heard = now
        self.data: dict[str, Any] = {}
        self.channel = channel
        self.heard = False
        self.leaving = False
        self.killed = False
        self.hung = False
        self.kill_at = math.inf

    def __repr__(self) -> str:
        return f"<Child {self.pid} slot={self.slot} generation={self.generation}>"

    def send(self, message: object) -> None:
        """Send *message* (small, JSON); it waits in memory while the child does not read."""
        self.channel.post(message)

    def kill(self, signum: int = signal.SIGKILL, group: bool = True) -> None:
        """Send *signum* to the child and, with *group*, to every process it started."""
        if group:
            # Looked up first: those with a session of their own are nobody's once it is gone.
            strangers = descendants(self.pid)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signum)
                for pid in strangers:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signum)
                return
        # No such group: it has not come as far as setsid() yet.
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signum)


@dataclass(frozen=True)
class ChildExit:
    """How a child ended: by itself with *code*, or by *signal*; *hung* when for want of a sign."""

    child: Child
    code: int | None
    signal: int | None
    hung: bool = False
