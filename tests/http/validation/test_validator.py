"""How rules are run together: order, nesting, wildcards, messages, and what comes out."""

from __future__ import annotations

import re

import pytest

from so.errors import ConfigError, InvalidRuleError, ValidationException
from so.http.validation import PresenceCondition, Rule, Target, Validation, Validator, validate
from so.http.validation.paths import ABSENT, find, split
from so.support import current
from so.support.clock import Clock


class FakePresence:
    """Rows by table and column; remembers what it was asked."""

    def __init__(self, **rows: list[object]) -> None:
        self.rows = rows
        self.asked: list[tuple[Target, list[object]]] = []

    def found(self, target, values):
        self.asked.append((target, list(values)))
        return [value for value in values if value in self.rows[target.table]]


# --- results --------------------------------------------------------------------------------------


def test_validate_gives_the_ruled_part_of_the_data():
    data = {"email": "a@b.co", "admin": True, "name": "Ann"}

    assert validate(data, {"email": "required|email", "name": ""}) == {
        "email": "a@b.co",
        "name": "Ann",
    }


def test_validate_raises_with_every_error_by_field():
    with pytest.raises(ValidationException) as caught:
        validate({"email": "x", "age": "y"}, {"email": "email|min:3", "age": "integer"})

    assert caught.value.errors == {
        "email": [
            "The email field must be a valid email address.",
            "The email field must be at least 3 characters.",
        ],
        "age": ["The age field must be an integer."],
    }
    assert caught.value.status == 422
    assert str(caught.value) == "The given data was invalid."
    assert caught.value.first_error() == "The email field must be a valid email address."


def test_failed_names_the_rules_and_their_parameters():
    validator = Validator.make({"a": "x"}, {"a": "integer|min:3", "b": "required_with:a"})

    assert validator.failed() == {
        "a": {"Integer": [], "Min": ["3"]},
        "b": {"RequiredWith": ["a"]},
    }


def test_validated_raises_when_something_is_wrong():
    with pytest.raises(ValidationException):
        Validator({}, {"a": "required"}).validated()


def test_validate_of_the_package_works_without_an_application():
    import so

    assert so.validate({"a": 1, "b": 2}, {"a": "integer"}) == {"a": 1}
    with pytest.raises(ValidationException):
        so.validate({}, {"a": "required"})


def test_safe_gives_parts_of_the_validated_data():
    safe = Validator({"a": 1, "b": 2, "c": 3}, {"a": "integer", "b": "integer"}).safe()

    assert safe.only("a", "c") == {"a": 1}
    assert safe.except_("a") == {"b": 2}
    assert safe.only(["a", "b"]) == {"a": 1, "b": 2}
    assert safe.except_(["a"], "b") == {}
    assert safe.all() == {"a": 1, "b": 2}
    assert safe.merge({"d": 4}) == {"a": 1, "b": 2, "d": 4}


def test_the_data_is_left_as_it_was():
    data = {"a": [{"b": 1, "c": 2}]}

    validated = validate(data, {"a.*.b": "integer"})

    assert validated == {"a": [{"b": 1}]}
    assert data == {"a": [{"b": 1, "c": 2}]}


# --- which rules run ------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [{}, {"a": ""}, {"a": "   "}])
def test_what_is_absent_or_blank_skips_rules_that_do_not_ask_for_presence(data):
    assert Validator(data, {"a": "integer|min:5|email"}).passes()


def test_null_fails_typed_rules_unless_nullable():
    assert Validator({"a": None}, {"a": "string"}).fails()
    assert Validator({"a": None}, {"a": "nullable|string"}).passes()
    assert Validator({"a": None}, {"a": "nullable|required"}).fails()
    assert validate({"a": None}, {"a": "nullable|integer"}) == {"a": None}


def test_sometimes_skips_even_required_while_absent():
    assert Validator({}, {"a": "sometimes|required|string"}).passes()
    assert Validator({"a": ""}, {"a": "sometimes|required|string"}).fails()


def test_nothing_more_is_said_of_a_field_whose_presence_failed():
    assert Validator({"a": ""}, {"a": "required|min:5|email"}).errors() == {
        "a": ["The a field is required."]
    }


