"""A text where a model wants names would be taken apart into letters, and nobody would hear of it.

`guarded = ("role")`, a comma forgotten, guarded r, o, l and e; `log_attributes = "total"` logged
nothing.
"""

from __future__ import annotations

from typing import Any

import pytest

from so.db.manager import Database
from so.db.model import Model
from so.systems.activity import LogsActivity
from tests.db.tables import create

OF_MODELS = ("fillable", "guarded", "hidden", "visible", "appends", "eager", "observers")
OF_LOGGED = ("log_attributes", "log_attributes_except", "log_events", "log_mask", "log_lines")


def made(**attributes: Any) -> type[Model]:
    return type("Leaflet", (LogsActivity, Model), {"table": "leaflets", **attributes})


@pytest.mark.parametrize("name", [*OF_MODELS, *OF_LOGGED])
def test_a_text_is_no_list_of_names(name: str) -> None:
    with pytest.raises(TypeError, match=rf"Leaflet\.{name} is the text 'role'.*write \['role'\]"):
        made(**{name: "role"})
    with pytest.raises(TypeError, match=rf"Leaflet\.{name} is None: write a list"):
        made(**{name: None})


@pytest.mark.parametrize("name", ["casts", "attributes"])
def test_a_list_is_no_dict(name: str) -> None:
    with pytest.raises(TypeError, match=rf"Leaflet\.{name} is \['role'\]: write a dict"):
        made(**{name: ["role"]})


@pytest.mark.parametrize("kind", [list, tuple, set, frozenset, dict.fromkeys])
def test_names_come_in_any_collection(kind: Any) -> None:
    leaflet = made(guarded=kind(["role"]), hidden=kind(["pin"]))

    assert leaflet.make({"role": 1, "title": "x", "pin": 2}).to_dict() == {"title": "x"}


def test_a_text_is_refused_when_it_is_set_later_and_the_class_stays_as_it_was() -> None:
    leaflet = made(hidden=["pin"])

    for name in ("hidden", "fillable"):
        with pytest.raises(TypeError, match="which means its letters"):
            setattr(leaflet, name, "title")

    assert leaflet.make(title="x", pin=2).to_dict() == {"title": "x"}


def test_a_class_that_was_refused_is_in_the_way_of_nobody() -> None:
    parent = made()
    with pytest.raises(TypeError) as refused:  # which keeps the class alive
        type("Child", (parent,), {"guarded": "role"})

    parent.per_page = 5

    assert refused.value


def test_a_text_is_one_key_and_one_column(empty_db: Database) -> None:
    conn = empty_db.connection()
    create(conn, "leaflets", "id integer primary key, title varchar(20)")
    conn.insert("insert into leaflets values (1, 'a'), (2, 'b')")
    leaflet = made(timestamps=False, log_events=[])

    assert leaflet.find_many("12") == []
    assert [found.title for found in leaflet.find_many(["1", "2"])] == ["a", "b"]
    leaflets = empty_db.table("leaflets")
    assert leaflets.insert_using("id", leaflets.clone().where("id", 3).select("id")) == 0
