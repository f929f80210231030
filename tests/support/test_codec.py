"""Typed JSON: what comes back is what went in, along the quick way and the careful one."""

from __future__ import annotations

import enum
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import PurePosixPath
from uuid import UUID

import pytest

from so.errors import CodecError
from so.support.codec import Codec, default_codec, dumps, to_jsonable

NESTED = {"a": [1, 2.5, None, True, {"b": ["x", []]}], "c": {}, "ä🙂\u2028": "\ud83d"}


@pytest.mark.parametrize(
    "value",
    [
        NESTED, [], {}, "", 0, -5, 1.5, None, True, "5", 2**80,
        {1: "int key", None: 2}, {"$": "looks like a tag"}, {"a": {"$": 1, "v": 2}},
        (1, (2,)), {1, 2}, frozenset("a"), b"\x00\xff", bytearray(b"x"), Decimal("1.10"),
        datetime(2026, 1, 15, 12, tzinfo=UTC), date(2026, 1, 15), time(12, 30), timedelta(days=1),
        UUID(int=5), PurePosixPath("/x"), [[(1, [Decimal(2)])]], float("inf"), -0.0,
    ],
)  # fmt: skip
def test_a_value_comes_back_as_it_was(value):
    found = default_codec.decode(default_codec.encode(value))

    assert found == value
    assert type(found) is type(value)


def test_not_a_number_comes_back():
    found = default_codec.decode(default_codec.encode({"x": [float("nan")]}))

    assert found["x"][0] != found["x"][0]


def test_half_a_surrogate_pair_is_written_so_that_every_database_takes_it():
    text = default_codec.encode(["ä🙂", "\ud83d"])

    assert text == '["ä🙂","\\ud83d"]'
    assert default_codec.decode(text) == ["ä🙂", "\ud83d"]


def test_subclasses_of_plain_types_come_back_as_those():
    class Number(int):
        pass

    value = {"n": Number(5), "d": OrderedDict(a=1)}

    assert default_codec.decode(default_codec.encode(value)) == {"n": 5, "d": {"a": 1}}


def test_only_classes_that_were_allowed_go_through():
    codec = Codec()

    @dataclass
    class Point:
        x: int

    class Colour(enum.Enum):
        RED = "r"

    with pytest.raises(CodecError, match="Point.*allow"):
        codec.encode([Point(1)])
    with pytest.raises(CodecError, match="Colour"):
        codec.encode(Colour.RED)
    codec.allow(Point)
    codec.allow(Colour, "colour")
    assert codec.decode(codec.encode([Point(1), Colour.RED])) == [Point(1), Colour.RED]
    with pytest.raises(CodecError, match="never allowed"):
        Codec().decode(codec.encode(Point(1)))
    with pytest.raises(CodecError, match="neither"):
        codec.allow(int)
    with pytest.raises(CodecError, match="object"):
        codec.encode(object())


def test_two_classes_of_one_name_are_refused():
    def point(place: str) -> type:
        return dataclass(type("Point", (), {"__module__": place, "__annotations__": {"x": int}}))

    codec = Codec()
    codec.allow(point("app.maps"))
    codec.allow(point("app.maps"))

    with pytest.raises(
        CodecError, match=r"app\.plans\.Point: app\.maps\.Point is allowed as 'Point'"
    ):
        codec.allow(point("app.plans"))
    codec.allow(point("app.plans"), "plan_point")


@pytest.mark.parametrize(
    "text",
    ["", " ", "{", "1 2", "[1,]", '{"$": "evil", "v": 1}', '{"$": "uuid"}', "nul", '{"$":[],"v":1}',
     '{"$":"decimal","v":"x"}', '{"$":"data","v":["os.system",{}]}', "[" * 100_000],
)  # fmt: skip
def test_anything_else_is_an_error(text):
    with pytest.raises(CodecError):
        default_codec.decode(text)


def test_white_space_and_bytes_are_read():
    assert default_codec.decode(' {"a": 1} \n') == {"a": 1}
    assert default_codec.decode(b'[{"$":"tuple","v":[1]}]') == [(1,)]


def test_what_is_nested_too_deep_is_refused_and_a_circle_as_well():
    deep: list = []
    for _ in range(2000):
        deep = [deep, {}]
    circle: dict = {"a": 1}
    circle["self"] = circle

    for value in (deep, circle):
        with pytest.raises(CodecError, match="deep"):
            default_codec.encode(value)


def test_a_client_gets_plain_json():
    assert dumps({"total": Decimal("1.10"), "at": datetime(2026, 1, 15, tzinfo=UTC)}) == (
        '{"total":"1.10","at":"2026-01-15T00:00:00.000000Z"}'
    )
    assert to_jsonable({1: {2}, "b": b"x", "t": timedelta(seconds=2)}) == {
        "1": [2], "b": "eA==", "t": 2.0,
    }  # fmt: skip
    with pytest.raises(ValueError, match="JSON"):
        dumps([float("nan")])
    with pytest.raises(TypeError, match="to_dict"):
        to_jsonable(object())
