"""Access, casts and accessors, mass assignment, dirty tracking: no database is needed."""

from __future__ import annotations

import copy
from decimal import Decimal
from typing import Any

import pytest

from so.db.model import Model, relation
from so.errors import MassAssignmentError, MissingAttributeError


class Customer(Model):
    casts = {"credit": "decimal:2", "options": "json", "vip": bool}
    attributes = {"vip": False, "options": {"newsletter": True}}

    def get_name_attribute(self, value: Any) -> Any:
        return value and value.title()

    def set_email_attribute(self, value: str) -> str:
        return value.strip().lower()

    def get_initials_attribute(self, value: Any) -> str:
        return "".join(word[0] for word in self.name.split())

    @property
    def broken(self) -> Any:
        return self.no_such_thing_anywhere

    @relation
    def orders(self) -> Any:
        return self.has_many(Customer)


def loaded(cls: Any = Customer, **values: Any) -> Any:
    """A model as if it had been read from the database."""
    return cls.__new__(cls).set_raw_attributes(values, sync=True)


# --- access


def test_an_attribute_is_read_and_set_as_attribute_and_as_item() -> None:
    customer = Customer(name="ada lovelace")
    customer.city = "London"
    customer["zip"] = "W1"

    assert customer.name == customer["name"] == "Ada Lovelace"
    assert (customer["city"], customer.zip) == ("London", "W1")
    assert "zip" in customer
    assert "street" not in customer


def test_an_attribute_can_be_taken_away() -> None:
    customer = Customer(name="a", city="b")

    customer._note = "x"
    del customer.city
    del customer["name"]
    del customer._note

    assert "city" not in customer
    assert "name" not in customer


def test_query_methods_are_on_the_class_and_columns_on_the_object() -> None:
    customer = loaded(count=3, where="here", first="x", create="y", all="z", query="q", find=1)

    assert (customer.count, customer.where, customer.first) == (3, "here", "x")
    assert (customer.create, customer.all, customer.query, customer.find) == ("y", "z", "q", 1)


def test_a_column_called_like_a_method_is_reached_as_an_item() -> None:
    customer = loaded(update="2026", table="x")
    customer["update"] = "2027"

    assert customer["update"] == "2027"
    assert callable(customer.update)
    assert customer["table"] == "x"
    with pytest.raises(AttributeError, match="'update' is a method of Customer"):
        customer.update = "2028"


def test_an_unknown_attribute_of_a_saved_model_is_an_error() -> None:
    customer = loaded(name="ada")

    with pytest.raises(AttributeError, match="Customer has no attribute 'nmae'"):
        _ = customer.nmae
    with pytest.raises(AttributeError):
        _ = customer["nmae"]
    assert not hasattr(customer, "nmae")


def test_what_a_new_model_was_not_given_reads_as_none() -> None:
    assert Customer().name is None


def test_an_error_in_a_property_is_not_mistaken_for_a_missing_column() -> None:
    with pytest.raises(AttributeError, match="no_such_thing_anywhere"):
        _ = loaded(name="a").broken


def test_names_with_underscores_in_front_are_never_columns() -> None:
    customer = Customer()
    customer._note = "mine"

    assert customer._note == "mine"
    assert customer.get_attributes().keys() == {"vip", "options"}
    with pytest.raises(AttributeError):
        _ = customer._other


def test_settings_of_the_class_may_be_changed_for_one_object() -> None:
    customer = Customer()
    customer.timestamps = False

    assert customer.timestamps is False
    assert Customer.timestamps is True
    assert "timestamps" not in customer


def test_a_setting_is_not_mistaken_for_a_column() -> None:
    class Product(Model):
        searched_in = "name"

    product = Product(hidden=True)
    product.searched_in = "code"

    assert product["hidden"] is True
    assert "searched_in" not in product
    with pytest.raises(AttributeError, match="'visible' is a setting of Product"):
        product.visible = True


def test_missing_attributes_have_an_error_of_their_own_in_strict_mode() -> None:
    class Strict(Model):
        pass

    Strict.prevent_accessing_missing_attributes()

    with pytest.raises(MissingAttributeError):
        _ = loaded(Strict, id=1).name
    assert Strict().name is None


def test_a_model_cannot_be_iterated_by_accident() -> None:
    with pytest.raises(TypeError):
        iter(loaded(name="a"))


def test_a_model_can_be_copied() -> None:
    customer = loaded(id=1, name="a")

    twin = copy.copy(customer)
    twin.name = "b"

    assert (customer.name, twin.name) == ("A", "B")
    assert copy.deepcopy(customer).get_attributes() == customer.get_attributes()


def test_dir_names_the_columns() -> None:
    assert {"name", "save"} <= set(dir(loaded(name="a")))


def test_an_unknown_name_on_the_class_offers_the_nearest() -> None:
    with pytest.raises(AttributeError, match="did you mean 'where'"):
        Customer.wehre("a", 1)


# --- casts, accessors, mutators


def test_defaults_go_through_casts_and_are_not_shared() -> None:
    first, second = Customer(), Customer()
    first.options["newsletter"] = False

    assert second.options == {"newsletter": True}
    assert second.vip is False
    assert first.get_attributes()["options"] == '{"newsletter":false}'


def test_a_mutator_says_what_is_stored() -> None:
    assert Customer(email=" Ada@Example.ORG ").get_attributes()["email"] == "ada@example.org"


def test_an_accessor_needs_no_column() -> None:
    assert Customer(name="ada lovelace").initials == "AL"


def test_json_changed_in_place_is_saved() -> None:
    customer = loaded(options='{"a": 1}', name="x")

    customer.options["b"] = []
    customer.options["b"].append(2)

    assert customer.is_dirty("options")
    assert customer.get_dirty() == {"options": '{"a":1,"b":[2]}'}
    assert customer.get_original("options") == {"a": 1}


