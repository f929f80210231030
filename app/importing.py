"""Importing orders from a CSV file: bounded memory, bad lines reported, nothing twice.

One line is one order line. Columns, in any order, named in the first line:

    order_number     text, up to 64 characters; lines of one order may stand anywhere
    line_no          whole number from 1; unique within the order
    order_date       YYYY-MM-DD
    customer_number  text, up to 64 characters; an unknown customer is created
    customer_name    text
    sku              a product of the catalogue
    quantity         whole number from 1
    unit_price       decimal with a point and at most two places

The file is UTF-8, separated by commas, quoted by double quotes. A chunk of lines, its order totals
and the checkpoint are one transaction: killed at any point, the import goes on where it was. A
line that is there already is counted as repeated; with other values it is an error. Imported
orders are history: they take nothing from the stock. An order that was taken here, or has its
invoice already, is not changed by any file.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from functools import partial
from pathlib import Path
from typing import Any

from app.models import LARGEST_AMOUNT, ZERO, OrderImport
from app.records import records
from so import DB, app

COLUMNS = (
    "order_number", "line_no", "order_date", "customer_number", "customer_name", "sku", "quantity",
    "unit_price",
)  # fmt: skip
CHUNK = 500  # lines to a transaction
LONGEST_FIELD = 64  # characters of a number or sku
LARGEST_QUANTITY = 1_000_000
LARGEST_PRICE = Decimal("9999999.99")
MOST_ERRORS = 100_000  # bad lines that are kept for each file; all are counted
LONGEST_SHOWN = 500  # characters of a bad line that are kept


class WrongFile(ValueError):
    """A file that cannot be imported however often it is tried; the text is for who sent it."""


@dataclass(frozen=True, slots=True)
class Line:
    """One good line of the file."""

    at: int
    order: str
    line_no: int
    date: str
    customer: str
    customer_name: str
    sku: str
    quantity: int
    price: Decimal
    content: str  # the line itself, to show if it is refused

    def refused(self, reason: str) -> BadLine:
        """This line, which cannot be stored."""
        return BadLine(self.at, reason, self.content)

    @property
    def total(self) -> Decimal:
        """What the line adds to its order."""
        return self.price * self.quantity


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that cannot be imported."""

    at: int
    reason: str
    content: str


def run_import(job: OrderImport, progress: Callable[[int, int], object] | None = None) -> None:
    """Import the rest of *job*'s file from its checkpoint; *progress* hears (done, total).

    Raises WrongFile if there is nothing in it that could be imported.
    """
    path = Path(job.path)
    if not path.is_file():
        raise WrongFile("The file is no longer on the server. Please send it again.")
    if not job.total_lines:
        job.force_fill({"total_lines": _count(path), "status": "running"}).save()
    for done, lines in _chunks(path, job.done_lines):
        # Read committed: what another worker has just stored is there, and no key is missed.
        save = partial(_save, job.id, done, lines)
        DB.transaction(save, attempts=5, isolation="read committed")
        if progress:
            progress(done, job.total_lines)
    job.refresh()
    now = app("clock").now()
    job.force_fill({"status": "finished", "finished_at": now, "problem": None}).save()


def _count(path: Path) -> int:
    return sum(1 for _ in _rows(path))


def _chunks(path: Path, skip: int) -> Iterator[tuple[int, list[Line | BadLine]]]:
    """(lines done so far, lines) for each chunk after the first *skip* lines."""
    chunk: list[Line | BadLine] = []
    done = 0
    for done, (at, fields, problem) in enumerate(_rows(path), 1):
        if done <= skip:
            continue
        chunk.append(BadLine(at, problem, _shown(fields)) if problem else _parse(at, fields))
        if len(chunk) == CHUNK:
            yield done, chunk
            chunk = []
    if chunk:
        yield done, chunk


def _rows(path: Path) -> Iterator[tuple[int, Any, str]]:
    """(number of the line in the file, its fields by column, what is wrong with it) one by one."""
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        header: list[str] | None = None
        for at, row, problem in records(file):
            if header is None:
                header = _header(row)
            else:
                yield at, *((row, problem) if problem else _fields(header, row))
    if header is None:
        raise WrongFile("The file is empty. Its first line must name the columns.")


