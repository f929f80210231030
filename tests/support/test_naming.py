"""Which class a stored name means: one rule for the trail, the inboxes and the jobs."""

import pytest

from so.errors import ActivityError
from so.support.naming import ClassNames


def a_class(module: str, name: str = "Paid", base: type = object, **values: object) -> type:
    return type(name, (base,), {"__module__": module, **values})


@pytest.fixture
def names() -> ClassNames:
    return ClassNames(ActivityError, "in a test")


def test_a_second_class_of_one_name_is_refused_and_both_modules_are_named(names):
    first, second = a_class("app.sales"), a_class("app.purchase")
    names.know("Paid", first)

    with pytest.raises(ActivityError, match=r"app\.purchase\.Paid and app\.sales\.Paid .*'Paid'"):
        names.know("Paid", second)

    assert names.find("Paid") is first


def test_two_classes_of_one_module_that_were_given_one_name_are_refused_as_well(names):
    first, second = a_class("app.sales", "Paid"), a_class("app.sales", "Due")
    names.know("bill", first)

    with pytest.raises(ActivityError, match=r"app\.sales\.Due and app\.sales\.Paid"):
        names.know("bill", second)
    assert names.find("bill") is first


def test_a_class_that_is_defined_anew_takes_the_place_of_the_first(names):
    first, again = a_class("app.sales"), a_class("app.sales")

    names.know("Paid", first)
    names.know("Paid", again)

    assert names.find("Paid") is again


def test_a_class_that_is_made_from_the_other_takes_its_place(names):
    first = a_class("package.sales")
    own = a_class("app.sales", base=first)

    names.know("Paid", first)
    names.know("Paid", own)

    assert names.find("Paid") is own


def test_a_class_that_nobody_holds_any_more_is_forgotten(names):
    names.know("Paid", a_class("app.sales"))
    second = a_class("app.purchase")

    names.know("Paid", second)

    assert names.find("Paid") is second
    assert names.find("Due") is None


def test_two_that_mean_the_same_things_may_share_a_name():
    names = ClassNames(ActivityError, "in a test", lambda cls, other: cls.table == other.table)
    first, second = (a_class(module, table="bills") for module in ("app.sales", "app.purchase"))

    names.know("Paid", first)
    names.know("Paid", second)

    assert names.find("Paid") is second
