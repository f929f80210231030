"""Who has started whom, as Linux tells it in /proc; elsewhere nobody has started anybody."""

from __future__ import annotations

import contextlib
from pathlib import Path


def descendants(pid: int) -> list[int]:
    """The processes that *pid* started and those that they did, in whichever session; children
    come before their parents."""
    found: list[int] = []
    # A thread may end while it is looked at.
    with contextlib.suppress(OSError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(OSError):
                for child in map(int, (thread / "children").read_text().split()):
                    found += [*descendants(child), child]
    return found
