"""What the pages of accounts are made of: the parts of this application's other pages."""

from app.pages import button, card, facts, link, page, table

__all__ = ["button", "card", "facts", "link", "page", "table"]
