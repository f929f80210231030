"""The tutorial, to the letter: its files written, its commands run, its page seen."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.server.processes import free_port, wait_until
from tests.support.browser import Browser, BrowserMissing
from tests.support.needed import lacking

ROOT = Path(__file__).resolve().parents[2]
GUIDE = (ROOT / "docs" / "tutorial.md").read_text("utf-8")
PARTS = re.split(r"^## (?=\d\. )", GUIDE, flags=re.MULTILINE)[1:]
BLOCK = re.compile(r"^```(bash|sql|text|python file)\n(.*?)^```", re.DOTALL | re.MULTILINE)


class Walk:
    """Somebody who follows the tutorial; a part is done once, and after those before it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tools = folder / "tools"
        self.done = 0

    def up_to(self, part: int) -> None:
        while self.done < part:
            self._follow(PARTS[self.done])
            self.done += 1

    def _follow(self, text: str) -> None:
        output = ""
        for kind, block in BLOCK.findall(text):
            if kind == "bash":
                output = "".join(self._run(line) for line in block.splitlines())
            elif kind == "text":
                for line in block.splitlines():
                    assert line in output, f"{line!r} is not in {output!r}"
            else:
                file = self.tools / block.splitlines()[0].split(" ", 1)[1]
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(block, "utf-8")

    def _run(self, line: str) -> str:
        words = shlex.split(line)
        if words[0] == "cd":
            return ""
        here = self.tools if self.tools.is_dir() else ROOT
        if words[1] == "new":
            words[2] = str(self.folder / words[2])
        done = subprocess.run(
            [sys.executable, *words],
            cwd=here,
            env={"PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, (line, done.stdout, done.stderr)
        return done.stdout + done.stderr


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Walk:
    return Walk(tmp_path_factory.mktemp("tutorial"))


def test_it_has_seven_parts():
    assert [part.partition(".")[0] for part in PARTS] == list("1234567")


@pytest.mark.parametrize(
    "part", range(1, 8), ids=[part.splitlines()[0].replace(" ", "-").lower() for part in PARTS]
)
def test_a_part_goes_as_it_says(walk: Walk, part: int):
    walk.up_to(part)

    assert walk.done >= part


@pytest.fixture
def served(walk: Walk, tmp_path: Path) -> Iterator[str]:
    walk.up_to(7)
    port = free_port()
    command = [sys.executable, "bin/sixorbit", "serve", f"--port={port}", "--workers=1"]
    with (tmp_path / "log").open("wb") as log:
        server = subprocess.Popen(command, cwd=walk.tools, stdout=log, stderr=log)
    try:
        wait_until(lambda: b"Serving" in (tmp_path / "log").read_bytes(), "the server")
        yield f"http://127.0.0.1:{port}/"
    finally:
        server.terminate()
        assert server.wait(30) == 0


def test_it_ends_in_the_browser(served: str):
    try:
        browser: Any = Browser()
    except BrowserMissing as missing:
        lacking(str(missing))
    with browser:
        browser.open(served)
        assert "Drill" in browser.find("table").text
        browser.find("[name=tool]").type("Saw")
        browser.find("[name=person]").type("Grace")
        browser.find("form[action='/loans'] button").click()

        assert browser.find(".note").text == "Grace has the Saw."
        assert "Saw" in browser.find("table").text
