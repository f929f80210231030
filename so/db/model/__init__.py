"""Models, Active Record style: one class for one table, one object for one row.

Read in this order: base.py (the class itself), meta.py (its class side), plan.py (what is known of
it), attributes.py, persistence.py and serialising.py (one object), query.py and the modules built
on it (many), eager.py (relations of many at once).
"""

from __future__ import annotations

from so.db.model.base import Model
from so.db.model.collection import Models, Related
from so.db.model.mixins import HasUuids, SoftDeletes, SoftDeletingScope
from so.db.model.query import ModelQuery
from so.db.relations.definition import relation

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
