"""Who has started whom, as Linux tells it in /proc; elsewhere nobody has started anybody."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Callable
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


def fork() -> int:
    """`os.fork()`, also where an application has started threads before: 0 in the child.

    Ours start none, and children leave what others hold alone. From CPython 3.15 on the warning
    about threads, where warnings are errors, is raised when the child is there already, and it
    would go on beside a parent that failed.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def after_fork(fn: Callable[[], object]) -> None:
    """Have *fn* called in every child forked from now on; nothing to do where nobody can fork."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=fn)
