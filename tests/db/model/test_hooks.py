"""What the activity log stands on: `_written`, `_bulk`, `_pivot_changed`, type aliases."""

from __future__ import annotations

import gc
from datetime import UTC, datetime
from typing import Any

import pytest

from so.db.manager import Database
from so.db.model import Model, SoftDeletes, relation
from so.errors import InvalidArgumentError, RelationError
from tests.db.model_tables import make_table

NOON = datetime(2026, 1, 15, 12, tzinfo=UTC)


class Recording:
    """A mixin like the activity log's."""

    _writes_in_transaction = True
    told: list[Any] = []
    fails = False

    def _written(self, event: str, before: dict[str, Any], after: dict[str, Any]) -> None:
        connection = self._connection()  # type: ignore[attr-defined]
        assert connection.in_transaction
        self.told.append((event, dict(before), dict(after)))
        if self.fails:
            raise OSError("the log is full")

    @classmethod
    def _bulk(cls, query: Any, kind: str, values: Any, perform: Any) -> Any:
        cls.told.append((kind, values, query.model.__name__))
        return perform()

    def _pivot_changed(
        self, relation: str, attached: Any, detached: Any, updated: Any, before: Any
    ) -> None:
        self.told.append((relation, attached, detached, updated))


class Box(Recording, Model):
    casts = {"weight": "decimal:1"}
    timestamps = False

    @relation
    def labels(self) -> Any:
        return self.belongs_to_many(Label)


class Label(Model):
    timestamps = False


class SoftBox(Recording, SoftDeletes, Model):
    table = "boxes"
    timestamps = False


@pytest.fixture
def told(db: Database) -> Any:
    make_table(
        db, "boxes", "name varchar(20)", "weight decimal(8,1)", "uses int default 0",
        "deleted_at datetime(6) null",
    )  # fmt: skip
    make_table(db, "labels", "text varchar(20)")
    make_table(db, "box_label", "box_id bigint", "label_id bigint", "note varchar(9) null")
    Recording.told.clear()
    return Recording.told


def test_written_gets_stored_values_before_and_after(told: Any) -> None:
    box = Box.create(name="a", weight="1.5")
    assert told == [("created", {}, {"name": "a", "weight": box.weight, "id": 1})]
    told.clear()

    box.update(name="b", weight=1.5)
    assert told == [("updated", {"name": "a"}, {"name": "b"})]
    told.clear()

    box.refresh().delete()
    ((event, before, after),) = told
    assert (event, before["name"], before["uses"], after) == ("deleted", "b", 0, {})


def test_written_of_soft_deletes(told: Any) -> None:
    box = SoftBox.create(name="a")
    told.clear()

    box.delete()
    assert told == [("deleted", {"deleted_at": None}, {"deleted_at": NOON})]
    told.clear()
    box.restore()
    assert told == [("restored", {"deleted_at": NOON}, {"deleted_at": None})]
    told.clear()
    box.force_delete()
    assert [event for event, *_ in told] == ["force_deleted"]


def test_written_of_a_counter_gets_what_the_row_had(told: Any, db: Database) -> None:
    box = Box.create(name="a", uses=1, weight="0.3")
    db.table("boxes").update({"uses": 10})
    told.clear()

    box.increment("uses", 5, {"name": "b"})
    assert told == [("updated", {"uses": 10, "name": "a"}, {"uses": 15, "name": "b"})]
    told.clear()
    box.decrement("weight", 0.1)
    ((_, before, after),) = told
    weight = Box._plan.casts["weight"]
    assert [str(weight.get(None, "", v["weight"], {})) for v in (before, after)] == ["0.3", "0.2"]


def test_a_failing_hook_takes_the_change_back(told: Any, db: Database) -> None:
    box = Box.create(name="a")
    Recording.fails = True
    try:
        with pytest.raises(OSError, match="full"):
            box.update(name="b")
        with pytest.raises(OSError, match="full"):
            Box.create(name="c")
        with pytest.raises(OSError, match="full"):
            box.delete()
    finally:
        Recording.fails = False

    assert db.table("boxes").pluck("name") == ["a"]
    assert box.persisted
    assert box.is_dirty("name")
    assert box.save()
    assert db.table("boxes").value("name") == "b"
    assert box.delete()


def test_a_failing_hook_leaves_the_version_as_it_was(told: Any, db: Database) -> None:
    class Locked(Box):
        table = "boxes"
        lock_version = "uses"

    box = Locked.create(name="a")
    Recording.fails = True
    try:
        for fails in (lambda: box.update(name="b"), lambda: box.increment("weight")):
            with pytest.raises(OSError, match="full"):
                fails()
    finally:
        Recording.fails = False

    assert box.uses == 1
    assert box.update(name="c")
    assert db.table("boxes").value("uses") == 2


def test_a_failing_hook_leaves_the_outer_transaction_alone(told: Any, db: Database) -> None:
    box = Box.create(name="a")
    with db.transaction():
        Box.create(name="kept")
        Recording.fails = True
        try:
            with pytest.raises(OSError, match="full"):
                box.update(name="b")
        finally:
            Recording.fails = False

    assert db.table("boxes").order_by("id").pluck("name") == ["a", "kept"]


