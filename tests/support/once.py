"""What is dear to make and alike for everybody: one worker makes it, all of them copy it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

import pytest


def once(places: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """The folder *name* of this run of the suite; whoever needs it first fills it by *make*.

    The others wait for it meanwhile. Nobody may change what is in it.
    """
    base = places.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / name
    with (folder.parent / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            unfinished = folder.with_name(f"{name}.unfinished")
            unfinished.mkdir()
            make(unfinished)
            unfinished.rename(folder)
    return folder
