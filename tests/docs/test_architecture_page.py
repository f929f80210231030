"""docs/architecture.md names files; each of them is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text("utf-8")
NAMED = sorted(set(re.findall(r"`((?:so|tests)/[\w./*]+)`", PAGE)))


@pytest.mark.parametrize("name", NAMED)
def test_a_file_that_the_page_names_is_there(name):
    assert list(ROOT.glob(name.rstrip("/")))


def test_every_room_is_on_the_page():
    rooms = {entry.name for entry in (ROOT / "so").iterdir() if (entry / "__init__.py").is_file()}

    assert {room for room in rooms if f"`so/{room}/`" not in PAGE} == set()
