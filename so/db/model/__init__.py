"""Models, Active Record style: one class for one table, one object for one row.

`base` is the class itself and a good place to start; `meta` its class side, `attributes`,
`persistence` and `serialising` what one object does, `query` and the modules built on it what a
query for models does, `eager` how relations are loaded for many at once.
"""

from __future__ import annotations

from so.db.model.base import Model
from so.db.model.collection import Models, Related
from so.db.model.query import ModelQuery
from so.db.relations.definition import relation
from so.db.soft_deletes import SoftDeletes, SoftDeletingScope
from so.db.uuids import HasUuids

__all__ = [
    "HasUuids",
    "Model",
    "ModelQuery",
    "Models",
    "Related",
    "SoftDeletes",
    "SoftDeletingScope",
    "relation",
]
