"""The query builder, complete."""

from __future__ import annotations

from so.db.query.writing import Writing


class Query(Writing):
    """A query on one table: gather clauses, then read or write.

    `db.table("users").where("active", True).order_by("name").get()`
    """


__all__ = ["Query"]
