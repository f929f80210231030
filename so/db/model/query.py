"""A query that gives models: `User.where("active", True).with_("posts").get()`.

The table of contents: each part knows the scoped query and none of the others.
"""

from __future__ import annotations

from so.db.model.bulk import BulkQuery
from so.db.model.existence import Existence
from so.db.model.making import MakingQuery


class ModelQuery(
    Existence,  # has, where_has, doesnt_have, with_count
    BulkQuery,  # update, delete, insert, upsert, increment of many rows
    MakingQuery,  # create, first_or_create, update_or_create, destroy
):
    """A query for models of one class."""


__all__ = ["ModelQuery"]