def test_bail_stops_at_the_first_failure_of_its_field():
    rules = {"a": "bail|integer|min:3", "b": "integer|email"}

    errors = Validator({"a": "x", "b": "y"}, rules).errors()

    assert [len(messages) for messages in errors.values()] == [1, 2]


def test_a_validator_may_bail_for_every_field_or_stop_altogether():
    data, rules = {"a": "x", "b": "y"}, {"a": "integer|min:3", "b": "integer|email"}

    bailed = Validator(data, rules).bail().errors()
    stopped = Validator(data, rules).bail().stop_on_first_failure().errors()
    at_first_item = Validator({"n": ["x", "y"]}, {"n.*": "integer"}).stop_on_first_failure()

    assert [len(messages) for messages in bailed.values()] == [1, 1]
    assert list(stopped) == ["a"]
    assert list(at_first_item.errors()) == ["n.0"]


def test_excluded_fields_do_not_come_out():
    rules = {
        "type": "required",
        "vat": "exclude_unless:type,company|required|string",
        "born": "exclude_if:type,company|required|date",
        "secret": "exclude",
    }

    validated = validate({"type": "company", "vat": "DE1", "born": "x", "secret": 1}, rules)

    assert validated == {"type": "company", "vat": "DE1"}


def test_what_is_under_an_excluded_field_goes_with_it():
    rules = {
        "flag": "boolean",
        "address": "exclude_if:flag,false|array",
        "address.city": "required|string",
        "copy": "required_with:address.city",
    }

    assert validate({"flag": False, "address": {"city": 5}}, rules) == {"flag": False}


def test_excluded_items_leave_the_list():
    rules = {"items.*": "array", "items.*.old": "boolean", "items.*.n": "exclude_if:items.*.old,1"}

    validated = validate({"items": [{"old": "1", "n": 1}, {"old": "0", "n": 2}]}, rules)

    assert validated == {"items": [{"old": "1"}, {"old": "0", "n": 2}]}


def test_exclude_unless_of_an_absent_field_excludes():
    assert validate({"a": 1}, {"a": "exclude_unless:b,1"}) == {}
    assert validate({"a": 1}, {"a": "exclude_if:b,1"}) == {"a": 1}


# --- nesting and wildcards ------------------------------------------------------------------------


def test_nested_fields_are_found_by_dots():
    errors = Validator({"user": {"address": {}}}, {"user.address.city": "required"}).errors()

    assert errors == {"user.address.city": ["The user.address.city field is required."]}


def test_a_star_is_every_item_even_one_that_lacks_the_field():
    data = {"items": [{"sku": "A"}, {}, "text", {"sku": 5}]}

    errors = Validator(data, {"items.*.sku": "required|string"}).errors()

    assert errors == {
        "items.1.sku": ["The items.1.sku field is required."],
        "items.2.sku": ["The items.2.sku field is required."],
        "items.3.sku": ["The items.3.sku field must be a string."],
    }


@pytest.mark.parametrize("data", [{}, {"items": None}, {"items": []}, {"items": "text"}])
def test_a_star_over_nothing_is_nothing(data):
    assert Validator(data, {"items.*.sku": "required"}).passes()


def test_stars_may_be_nested_and_stand_for_keys():
    data = {"years": {"2025": [{"n": 1}, {"n": "x"}], "2026": [{"n": 2}]}}

    assert list(Validator(data, {"years.*.*.n": "integer"}).errors()) == ["years.2025.1.n"]


def test_a_parameter_with_a_star_means_the_same_item():
    data = {"lines": [{"type": "x", "note": ""}, {"type": "y", "note": ""}]}

    validator = Validator(data, {"lines.*.note": "required_if:lines.*.type,y"})

    assert validator.errors() == {
        "lines.1.note": ["The lines.1.note field is required when lines.1.type is y."]
    }


def test_a_key_that_holds_a_dot_is_escaped():
    assert validate({"v1.0": "x"}, {r"v1\.0": "required"}) == {"v1.0": "x"}
    assert split(r"a\.b.*.c\*") == ("a.b", "*", "c*")


def test_numbers_find_items_of_lists_and_integer_keys():
    assert find({"a": ["x", "y"], "b": {0: "z"}}, ("a", "1")) == "y"
    assert find({"b": {0: "z"}}, ("b", "0")) == "z"
    assert find({"a": ["x"]}, ("a", "9" * 30)) is ABSENT
    assert find({"a": ["x"]}, ("a", "x")) is ABSENT
    assert repr(ABSENT) == "ABSENT"
    assert not ABSENT


