"""What a test needs: one engine, or a server, a browser, a tool that this machine may not have."""

from __future__ import annotations

import os
from importlib import import_module
from types import ModuleType
from typing import NoReturn

import pytest

# A test for one engine alone is not made for the other: nothing is skipped then, and what a run
# skips is what it should have had. The line that marks it says why.
sqlite_only = pytest.mark.parametrize("engine", ["sqlite"])
mysql_only = pytest.mark.parametrize("engine", ["mysql"])


def lacking(what: str) -> NoReturn:
    """Skip, loudly; where CI=true says that it must be there, fail."""
    if os.environ.get("CI", "").lower() == "true":
        pytest.fail(f"CI must have it: {what}")
    pytest.skip(f"NOT RUN HERE: {what}")


def package(name: str) -> ModuleType:
    """The module *name* of a package of requirements-dev.txt."""
    try:
        return import_module(name)
    except ImportError:
        lacking(f"{name}: it is in requirements-dev.txt")
