"""Whether the SQLite file that a worker has open is still the one that everybody else opens.

Somebody who removes the database and installs it anew leaves running workers with a file that has
no name any more: they would wait there for jobs for ever, without an error.
"""

from __future__ import annotations

import logging
from typing import Any

from so.db.options import file_of
from so.support.places import identity_of

log = logging.getLogger("so.queue")


class OpenedFile:
    """The file behind one connection; with a server, or in memory, it is never replaced."""

    def __init__(self, conn: Any) -> None:
        """*conn* is open already: what has its name now is what it reads."""
        self._path = ""
        if conn.dialect.name == "sqlite":
            self._path = file_of(str(conn.config["database"])) or ""
        self._identity = identity_of(self._path)

    def is_replaced(self) -> bool:
        """Whether there is another file of that name; logged if so."""
        now = identity_of(self._path)
        # While there is none, the next one may be on its way: better to stay than to make it.
        if now is None or self._identity is None or now == self._identity:
            return False
        log.error(
            "queue: %s was replaced by another file: this worker ends, for the service manager "
            "to start it with the new one",
            self._path,
        )
        return True
