"""Ending sessions from outside: the user's rows, and the logins that stood beside them.

A login beside another's has a row that only that session leads to. Once that is gone nobody comes
back to it, and it would be listed as a device until it is idle.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from so.systems.sessions.bag import BESIDE
from so.systems.sessions.life import RowSeal
from so.systems.sessions.stores import SessionTable, StoredSession


def end_user(store: SessionTable, seal: RowSeal, user_id: str, keep: Sequence[str] = ()) -> int:
    """Remove the rows of that user, all but *keep* → how many."""
    going = [row for row in store.whole_for_user(user_id) if row.id not in keep]
    count = store.delete_for_user(user_id, keep=keep)
    _end_beside(store, seal, going)
    return count


def end_row(store: SessionTable, seal: RowSeal, id: str) -> None:
    """Remove that row, and those of the device that it is remembered by."""
    row = store.read(id)
    if row is None or not store.delete(id):
        return
    if row.remember_series is not None and row.user_id is not None:
        store.delete_for_user(row.user_id, series=row.remember_series)
    _end_beside(store, seal, [row])


def _end_beside(store: SessionTable, seal: RowSeal, rows: Iterable[StoredSession]) -> None:
    for row in rows:
        bag = seal.opened(row)
        found = None if bag is None else bag.get(BESIDE)
        for id in found.values() if isinstance(found, dict) else ():
            store.delete(str(id))
