"""What the pages look like: one frame, and a few parts that every page is made of."""

from app.pages.layout import page
from app.pages.parts import button, card, facts, field, form, link, money, pager, select, table, tag

__all__ = [
    "button", "card", "facts", "field", "form", "link", "money", "page", "pager", "select",
    "table", "tag",
]  # fmt: skip
