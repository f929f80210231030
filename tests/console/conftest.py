"""A small application and a kernel for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from so import Application
from so.console import Kernel

KEY = "k" * 40


@pytest.fixture
def make_app(tmp_path: Path) -> Iterator[Callable[..., Application]]:
    """Applications in tmp_path, closed at the end: `make_app(env="production")`."""
    opened: list[Application] = []

    def make(base: Path = tmp_path, env: str = "testing", **config: Any) -> Application:
        app = {"env": env, "key": KEY, "name": "Acme", **config.pop("app", {})}
        opened.append(Application(base, {"app": app, "logging": {"default": "null"}, **config}))
        opened[-1].__enter__()
        return opened[-1]

    yield make
    for app in reversed(opened):
        app.__exit__(None, None, None)


@pytest.fixture
def app(make_app: Callable[..., Application]) -> Application:
    return make_app()


@pytest.fixture
def kernel(app: Application) -> Kernel:
    return Kernel(app)
