"""The values of a session and the log of changes that makes parallel saves lose nothing."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from so.errors import CodecError
from so.systems.sessions.bag import Bag


def stored(bag: Bag, newer: str | None = None) -> dict:
    return Bag(bag.merged(newer)[0]).visible()


def test_a_bag_that_was_only_read_gives_the_very_same_text_back():
    text = '{"a": 1,   "cart": [1, 2]}'
    bag = Bag(text)

    assert bag.get("a") == 1
    assert bag.get("cart") == [1, 2]

    assert bag.merged() == (text, None)


def test_dotted_keys_reach_into_dicts_and_lists():
    bag = Bag()

    bag.put("user.address.city", "Graz")
    bag.put("lines", [{"n": 1}, {"n": 2}])
    bag.put("lines.1.n", 20)

    assert bag.get("user") == {"address": {"city": "Graz"}}
    assert bag.get("lines.1.n") == 20
    assert bag.get("lines.7.n", "none") == "none"
    assert stored(bag) == {"user": {"address": {"city": "Graz"}}, "lines": [{"n": 1}, {"n": 20}]}


def test_a_key_that_contains_a_dot_is_found_before_the_path():
    bag = Bag('{"a.b": 1, "a": {"b": 2}}')

    bag.put("a.b", 3)
    bag.forget("a.b")

    assert bag.get("a.b") == 2


def test_what_is_in_the_way_of_a_dotted_key_makes_room():
    bag = Bag('{"a": 1, "l": [1, [5]]}')

    bag.put("a.b", 2)
    bag.put("l.0.x", 3)
    bag.put("l.1.0", 6)

    assert stored(bag) == {"a": {"b": 2}, "l": [{"x": 3}, [6]]}


def test_a_default_may_be_called():
    assert Bag().get("x", lambda: 7) == 7


def test_values_keep_their_types():
    bag = Bag()

    bag.put("price", Decimal("1.10"))
    bag.put("pair", (1, {2}))

    assert stored(bag) == {"price": Decimal("1.10"), "pair": (1, {2})}


def test_what_cannot_be_stored_is_refused_where_it_is_put():
    with pytest.raises(CodecError, match="object"):
        Bag().put("x", object())


def test_a_list_changed_in_place_is_noticed():
    bag = Bag('{"cart": [1], "other": [9]}')

    bag.get("cart").append(2)
    bag.get("other")

    assert stored(bag) == {"cart": [1, 2], "other": [9]}


def test_a_value_changed_after_it_was_put_is_noticed():
    bag = Bag()
    cart = [1]

    bag.put("cart", cart)
    bag.push("cart", 2)
    cart.append(3)

    assert stored(bag) == {"cart": [1, 2, 3]}


def test_changes_are_laid_over_what_a_parallel_request_stored():
    bag = Bag('{"n": 5, "list": [1], "gone": 1}')
    bag.add("n", 1)
    bag.push("list", 2)
    bag.put("mine", True)
    bag.forget("gone")

    newer = '{"n": 7, "list": [1, 9], "gone": 1, "theirs": 1}'

    assert stored(bag, newer) == {"n": 8, "list": [1, 9, 2], "theirs": 1, "mine": True}


def test_merging_twice_gives_the_same_as_merging_once():
    bag = Bag()
    bag.put("list", [1])
    bag.push("list", 2)
    bag.add("n", 3)

    assert bag.merged() == bag.merged()
    assert stored(bag, '{"n": 1}') == {"n": 4, "list": [1, 2]}


def test_a_list_that_was_only_read_does_not_undo_a_parallel_change():
    bag = Bag('{"cart": [1]}')
    bag.get("cart")
    bag.put("x", 1)
    bag.merged()

    assert stored(bag, '{"cart": [1, 2]}') == {"cart": [1, 2], "x": 1}


def test_after_a_merge_the_bag_shows_the_others_changes_and_does_not_take_them_for_its_own():
    bag = Bag('{"cart": [1]}')
    bag.get("cart")
    bag.now("hint", "h")
    bag.put("x", 1)

    newer = '{"cart": [1, 2]}'
    text, _ = bag.merged(newer)
    bag.saved(text, newer)

    assert bag.get("cart") == [1, 2]
    assert bag.get("hint") == "h"
    assert stored(bag, '{"cart": [3]}') == {"cart": [3]}


def test_incrementing_begins_at_zero_and_refuses_what_is_no_number():
    bag = Bag('{"name": "x", "flag": true}')

    assert bag.add("n", 2) == 2
    assert bag.add("n", -1.5) == 0.5
    with pytest.raises(TypeError, match="name"):
        bag.add("name", 1)
    with pytest.raises(TypeError, match="flag"):
        bag.add("flag", 1)


def test_an_increment_meeting_something_else_in_a_parallel_save_starts_over():
    bag = Bag()
    bag.add("n", 2)

    assert stored(bag, '{"n": "text"}') == {"n": 2}


def test_pushing_onto_a_single_value_makes_a_list_of_it():
    bag = Bag('{"a": 1, "b": null}')

    bag.push("a", 2)
    bag.push("b", 2)

    assert stored(bag) == {"a": [1, 2], "b": [2]}


def test_forgetting_removes_keys_at_any_depth_and_minds_nothing_missing():
    bag = Bag('{"a": {"b": 1, "c": 2}, "l": [1, 2], "t": 1}')

    for key in ("a.b", "l.0", "t", "nothing", "a.x.y", "l.9"):
        bag.forget(key)

    assert stored(bag) == {"a": {"c": 2}, "l": [2]}


def test_forgetting_again_in_a_parallel_save_is_harmless():
    bag = Bag('{"a": {"b": 1}, "l": [1]}')
    bag.forget("a.b")
    bag.forget("l.0")

    assert stored(bag, "{}") == {}


def test_clearing_removes_everything_and_what_comes_after_stays():
    bag = Bag('{"a": 1, "_token": "t"}')

    bag.clear()
    bag.put("b", 2)

    assert json.loads(bag.merged()[0]) == {"b": 2}


def test_a_flash_is_there_for_this_request_and_the_next_and_then_gone():
    first = Bag()
    first.flash("status", "saved")
    assert first.get("status") == "saved"

    second = Bag(first.merged()[0])
    assert second.get("status") == "saved"

    third = Bag(second.merged()[0])
    assert third.get("status") is None
    assert third.merged() == ("{}", None)


def test_a_flash_below_a_dotted_key_ends_as_well():
    first = Bag('{"a": {"x": 1}}')
    first.flash("a.b", 1)

    second = Bag(first.merged()[0])

    assert second.get("a.b") == 1
    assert stored(second) == {"a": {"x": 1}}


def test_now_is_for_this_request_only_and_covers_what_is_stored():
    bag = Bag('{"a": 1}')

    bag.now("a", [2])
    bag.now("b", 3)

    assert bag.get("a") == [2]
    assert bag.visible() == {"a": [2], "b": 3}
    assert stored(bag) == {"a": 1}


def test_keeping_lets_some_or_all_flashes_last_one_more_request():
    first = Bag()
    first.flash("a", 1)
    first.flash("b", 2)
    second = Bag(first.merged()[0])
    second.now("c", 3)

    second.keep(["a", "c", "unknown"])
    third = Bag(second.merged()[0])
    assert third.visible() == {"a": 1, "c": 3}

    third.keep()
    fourth = Bag(third.merged()[0])
    assert fourth.visible() == {"a": 1, "c": 3}
    assert stored(fourth) == {}


def test_putting_over_a_flash_makes_it_last():
    first = Bag()
    first.flash("a", 1)
    second = Bag(first.merged()[0])

    second.put("a", 2)

    assert stored(Bag(second.merged()[0])) == {"a": 2}


def test_forgetting_a_flash_ends_it_at_once():
    first = Bag()
    first.flash("a", 1)
    second = Bag(first.merged()[0])

    second.forget("a")

    assert second.merged()[0] == "{}"


def test_ending_a_flash_leaves_a_newer_flash_of_the_same_name_alone():
    first = Bag()
    first.flash("status", "old")
    text = first.merged()[0]
    ours, theirs = Bag(text), Bag(text)
    theirs.flash("status", "new")

    merged = ours.merged(theirs.merged()[0])[0]

    assert Bag(merged).get("status") == "new"


def test_a_flash_ended_by_two_requests_at_once_ends_once():
    first = Bag('{"x": 1}')
    first.flash("status", "old")
    text = first.merged()[0]
    ours, theirs = Bag(text), Bag(text)

    assert stored(ours, theirs.merged()[0]) == {"x": 1}


def test_promoting_a_flash_that_another_request_has_ended_keeps_the_new_value():
    first = Bag()
    first.flash("a", 1)
    text = first.merged()[0]
    ours, theirs = Bag(text), Bag(text)
    ours.put("a", 2)

    merged = ours.merged(theirs.merged()[0])[0]

    assert json.loads(merged) == {"a": 2}


def test_a_payload_that_is_no_object_reads_as_empty_and_one_that_is_no_json_is_refused():
    assert Bag("[1]").visible() == {}
    with pytest.raises(CodecError):
        Bag("\x80pickle")
