"""The demo in a real browser: one seeded server and one browser for each module."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.browser import Browser, BrowserMissing
from tests.support.needed import lacking
from tests.support.once import once

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("so", "app", "bin", "config", "database", "docs")


def seeded(folder: Path) -> None:
    """Make *folder* a checkout with a freshly seeded demo."""
    for part in PARTS:
        half_written = shutil.ignore_patterns("*.pyc.*")  # by another worker, just now
        shutil.copytree(ROOT / part, folder / part, ignore=half_written)
    House(folder).run("bin/sixorbit", "demo:seed")


class House:
    """The demo in a folder of its own."""

    def __init__(self, folder: Path, **environ: str) -> None:
        self.folder = folder
        self._environ = {
            k: v for k, v in os.environ.items() if not k.startswith(("DB_", "APP_", "COVERAGE"))
        } | environ

    def run(self, *command: str) -> None:
        """A command of the demo, to its end."""
        subprocess.run(
            [sys.executable, *command],
            check=True, cwd=self.folder, env=self._environ, stdout=subprocess.DEVNULL,
        )  # fmt: skip

    @contextmanager
    def beside(self, *command: str) -> Iterator[None]:
        """A command of the demo that runs until the block ends."""
        process = subprocess.Popen(
            [sys.executable, "bin/sixorbit", *command], cwd=self.folder, env=self._environ,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            yield
        finally:
            process.terminate()
            process.wait(60)

    def told(self, *command: str) -> str:
        """What a command of the demo prints."""
        done = subprocess.run(
            [sys.executable, *command],
            check=True, cwd=self.folder, env=self._environ, capture_output=True, text=True,
        )  # fmt: skip
        return done.stdout.strip()

    def serve(self) -> Iterator[str]:
        """The address while it is served."""
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        server = subprocess.Popen(
            [sys.executable, "bin/sixorbit", "serve", f"--port={port}"],
            cwd=self.folder, env=self._environ, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
        server.terminate()
        server.wait(60)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the seeded demo; it was compiled, so that its commands start at once."""
    original = once(tmp_path_factory, "seeded-demo", seeded)
    return Path(shutil.copytree(original, tmp_path_factory.mktemp("site") / "demo"))


@pytest.fixture(scope="module")
def house(folder: Path) -> House:
    return House(folder)


@pytest.fixture(scope="module")
def site(house: House) -> Iterator[str]:
    """The address of a freshly seeded demo."""
    yield from house.serve()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    try:
        opened = Browser()
    except BrowserMissing as missing:
        lacking(str(missing))
    with opened:
        yield opened
