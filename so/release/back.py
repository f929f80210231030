"""Puts the version before an upgrade back: python3 .upgrades/TIME/PUT-BACK.py

It needs nothing but Python, and works where an upgrade was killed half way: every entry that was
moved comes back, every entry that was placed goes into `.replaced` beside this file. It stands in
the installation itself, where whoever may change it may change the installation, and not in
storage/, which belongs to the user of the services: root runs it.
"""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - in words that every Python understands
    sys.exit("SixOrbit needs Python 3.11 or newer; this is %d.%d" % sys.version_info[:2])  # noqa: UP031

import json
import os
import shutil
from pathlib import Path

FOLDER, PLAN, SCRIPT, REPLACED = ".upgrades", ".plan.json", "PUT-BACK.py", ".replaced"
UNDER_WAY = ".upgrading"  # in the installation, while it is neither the old nor the new version


def put_back(kept: Path) -> Path:
    """Undo what was done to the installation whose old entries are in *kept*; its folder.

    It may be interrupted, and run any number of times.
    """
    base = kept.parent.parent
    for name, was_there in json.loads((kept / PLAN).read_text("utf-8")).items():
        here, old = base / name, kept / name
        if os.path.lexists(here) and (os.path.lexists(old) or not was_there):
            move(here, kept / REPLACED / name)
        if os.path.lexists(old):
            move(old, here)
    (base / UNDER_WAY).unlink(missing_ok=True)
    return base


def move(source: Path, target: Path) -> None:
    """Move a file or folder; what an earlier, interrupted try left at the target gives way."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.is_dir() and not target.is_symlink():
        shutil.rmtree(target)
    source.rename(target)


if __name__ == "__main__":
    where = put_back(Path(__file__).resolve().parent)
    sys.stdout.write(f"The version before is back in {where}. Restart its services.\n")