def test_data_may_be_a_list():
    assert validate([{"a": 1, "b": 2}], {"*.a": "integer"}) == [{"a": 1}]


def test_a_ruled_parent_keeps_only_its_ruled_children():
    data = {"user": {"name": "Ann", "admin": True}, "tags": ["a", "b"]}
    rules = {"user": "required|array", "user.name": "string", "tags": "array", "tags.*": "string"}

    assert validate(data, rules) == {"user": {"name": "Ann"}, "tags": ["a", "b"]}


def test_a_ruled_parent_without_ruled_children_is_kept_whole():
    assert validate({"meta": {"x": 1}}, {"meta": "array"}) == {"meta": {"x": 1}}


def test_a_ruled_list_that_is_empty_is_kept_and_an_unruled_one_is_not():
    assert validate({"items": []}, {"items": "array", "items.*.a": "integer"}) == {"items": []}
    assert validate({"items": []}, {"items.*.a": "integer"}) == {}
    assert validate({"items": "x"}, {"items.*.a": "integer"}) == {}
    assert validate({"items": "x"}, {"items": "string", "items.*.a": "integer"}) == {"items": "x"}


def test_a_named_child_and_a_star_are_both_kept():
    rules = {"a.*.x": "integer", "a.first.y": "integer", "a.first.x": "integer"}

    validated = validate({"a": {"first": {"x": 1, "y": 2, "z": 3}, "b": {"x": 4, "y": 5}}}, rules)

    assert validated == {"a": {"first": {"x": 1, "y": 2}, "b": {"x": 4}}}


class Counting(dict):
    """A mapping that counts how often it is looked into."""

    looks = 0

    def get(self, key, default=None):
        Counting.looks += 1
        return super().get(key, default)


def looks_for(items: int) -> int:
    Counting.looks = 0
    data = {"items": [Counting({f"f{n}": "x" for n in range(17)}) for _ in range(items)]}
    rules = {f"items.*.f{n}": "required|string|max:50|distinct" for n in range(17)}
    Validator(data, rules).passes()
    return Counting.looks


def test_wildcards_cost_in_proportion_to_the_data():
    small, large = looks_for(100), looks_for(200)

    assert large == 2 * small
    assert small <= 100 * 17 * 2


def test_a_parent_with_too_many_items_stops_the_expansion():
    data = {"items": [Counting() for _ in range(501)]}
    Counting.looks = 0

    validator = Validator(data, {"items": "array|max:500", "items.*.sku": "required"})

    assert list(validator.errors()) == ["items"]
    assert Counting.looks == 0


def test_only_the_list_that_has_too_many_items_is_skipped():
    data = {"orders": [{"lines": [{}, {}, {}]}, {"lines": [{}]}]}
    rules = {"orders.*.lines": "max:2", "orders.*.lines.*.sku": "required"}

    assert list(Validator(data, rules).errors()) == ["orders.0.lines", "orders.1.lines.0.sku"]


# --- messages -------------------------------------------------------------------------------------


def test_a_message_of_the_field_wins_over_one_of_the_rule():
    messages = {"required": "Please fill in :attribute.", "email.required": "We need your address."}

    errors = Validator({}, {"email": "required", "name": "required"}, messages).errors()

    assert errors == {"email": ["We need your address."], "name": ["Please fill in name."]}


def test_messages_may_be_for_a_pattern_a_place_or_a_kind_of_size():
    messages = {
        "items.*.n.integer": "Line :position (:index): no number: :input",
        "items.1.n.integer": "The second!",
        "a": {"max": "short, please"},
        "min.string": "longer",
        "b.min.string": "longest",
    }
    rules = {"items.*.n": "integer", "a": "max:1", "b": "min:9", "c": "min:9"}

    errors = Validator(
        {"items": [{"n": "x"}, {"n": "y"}], "a": "ab", "b": "b", "c": "c"}, rules, messages
    ).errors()

    assert errors == {
        "items.0.n": ["Line 1 (0): no number: x"],
        "items.1.n": ["The second!"],
        "a": ["short, please"],
        "b": ["longest"],
        "c": ["longer"],
    }