def _header(row: Sequence[str]) -> list[str]:
    names = [name.strip().lower() for name in row]
    missing = [name for name in COLUMNS if name not in names]
    if missing:
        hint = ""
        if len(names) == 1 and (";" in names[0] or "\t" in names[0]):
            hint = " Its columns seem to be separated by semicolons or tabs; please use commas."
        raise WrongFile(f"The first line does not name the columns {', '.join(missing)}.{hint}")
    return names


def _fields(header: Sequence[str], row: Sequence[str]) -> tuple[Any, str]:
    if len(row) != len(header):
        return row, f"{len(row)} fields instead of {len(header)}"
    try:
        "".join(row).encode()
    except UnicodeEncodeError:
        return row, "not UTF-8"
    return {name: value.strip() for name, value in zip(header, row, strict=True)}, ""


def _shown(fields: Any) -> str:
    """The line as it stands in the file, so that whoever sent it finds it there."""
    values = list(fields.values() if isinstance(fields, dict) else fields)
    text = io.StringIO()
    if len(values) > 1:
        csv.writer(text, lineterminator="").writerow(values)
    else:
        text.write(values[0])  # what could not be read as CSV is not quoted as CSV
    line = text.getvalue().encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return line if len(line) <= LONGEST_SHOWN else f"{line[: LONGEST_SHOWN - 1]}…"


def _parse(at: int, fields: dict[str, str]) -> Line | BadLine:
    try:
        return Line(
            at,
            _text(fields, "order_number"),
            _whole(fields, "line_no", 1_000_000),
            _date(fields["order_date"]),
            _text(fields, "customer_number"),
            fields["customer_name"][:191] or fields["customer_number"],
            _text(fields, "sku"),
            _whole(fields, "quantity", LARGEST_QUANTITY),
            _price(fields["unit_price"]),
            _shown(fields),
        )
    except ValueError as error:
        return BadLine(at, str(error), _shown(fields))


def _text(fields: dict[str, str], name: str) -> str:
    value = fields[name]
    if not value or len(value) > LONGEST_FIELD:
        raise ValueError(f"{name} must have 1 to {LONGEST_FIELD} characters")
    return value


def _whole(fields: dict[str, str], name: str, most: int) -> int:
    value = fields[name]
    if not (value.isascii() and value.isdigit() and len(value) < 8 and 1 <= int(value) <= most):
        raise ValueError(f"{name} must be a whole number from 1 to {most}, not {value[:40]!r}")
    return int(value)


def _date(value: str) -> str:
    try:
        if len(value) == 10:
            return date.fromisoformat(value).isoformat()
    except ValueError:
        pass
    raise ValueError(f"order_date must be a date like 2026-01-31, not {value[:40]!r}")


def _price(value: str) -> Decimal:
    try:
        # Decimal() also reads 1_0 and the digits of every script.
        price = Decimal(value if value.isascii() and "_" not in value else "NaN")
    except InvalidOperation:
        price = Decimal(-1)
    if not (price.is_finite() and 0 <= price <= LARGEST_PRICE and price == round(price, 2)):
        raise ValueError(f"unit_price must be an amount like 12.50, not {value[:40]!r}")
    return price.quantize(ZERO)


# --- saving one chunk -----------------------------------------------------------------------------


def _save(import_id: int, done: int, chunk: Sequence[Line | BadLine]) -> None:
    bad = [line for line in chunk if isinstance(line, BadLine)]
    lines = [line for line in chunk if isinstance(line, Line)]
    products = _ids("products", "sku", {line.sku for line in lines})
    unknown = [line for line in lines if line.sku not in products]
    bad += [line.refused(f"unknown sku {line.sku!r}") for line in unknown]
    lines = [line for line in lines if line.sku in products]

    orders = _orders(lines)
    totals, closed = _locked(orders)
    unseen, repeated = _unseen(lines, orders, products, bad)
    new = _added(unseen, orders, totals, closed, bad)
    _insert(new, orders, products)
    job = DB.table("order_imports").where("id", import_id)
    if bad and job.value("rejected") < MOST_ERRORS:
        DB.table("order_import_errors").insert_or_ignore(
            [
                {"import_id": import_id, "line_no": b.at, "reason": b.reason, "content": b.content}
                for b in bad
            ]
        )
    job.update(
        {
            "done_lines": done,
            "imported": DB.raw(f"imported + {len(new)}"),
            "repeated": DB.raw(f"repeated + {repeated}"),
            "rejected": DB.raw(f"rejected + {len(bad)}"),
            "updated_at": app("clock").now(),
        }
    )


