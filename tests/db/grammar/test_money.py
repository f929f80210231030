"""Money compares, sorts and sums as money on both engines: `decimal(p,s)`, and old text columns."""

from __future__ import annotations

import sqlite3
from decimal import Decimal as D
from typing import Any

import pytest

from so.db.manager import Database
from so.db.model import Model
from so.db.presence import DatabasePresence
from so.db.schema import money_in_text
from tests.db.tables import create

AMOUNTS = ["9.50", "100.00", "20.00", "0.10", "0.20", "-3.00", "9999999999999.99"]


class Invoice(Model):
    casts = {"amount": "decimal:2"}
    guarded: list[str] = []
    timestamps = False


@pytest.fixture
def invoices(empty_db: Database) -> Database:
    create(
        empty_db.connection(),
        "invoices",
        "id integer primary key, amount decimal(15,2), paid decimal(15,2), doc text",
    )
    for id, amount in enumerate(AMOUNTS, 1):
        Invoice.create(id=id, amount=amount, paid="20.00", doc={"sum": float(amount)})
    return empty_db


@pytest.fixture
def old(empty_db: Database) -> Database:
    """As the guides had it: text on SQLite."""
    kind = "text" if empty_db.connection().dialect.name == "sqlite" else "decimal(15,2)"
    create(empty_db.connection(), "invoices", f"id integer primary key, amount {kind}")
    for id, amount in enumerate(AMOUNTS, 1):
        Invoice.create(id=id, amount=amount)
    return empty_db


def found(query: Any) -> list[int]:
    return sorted(query.pluck("id"))


def values(rows: Any) -> list[D]:
    return [row.amount for row in rows]


WHERES = [
    (lambda q: q.where_raw("amount + 0 > ? and id < ?", [D("9.5"), 4]), [2, 3]),
    (lambda q: q.where_raw("'?' <> ? and amount * 2 = ?", [D(1), D("19.00")]), [1]),
    (lambda q: q.group_by("id").having_raw("sum(amount) > ?", [D(15)]).select("id"), [2, 3, 7]),
    (lambda q: q.where("amount", ">", D(15)), [2, 3, 7]),
    (lambda q: q.where("amount", ">=", D("100.0")), [2, 7]),
    (lambda q: q.where("amount", "<", D(0)), [6]),
    (lambda q: q.where("amount", D(20)), [3]),
    (lambda q: q.where("amount", D("20.000")), [3]),
    (lambda q: q.where("amount", "!=", D(20)), [1, 2, 4, 5, 6, 7]),
    (lambda q: q.where_not("amount", D("9.5")), [2, 3, 4, 5, 6, 7]),
    (lambda q: q.where("amount", D("9999999999999.99")), [7]),
    (lambda q: q.where("amount", ">", D("9999999999999.98")), [7]),
    (lambda q: q.where_in("amount", [D(20), D("9.5"), 100]), [1, 2, 3]),
    (lambda q: q.where_not_in("amount", [D(20), D("9.5"), D("0.1")]), [2, 5, 6, 7]),
    (lambda q: q.where_between("amount", [D("0.15"), D(20)]), [1, 3, 5]),
    (lambda q: q.where_not_between("amount", D(0), D(100)), [6, 7]),
    (lambda q: q.where_null_safe_equals("amount", D(100)), [2]),
    (lambda q: q.where_row_values(["amount", "id"], "=", [D(20), 3]), [3]),
    (lambda q: q.where_any(["amount", "id"], "=", D(2)), [2]),
    (lambda q: q.where({"amount": D("9.5")}), [1]),
    (lambda q: q.where([("amount", ">", D(1)), ("amount", "<", D(21))]), [1, 3]),
]


@pytest.mark.parametrize("number", range(len(WHERES)))
def test_conditions_compare_money(invoices, number):
    narrow, ids = WHERES[number]

    assert found(narrow(Invoice.query())) == ids
    assert found(narrow(invoices.table("invoices"))) == ids


@pytest.mark.parametrize("number", range(len(WHERES)))
def test_old_columns_of_text_are_compared_with_decimals_as_money(old, number):
    narrow, ids = WHERES[number]

    assert found(narrow(Invoice.query())) == ids
    assert found(narrow(old.table("invoices"))) == ids


@pytest.mark.parametrize("value", [20, "20", "20.0", 20.0, "2e1"])
def test_whatever_kind_of_number_is_compared(invoices, value):
    assert found(Invoice.where("amount", value)) == [3]
    assert found(Invoice.where("amount", ">=", value)) == [2, 3, 7]
    assert found(Invoice.where_in("amount", [value])) == [3]


def test_money_sorts_and_has_a_least_and_a_greatest(invoices):
    rising = [D(one) for one in sorted(AMOUNTS, key=D)]

    assert values(Invoice.order_by("amount").get()) == rising
    assert values(Invoice.order_by_desc("amount").get()) == rising[::-1]
    assert (Invoice.min("amount"), Invoice.max("amount")) == (rising[0], rising[-1])
    assert str(Invoice.where("id", "<", 3).min("amount")) == "9.50"
    rows = invoices.table("invoices")
    assert D(str(rows.min("amount"))) == rising[0]
    assert D(str(rows.max("amount"))) == rising[-1]


def test_sums_and_averages_are_exact(invoices):
    small = invoices.table("invoices").where_in("id", [4, 5])

    assert small.sum("amount") == D("0.30")
    assert Invoice.sum("amount") == sum(map(D, AMOUNTS))
    assert small.avg("amount") == D("0.15")


