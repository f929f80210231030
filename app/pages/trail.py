"""The audit trail in words that a person reads: names for keys, one entry for what was one deed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from app.models import Customer, Order, Product, User
from app.pages.parts import link, moment, tag
from so import Activity, Markup, h, local

CHANGES = ("created", "updated", "deleted", "restored", "force_deleted")
DEEDS = {"created": "added", "updated": "changed", "deleted": "deleted", "restored": "brought back"}
KINDS = {
    "user": "User", "product": "Product", "customer": "Customer", "order": "Order",
    "invoice": "Invoice",
}  # fmt: skip
PAGES = {
    "product": "/products",
    "customer": "/customers",
    "order": "/orders",
    "invoice": "/invoices",
}
REFERENCES = {
    "customer_id": (Customer, "name"), "user_id": (User, "name"), "owner_id": (User, "name"),
    "decided_by": (User, "name"), "order_id": (Order, "number"), "product_id": (Product, "name"),
}  # fmt: skip
NAMES = {
    "customer_id": "customer", "user_id": "taken by", "owner_id": "owner", "order_id": "order",
    "product_id": "product", "sku": "SKU", "reorder_level": "order again at", "due_on": "due",
    "ordered_on": "date", "is_active": "for sale", "decided_at": "decided",
}  # fmt: skip
AMOUNTS = ("price", "total", "amount", "unit_price", "line_total", "revenue")
# Who decided and when is what the entry itself says.
UNTOLD = ("lock_version", "created_at", "updated_at", "id", "decided_by", "decided_at", "note")
SAID = {  # of the log `auth`: what somebody did himself, or met
    "login": "logged in", "logout": "logged out", "failed": "did not get in: wrong password",
    "lockout": "was kept out for a while: too many tries", "ended": "ended other sessions",
    "registered": "registered", "verified": "confirmed the address",
    "password_changed": "changed the password", "password_reset": "set a new password by a link",
    "two_factor_on": "turned the second factor on",
    "two_factor_off": "turned the second factor off",
    "role_changed": "changed roles", "impersonated": "acted as another", "locked": "locked out",
    "unlocked": "let in again",
}  # fmt: skip
ROWS_OF_AN_ENTRY = 6  # how many are read for each of the last ones
MOST_CHANGES = 8  # of one record, in one entry


@dataclass
class Entry:
    """One thing that happened, whatever it changed: its rows, the one that says it best first."""

    rows: list[Activity] = field(default_factory=list)

    @property
    def head(self) -> Activity:
        """What happened: a word of the business, else the first change."""
        told = [row for row in self.rows if row.event not in CHANGES]
        return told[0] if told else self.rows[0]


def latest(count: int) -> Markup:
    """The last *count* entries, however many rows each has, up to a few."""
    rows = Activity.order_by_desc("id").limit(count * ROWS_OF_AN_ENTRY).get()
    return trail(rows, most=count)


def entries_of(rows: Iterable[Activity]) -> list[Entry]:
    """*rows*, newest first, those of one batch together."""
    found: dict[Any, Entry] = {}
    for row in rows:
        found.setdefault(row.batch_uuid or ("row", row.id), Entry()).rows.append(row)
    for entry in found.values():
        entry.rows.reverse()
    return list(found.values())


def trail(rows: Sequence[Activity], *, subject: Any = None, most: int | None = None) -> Markup:
    """The entries below each other; on the page of *subject* its name is not said again."""
    entries = entries_of(rows)[:most]
    if not entries:
        return h("p", "Nothing here yet.", class_="empty")
    names = names_of(row for entry in entries for row in entry.rows)
    return h("ol", [_entry(entry, names, subject) for entry in entries], class_="log")


def _entry(entry: Entry, names: Mapping[Any, str], subject: Any) -> Markup:
    head = entry.head
    lines = []
    new = [row for row in entry.rows if row.event == "created"]
    for row in entry.rows:
        is_new = any(_is(row, one) for one in new)  # then all of it is
        changes = [] if is_new else told_changes(row, names)
        about = None if _is(row, head) or _is_subject(row, subject) else _subject(row)
        if row is not head and row.event == "created" and not _is(row, head):
            lines.append(h("li", _subject(row), " added"))
        lines += [h("li", [about, ": "] if about else None, change) for change in changes]
    what = _sentence(head, is_known=_is_subject(head, subject))
    note = head.properties.get("note")
    return h(
        "li",
        h("div", moment(head.created_at), class_="soft"),
        h(
            "div",
            h("p", h("b", who(head)), " · ", what),
            h("p", "“", str(note), "”") if note else None,
            h("ul", lines) if lines else None,
        ),
    )


def who(row: Activity) -> str:
    """Who did it, by name."""
    label = row.causer_label
    if not label:
        return "Nobody signed in"
    return f"The system ({label.removeprefix('system:')})" if label.startswith("system:") else label


def _sentence(row: Activity, *, is_known: bool) -> list[Any]:
    """What happened, in words, with the name of its subject unless that *is_known*."""
    is_own = (row.subject_type, row.subject_id) == (row.causer_type, row.causer_id)
    said = SAID.get(row.event) if row.log_name == "auth" else None
    if row.event == "failed" and row.properties.get("reason") == "two_factor":
        said = "did not get in: wrong code of the second factor"
    if is_own:
        return [said or row.description]
    text, name = said or str(row.description), row.subject_label
    if row.event in CHANGES and text == row.event:
        kind = KINDS.get(row.subject_type, row.subject_type or "Record")
        text = f"{kind} {DEEDS.get(row.event, row.event)}"
    if is_known or row.subject_type is None:
        return [text]
    if name and name in text:
        before, _, after = text.partition(name)
        return [before, _subject(row), after]
    return [text, " · ", _subject(row)]


def _subject(row: Activity) -> Any:
    """What it happened to, as a link where it has a page."""
    if row.subject_type is None:
        return None
    name = row.subject_label or f"{KINDS.get(row.subject_type, row.subject_type)} {row.subject_id}"
    path = PAGES.get(row.subject_type)
    return link(name, f"{path}/{row.subject_id}") if path and row.event != "deleted" else name


def _is(row: Activity, other: Activity) -> bool:
    return (row.subject_type, row.subject_id) == (other.subject_type, other.subject_id)


def _is_subject(row: Activity, subject: Any) -> bool:
    if subject is None:
        return False
    return (row.subject_type, row.subject_id) == (subject.type_alias, str(subject.get_key()))


# --- what changed -------------------------------------------------------------------------------


def told_changes(row: Activity, names: Mapping[Any, str]) -> list[Any]:
    """The changes of *row* in words; of a new record, nothing: all of it is new."""
    if row.event == "created":
        return []
    told = []
    for column, (before, after) in row.changes().items():
        if column in UNTOLD:
            continue
        name = NAMES.get(column, column.replace("_", " ")).capitalize()
        old, new = (_value(column, value, names) for value in (before, after))
        told.append([f"{name}: ", h("del", old), " → ", h("ins", new)])
    more = len(told) - MOST_CHANGES
    return told if more <= 0 else [*told[:MOST_CHANGES], f"and {more} more"]


def names_of(rows: Iterable[Activity]) -> dict[Any, str]:
    """The names behind the keys that *rows* speak of: a query for each kind, not for each row."""
    keys: dict[Any, set[Any]] = {}
    for row in rows:
        for column, pair in row.changes().items():
            if column in REFERENCES:
                keys.setdefault(REFERENCES[column], set()).update(key for key in pair if key)
    return {
        (model, key): str(name)
        for (model, label), wanted in keys.items()
        for key, name in model.where_in("id", sorted(wanted, key=str)).pluck(label, "id").items()
    }


def _value(column: str, value: Any, names: Mapping[Any, str]) -> Any:
    """*value* as a person reads it."""
    if value is None or value == "":
        return "nothing"
    if column in REFERENCES:
        return names.get((REFERENCES[column][0], value), f"no. {value}")
    if column == "status":
        return tag(str(value))
    if column.startswith("is_"):
        return "yes" if value else "no"
    if isinstance(value, int):
        return local().number(value)
    if column in AMOUNTS:
        return _amount(value)
    return _moment(value) if isinstance(value, str) else str(value)


def _amount(value: Any) -> str:
    try:
        return local().money(Decimal(str(value)))
    except (InvalidOperation, ValueError):
        return str(value)


def _moment(text: str) -> str:
    """A moment or a day as its reader writes it; any other text as it is."""
    if len(text) < 10 or text[4] != "-":
        return text
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return text
    return local().date(found.date()) if len(text) == 10 else local().moment(found)
