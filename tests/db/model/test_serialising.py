from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any

import pytest

from so.db.model import Model, relation
from so.support.codec import to_jsonable


class Kind(Enum):
    BIG = "big"


class Parcel(Model):
    hidden = ["secret"]
    appends = ["label"]
    casts = {
        "price": "decimal:2", "sent_at": "datetime", "day": "date:%d.%m.%Y", "kind": Kind,
        "data": "json", "fragile": "bool",
    }  # fmt: skip

    def get_label_attribute(self, value: Any) -> str:
        return f"{self.name}!"

    def get_name_attribute(self, value: Any) -> Any:
        return value and value.upper()

    @relation
    def parts(self) -> Any:
        return self.has_many(Parcel)


def parcel(**values: Any) -> Any:
    return Parcel.__new__(Parcel).set_raw_attributes(values, sync=True)


FULL = {
    "name": "box", "id": 7, "price": "1.5", "sent_at": "2026-01-15 12:00:00", "day": "2026-01-15",
    "kind": "big", "data": '{"b":1,"a":"é"}', "secret": "x", "fragile": 1, "empty": None,
}  # fmt: skip


def test_a_dict_has_columns_then_appends_then_relations() -> None:
    model = parcel(**FULL).set_relation("parts", [parcel(id=8, name="part")])

    assert (
        list(model.to_dict().items())
        == [
            ("name", "BOX"),
            ("id", 7),
            ("price", "1.50"),
            ("sent_at", "2026-01-15T12:00:00.000000Z"),
            ("day", "15.01.2026"),
            ("kind", "big"),
            ("data", {"b": 1, "a": "é"}),
            ("fragile", True),
            ("empty", None),
            ("label", "BOX!"),
            ("parts", [{"name": "PART", "id": 8, "label": "PART!"}]),
        ]
        or list(model.to_dict())[-1] == "parts"
    )
    assert model.to_array() == model.to_dict()


def test_json_is_compact_and_keeps_its_letters() -> None:
    text = parcel(name="é", data="[1]").to_json()

    assert text == '{"name":"É","data":[1],"label":"É!"}'
    assert json.loads(parcel(name="a").to_json(indent=2)) == {"name": "A", "label": "A!"}
    assert to_jsonable(parcel(name="a")) == {"name": "A", "label": "A!"}


def test_changing_the_dict_does_not_change_the_model() -> None:
    model = parcel(data='{"a":{"b":1}}')

    model.to_dict()["data"]["a"]["b"] = 2

    assert model.data == {"a": {"b": 1}}
    assert model.is_clean()


def test_relations_may_be_hidden_none_or_one() -> None:
    model = parcel(id=1).set_relation("owner", parcel(id=2)).set_relation("parent", None)

    assert model.to_dict()["owner"]["id"] == 2
    assert model.to_dict()["parent"] is None
    assert "owner" not in model.make_hidden("owner").to_dict()
    assert set(model.get_relations()) == {"owner", "parent"}


def test_hiding_and_showing_is_for_one_object() -> None:
    first, second = parcel(**FULL), parcel(**FULL)

    first.make_visible("secret").make_hidden(["price", "label"])

    assert "secret" in first.to_dict()
    assert not {"price", "label"} & set(first.to_dict())
    assert "price" in second.to_dict()
    assert "secret" not in second.to_dict()


def test_visible_lets_nothing_else_out() -> None:
    class Shy(Parcel):
        visible = ["name"]
        appends: list[str] = []

    shy = Shy.__new__(Shy).set_raw_attributes(FULL, sync=True)

    assert shy.to_dict() == {"name": "BOX"}
    assert set(shy.make_visible("id").to_dict()) == {"name", "id"}
    assert set(shy.make_hidden("name").to_dict()) == {"id"}


def test_append_adds_an_accessor() -> None:
    class Plain(Parcel):
        appends: list[str] = []

    plain = Plain(name="a")

    assert "label" not in plain.to_dict()
    assert plain.append("label", "label").to_dict()["label"] == "A!"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (Decimal("1.10"), "1.10"),
        (datetime(2026, 1, 15, 12, tzinfo=UTC), "2026-01-15T12:00:00.000000Z"),
        (date(2026, 1, 15), "2026-01-15"),
        (b"\x00\x01", "AAE="),
        (Kind.BIG, "big"),
    ],
)
def test_values_without_a_cast_are_shown_as_json_can(value: Any, shown: Any) -> None:
    class Loose(Model):
        pass

    assert Loose(x=value).to_dict() == {"x": shown}


def test_one_model_may_be_told_what_to_show() -> None:
    model = parcel(**FULL)
    model.visible = ["id", "secret", "label"]
    model.hidden = []
    model.appends = ["label"]

    assert model.to_dict() == {"id": 7, "secret": "x", "label": "BOX!"}
    assert parcel(**FULL).to_dict().keys() >= {"name", "price"}
    with pytest.raises(AttributeError, match=r"model\['hidden'\] = …"):
        model.hidden = True  # a column of that name
