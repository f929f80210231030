"""What the pages look like: one frame, and a few parts that every page is made of."""

from app.pages.layout import page
from app.pages.parts import button, card, facts, here, link, money, pager, table, tag

__all__ = ["button", "card", "facts", "here", "link", "money", "page", "pager", "table", "tag"]
