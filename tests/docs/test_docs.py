"""Every Python block of README.md and docs/ runs, in order, in a scratch application."""

from __future__ import annotations

import doctest
import os
import re
import shutil
import sys
from pathlib import Path

import pytest

from so.application import Application

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```python([^\n]*)\n(.*?)^```", re.DOTALL | re.MULTILINE)


@pytest.fixture
def scratch(tmp_path, monkeypatch):
    """An empty application with the project's configuration and its tables, on SQLite."""
    shutil.copytree(ROOT / "config", tmp_path / "config")
    (tmp_path / "storage").mkdir()
    (tmp_path / "app").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    for key in list(os.environ):
        if key.startswith(("DB_", "APP_", "CACHE_", "SESSION_", "QUEUE_")):
            monkeypatch.delenv(key)
    settings = {
        "app": {"key": "docs-" + "k" * 32, "env": "testing", "providers": []},
        "auth": {"scrypt": {"ln": 4, "r": 1, "p": 1}},
    }
    with Application(tmp_path, settings) as app:
        app.install_tables()
        yield app


def blocks(page: Path) -> list[tuple[int, str, str]]:
    text = page.read_text("utf-8")
    return [
        (text.count("\n", 0, match.start()) + 2, match.group(1).strip(), match.group(2))
        for match in BLOCK.finditer(text)
    ]


@pytest.mark.parametrize("page", [p for p in PAGES if p.is_file()], ids=lambda p: p.stem)
def test_the_python_blocks_of_a_page_run(page, scratch, capsys):
    names: dict[str, object] = {"__name__": f"docs.{page.stem}"}
    for line, info, code in blocks(page):
        if info in ("no-run", "file"):  # test_getting_started.py writes and runs the files
            continue
        if ">>>" in code:
            run_doctest(code, names, page, line)
        else:
            source = "\n" * (line - 1) + code
            exec(compile(source, str(page), "exec"), names)


def run_doctest(code: str, names: dict[str, object], page: Path, line: int) -> None:
    test = doctest.DocTestParser().get_doctest(code, {}, page.name, str(page), line)
    test.globs = names
    report: list[str] = []
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    runner = doctest.DocTestRunner(optionflags=flags, verbose=False)
    runner.run(test, out=report.append, clear_globs=False)
    assert not report, "".join(report)


def test_no_page_marks_a_block_as_not_run_without_a_reason():
    for page in PAGES:
        if page.is_file():
            skipped = [line for line, info, _ in blocks(page) if info == "no-run"]
            assert len(skipped) <= 3, f"{page.name} leaves blocks unrun at lines {skipped}"
