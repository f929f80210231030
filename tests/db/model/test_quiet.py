"""Writes that no listener hears of, and the ways to make or end models that Laravel has."""

from __future__ import annotations

import pytest

from so.db.model import Model, SoftDeletes
from so.errors import DatabaseError
from tests.db.model_tables import STAMPS, make_table


class Lamp(SoftDeletes, Model):
    """A row that is trashed before it goes."""


@pytest.fixture
def heard(empty_db):
    """What the listeners of Lamp hear while the test runs."""
    make_table(
        empty_db, "lamps", "name varchar(9) unique", "uses int", "deleted_at datetime(6)", *STAMPS
    )
    told: list[str] = []

    class Heard(Lamp):
        table = "lamps"

    for event in ("saved", "updated", "deleted", "restored", "force_deleted"):
        getattr(Heard, event)(lambda lamp, event=event: told.append(event))
    return Heard, told


def test_a_quiet_write_is_done_and_not_told(heard):
    lamps, told = heard
    lamp = lamps.force_create_quietly(name="a", uses=1)
    lamps.query().create_many_quietly([{"name": "b"}, {"name": "c"}])

    lamp.increment_quietly("uses", 4)
    lamp.decrement_quietly("uses")
    lamp.touch_quietly()
    lamp.push_quietly()
    assert lamp.delete_quietly()
    assert lamp.trashed()
    assert lamp.restore_quietly()
    assert not lamp.trashed()
    assert lamp.force_delete_quietly()

    assert told == []
    assert lamps.with_trashed().order_by("id").pluck("name") == ["b", "c"]


def test_a_delete_that_is_cancelled_fails_where_it_must_not(heard):
    lamps, _ = heard
    lamp = lamps.create(name="a")
    lamps.deleting(lambda lamp: lamp.name != "a")

    with pytest.raises(DatabaseError, match="was not deleted: a listener cancelled it"):
        lamp.delete_or_fail()
    assert lamps.create(name="b").delete_or_fail()


def test_force_destroy_takes_trashed_rows_too(heard):
    lamps, told = heard
    first, second = lamps.create(name="a"), lamps.create(name="b")
    first.delete()

    assert lamps.force_destroy([first, second.id]) == 2
    assert lamps.with_trashed().count() == 0
    assert told.count("force_deleted") == 2


def test_a_counter_is_raised_or_made(heard):
    lamps, _ = heard

    for _ in range(3):
        lamp = lamps.increment_or_create({"name": "a"}, "uses", 10, 5)

    assert lamp.uses == lamps.sole().uses == 20


def test_a_models_query_gives_plain_rows_with_its_scopes(heard):
    lamps, _ = heard
    lamps.create(name="a").delete()
    lamps.create(name="b")

    assert [type(row).__name__ for row in lamps.select("name").to_base().get()] == ["Row"]
    assert lamps.select("name").to_base().get() == [{"name": "b"}]
    assert [lamp.persisted for lamp in lamps.query().make_many([{"name": "x"}])] == [False]
