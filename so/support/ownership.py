"""What root makes in the folder of a service's user belongs to that user: a log, a database.

Root runs a migration or a backup by hand, and the service, which runs as a user of its own, must
go on writing to what came of it.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

OF_ROOT = ("upgrades",)  # code that root may run again stays root's


def give_to_owner(folder: Path, since: float) -> None:
    """Give what is in *folder*, two levels deep, and was made by root *since* then to its owner.

    *since* is in seconds of the epoch. Nothing happens where this is not root, or the folder his.
    """
    if not hasattr(os, "geteuid") or os.geteuid() != 0 or not folder.is_dir():
        return
    owner = folder.stat()
    if owner.st_uid == 0:
        return
    for place in folder.iterdir():
        if place.name not in OF_ROOT:
            _give(place, owner, since)
            if not place.is_symlink() and place.is_dir() and place.stat().st_mtime >= since:
                for inner in place.iterdir():
                    _give(inner, owner, since)


def _give(place: Path, owner: os.stat_result, since: float) -> None:
    about = place.lstat()
    if about.st_uid != 0 or about.st_ctime < since:
        return
    # By its handle, and never a file that has a second name: whoever owns the folder could have put
    # a link there to what is none of his.
    with suppress(OSError):
        handle = os.open(place, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            found = os.fstat(handle)
            is_single = stat.S_ISREG(found.st_mode) and found.st_nlink == 1
            if found.st_uid == 0 and (is_single or stat.S_ISDIR(found.st_mode)):
                os.fchown(handle, owner.st_uid, owner.st_gid)
        finally:
            os.close(handle)
