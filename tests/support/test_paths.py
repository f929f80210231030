"""One step of a dotted path, and the rooms that all take it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from so.config import Config
from so.db.rows import value_of
from so.http import dots
from so.http.validation.validator import validate
from so.support.paths import MISSING, find, numbered_step, step
from so.systems.sessions.bag import Bag

NO_NUMBERS = ["²", "١", "-1", "1.5", "9" * 5000, ""]


@pytest.mark.parametrize("part", NO_NUMBERS)
def test_what_is_no_plain_number_is_no_place_in_a_list(part):
    assert step([1, 2], part) is MISSING
    assert step((1, 2), part, None) is None


def test_a_number_is_a_place_in_a_list_while_there_is_one():
    assert step(["a", "b"], "1") == "b"
    assert step(["a", "b"], "2") is MISSING


def test_a_key_that_is_there_as_it_is_spelled_comes_before_the_path():
    assert find({"a.b": 1, "a": {"b": 2}}, "a.b") == 1
    assert find({"a": {"b": 2}}, "a.b") == 2


def test_the_key_of_a_mapping_may_be_a_number_where_that_is_asked_for():
    assert numbered_step({1: "one"}, "1") == "one"
    assert step({1: "one"}, "1") is MISSING


READERS: dict[str, Callable[[dict[str, Any], str], Any]] = {
    "collections": lambda data, key: value_of(data, key, "nothing"),
    "request input": lambda data, key: dots.get(data, key, "nothing"),
    "sessions": lambda data, key: Bag(json.dumps(data)).get(key, "nothing"),
    "settings": lambda data, key: _settings(data).get(key, "nothing"),
    "validation": lambda data, key: validate(data, {key: "sometimes"}).get("list", "nothing"),
}


def _settings(data: dict[str, Any]) -> Config:
    config = Config({})
    config.merge(data)
    return config


@pytest.mark.parametrize("part", ["²", "١", "9" * 5000])
@pytest.mark.parametrize("reader", READERS)
def test_every_room_that_reads_paths_finds_nothing_there(reader, part):
    assert READERS[reader]({"list": ["a", "b"]}, f"list.{part}") == "nothing"
