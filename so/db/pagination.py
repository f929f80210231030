"""Pages of rows: with a total, without one, and by cursor. All are dicts, ready for JSON.

Which page is asked for when the caller names none is what the scope's request says in its query,
and it knows below which prefix the links stay.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from math import ceil
from typing import Any, Self
from urllib.parse import quote, urlencode

from so.db.rows import Collection
from so.errors import CodecError, InvalidNumberError, QueryUseError
from so.support import numbers
from so.support.codec import default_codec
from so.support.scope import current_scope

_LARGEST_PAGE = 2**31 - 1
_LONGEST_CURSOR = 8192


def requested(name: str) -> Any:
    """What the request under way says under *name*; None without one, or without an answer."""
    scope = current_scope()
    return None if scope is None or scope.request is None else scope.request.query(name)


def page_number(page: Any, page_name: str = "page") -> int:
    """*page*, or the request's, as a number of at least 1; whatever is no such number is 1."""
    if page is None:
        page = requested(page_name)
    number = numbers.whole(page if isinstance(page, int) else str(page)) or 1
    return number if 1 <= number <= _LARGEST_PAGE else 1


def rows_per_page(value: Any) -> int:
    """*value*, which a request may have said as text, as a number of rows of at least 1.

    InvalidNumberError (a ValueError, 400) otherwise.
    """
    is_count = isinstance(value, int | str) and not isinstance(value, bool)
    number = numbers.whole(value) if is_count else None
    if number is None or number < 1:
        raise InvalidNumberError(
            f"per_page must be a whole number of at least 1, not {value!r:.60}"
        )
    return min(number, _LARGEST_PAGE)


