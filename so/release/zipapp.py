"""A whole application as one file that Python runs: `python3 erp.pyz serve`.

It holds what a bundle holds: framework, application, settings, migrations, guides, static files. A
server sends files, migrations are looked for in folders, and workers are processes of their own, so
an archive with an application in it lays its files down once, in a folder named after its content,
and runs from there. `storage/` and `.env` are those beside it, through every new version.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NoReturn

from so.errors import ReleaseError
from so.release.bundle import application_files
from so.release.files import files_below, for_services
from so.release.sealed import Told, nobody, written
from so.release.wheels import contents
from so.support.archive import VARIABLE
from so.support.ownership import owner_of

MOMENT = (1980, 1, 1, 0, 0, 0)  # the same sources give the same bytes
WITHOUT_STORAGE = ("list", "help", "new", "completion", "docs", "-h", "--help", "-V", "--version")
KEPT = 2  # versions laid down beside the present one: processes may still run from them
MAIN = '''"""Runs the application in this archive."""

import sys

if sys.version_info < (3, 11):  # in words that every Python understands
    sys.exit("SixOrbit needs Python 3.11 or newer; this is %d.%d" % sys.version_info[:2])

from so.console.main import main

sys.exit(main())
'''


def write_zipapp(base: Path, target: Path, wheels: Iterable[Path] = (), told: Told = nobody) -> int:
    """Write the application in *base* as *target*; its size in bytes.

    What is in *wheels*, such as the MySQL driver, is in `vendor/` there.
    """
    with written(target):
        _write_whole(base, target, wheels, told)
    return target.stat().st_size


def _write_whole(base: Path, target: Path, wheels: Iterable[Path], told: Told) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        with part.open("wb") as raw:
            raw.write(b"#!/usr/bin/env python3\n")
            with zipfile.ZipFile(raw, "w", zipfile.ZIP_DEFLATED) as archive:
                _write(archive, base, wheels, told)
        part.chmod(0o755)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _write(archive: zipfile.ZipFile, base: Path, wheels: Iterable[Path], told: Told) -> None:
    _add(archive, "__main__.py", MAIN.encode())
    files = [one for one in application_files(base) if one[0] != "__main__.py"]
    for done, (name, file) in enumerate(files, 1):
        _add(archive, name, file.read_bytes())
        told(done, len(files))
    for file in files_below(base / "vendor"):
        _add(archive, file.relative_to(base).as_posix(), file.read_bytes())
    for wheel in wheels:
        for name, content in contents(wheel):
            _add(archive, f"vendor/{name}", content)


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    entry = zipfile.ZipInfo(name, MOMENT)
    mode = 0o755 if name.startswith("bin/") else 0o644
    entry.external_attr = (stat.S_IFREG | mode) << 16
    entry.compress_type = zipfile.ZIP_DEFLATED
    archive.writestr(entry, content)


def holds_application(archive: Path) -> bool:
    """Whether there is an application in *archive*, and not the framework alone."""
    with zipfile.ZipFile(archive) as found:
        names = found.namelist()
    return any(name.startswith("config/") for name in names) and any(
        name.startswith("app/") for name in names
    )


def run(archive: Path, words: Sequence[str]) -> NoReturn:
    """Become the command *words* of the application in *archive*.

    ReleaseError where its files cannot be laid down.
    """
    archive = archive.resolve()
    if not hasattr(os, "getuid"):
        raise ReleaseError(
            "an application in one file needs links and users as Unix has them; here unpack it: "
            f"{Path(sys.executable).name} -m zipfile -e {archive.name} {archive.stem}"
        )
    home = Path(os.environ.get("SIXORBIT_BASE") or archive.parent).resolve()
    has_storage = _is_writable(home / "storage") or (home / "storage").is_dir()
    if not has_storage and words and words[0] not in WITHOUT_STORAGE:
        raise ReleaseError(_nowhere(home, archive))
    base = laid_down(archive, home)
    entry = base / "bin" / "sixorbit"
    command = [sys.executable, *_flags(archive), str(entry), *words]
    environ = {**os.environ, VARIABLE: str(archive)}
    environ.pop("SIXORBIT_BASE", None)
    sys.stdout.flush()
    os.execve(sys.executable, command, environ)  # noqa: S606 - this Python, with the same words


def _nowhere(home: Path, archive: Path) -> str:
    return (
        f"storage/ is looked for in {home}, where this user may not make it: make it there for "
        "him, or name another folder for storage/ and .env, such as "
        f"SIXORBIT_BASE=/var/lib/{archive.stem} python3 {archive} …"
    )


def _flags(archive: Path) -> list[str]:
    """What Python itself was told, such as -I, where it was told to run *archive*."""
    if Path(sys.argv[0]).resolve() != archive:
        return []
    return sys.orig_argv[1 : len(sys.orig_argv) - len(sys.argv)]


def laid_down(archive: Path, home: Path) -> Path:
    """The folder with the files of *archive*, and *home*'s storage/ and .env; made if need be.

    It is in `storage/zipapp/`; where nobody may write there, or for root somebody else may, among
    this user's temporary files.
    """
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()[:16]
    place = home / "storage" / "zipapp"
    is_anothers = owner_of(home / "storage") is not None
    if is_anothers or not ((place / digest).is_dir() or _is_writable(place)):
        place = _temporary(home, 0o755 if is_anothers else 0o700)  # he runs it, too
    target = place / digest
    if not target.is_dir():
        _lay_down(archive, home, target)
        _forget_older(place, target)
    return target


def _is_writable(place: Path) -> bool:
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(place, os.W_OK)


def _temporary(home: Path, mode: int) -> Path:
    """A folder of this user's alone, for this *home*."""
    mark = hashlib.sha256(str(home).encode()).hexdigest()[:16]
    place = Path(tempfile.gettempdir(), f"sixorbit-{os.getuid()}-{mark}")
    place.mkdir(mode=0o700, exist_ok=True)
    found = place.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
        raise ReleaseError(f"{place} is not this user's own: remove it")
    place.chmod(mode)
    return place


def _lay_down(archive: Path, home: Path, target: Path) -> None:
    """All files in one step: whoever was faster keeps the place, and nobody sees half of it."""
    part = Path(tempfile.mkdtemp(prefix=".", dir=target.parent))
    try:
        with zipfile.ZipFile(archive) as found, for_services():
            found.extractall(part)
        entry = part / "bin" / "sixorbit"
        if not entry.is_file():
            raise ReleaseError(f"{archive} has no bin/sixorbit: make it by `bin/sixorbit zipapp`")
        entry.chmod(0o755)
        # Relative where that is possible: archive and storage/ may be moved together.
        inside = target.parent.is_relative_to(home)
        up = Path(os.path.relpath(home, target)) if inside else home
        for name in ("storage", ".env"):
            if (part / name).is_dir() and not (part / name).is_symlink():
                shutil.rmtree(part / name)
            (part / name).unlink(missing_ok=True)
            (part / name).symlink_to(up / name)
        part.chmod(0o755)
        part.rename(target)
    except OSError:
        if not target.is_dir():
            raise
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _forget_older(place: Path, present: Path) -> None:
    """Remove versions laid down long ago, but for those that a process may still run from."""
    others = [one for one in place.iterdir() if one.is_dir() and one != present]
    for old in sorted(others, key=lambda one: one.stat().st_mtime)[:-KEPT]:
        shutil.rmtree(old, ignore_errors=True)
