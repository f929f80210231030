"""Rules under a condition on another field: when they hold, and in which words they fail."""

from __future__ import annotations

from typing import Any

import pytest

from so.http.validation import Rule, Validator

ABSENT: dict[str, Any] = {}


def errors(rule: Any, data: dict[str, Any]) -> list[str]:
    return Validator(data, {"field": rule}).errors().get("field", [])


@pytest.mark.parametrize(
    ("rule", "good", "bad", "said"),
    [
        (
            "accepted_if:kind,firm,club",
            [{"kind": "firm", "field": "yes"}, {"kind": "man", "field": "no"}, {"kind": "man"}],
            [{"kind": "firm", "field": "no"}, {"kind": "firm"}],
            "must be accepted when kind is firm",
        ),
        (
            "declined_if:kind,firm",
            [{"kind": "firm", "field": "off"}, {"kind": "man", "field": "yes"}, ABSENT],
            [{"kind": "firm", "field": "yes"}, {"kind": "firm"}],
            "must be declined when kind is firm",
        ),
        (
            "required_if_accepted:terms",
            [{"terms": "on", "field": 1}, {"terms": "off"}, ABSENT],
            [{"terms": "yes"}, {"terms": True, "field": ""}],
            "is required when terms is accepted",
        ),
        (
            "required_if_declined:terms",
            [{"terms": "no", "field": 1}, {"terms": "on"}, ABSENT],
            [{"terms": 0}, {"terms": "off", "field": None}],
            "is required when terms is declined",
        ),
        (
            "prohibited_if_accepted:terms",
            [{"terms": "on"}, {"terms": "on", "field": ""}, {"field": 1}],
            [{"terms": "on", "field": 1}],
            "is prohibited when terms is accepted",
        ),
        (
            "prohibited_if_declined:terms",
            [{"terms": "no"}, {"terms": "on", "field": 1}],
            [{"terms": "no", "field": 1}],
            "is prohibited when terms is declined",
        ),
        (
            "prohibited_unless:kind,firm,club",
            [{"kind": "club", "field": 1}, {"kind": "man"}, ABSENT],
            [{"kind": "man", "field": 1}, {"field": 1}],
            "is prohibited unless kind is in firm, club",
        ),
        (
            "prohibits:a,b",
            [{"field": 1}, {"field": "", "a": 1}, {"field": 1, "a": ""}],
            [{"field": 1, "a": 1}, {"field": 1, "b": 0}],
            "prohibits a / b from being present",
        ),
        (
            "missing_if:kind,firm",
            [{"kind": "firm"}, {"kind": "man", "field": 1}],
            [{"kind": "firm", "field": ""}],
            "must be missing when kind is firm",
        ),
        (
            "missing_unless:kind,firm",
            [{"kind": "firm", "field": 1}, {"kind": "man"}],
            [{"kind": "man", "field": None}, {"field": 1}],
            "must be missing unless kind is firm",
        ),
        (
            "missing_with:a,b",
            [{"a": 1}, {"field": 1}],
            [{"a": None, "field": 1}, {"b": 1, "field": ""}],
            "must be missing when a / b is present",
        ),
        (
            "missing_with_all:a,b",
            [{"a": 1, "field": 1}, {"a": 1, "b": 1}],
            [{"a": 1, "b": 1, "field": 1}],
            "must be missing when a / b are present",
        ),
        (
            "present_if:kind,firm",
            [{"kind": "firm", "field": ""}, {"kind": "man"}],
            [{"kind": "firm"}],
            "must be present when kind is firm",
        ),
        (
            "present_unless:kind,firm",
            [{"kind": "firm"}, {"kind": "man", "field": None}],
            [{"kind": "man"}],
            "must be present unless kind is firm",
        ),
        (
            "present_with:a,b",
            [{"a": 1, "field": ""}, ABSENT],
            [{"a": 1}, {"b": ""}],
            "must be present when a / b is present",
        ),
        (
            "present_with_all:a,b",
            [{"a": 1}, {"a": 1, "b": 1, "field": ""}],
            [{"a": 1, "b": 1}],
            "must be present when a / b are present",
        ),
    ],
)
def test_a_rule_holds_under_its_condition_alone(rule, good, bad, said):
    assert [errors(rule, data) for data in good] == [[]] * len(good)
    words = {str(data): errors(rule, data) for data in bad}
    assert all(found[:1] == [f"The field field {said}."] for found in words.values()), words


@pytest.mark.parametrize(
    ("rule", "data", "kept"),
    [
        ("exclude_with:a", {"field": 1, "a": None}, False),
        ("exclude_with:a", {"field": 1}, True),
        ("exclude_without:a", {"field": 1}, False),
        ("exclude_without:a", {"field": 1, "a": ""}, False),
        ("exclude_without:a", {"field": 1, "a": 1}, True),
        (Rule.exclude_if(True), {"field": 1}, False),
        (Rule.exclude_if(lambda: False), {"field": 1}, True),
        (Rule.exclude_if("a", "x"), {"field": 1, "a": "x"}, False),
    ],
)
def test_a_field_is_left_out_under_its_condition(rule, data, kept):
    assert ("field" in Validator(data, {"field": rule}).validate()) is kept


def test_a_condition_may_be_a_bool_or_asked_later():
    assert errors(Rule.prohibited_if(True), {"field": 1}) == ["The field field is prohibited."]
    assert errors(Rule.prohibited_if(lambda: False), {"field": 1}) == []
    assert errors(Rule.prohibited_if("a", "x"), {"field": 1, "a": "x"}) != []


def test_one_of_several_sets_of_rules_is_enough():
    either = Rule.any_of("email", ["integer", "min:5"])

    assert errors(either, {"field": "a@b.co"}) == errors(either, {"field": 7}) == []
    assert errors(either, {"field": 3}) == ["The field field is invalid."]
    assert errors(Rule.any_of(["email", "ip"]), {"field": "::1"}) == []
    assert errors(Rule.contains("a", ["b"]), {"field": ["b", "a"]}) == []
    assert errors(Rule.doesnt_contain("a"), {"field": ["a"]}) != []