def _ids(table: str, column: str, values: set[str]) -> dict[str, int]:
    return DB.table(table).where_in(column, sorted(values)).pluck("id", column) if values else {}


def _orders(lines: Sequence[Line]) -> dict[str, int]:
    """The key of each order by its number; orders and customers that are new are made."""
    now = app("clock").now()
    customers = _ids("customers", "number", {line.customer for line in lines})
    names = {line.customer: line.customer_name for line in lines if line.customer not in customers}
    if names:
        DB.table("customers").insert_or_ignore(
            [
                {"number": number, "name": name, "created_at": now, "updated_at": now}
                for number, name in sorted(names.items())
            ]
        )
        customers |= _ids("customers", "number", set(names))
    orders = _ids("orders", "number", {line.order for line in lines})
    first = {line.order: line for line in reversed(lines) if line.order not in orders}
    if first:
        DB.table("orders").insert_or_ignore(
            [
                {
                    "number": number, "customer_id": customers[line.customer], "status": "imported",
                    "ordered_on": line.date, "total": ZERO, "created_at": now, "updated_at": now,
                }
                for number, line in sorted(first.items())
            ]
        )  # fmt: skip
        orders |= _ids("orders", "number", set(first))
    return orders


def _locked(orders: dict[str, int]) -> tuple[dict[int, Decimal], set[int]]:
    """The totals of *orders*, now ours alone, and those that no file may change."""
    if not orders:
        return {}, set()
    keys = sorted(orders.values())
    rows = DB.table("orders").where_in("id", keys).order_by("id").lock_for_update().get()
    invoiced = DB.table("invoices").where_in("order_id", keys).pluck("order_id")
    closed = {row.id for row in rows if row.status != "imported"} | set(invoiced)
    return {row.id: Decimal(str(row.total)) for row in rows}, closed


def _unseen(
    lines: Sequence[Line], orders: dict[str, int], products: dict[str, int], bad: list[BadLine]
) -> tuple[list[Line], int]:
    """The lines that are not stored yet, and how many are; contradictions join *bad*."""
    stored = {
        (row.order_id, row.line_no): (row.product_id, row.quantity, Decimal(str(row.unit_price)))
        for row in DB.table("order_lines")
        .select("order_id", "line_no", "product_id", "quantity", "unit_price")
        .where_in("order_id", sorted(orders.values()))
        .get()
    } if orders else {}  # fmt: skip
    new, repeated = [], 0
    for line in lines:
        key = (orders[line.order], line.line_no)
        values = (products[line.sku], line.quantity, line.price)
        if key not in stored:
            stored[key] = values
            new.append(line)
        elif stored[key] == values:
            repeated += 1
        else:
            text = f"line {line.line_no} of order {line.order} is there with other values"
            bad.append(line.refused(text))
    return new, repeated


def _added(
    lines: Sequence[Line],
    orders: dict[str, int],
    totals: dict[int, Decimal],
    closed: set[int],
    bad: list[BadLine],
) -> list[Line]:
    """Those of *lines* that may join their orders, whose totals then hold them; others are bad."""
    before, good = dict(totals), []
    for line in lines:
        key = orders[line.order]
        if key in closed:
            text = f"order {line.order} was not imported, or has an invoice already"
            bad.append(line.refused(text))
        elif totals[key] + line.total > LARGEST_AMOUNT:
            bad.append(line.refused(f"order {line.order} becomes too large"))
        else:
            totals[key] += line.total
            good.append(line)
    for key, total in totals.items():
        if total != before[key]:
            DB.table("orders").where("id", key).update({"total": total})
    return good


def _insert(lines: Sequence[Line], orders: dict[str, int], products: dict[str, int]) -> None:
    if not lines:
        return
    DB.table("order_lines").insert(
        [
            {
                "order_id": orders[line.order], "line_no": line.line_no,
                "product_id": products[line.sku], "quantity": line.quantity,
                "unit_price": line.price, "line_total": line.total,
            }
            for line in lines
        ]
    )  # fmt: skip
