"""Where things stand: code, in words that a reader finds, and files that the framework brings."""

from __future__ import annotations

import functools
import inspect
import os
from pathlib import Path
from typing import Any

_HOME = Path(__file__).parent.parent


def shipped(name: str) -> bytes:
    """The file *name* below so/, also from within an archive.

    As importlib.resources gives it, which would load tempfile, shutil and what they need.
    """
    found: bytes = __spec__.loader.get_data(str(_HOME / name))  # type: ignore[union-attr]
    return found


def identity_of(path: str | Path | None) -> tuple[int, int] | None:
    """Which file is at *path*, whatever it is called; None for nothing, such as one in memory."""
    try:
        found = os.stat(path or "")
    except OSError:
        return None
    return found.st_dev, found.st_ino


def place_of(fn: Any) -> str:
    """The name under which a reader finds the callable *fn*."""
    while isinstance(fn, functools.partial):
        fn = fn.func
    told = getattr(fn, "told_as", None)
    if isinstance(told, str):
        return told
    named = fn if hasattr(fn, "__qualname__") else type(fn)
    name = full_name(named)
    code = getattr(inspect.unwrap(named), "__code__", None)
    if code is None or "<" not in f"{named.__module__}{name}":
        return name
    place = f"{_file_of(named.__module__, code.co_filename)}:{code.co_firstlineno}"
    return place if name.endswith("<lambda>") else f"{name} ({place})"


def full_name(named: Any) -> str:
    """Module and name; a file of routes is run, and is no module that could be imported."""
    is_run = named.__module__.startswith("<")
    return str(named.__qualname__ if is_run else f"{named.__module__}.{named.__qualname__}")


def _file_of(module: str, path: str) -> str:
    """*path* from the folder on that *module* was found in: `app/routes.py`."""
    parts = Path(path).parts
    module = module.replace("<", ".")  # what is run is told with its folder
    depth = module.count(".") + 1 + (parts[-1] == "__init__.py")
    return "/".join(parts[-depth:])
