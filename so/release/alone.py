"""One process at a time in a folder: installing, upgrading and restoring shut each other out."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from so.errors import ReleaseError

LOCK = ".busy"


@contextmanager
def alone(folder: Path, what: str) -> Iterator[None]:
    """Nobody else does such work in *folder* during the block; ReleaseError if somebody does.

    The lock is on a file that is its maker's alone: whoever can open a file can hold it, and the
    services' user could shut root out. It goes with the process, however that ends. Where nothing
    can be locked (Windows, some network drives), nobody is shut out.
    """
    try:
        import fcntl

        handle = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    except (ImportError, OSError):
        yield
        return
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ReleaseError(
                f"{what}: another installation, upgrade or restore is under way in {folder}"
            ) from None
        except OSError:
            pass
        yield
    finally:
        os.close(handle)