def test_quiet_saves_are_written_all_the_same(told: Any) -> None:
    Box(name="a").save_quietly()

    assert [event for event, *_ in told] == ["created"]


def test_bulk_is_asked_once_for_every_write_through_a_query(told: Any) -> None:
    Box.insert([{"name": "a"}, {"name": "b"}])
    Box.query().insert_get_id({"name": "c"})
    Box.query().insert_or_ignore({"name": "d"})
    Box.query().insert_using(["name"], Box.select("name"))
    Box.where("name", "a").update({"name": "z"})
    Box.where("name", "z").increment("uses", 2)
    Box.where("name", "z").decrement("uses")
    Box.upsert({"id": 1, "name": "y"}, "id")
    Box.where("name", "b").delete()
    SoftBox.where("name", "y").delete()
    SoftBox.only_trashed().restore()
    SoftBox.where("name", "y").force_delete()
    Box.query().truncate()

    assert [kind for kind, *_ in told] == [
        "insert", "insert", "insert_or_ignore", "insert_using", "update", "increment", "decrement",
        "upsert", "delete", "delete", "restore", "force_delete", "truncate",
    ]  # fmt: skip
    assert told[4][1] == {"name": "z"}
    assert told[5][1] == {"uses": 2}


def test_bulk_may_do_more_than_perform(told: Any, db: Database) -> None:
    class Guarded(Box):
        table = "boxes"

        @classmethod
        def _bulk(cls, query: Any, kind: str, values: Any, perform: Any) -> Any:
            before = query.clone().get().pluck("name")
            result = perform()
            cls.told.append((kind, before, result))
            return result

    Box.insert([{"name": "a"}, {"name": "b"}])
    told.clear()

    assert Guarded.where("name", "a").update({"name": "c"}) == 1
    assert told == [("update", ["a"], 1)]


def test_saving_one_model_is_not_bulk(told: Any) -> None:
    box = Box.create(name="a")
    box.update(name="b")
    box.increment("uses")
    box.delete()

    assert [kind for kind, *_ in told] == ["created", "updated", "updated", "deleted"]


def test_pivot_changes_are_told_to_the_parent(told: Any) -> None:
    box = Box.create(name="a")
    for text in "abc":
        Label.create(text=text)
    told.clear()

    box.labels().attach([1, 2])
    box.labels().sync({2: {"note": "x"}, 3: {}})
    box.labels().sync([2, 3])
    box.labels().toggle([1, 2])
    box.labels().update_existing_pivot(3, {"note": "y"})
    box.labels().detach(99)
    box.labels().detach()

    assert told == [
        ("labels", [1, 2], [], []),
        ("labels", [3], [1], [2]),
        ("labels", [1], [2], []),
        ("labels", [], [], [3]),
        ("labels", [], [3, 1], []),
    ]


def test_a_failing_pivot_hook_takes_the_pairs_back(told: Any, db: Database) -> None:
    class Strict(Box):
        table = "boxes"

        def _pivot_changed(self, *changes: Any) -> None:
            raise OSError("no")

        @relation
        def labels(self) -> Any:
            return self.belongs_to_many(Label, "box_label", "box_id")

    with pytest.raises(OSError, match="no"):
        Strict.create(name="a").related("labels").attach(Label.create(text="x"))

    assert db.table("box_label").count() == 0


# --- types by name


def test_a_class_is_found_by_its_alias() -> None:
    class Warehouse(Model):
        type_alias = "wh"

    class Shed(Warehouse):
        pass

    assert Model.for_alias("wh") is Warehouse
    assert Model.for_alias("Shed") is Shed
    assert Warehouse.type_alias == "wh"
    assert Model.aliases()["wh"] is Warehouse
    with pytest.raises(RelationError, match="unknown model type 'Nowhere'"):
        Model.for_alias("Nowhere")


def test_of_two_classes_with_one_name_the_nearer_is_taken() -> None:
    near = type(Model)("Twin", (Model,), {"__module__": "near"})
    far = type(Model)("Twin", (Model,), {"__module__": "far"})

    assert Model.for_alias("Twin") is far
    assert Model.for_alias("Twin", "near") is near
    assert Model.for_alias("Twin", "elsewhere") is far


def test_a_class_that_was_refused_is_not_found() -> None:
    refused = {"type_alias": "refused", "scope_where": lambda query: query}

    with pytest.raises(InvalidArgumentError, match="would never be reached"):
        type(Model)("Refused", (Model,), refused)

    with pytest.raises(RelationError, match="unknown model type 'refused'"):
        Model.for_alias("refused")


def test_a_class_that_is_gone_is_forgotten() -> None:
    type(Model)("ShortLived", (Model,), {})
    gc.collect()

    with pytest.raises(RelationError):
        Model.for_alias("ShortLived")
    assert "ShortLived" not in Model.aliases()
