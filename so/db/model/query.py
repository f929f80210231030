"""A query that gives models: `User.where("active", True).with_("posts").get()`.

The table of contents: each part knows the scoped query and none of the others.
"""

from __future__ import annotations

from so.db.model.bulk import BulkQuery
from so.db.model.making import MakingQuery
from so.db.model.morphs import Morphs


class ModelQuery(
    Morphs,  # has, where_has, with_sum, where_belongs_to, has_morph: by what is related
    BulkQuery,  # update, delete, insert, upsert, increment of many rows
    MakingQuery,  # create, first_or_create, update_or_create, destroy
):
    """A query for models of one class."""


__all__ = ["ModelQuery"]