def test_json_that_was_only_read_is_not_dirty() -> None:
    customer = loaded(options='{ "b": 2, "a": 1 }')

    assert customer.options == {"a": 1, "b": 2}
    assert customer.is_clean()


def test_casts_may_be_replaced_on_the_class() -> None:
    class Late(Model):
        pass

    Late.casts = {"n": "int"}

    assert loaded(Late, n="5").n == 5
    del Late.casts
    assert loaded(Late, n="5").n == "5"


# --- mass assignment


def test_fill_sets_everything_but_the_key_by_default() -> None:
    customer = Customer(id=9, name="a")

    assert customer.get_key() is None
    assert customer.name == "A"


def test_fillable_lets_nothing_else_through() -> None:
    class Narrow(Model):
        fillable = ["name"]

    assert Narrow(name="a", admin=True).get_attributes() == {"name": "a"}


@pytest.mark.parametrize("key", ["ID", "Id", "customers.id", "id->x", "name->x", "a b", ""])
def test_a_guard_cannot_be_walked_around_by_spelling(key: str) -> None:
    assert Customer({key: 5}).get_attributes().keys() == {"vip", "options"}


def test_a_totally_guarded_model_refuses_aloud() -> None:
    class Closed(Model):
        guarded = ["*"]

    with pytest.raises(MassAssignmentError, match=r"Add \[name\] to fillable"):
        Closed(name="a")
    assert Closed.unguarded(lambda: Closed(name="a")).name == "a"
    with Closed.unguarded():
        assert Closed(id=5).id == 5
    with pytest.raises(MassAssignmentError):
        Closed(name="a")
    assert Closed().force_fill(name="a").name == "a"


def test_discarding_is_an_error_in_strict_mode() -> None:
    class Loud(Model):
        fillable = ["name"]

    Loud.should_be_strict()

    with pytest.raises(MassAssignmentError, match="admin of Loud"):
        Loud(name="a", admin=True)
    Loud.should_be_strict(False)
    assert "admin" not in Loud(name="a", admin=True)


def test_is_fillable_answers_for_one_column() -> None:
    assert Customer().is_fillable("name")
    assert not Customer().is_fillable("id")


# --- what changed


def test_only_what_differs_is_dirty() -> None:
    customer = loaded(id=1, name="a", city="b")

    customer.name = "c"
    customer.city = "b"

    assert customer.get_dirty() == {"name": "c"}
    assert customer.is_dirty()
    assert customer.is_dirty("city", "name")
    assert customer.is_clean("city")
    assert customer.get_original("name") == "a"
    assert customer.get_original() == {"id": 1, "name": "a", "city": "b"}
    assert customer.get_raw_original("name") == "a"
    assert customer.get_original("nope", 5) == 5


@pytest.mark.parametrize(
    ("stored", "given", "dirty"),
    [
        (1, "1", False),
        ("1", 1, False),
        (1, True, False),
        ("01", "1", True),
        ("001", "01", True),
        (1, "01", True),
        (0, None, True),
        ("", None, True),
        (None, "", True),
        (None, None, False),
        (Decimal("1.50"), Decimal("1.5"), False),
        (Decimal("1.50"), "1.50", False),
        ("a", "A", True),
    ],
)
def test_without_a_cast_a_number_equals_the_text_that_spells_it(
    stored: Any, given: Any, dirty: bool
) -> None:
    customer = loaded(x=stored)
    customer.x = given

    assert customer.is_dirty() is dirty


@pytest.mark.parametrize(
    ("column", "stored", "given", "dirty"),
    [
        ("credit", "1.00", Decimal("1.0"), False),
        ("credit", 1.1, "1.10", False),
        ("credit", "1.00", "1.01", True),
        ("vip", 1, True, False),
        ("vip", 0, None, True),
        ("vip", 1, "on", False),
        ("options", '{"a": 1, "b": 2}', {"b": 2, "a": 1}, False),
        ("options", '{"a": 1}', {"a": True}, True),
        ("id", 5, "5", False),
    ],
)
def test_values_that_mean_the_same_by_their_cast_are_not_dirty(
    column: str, stored: Any, given: Any, dirty: bool
) -> None:
    customer = loaded(**{column: stored})
    customer[column] = given

    assert customer.is_dirty() is dirty


def test_changes_can_be_thrown_away_or_taken_for_the_truth() -> None:
    customer = loaded(name="a", options="{}")
    customer.name = "b"
    customer.options["x"] = 1

    assert customer.discard_changes().get_attributes() == {"name": "a", "options": "{}"}
    customer.name = "c"
    assert customer.sync_original().is_clean()
    assert customer.get_original("name") == "c"


def test_only_and_except_pick_attributes() -> None:
    customer = loaded(id=1, name="a", credit="1")

    assert customer.only("id", "credit") == {"id": 1, "credit": Decimal("1.00")}
    assert customer.only(["name"]) == {"name": "A"}
    assert customer.except_("name", "credit") == {"id": 1}


# --- as an object


def test_models_are_equal_by_table_and_key() -> None:
    class Other(Model):
        pass

    assert loaded(id=1) == loaded(id=1, name="x")
    assert loaded(id=1) != loaded(id=2)
    assert loaded(id=1) != loaded(Other, id=1)
    assert Customer() != Customer()
    assert loaded(id=1) != 1
    assert {loaded(id=1), loaded(id=1)} == {loaded(id=1)}
    with pytest.raises(TypeError, match="no key yet"):
        hash(Customer())


def test_a_model_shows_its_class_and_key() -> None:
    assert repr(loaded(id=7)) == "<Customer id=7>"
    assert repr(Customer()) == "<Customer new>"
