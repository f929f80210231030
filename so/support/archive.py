"""Where an application that runs from one file keeps what it writes: beside that file.

Its own files are laid down in a folder named after the archive's content, which goes with a later
version; `storage` and `.env` in there are links to those beside the archive (so/release/zipapp.py).
"""

from __future__ import annotations

import os
from pathlib import Path

VARIABLE = "SIXORBIT_ZIPAPP"  # which archive a process came from


def home_of(base: Path) -> Path:
    """Where storage/ and .env of the application in *base* are: beside its archive, or there."""
    if VARIABLE not in os.environ or not (base / "storage").is_symlink():
        return base
    # One step only: the storage/ there may itself be a link to another disk.
    return Path(os.path.normpath(base / os.readlink(base / "storage"))).parent
