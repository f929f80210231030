"""The query builder: `Query`, and `builder()` for one without a database."""

from __future__ import annotations

from so.db.query.query import JoinClause, Query
from so.db.query.recording import RecordingRunner, builder

__all__ = ["JoinClause", "Query", "RecordingRunner", "builder"]
