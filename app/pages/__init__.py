"""What the pages look like: one frame, and a few parts that every page is made of."""

from app.pages.layout import page
from app.pages.lists import Column, Filter, Listing, like, of_query, of_rows
from app.pages.parts import (
    button,
    card,
    day,
    facts,
    figure,
    here,
    link,
    moment,
    money,
    number,
    pager,
    table,
    tag,
)

__all__ = [
    "Column", "Filter", "Listing", "button", "card", "day", "facts", "figure", "here", "like",
    "link", "moment", "money", "number", "of_query", "of_rows", "page", "pager", "table", "tag",
]  # fmt: skip
