"""Lists with search, filters, sorting and pages: nothing is cut off without a word.

    products = Listing("/products", columns, order="name", search="SKU or name")
    return page("Products", products.draw(find))

*find* gets what was asked for and gives a page of rows; `of_query` makes one of a query.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.pages.parts import Head, card, pager, table
from so import Markup, h, request
from so.web.forms import form

LONGEST_SEARCH = 100  # characters


@dataclass(frozen=True)
class Column:
    """One column: what it is called, what stands in it, and what it is sorted by, if it can be."""

    label: str
    cell: Callable[[Any], Any]
    sort: str = ""
    number: bool = False


@dataclass(frozen=True)
class Filter:
    """A choice; `options` are value and text, and "" stands for all."""

    name: str
    label: str
    options: Mapping[str, str]


@dataclass(frozen=True)
class Asked:
    """What somebody wants to see."""

    text: str
    chosen: Mapping[str, str]
    sort: str
    descending: bool
    per_page: int


@dataclass(frozen=True)
class Listing:
    """A list at *path*, sorted by the column *order* at first; with - the last one first."""

    path: str
    columns: Sequence[Column]
    order: str
    search: str = ""  # what a search looks into, in words; "": there is none
    filters: Sequence[Filter] = field(default_factory=tuple)
    empty: str = "Nothing here yet."
    per_page: int = 25

    def draw(self, find: Callable[[Asked], Mapping[str, Any]]) -> Markup:
        """The fields to choose by, and a page of what *find* gives."""
        asked = self.asked()
        found = find(asked)
        rows = [[column.cell(row) for column in self.columns] for row in found["data"]]
        numbers = [at for at, column in enumerate(self.columns) if column.number]
        nothing: Any = self.empty
        if asked.text or any(asked.chosen.values()):
            nothing = ["Nothing here fits. ", h("a", "Show all", href=request().url())]
        if found.get("total"):  # there is something, but not so far down
            first = h("a", "Show the first", href=request().url())
            nothing = ["There are not so many pages. ", first]
        listing = table([self._head(column, asked) for column in self.columns], rows, numbers,
                        empty=nothing)  # fmt: skip
        return card(self._fields(), listing, pager(found))

    def asked(self) -> Asked:
        """What the query of the request asks for; what means nothing is left out."""
        given = request()
        chosen = {each.name: given.string(each.name) for each in self.filters}
        known = {each.name: each.options for each in self.filters}
        wanted = given.string("sort")
        if wanted.removeprefix("-") not in {column.sort for column in self.columns if column.sort}:
            wanted = self.order
        return Asked(
            given.string("q").strip()[:LONGEST_SEARCH] if self.search else "",
            {name: value for name, value in chosen.items() if value in known[name]},
            wanted.removeprefix("-"),
            wanted.startswith("-"),
            self.per_page,
        )

    def _fields(self) -> Markup | None:
        if not self.search and not self.filters:
            return None
        f = form(self.path, "GET")
        parts = []
        if self.search:
            search = f.text("q", f"Search {self.search}", kind="search", maxlength=LONGEST_SEARCH)
            parts.append(h("div", search, class_="wide"))
        parts += [h("div", f.select(each.name, each.label, each.options)) for each in self.filters]
        sorted_by = f.hidden("sort") if request().filled("sort") else None
        send = h("div", h("button", "Show", class_="plain"))
        return f(*parts, sorted_by, send=send, class_="filters", role="search")

    def _head(self, column: Column, asked: Asked) -> Head:
        if not column.sort:
            return Head(column.label)
        is_sorted = column.sort == asked.sort
        turned = f"-{column.sort}" if is_sorted and not asked.descending else column.sort
        url = request().full_url_with_query({"sort": turned, "page": None})
        mark = (" ↓" if asked.descending else " ↑") if is_sorted else ""
        shown = h(
            "a", column.label, h("span", mark, aria_hidden="true") if mark else None, href=url
        )
        way = ("descending" if asked.descending else "ascending") if is_sorted else None
        return Head(column.label, shown, way)


Narrow = Callable[[Any, str], Any]


def of_query(query: Any, search: Narrow | None = None, **filters: Narrow) -> Any:
    """A finder in *query*: *search* narrows it by a text, each of *filters* by its value."""

    def find(asked: Asked) -> Mapping[str, Any]:
        found = query
        if asked.text and search is not None:
            found = search(found, asked.text)
        for name, value in asked.chosen.items():
            if value:
                narrow = filters.get(name, lambda given, v, name=name: given.where(name, v))
                found = narrow(found, value)
        direction = "desc" if asked.descending else "asc"
        # The key behind it: rows that are equal keep their places from page to page.
        return (
            found.order_by(asked.sort, direction).order_by("id", direction).paginate(asked.per_page)
        )

    return find


def of_rows(rows: Sequence[Mapping[str, Any]], asked: Asked) -> Mapping[str, Any]:
    """A page of *rows*, which are all here, sorted as asked."""
    from so.db.pagination import Paginator, page_number

    ordered = sorted(rows, key=lambda row: row[asked.sort], reverse=asked.descending)
    at, size = page_number(None, "page"), asked.per_page
    return Paginator(ordered[(at - 1) * size : at * size], len(ordered), size, at)


def like(*columns: str) -> Narrow:
    """A search for a text in any of *columns*."""

    def narrow(query: Any, text: str) -> Any:
        def any_of(inner: Any) -> Any:
            for column in columns:
                inner = inner.where_like(column, f"%{text}%", boolean="or", escape=True)
            return inner

        return query.where(any_of)

    return narrow
