"""Folders of this process outside the tests' own; what a killed one left, the next one deletes."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from pathlib import Path

_HELD = "held"  # a file in each, locked by whoever made it as long as that process lives


def place(prefix: str, within: str | None = None) -> Path:
    """A new folder that begins with *prefix*. Its maker deletes it, unless killed before."""
    base = Path(within or tempfile.gettempdir())
    for left in base.glob(f"{prefix}*/{_HELD}"):
        _sweep(left)
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=base))
    # It is locked before it has the name that others look for. The handle is never closed.
    handle, unnamed = tempfile.mkstemp(dir=folder)
    fcntl.flock(handle, fcntl.LOCK_EX)
    os.rename(unnamed, folder / _HELD)
    return folder


def _sweep(held: Path) -> None:
    # Locked, by a process that lives; or another one sweeps, too.
    with contextlib.suppress(OSError), held.open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(held.parent, ignore_errors=True)
