"""The figures of a month, written as a CSV file by a job."""

from __future__ import annotations

import csv
from datetime import date
from decimal import Decimal
from pathlib import Path

from app.models import ZERO, Order, Report
from so import app


def generate(report: Report) -> Report:
    """Add up the month of *report* and write `storage/reports/YYYY-MM.csv`, replacing it whole."""
    first, after = month_limits(report.month)
    per_customer: dict[int, list[Decimal | int]] = {}
    count, revenue = 0, ZERO
    orders = Order.where("ordered_on", ">=", first).where("ordered_on", "<", after)
    for order in orders.where("status", "!=", "cancelled").lazy_by_id(1000):
        row = per_customer.setdefault(order.customer_id, [0, ZERO])
        row[0] += 1
        row[1] += order.total
        count, revenue = count + 1, revenue + order.total
    path = _write(report.month, per_customer)
    report.update(status="finished", orders=count, revenue=revenue, path=str(path))
    return report


def month_limits(month: str) -> tuple[date, date]:
    """The first day of *month* (YYYY-MM) and the first after it; ValueError for anything else."""
    first = date.fromisoformat(f"{month}-01")
    return first, date(first.year + first.month // 12, first.month % 12 + 1, 1)


def _harmless(text: str) -> str:
    """*text* as a spreadsheet shows it: what begins like a formula would be run as one."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def _write(month: str, per_customer: dict[int, list[Decimal | int]]) -> Path:
    from app.models import Customer

    path = app().storage_path("reports") / f"{month}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    names = {}
    keys = sorted(per_customer)
    for at in range(0, len(keys), 500):
        names |= Customer.where_in("id", keys[at : at + 500]).pluck("name", "id")
    with part.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["customer", "orders", "revenue"])
        for key, (orders, revenue) in sorted(per_customer.items(), key=lambda item: -item[1][1]):
            writer.writerow([_harmless(str(names.get(key, key))), orders, revenue])
    part.replace(path)
    return path