def test_names_are_written_as_people_read_them():
    rules = {"first_name": "required", "unitPrice": "required", "qty": "required"}
    validator = Validator({}, rules, attributes={"qty": "quantity"})

    assert [texts[0] for texts in validator.errors().values()] == [
        "The first name field is required.",
        "The unit price field is required.",
        "The quantity field is required.",
    ]


def test_names_may_be_given_for_patterns_and_later():
    validator = Validator({"i": [{}]}, {"i.*.qty": "required"}).set_attribute_names(
        {"i.*.qty": "quantity"}
    )

    assert validator.errors()["i.0.qty"] == ["The quantity field is required."]


def test_capital_placeholders_capitalise():
    messages = {"required": ":Attribute / :ATTRIBUTE / :attribute / :unknown"}

    assert Validator({}, {"sku_no": "required"}, messages).errors() == {
        "sku_no": ["Sku no / SKU NO / sku no / :unknown"]
    }


def test_input_cannot_smuggle_placeholders_into_a_message():
    messages = {"same": ":input is not :other"}

    errors = Validator({"a": ":other:attribute", "b": 1}, {"a": "same:b"}, messages).errors()

    assert errors == {"a": [":other:attribute is not b"]}


@pytest.mark.parametrize(
    ("value", "shown"), [(True, "true"), (False, "false"), (None, "empty"), ([1], ""), (5, "5")]
)
def test_values_in_messages_are_words(value, shown):
    errors = Validator({"a": value}, {"a": "email"}, {"email": "got [:input]"}).errors()

    assert errors == {"a": [f"got [{shown}]"]}


def test_the_index_of_a_mapping_is_its_key():
    errors = Validator({"m": {"k": "x"}}, {"m.*": "integer"}, {"integer": ":index"}).errors()

    assert errors == {"m.k": ["k"]}


# --- rules of one's own ---------------------------------------------------------------------------


class Uppercase:
    def passes(self, attribute, value):
        self.seen = attribute
        return value.isupper()

    def message(self):
        return "The :attribute must shout, not :input."


class Even:
    def __call__(self, attribute, value, fail):
        if value % 2:
            fail("The :attribute must be even.")
            fail("Really.")


class MatchesTotal:
    implicit = True

    def set_data(self, data):
        self.data = data

    def set_validator(self, validator):
        self.validator = validator

    def passes(self, attribute, value):
        return value == sum(self.data["parts"]) and self.validator is not None


def test_a_rule_may_be_an_object_with_passes_and_message():
    validator = Validator({"a": "x"}, {"a": ["required", Uppercase()]})

    assert validator.errors() == {"a": ["The a must shout, not x."]}
    assert validator.failed() == {"a": {"Uppercase": []}}
    assert Validator({"a": "X"}, {"a": Uppercase()}).passes()


def test_a_rule_may_be_an_object_that_is_called_with_fail():
    assert Validator({"n": 3}, {"n": Even()}).errors() == {"n": ["The n must be even.", "Really."]}
    assert Validator({"n": 2}, {"n": [Even()]}).passes()


def test_a_rule_object_may_see_the_data_and_run_on_absent_fields():
    rules = {"total": MatchesTotal()}

    assert Validator({"parts": [1, 2], "total": 3}, rules).passes()
    assert Validator({"parts": [1, 2]}, rules).errors() == {
        "total": ["The total field is invalid."]
    }


def test_a_function_of_the_value_gives_a_message_or_nothing():
    def short(value):
        return None if len(value) < 3 else "Too long: :attribute"

    assert Validator({"a": "abc"}, {"a": short}).errors() == {"a": ["Too long: a"]}
    assert Validator({"a": "ab"}, {"a": ["string", short]}).passes()


def test_a_function_may_also_answer_with_a_bool():
    assert Validator({"a": 5}, {"a": lambda value: value > 3}).passes()
    assert Validator({"a": 2}, {"a": lambda value: value > 3}).errors() == {
        "a": ["The a field is invalid."]
    }


def test_the_message_of_a_rule_object_can_be_overridden():
    messages = {"a.Uppercase": "LOUDER"}

    assert Validator({"a": "x"}, {"a": Uppercase()}, messages).errors() == {"a": ["LOUDER"]}