def test_money_is_joined_grouped_and_told_apart(invoices):
    invoices.table("invoices").insert({"id": 8, "amount": D("20"), "paid": D("9.5")})
    table = invoices.table("invoices")

    assert found(table.clone().where_column("amount", "=", "paid")) == [3]
    assert found(table.clone().where_column("amount", ">", "paid")) == [2, 7, 8]
    assert len(table.clone().distinct().pluck("amount")) == 7
    groups = table.clone().select("amount").select_raw("count(*) as n").group_by("amount")
    assert [D(str(row.amount)) for row in groups.having("n", ">", 1).get()] == [20]
    pairs = invoices.table("invoices", "a").join("invoices as b", "a.amount", "=", "b.paid")
    assert sorted(set(pairs.pluck("a.id"))) == [1, 3, 8]


def test_groups_are_narrowed_by_what_they_sum_up_to(invoices):
    groups = (
        invoices.table("invoices")
        .select("paid")
        .select_raw("sum(amount) as total")
        .where("id", "<", 7)
        .group_by("paid")
    )

    assert len(groups.clone().having("total", ">", D("15")).get()) == 1
    assert len(groups.clone().having("total", ">", D("127")).get()) == 0
    assert len(groups.clone().having_between("total", [D(100), D(127)]).get()) == 1


def test_json_numbers_compare_with_decimals(invoices):
    assert found(invoices.table("invoices").where("doc->sum", ">", D("15"))) == [2, 3, 7]
    assert found(invoices.table("invoices").where("doc->sum", D("9.50"))) == [1]


def test_pages_by_money_go_on_where_they_stopped(invoices):
    for base in (Invoice.query(), invoices.table("invoices")):
        seen: list[int] = []
        cursor = None
        while True:
            page = base.clone().order_by("amount").order_by("id").cursor_paginate(2, cursor)
            seen += [row.id for row in page["data"]]
            cursor = page["next_cursor"]
            if not cursor:
                break
        assert seen == [6, 4, 5, 1, 3, 2, 7]


def test_steps_and_updates_stay_exact(invoices):
    row = invoices.table("invoices").where("id", 4)
    for _ in range(10):
        row.increment("amount", D("0.10"))

    assert Invoice.find(4).amount == D("1.10")
    row.update({"amount": D("0.30")})
    assert row.clone().where("amount", D("0.3")).exists()
    invoices.table("invoices").upsert({"id": 4, "amount": D("7.70")}, "id", ["amount"])
    invoice = Invoice.find(4)
    assert str(invoice.amount) == "7.70"
    invoice.amount = "7.7"
    assert invoice.is_clean()


def test_validation_finds_money_however_it_is_written(invoices):
    class Target:
        table, column, connection, ignored, wheres = "invoices", "amount", None, None, ()
        id_column = "id"

    looked = ["20", "20.00", "9.5", "9.50", "7", D("100"), 20]

    found = DatabasePresence(invoices).found(Target(), looked)
    assert sorted(map(str, found)) == sorted(str(one) for one in looked if one != "7")


@pytest.mark.parametrize("engine", ["sqlite"])
def test_a_plain_shell_reads_and_sorts_it(invoices, empty_db_config):
    plain = sqlite3.connect(empty_db_config["database"])
    try:
        rows = plain.execute("select amount from invoices where amount > 15 order by amount")
        assert rows.fetchall() == [(20,), (100,), (9999999999999.99,)]
        assert plain.execute("select max(amount) from invoices where id < 7").fetchone() == (100,)
    finally:
        plain.close()


@pytest.mark.parametrize("engine", ["sqlite"])
def test_fifteen_digits_come_back_as_they_went_in(invoices):
    for text in ("999999999999.999", "0.12345678901234", "123456789012345", "1.00000000000001"):
        invoices.table("invoices").where("id", 1).update({"amount": D(text)})
        assert D(str(invoices.table("invoices").where("id", 1).value("amount"))) == D(text)
        assert invoices.table("invoices").where("amount", D(text)).pluck("id") == [1]


@pytest.mark.parametrize("engine", ["sqlite"])
def test_more_digits_in_text_are_compared_exactly(old):
    long = D("1234567890123456789.123456789")
    old.table("invoices").insert({"id": 9, "amount": long})
    table = old.table("invoices")

    assert found(table.clone().where("amount", long)) == [9]
    assert found(table.clone().where("amount", ">", long - D("0.000000001"))) == [9]
    assert found(table.clone().where("amount", ">", long)) == []
    assert found(table.clone().where("amount", "<", long)) == [1, 2, 3, 4, 5, 6, 7]
    assert found(table.clone().where_between("amount", [long, long])) == [9]
    assert found(table.clone().where_not_between("amount", [D(-5), long - 1])) == [9]


@pytest.mark.parametrize("engine", ["sqlite"])
def test_an_index_serves_a_comparison_with_a_decimal(invoices):
    invoices.statement("create index amounts on invoices (amount)")
    table = invoices.table("invoices")

    for query in (table.clone().where("amount", D(20)), table.clone().where_in("amount", [D(20)])):
        plan = " ".join(str(row) for row in query.explain())
        assert "amounts" in plan


@pytest.mark.parametrize("engine", ["sqlite"])
def test_old_columns_of_text_are_named(old):
    columns = [
        ("invoices", "amount", "decimal:2"),
        ("invoices", "id", "decimal"),
        ("gone", "x", ""),
    ]

    (fault,) = money_in_text(old.connection(), columns)

    assert (fault.kind, fault.table, fault.name) == ("money", "invoices", "amount")
    assert "decimal(p,s)" in str(fault)
