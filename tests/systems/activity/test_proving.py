"""A row is proved to somebody who has the hash of a seal and neither framework nor key."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from so.errors import ActivityError
from tests.systems.activity.conftest import fill

PAGE = Path(__file__).parents[3] / "docs/activity-logging.md"


@pytest.fixture(scope="module")
def check():
    """The checker of the guide: plain Python, and no more than 30 lines of it."""
    (block,) = [
        b for b in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.S) if "def check(" in b
    ]
    code = block[: block.index("DB.update(")]
    lines = [
        line for line in code.splitlines() if line.strip() and not line.strip().startswith('"""')
    ]
    assert len(lines) <= 30
    names: dict = {}
    exec(code, names)
    return names["check"]


def test_every_sealed_row_is_proved_and_no_changed_one(trail, db, clock, check):
    clock.travel(86_400)
    trail.erase("system", "nobody")
    trail.sealer.seal()
    head = trail.sealer.head(db.connection())

    for id in range(1, 18):
        proof = json.loads(json.dumps(trail.proof(id)))
        assert check(proof, head.seal_hash), id
        for name in ("description", "properties"):
            forged = json.loads(json.dumps(proof))
            forged["content"][name] = "forged"
            assert not check(forged, head.seal_hash)
        forged = json.loads(json.dumps(proof))
        forged["framed"]["causer_id"] = "somebody else"
        assert not check(forged, head.seal_hash)
        assert not check(proof, "0" * 64)
        assert not check({**proof, "id": id + 1}, head.seal_hash)
        assert len(proof["path"]) <= 3


def test_a_row_beside_pruned_and_erased_ones_is_proved(trail, db, clock, check):
    for n in range(5):
        trail.entry("api" if n % 2 else "books").by(f"user:{n}").log(str(n))
    trail.sealer.seal()
    clock.travel(40 * 86_400)
    trail.prune(30, log="api")
    trail.erase("user", "4")
    trail.sealer.seal()
    head = trail.sealer.head(db.connection()).seal_hash

    assert check(json.loads(json.dumps(trail.proof(18))), head)
    erased = trail.proof(22)
    assert erased["salt"] is None
    assert check(json.loads(json.dumps(erased)), head)


def test_a_proof_ends_at_the_seal_that_was_noted(trail, db, check):
    second = db.connection().scalar("select seal_hash from activity_seals where seal_no = 2")

    assert check(trail.proof(3, until=2), second)
    with pytest.raises(ActivityError, match="after seal 1"):
        trail.proof(7, until=1)


def test_what_is_not_sealed_or_not_what_was_written_has_no_proof(trail, db, clock):
    with pytest.raises(ActivityError, match="not sealed yet"):
        trail.proof(16)
    with pytest.raises(ActivityError, match="not there"):
        trail.proof(999)
    db.connection().unprepared("update activity_log set description = 'x' where id = 7")
    with pytest.raises(ActivityError, match="not what was written"):
        trail.proof(7)
    with pytest.raises(ActivityError, match="seal 2 does not hold"):
        trail.proof(8)
    fill(trail, 1, clock)


@pytest.mark.parametrize("id", [0, -1, 1 << 63, "1", None], ids=repr)
def test_what_is_no_id_of_a_row_has_no_proof(trail, id):
    with pytest.raises(ActivityError, match="is not there"):
        trail.proof(id)
