"""What is signed is framed, so that no two rows look alike; the quick way gives the same bytes."""

from __future__ import annotations

import hashlib
import random

import pytest

from so.systems.activity import framing

VALUES = (None, "", "a", "1:a", "-", "ä😀", "\ud800", "x" * 256, "12:00", "0:", 5, 0.5)


@pytest.mark.parametrize("seed", range(20))
def test_a_row_has_the_very_frame_that_its_values_have(seed):
    dice = random.Random(seed)
    for _ in range(200):
        salt, *content = (dice.choice(VALUES) for _ in range(1 + len(framing.CONTENT)))
        framed = [dice.choice(VALUES) for _ in framing.FRAMED]
        digest = hashlib.sha256(b"content" + framing.frame((salt, *content))).hexdigest()
        row = b"row1" + framing.frame((*framed, digest))

        assert framing.content_hash(salt, content) == digest
        assert framing.row_frame(framed, digest) == row
        assert framing.signed((salt, *framed, *content)) == row
        leaf = hashlib.sha256(b"\0" + framing.frame(("7", salt)) + row).digest()
        assert framing.leaf_hash(7, row, salt) == leaf


@pytest.mark.parametrize("seed", range(20))
def test_a_row_of_text_has_the_leaf_of_its_frame_and_another_has_none(seed):
    dice = random.Random(seed)
    for _ in range(200):
        values = [
            dice.choice(VALUES) for _ in range(1 + len(framing.FRAMED) + len(framing.CONTENT))
        ]

        try:
            leaf = framing.whole_leaf((7, 1, "5:mac", *values))
        except framing.UNUSUAL:
            assert not all(isinstance(value, str) and len(value) < 256 for value in values) or (
                "\ud800" in values
            )
        else:
            assert leaf == framing.leaf_hash(7, framing.signed(values), "5:mac")
            assert not {int, float} & {type(value) for value in values}


def test_no_two_rows_have_one_frame():
    texts = [value for value in VALUES if value is None or isinstance(value, str)]
    frames = {framing.frame((a, b, c)) for a in texts for b in texts for c in texts}

    assert len(frames) == len(texts) ** 3
