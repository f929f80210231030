"""Whatever JSON or a form can hold, a rule says yes or no to it and never breaks."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from so.http.validation import RULES, Validator

PARAMETERS = {
    "array_keys": "a,b",
    "between": "1,5",
    "date_equals": "2026-01-01",
    "date_format": "Y-m-d",
    "decimal": "0,2",
    "different": "other",
    "digits": "3",
    "digits_between": "1,4",
    "dimensions": "min_width=1",
    "gt": "other",
    "gte": "3",
    "in": "a,1",
    "in_array": "list.*",
    "lt": "other",
    "lte": "3",
    "max": "3",
    "mimes": "png",
    "mimetypes": "image/*",
    "min": "3",
    "multiple_of": "0.01",
    "not_in": "a",
    "not_regex": "/^[a-z]$/i",
    "regex": "/^[a-z]+$/u",
    "required_array_keys": "a",
    "same": "other",
    "size": "2",
    **dict.fromkeys(("max_digits", "min_digits"), "3"),
    **dict.fromkeys(("contains", "doesnt_contain", "in_array_keys", "extensions"), "a,1"),
    **{name: "other,1" for name in RULES if name.endswith(("_if", "_unless"))},
    **{name: "other" for name in RULES if name.endswith(("_with", "_with_all", "_without"))},
    **{name: "other" for name in RULES if name.endswith(("_accepted", "_declined"))},
    **dict.fromkeys(("prohibits", "required_without_all"), "other"),
    **dict.fromkeys(("after", "after_or_equal", "before", "before_or_equal"), "other"),
}
UNASKED = {"unique", "exists", "enum", "current_password"}  # they need a database, an Enum, a user
ALL = [
    f"{name}:{PARAMETERS[name]}" if name in PARAMETERS else name
    for name in RULES
    if name not in UNASKED
]

odd_texts = st.sampled_from(
    ["", " ", "\0", "\ud800", "1e999999", "-0", "9" * 400, "٣", "NaN", "0x1", "2026-02-30",
     "http://[", "a@[", "//", "24:00", "1970-01-01T00:00:00+99:99", "0000-00-00", "+1 year" * 9,
     "2026-01-15 25:61", "99999-01-01", "@-99999999999", "[" * 500, '{"a":1e400}']
)  # fmt: skip
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=30), odd_texts,
    st.integers(min_value=10**30, max_value=10**40),
)  # fmt: skip
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=100, deadline=None)
@given(value=values, other=values)
def test_no_value_breaks_a_rule(value, other):
    data = {"field": value, "other": other, "list": [value, other], "items": [value, {"x": other}]}

    for rule in ALL:
        for numeric in ("", "|numeric"):
            rules = {"field": rule + numeric, "list.*": rule, "items.*.x": ["nullable", rule]}
            validator = Validator(data, rules)
            validator.passes()
            for texts in validator.errors().values():
                assert all(isinstance(text, str) and text for text in texts)
            if not validator.errors():
                validator.validated()


def test_every_rule_is_tried():
    assert len(ALL) + len(UNASKED) == len(RULES)
