from __future__ import annotations

import pytest

from so.db.model import Model
from so.db.naming import plural, snake


@pytest.mark.parametrize(
    ("name", "table"),
    [
        ("User", "users"),
        ("OrderLine", "order_lines"),
        ("Category", "categories"),
        ("Day", "days"),
        ("Person", "people"),
        ("SalesPerson", "sales_people"),
        ("Child", "children"),
        ("Box", "boxes"),
        ("Branch", "branches"),
        ("Address", "addresses"),
        ("Status", "statuses"),
        ("Tax", "taxes"),
        ("Analysis", "analyses"),
        ("Index", "indices"),
        ("Shelf", "shelves"),
        ("Hero", "heroes"),
        ("Photo", "photos"),
        ("Equipment", "equipment"),
        ("Staff", "staff"),
        ("People", "people"),
        ("HTTPRequest", "http_requests"),
        ("Area51Visit", "area51_visits"),
    ],
)
def test_a_class_name_gives_its_table(name: str, table: str) -> None:
    assert plural(snake(name)) == table
    assert type(Model)(name, (Model,), {}).table == table


def test_a_table_that_was_named_is_inherited_and_a_derived_one_is_not() -> None:
    class Named(Model):
        table = "people_of_interest"

    class Heir(Named):
        pass

    class Derived(Model):
        pass

    class Further(Derived):
        pass

    assert (Heir.table, Further.table) == ("people_of_interest", "furthers")
