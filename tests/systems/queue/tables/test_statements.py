"""The queue's own statements: tried again after a conflict, bounded in rows and bytes."""

from __future__ import annotations

import pytest

from so.db.manager import Database
from so.errors import DeadlockError, LockTimeoutError, LostConnectionError
from so.systems.queue.tables.jobs import CHUNK, NewJob, _parts
from so.systems.queue.tables.sql import Retry
from tests.systems.queue.jobs import DIARY


class Flaky:
    """A stand-in for a connection that is out of luck."""

    in_transaction = False

    def roll_back(self, level: int) -> None:
        DIARY.append("rolled back")


def test_conflicts_are_tried_again_and_never_reach_the_job() -> None:
    DIARY.clear()
    errors = [DeadlockError(), LockTimeoutError(), LostConnectionError()]
    kinds: list[str] = []
    retry = Retry(on_retry=kinds.append)

    def work() -> str:
        if errors:
            raise errors.pop(0)
        return "done"

    assert retry(Flaky(), work) == "done"
    assert kinds == ["conflict", "conflict", "lost"]
    assert retry.lost
    assert DIARY == ["rolled back"] * 3


def test_patience_has_an_end() -> None:
    def work() -> None:
        raise LostConnectionError()

    with pytest.raises(LostConnectionError):
        Retry(patience=0.05)(Flaky(), work)


def test_inside_a_transaction_nothing_is_repeated(db: Database) -> None:
    def work() -> None:
        raise DeadlockError()

    with db.transaction() as conn, pytest.raises(DeadlockError):
        Retry()(conn, work)


def test_33_bulk_statements_are_bounded_in_rows_and_bytes() -> None:
    small = [NewJob("q", "x", 1, 1, "u")] * (2 * CHUNK + 1)
    large = [NewJob("q", "x" * 400_000, 1, 1, "u")] * 4

    assert [len(part) for part in _parts(small)] == [CHUNK, CHUNK, 1]
    assert [len(part) for part in _parts(large)] == [1, 1, 1, 1]
    assert list(_parts([])) == []
