"""docs/architecture.md and docs/decisions.md name files; each of them is there, as they say."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from so.http.validation import RULES

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text("utf-8")
DECISIONS = (ROOT / "docs" / "decisions.md").read_text("utf-8")
COMMANDS = ROOT / "so" / "console" / "commands"
PAGES = ROOT / "so" / "web" / "console" / "pages"
NAMED = sorted(set(re.findall(r"`((?:so|tests|bench)/[\w./*]+)`", PAGE + DECISIONS)))


@pytest.mark.parametrize("name", NAMED)
def test_a_file_that_the_pages_name_is_there(name):
    assert list(ROOT.glob(name.rstrip("/")))


def test_a_rule_is_named_on_its_page():
    page = (ROOT / "docs" / "validation.md").read_text("utf-8")

    assert [name for name in RULES if not re.search(rf"`{name}[`:]", page)] == []


def test_every_room_is_on_the_page():
    rooms = {entry.name for entry in (ROOT / "so").iterdir() if (entry / "__init__.py").is_file()}

    assert {room for room in rooms if f"`so/{room}/`" not in PAGE} == set()


ROOMS = sorted(
    file.parent
    for file in (ROOT / "so").rglob("__init__.py")
    if len(list(file.parent.glob("*.py"))) > 5 and file.parent not in (ROOT / "so", COMMANDS, PAGES)
)


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: room.relative_to(ROOT).as_posix())
def test_a_room_says_in_which_order_it_is_read(room):
    text = ast.get_docstring(ast.parse((room / "__init__.py").read_text("utf-8"))) or ""
    _, _, order = text.partition("Read in this order: ")

    assert order
    assert [n for n in re.findall(r"[\w./]+\.py", order) if not (room / n).exists()] == []


def test_every_decision_says_what_was_asked_and_what_was_chosen():
    entries = [part for part in DECISIONS.split("\n\n") if part.startswith("**")]

    assert len(entries) > 30
    assert [one for one in entries if not re.match(r"\*\*[^*]+\?\*\* \S", one)] == []
