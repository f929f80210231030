"""The query builder: `Query`, and `builder()` for one without a database.

Read in this order: query.py (the table of contents), core.py (what every chapter knows),
where.py, reading.py, writing.py; the others when their word is looked for.
"""

from __future__ import annotations

from so.db.query.query import JoinClause, Query
from so.db.query.recording import RecordingRunner, builder

__all__ = ["JoinClause", "Query", "RecordingRunner", "builder"]
