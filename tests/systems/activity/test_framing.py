"""What is signed when a row is written is what is checked when it is read."""

from __future__ import annotations

import random

import pytest

from so.systems.activity import framing

VALUES = (None, "", "a", "1:a", "-", "ä😀", "\ud800", "x" * 300, "12:00", "0:")


@pytest.mark.parametrize("seed", range(20))
def test_a_row_is_signed_over_the_very_frame_that_its_check_makes(seed):
    dice = random.Random(seed)
    names = ("salt", *framing.CONTENT, *framing.FRAMED)
    for _ in range(200):
        row = {name: dice.choice(VALUES) for name in names}
        seen = []

        framing.sign(row, lambda message, seen=seen: seen.append(message) or "mac")

        content = framing.content_hash(row["salt"], [row[name] for name in framing.CONTENT])
        assert seen == [framing.row_frame([row[name] for name in framing.FRAMED], content)]
        assert row["row_mac"] == "mac"


def test_no_two_rows_have_one_frame():
    frames = {framing.frame((a, b, c)) for a in VALUES for b in VALUES for c in VALUES}

    assert len(frames) == len(VALUES) ** 3