@pytest.fixture
def _no_extensions():
    before = dict(Validator.extensions)
    yield
    Validator.extensions.clear()
    Validator.extensions.update(before)


@pytest.mark.usefixtures("_no_extensions")
def test_a_rule_may_be_added_by_name():
    def prefix(attribute, value, parameters, validator):
        return value.startswith(parameters[0]) and validator.data["a"] == value

    Validator.extend("prefix", prefix, "The :attribute lacks its prefix.")
    Validation().extend("even", lambda value: value % 2 == 0)
    Validator.extend("agreed", lambda attribute, value: bool(value), implicit=True)

    validator = Validator({"a": "xy", "n": 3}, {"a": "prefix:z", "n": ["even"], "ok": "agreed"})

    assert validator.errors() == {
        "a": ["The a lacks its prefix."],
        "n": ["The n field is invalid."],
        "ok": ["The ok field is invalid."],
    }
    assert Validator({"a": "xy"}, {"a": "required|prefix:x"}).passes()


@pytest.mark.usefixtures("_no_extensions")
def test_a_builtin_of_c_may_be_a_rule():
    Validator.extend("truthy", bool)
    Validator.extend("anything", lambda *given: len(given) == 4)

    assert Validator({"a": 1, "b": 2}, {"a": "truthy", "b": "anything"}).passes()


# --- changes after making -------------------------------------------------------------------------


def test_hooks_run_after_the_rules_and_may_add_errors():
    def check(validator):
        if validator.errors():
            validator.add_error("form", "Look again.")
        validator.errors().setdefault("other", []).append("by hand")

    validator = Validator({}, {"a": "required"}).after(check)

    assert validator.errors() == {
        "a": ["The a field is required."],
        "form": ["Look again."],
        "other": ["by hand"],
    }
    assert Validator({}, {}).after(check).fails()


def test_rules_may_be_added():
    validator = Validator({"a": "x"}, {"a": "string"})
    assert validator.passes()

    validator.add_rules({"a": "min:3", "b": "required"})

    assert list(validator.errors()) == ["a", "b"]


def test_sometimes_adds_rules_by_the_data():
    validator = Validator({"games": 150}, {"games": "integer"})

    validator.sometimes(["reason", "note"], "required", lambda data: data["games"] > 100)
    validator.sometimes("never", "required", lambda data: False)

    assert list(validator.errors()) == ["reason", "note"]


def test_sometimes_adds_rules_by_each_item():
    data = {"channels": [{"type": "email", "to": "x"}, {"type": "sms", "to": "y"}]}
    validator = Validator(data, {})

    validator.sometimes("channels.*.to", "email", lambda data, item: item["type"] == "email")

    assert list(validator.errors()) == ["channels.0.to"]


def test_running_twice_gives_the_same_result():
    validator = Validator({"a": "x", "b": 1}, {"a": "integer", "b": "exclude"})

    assert validator.fails()
    assert validator.fails()
    assert len(validator.errors()["a"]) == 1


# --- unique and exists ----------------------------------------------------------------------------


def run(data, rules, presence):
    return Validation(presence, Clock()).make(data, rules)


def test_unique_and_exists_ask_the_presence():
    presence = FakePresence(users=["taken@x.co"], roles=[1, 2])
    data = {"email": "taken@x.co", "role": 3, "other": "free@x.co"}
    rules = {"email": "unique:users", "role": "exists:roles,id", "other": "unique:users,email"}

    errors = run(data, rules, presence).errors()

    assert errors == {
        "email": ["The email has already been taken."],
        "role": ["The selected role is invalid."],
    }


def test_all_items_of_a_field_are_asked_for_in_one_query():
    presence = FakePresence(products=["A", "B"])
    data = {"items": [{"sku": "A"}, {"sku": "X"}, {"sku": "B"}, {"sku": "A"}, {"sku": None}]}

    validator = run(data, {"items.*.sku": "exists:products"}, presence)

    assert list(validator.errors()) == ["items.1.sku", "items.4.sku"]
    assert presence.asked == [(Target("products", "sku"), ["A", "X", "B"])]


