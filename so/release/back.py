"""Puts the version before an upgrade back: python3 storage/upgrades/TIME/PUT-BACK.py

It needs nothing but Python, and works where an upgrade was killed half way: every entry that was
moved comes back, every entry that was placed goes into `.replaced` beside this file.
"""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - in words that every Python understands
    sys.exit("SixOrbit needs Python 3.11 or newer; this is %d.%d" % sys.version_info[:2])  # noqa: UP031

import json
import os
import shutil
from pathlib import Path

PLAN, SCRIPT, REPLACED = ".plan.json", "PUT-BACK.py", ".replaced"
UNDER_WAY = ".upgrading"  # in the installation, while it is neither the old nor the new version


def put_back(kept: Path) -> Path:
    """Undo what was done to the installation whose old entries are in *kept*; its folder.

    It may be interrupted, and run any number of times.
    """
    plan = json.loads((kept / PLAN).read_text("utf-8"))
    base = Path(plan["base"])
    for name, was_there in plan["names"].items():
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
    try:
        source.rename(target)
    except OSError:  # another file system: copied beside its place first, so that half is none
        part = target.with_name(f"{target.name}.part")
        remove(part)
        shutil.copytree(source, part, symlinks=True) if source.is_dir() else shutil.copy2(
            source, part
        )
        part.rename(target)
        remove(source)


def remove(place: Path) -> None:
    """Remove a file or folder, if it is there."""
    shutil.rmtree(place) if place.is_dir() else place.unlink(missing_ok=True)


if __name__ == "__main__":
    where = put_back(Path(__file__).resolve().parent)
    sys.stdout.write(f"The version before is back in {where}. Restart its services.\n")