class Page(dict[str, Any]):
    """The rows under `data` and what surrounds them; each key is an attribute too (`from_`)."""

    def __getattr__(self, name: str) -> Any:
        key = name.rstrip("_")
        if key in self:
            return self[key]
        raise AttributeError(f"a page has no {name!r}; it has: {', '.join(self)}")

    @property
    def is_empty(self) -> bool:
        """Has the page no rows?"""
        return not self["data"]

    def count(self) -> int:
        """How many rows the page has."""
        return len(self["data"])

    def through(self, fn: Callable[[Any], Any]) -> Self:
        """Put fn(row) in the place of each row; gives the page."""
        self["data"] = Collection(map(fn, self["data"]))
        return self

    def links(self, path: str = "", query: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The addresses of the pages beside this one."""
        raise NotImplementedError

    def has_more_pages(self) -> bool:
        """Is there a page after this one?"""
        return bool(self["has_more"])

    def on_last_page(self) -> bool:
        """Is there none?"""
        return not self["has_more"]

    def on_first_page(self) -> bool:
        """Is there no page before this one?"""
        return self.links()["prev"] is None

    def has_pages(self) -> bool:
        """Is there another page than this one?"""
        return self.has_more_pages() or not self.on_first_page()

    def next_page_url(self, path: str = "", query: Mapping[str, Any] | None = None) -> str | None:
        """The address of the next page; None where there is none."""
        found: str | None = self.links(path, query)["next"]
        return found

    def previous_page_url(
        self, path: str = "", query: Mapping[str, Any] | None = None
    ) -> str | None:
        """The address of the page before; None where there is none."""
        found: str | None = self.links(path, query)["prev"]
        return found


class Paginator(Page):
    """A page that knows the total, and so the number of pages."""

    def __init__(
        self, data: Any, total: int, per_page: int, current_page: int, page_name: str = "page"
    ) -> None:
        first = (current_page - 1) * per_page + 1
        last_page = max(1, ceil(total / per_page))
        super().__init__(
            data=data,
            total=total,
            per_page=per_page,
            current_page=current_page,
            last_page=last_page,
            **{"from": first if data else None, "to": first + len(data) - 1 if data else None},
            has_more=current_page < last_page,
        )
        self.__dict__["page_name"] = page_name

    def links(self, path: str = "", query: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The addresses of the first, last, previous and next page; None where there is none."""
        page, last = self["current_page"], self["last_page"]
        name = self.__dict__["page_name"]
        return {
            "first": _url(path, query, name, 1),
            "last": _url(path, query, name, last),
            "prev": _url(path, query, name, min(page - 1, last)) if page > 1 else None,
            "next": _url(path, query, name, page + 1) if page < last else None,
        }

    def first_item(self) -> int | None:
        """The number of the page's first row among all; None for an empty page."""
        found: int | None = self["from"]
        return found

    def last_item(self) -> int | None:
        """The number of the page's last row among all; None for an empty page."""
        found: int | None = self["to"]
        return found

    def url(self, page: int, path: str = "", query: Mapping[str, Any] | None = None) -> str:
        """The address of a page; the first is 1."""
        return _url(path, query, self.__dict__["page_name"], max(1, page))


class SimplePaginator(Page):
    """A page that knows only whether there is another."""

    def __init__(
        self, data: Any, per_page: int, current_page: int, has_more: bool, page_name: str = "page"
    ) -> None:
        super().__init__(data=data, per_page=per_page, current_page=current_page, has_more=has_more)
        self.__dict__["page_name"] = page_name

    def links(self, path: str = "", query: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The addresses of the previous and the next page; None where there is none."""
        page, name = self["current_page"], self.__dict__["page_name"]
        return {
            "prev": _url(path, query, name, page - 1) if page > 1 else None,
            "next": _url(path, query, name, page + 1) if self["has_more"] else None,
        }


class CursorPaginator(Page):
    """A page found by the values of its neighbours' rows, not by counting rows."""

    def __init__(
        self,
        data: Any,
        per_page: int,
        next_cursor: str | None,
        prev_cursor: str | None,
        cursor_name: str = "cursor",
    ) -> None:
        super().__init__(
            data=data,
            per_page=per_page,
            next_cursor=next_cursor,
            prev_cursor=prev_cursor,
            has_more=next_cursor is not None,
        )
        self.__dict__["cursor_name"] = cursor_name

    def links(self, path: str = "", query: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The addresses of the previous and the next page; None where there is none."""
        name = self.__dict__["cursor_name"]
        ends = {"prev": self["prev_cursor"], "next": self["next_cursor"]}
        return {
            end: _url(path, query, name, cursor) if cursor else None for end, cursor in ends.items()
        }


class Cursor:
    """A place between two rows: the values they are ordered by, and which way to read on."""

    __slots__ = ("forward", "parameters")

    def __init__(self, parameters: Mapping[str, Any], forward: bool = True) -> None:
        self.parameters = dict(parameters)
        self.forward = forward

    def encode(self) -> str:
        """The cursor as text for an address; QueryUseError if none would hold it."""
        text = default_codec.encode([self.parameters, self.forward])
        encoded = base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")
        if len(encoded) > _LONGEST_CURSOR:
            raise QueryUseError(
                f"the values of {', '.join(self.parameters)} make a cursor of {len(encoded)} "
                f"characters, {_LONGEST_CURSOR} at most: order by shorter columns"
            )
        return encoded

    @classmethod
    def decode(cls, text: Any) -> Cursor | None:
        """The cursor that `encode()` wrote; None for anything else."""
        if isinstance(text, cls):
            return text
        if not isinstance(text, str) or not text or len(text) > _LONGEST_CURSOR:
            return None
        try:
            raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
            found = default_codec.decode(raw)
        except (binascii.Error, ValueError, CodecError):
            return None
        if not isinstance(found, list) or len(found) != 2 or not isinstance(found[0], dict):
            return None
        return cls(found[0], bool(found[1]))


def _url(path: str, query: Mapping[str, Any] | None, name: str, value: Any) -> str:
    pairs = urlencode({**(query or {}), name: value}, doseq=True, quote_via=quote)
    scope = current_scope()
    if path.startswith("/") and scope is not None and scope.request is not None:
        path = scope.request.mounted(path)
    return f"{path}{'&' if '?' in path else '?'}{pairs}"