def test_a_list_exists_if_all_of_its_items_do():
    presence = FakePresence(tags=[1, 2, 3])

    assert run({"tags": [1, 3]}, {"tags": "array|exists:tags,id"}, presence).passes()
    assert run({"tags": [1, 4]}, {"tags": "array|exists:tags,id"}, presence).fails()
    assert run({"tags": [1, [2]]}, {"tags": "array|exists:tags,id"}, presence).fails()
    assert len(presence.asked) == 2


def test_the_database_is_not_asked_about_values_that_are_wrong_already():
    presence = FakePresence(users=["x"])

    errors = run({"email": "x"}, {"email": "email|unique:users"}, presence).errors()

    assert errors == {"email": ["The email field must be a valid email address."]}


@pytest.mark.parametrize("value", [["x"], {"a": 1}, True, "\ud800"])
def test_only_values_a_column_can_hold_are_asked_for(value):
    presence = FakePresence(users=[])

    assert run({"email": value}, {"email": "unique:users"}, presence).fails()
    assert all(asked == [] for _, asked in presence.asked)


def asked(rule: object, **data: object) -> Target:
    presence = FakePresence(users=[])
    run({"email": "a@b.co", **data}, {"email": rule}, presence).passes()
    return presence.asked[0][0]


def test_unique_takes_a_row_to_leave_out_and_conditions():
    assert asked("unique:users,mail,7") == Target("users", "mail", None, "7")
    assert asked("unique:crm.users,NULL,NULL,NULL,status,open") == Target(
        "users", "email", "crm", None, "id", (PresenceCondition("status", "open"),)
    )
    assert asked("unique:users,email,9,user_id,deleted_at,NULL,state,!void") == Target(
        "users",
        "email",
        None,
        "9",
        "user_id",
        (PresenceCondition("deleted_at", None), PresenceCondition("state", "void", True)),
    )
    assert asked("exists:users,email,verified_at,NOT_NULL").wheres == (
        PresenceCondition("verified_at", None, True),
    )


def test_the_row_to_leave_out_may_be_named_by_a_field():
    assert asked("unique:users,email,[id]", id=42).ignored == 42
    assert asked("unique:users,email,[id]").ignored is None


class User:
    table = "users"
    primary_key = "user_id"

    def get_key(self):
        return 5


def test_builders_say_the_same_with_values_of_any_kind():
    rule = (
        Rule.unique(User, "email")
        .ignore(User())
        .where("kind", "a,b")
        .where_not("state", 1)
        .where_not_null("verified_at")
        .without_trashed()
    )

    assert asked(rule) == Target(
        "users",
        "email",
        None,
        5,
        "user_id",
        (
            PresenceCondition("kind", "a,b"),
            PresenceCondition("state", 1, True),
            PresenceCondition("verified_at", None, True),
            PresenceCondition("deleted_at", None),
        ),
    )
    assert asked([Rule.unique("users").ignore("x,y")]).ignored == "x,y"
    assert asked(Rule.exists("users").where_null("gone")).column == "email"


def test_a_column_is_named_after_the_field():
    presence = FakePresence(users=[1])

    assert run({"ids": [1]}, {"ids.*": Rule.exists("users")}, presence).passes()
    assert presence.asked[0][0].column == "id"
    with pytest.raises(InvalidRuleError, match="no name of a table or column"):
        run({"e-mail": "x"}, {"e-mail": "unique:users"}, presence).passes()


def test_a_validator_finds_the_database_of_the_running_application(monkeypatch):
    monkeypatch.setitem(
        current._provided, "validator", lambda: Validation(FakePresence(users=["a"]), Clock(0.0))
    )

    assert Validator({"a": "a"}, {"a": "unique:users"}).fails()
    assert Validator({"a": "1970-01-02"}, {"a": "after:today"}).passes()
    assert Validator({"a": "1970-01-01"}, {"a": "after:today"}).fails()


def test_a_validator_works_without_an_application(monkeypatch):
    monkeypatch.delitem(current._provided, "validator", raising=False)

    assert Validator({"a": "2001-01-01"}, {"a": "before:today"}).passes()
    with pytest.raises(ConfigError, match=re.escape("presence=DatabasePresence(db)")):
        Validator({"a": "a"}, {"a": "exists:users"}).passes()


def test_validation_validates_at_once():
    assert Validation().validate({"a": "1", "b": 2}, {"a": "integer"}) == {"a": "1"}
