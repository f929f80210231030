"""How several workers share the suite: whole files, the slow ones first.

What the fixtures of a module make once, a seeded demo, a browser, a server, would be made again by
every worker that got one of its tests. Of the files that take longest none may be left over when
everybody else has finished.
"""

from __future__ import annotations

import contextlib
from importlib import import_module
from pathlib import Path

import pytest
from xdist import get_xdist_worker_id
from xdist.scheduler import LoadFileScheduling

ROOT = Path(__file__).resolve().parents[2]
TESTS = ROOT / "tests"
FIRST = (
    "tests/test_typing.py",
    "tests/browser",
    "tests/demo/test_make_run.py",
    "tests/deploy/test_walk.py",
    "tests/docs/test_getting_started.py",
    "tests/docs/test_tutorial.py",
    "tests/web/test_openapi_fuzz.py",
    "tests/release",
    "tests/crash",
    "tests/server",
    "tests/deploy",
    "tests/demo",
    "tests/web/console",
    "tests/console",
)


def rank(path: Path) -> int:
    """Where the file *path* stands: the smaller, the earlier."""
    for at, name in enumerate(FIRST):
        if path.is_relative_to(ROOT / name):
            return at
    return len(FIRST)


class Files(LoadFileScheduling):
    """Whole files, in the order in which they were collected."""

    def schedule(self) -> None:
        self.config.option.loadscopereorder = False
        super().schedule()


class Order:
    """The plugin, where there are several workers."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection(self, session: pytest.Session) -> None:
        """In a fresh clone pytest rewrites every test: each worker begins with a share of them."""
        given = getattr(session.config, "workerinput", None)
        if given is None or [Path(arg).resolve() for arg in session.config.args] != [TESTS]:
            return
        number = int(get_xdist_worker_id(session).removeprefix("gw"))
        files = sorted(TESTS.rglob("test_*.py"))
        for file in files[number :: given["workercount"]]:
            # What cannot be imported, or skips itself, is told when it is collected.
            with contextlib.suppress(Exception, pytest.skip.Exception):
                import_module(".".join(file.relative_to(ROOT).with_suffix("").parts))

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items.sort(key=lambda item: rank(item.path))

    @pytest.hookimpl
    def pytest_xdist_make_scheduler(self, config: pytest.Config, log: object) -> Files | None:
        return Files(config, log) if config.getoption("dist") == "load" else None
