"""One process at a time in a folder: installing, upgrading and restoring shut each other out."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from so.errors import ReleaseError


@contextmanager
def alone(folder: Path, what: str) -> Iterator[None]:
    """Nobody else does such work in *folder* during the block; ReleaseError if somebody does.

    The lock is on the folder itself and goes with the process, however that ends. Where a folder
    cannot be locked (Windows, some network drives), nobody is shut out.
    """
    try:
        import fcntl

        handle = os.open(folder, os.O_RDONLY)
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
