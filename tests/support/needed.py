"""What to do about a server, a browser or a tool that a test needs and this machine has not."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest


def lacking(what: str) -> NoReturn:
    """Skip, loudly; where CI=true says that it must be there, fail."""
    if os.environ.get("CI", "").lower() == "true":
        pytest.fail(f"CI must have it: {what}")
    pytest.skip(f"NOT RUN HERE: {what}")
