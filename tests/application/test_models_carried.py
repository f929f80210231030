"""Models in jobs and in the cache come back as the class they were, whoever shares its name."""

from __future__ import annotations

import json
from typing import Any

import pytest

from so.application.stores import make_cache_codec, make_job_codec
from so.db.manager import Database
from so.db.model import Model
from so.errors import CodecError, RelationError


def model_of(module: str, table: str, **more: Any) -> Any:
    """A model class Bill of another module."""
    names = {"__module__": module, "table": table, "timestamps": False, "guarded": [], **more}
    return type(Model)("Bill", (Model,), names)


@pytest.fixture
def bills(empty_db: Database) -> tuple[Any, Any]:
    """Two classes of one name: of the rent, and, defined last, of the bar."""
    connection = empty_db.connection()
    for table in ("rent_bills", "bar_bills"):
        connection.statement(f"create table {table} (id integer primary key, what varchar(20))")
    rent, bar = model_of("rent.models", "rent_bills"), model_of("bar.models", "bar_bills")
    rent.create(id=1, what="rent")
    bar.create(id=1, what="beer")
    return rent, bar


@pytest.mark.parametrize("make", [make_job_codec, make_cache_codec])
def test_of_two_models_of_one_name_each_comes_back_as_itself(
    bills: tuple[Any, Any], make: Any
) -> None:
    codec = make(None)

    back = [codec.decode(codec.encode(cls.find(1))) for cls in bills]

    assert [type(one) for one in back] == list(bills)
    assert [one.what for one in back] == ["rent", "beer"]


def test_a_model_whose_module_has_moved_is_found_by_its_name(empty_db: Database) -> None:
    empty_db.connection().statement("create table bills (id integer primary key)")
    only = model_of("new.place", "bills", type_alias="only.bill")
    only.create(id=1)
    codec = make_job_codec(None)

    for carried in (["only.bill", 1], ["only.bill", 1, "old.place.Bill"]):
        assert codec.decode(json.dumps({"$": "model", "v": carried})).is_(only.find(1))


def test_an_older_text_that_may_mean_either_is_refused(bills: tuple[Any, Any]) -> None:
    for make, tag in ((make_job_codec, "model"), (make_cache_codec, "row")):
        with pytest.raises(CodecError, match=r"bar\.models\.Bill and rent\.models\.Bill"):
            make(None).decode(json.dumps({"$": tag, "v": ["Bill", {}]}))


def test_an_owner_who_may_be_of_either_class_is_refused(bills: tuple[Any, Any]) -> None:
    class Remark(Model):
        def owner(self) -> Any:
            return self.morph_to("owner")

    with pytest.raises(RelationError, match="set type_alias on one of them"):
        Remark().force_fill({"owner_type": "Bill", "owner_id": 1}).owner()
