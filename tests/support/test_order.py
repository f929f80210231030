"""Which files of the suite begin, and that each of them is still there."""

from __future__ import annotations

import pytest

from tests.support.order import FIRST, ROOT, rank


@pytest.mark.parametrize("name", FIRST)
def test_what_begins_is_there(name):
    assert (ROOT / name).exists()


def test_the_slowest_come_before_the_others():
    assert rank(ROOT / "tests" / "browser" / "test_pages.py") < rank(ROOT / "tests" / "db")
