"""Identifiers: their forms, and that no two are the same, in a forked child either."""

import os
import re

from so.support.ids import short_id, token, uuid


def test_ids_have_their_forms_and_never_repeat():
    for make, form in (
        (short_id, r"[0-9a-f]{12}"),
        (uuid, r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"),
        (token, r"[A-Za-z0-9_-]{43}"),
    ):
        made = [make() for _ in range(1000)]

        assert len(set(made)) == 1000
        assert all(re.fullmatch(form, one) for one in made)


def test_a_forked_child_makes_ids_of_its_own():
    short_id()
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(theirs, " ".join(short_id() for _ in range(200)).encode())
        os._exit(0)
    os.close(theirs)
    with open(ours) as read:
        made = read.read().split()
    os.waitpid(child, 0)

    assert len(made) == 200
    assert not set(made) & {short_id() for _ in range(200)}
