"""`backup` and `restore`: an installation's data, uploads, keys and settings as one sealed file.

Written while everything runs. Restoring never overwrites: what is in the way is named, or moved
aside when that was asked for, and the restored databases are checked before it is called done.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from so.db.options import file_of
from so.errors import ReleaseError
from so.release import dumps
from so.release.files import files_below
from so.release.sealed import (
    UNFINISHED,
    Sealed,
    Told,
    digest_of,
    nobody,
    remove_leftovers,
    sealed,
    written,
)
from so.support.ownership import Owner, is_root, is_roots_alone, let_read

if TYPE_CHECKING:
    from so.db.connection import Connection

FORMAT = 1
PARTS = ("database", "uploads", "settings")
SETTINGS = (".env", "config")
_UNDER_WAY = ".restoring"


@dataclass(frozen=True)
class Installation:
    """What belongs to one application: its folder, databases, and folders of uploads and keys."""

    base: Path
    name: str
    connections: Sequence[Connection]
    kept: Sequence[str] = ("storage/app", "storage/app.key")  # relative to the folder
    version: str = ""


def write_backup(place: Installation, target: Path, told: Told = nobody) -> int:
    """Write all of *place* to *target*; its size in bytes. Nothing is left of a broken attempt."""
    with written(target):
        remove_leftovers(target.parent)
    about: dict[str, Any] = {
        "format": FORMAT,
        "application": place.name,
        "framework": place.version,
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "databases": {},
    }
    with written(target), _aside(target.parent) as folder, sealed(target, about) as archive:
        files = list(_files_of(place))
        total = len(place.connections) + len(files)
        for done, connection in enumerate(place.connections, 1):
            name = f"database/{connection.name}{dumps.suffix(connection)}"
            copy = folder / f"{connection.name}{dumps.suffix(connection)}"
            dumps.dump(connection, copy)
            archive.add(name, copy, _mode_of_database(connection))
            copy.unlink()
            about["databases"][connection.name] = {
                "file": name,
                "engine": connection.dialect.name,
                "database": str(connection.config["database"]),
            }
            told(done, total)
        for done, (name, file) in enumerate(files, len(place.connections) + 1):
            with suppress(FileNotFoundError):  # an upload that was deleted meanwhile
                archive.add(name, file, _mode(file))
            told(done, total)
    return target.stat().st_size


def keep_newest(folder: Path, pattern: str, count: int) -> list[Path]:
    """Delete the oldest files like *pattern* in *folder* beyond *count*; what was deleted."""
    found = sorted(folder.glob(pattern), key=lambda file: file.stat().st_mtime)
    gone = found[: max(len(found) - count, 0)] if count > 0 else []
    for file in gone:
        file.unlink()
    return gone


@dataclass
class Restoration:
    """One run of `restore`: *into* a folder, *parts* of what the file holds."""

    source: Sealed
    into: Path
    parts: Sequence[str] = PARTS
    force: bool = False

    def __post_init__(self) -> None:
        # Of this run alone: what an earlier one has moved aside is never written over. Settings are
        # not root's to move into storage/, which belongs to the user of the services.
        name = f"before-restore-{datetime.now(UTC):%Y%m%d-%H%M%S-%f}"
        self.aside = self.into / "storage" / name
        self.settings_aside = self.into / f".{name}"
        unknown = [part for part in self.parts if part not in PARTS]
        if unknown:
            raise ReleaseError(f"there is no part {unknown[0]!r}: {', '.join(PARTS)}")
        if self.source.manifest.get("format") != FORMAT:
            raise ReleaseError(f"{self.source.path} is no backup of an application")
        self._refuse_strange()

    def _refuse_strange(self) -> None:
        """ReleaseError for what no backup holds, such as a database that is somewhere else."""
        files, found = self.source.manifest["files"], self.source.manifest.get("databases")
        if not isinstance(found, dict) or not all(
            isinstance(one, dict) and "engine" in one for one in found.values()
        ):
            raise ReleaseError(f"{self.source.path} does not say which databases it holds")
        strange = [str(one.get("file")) for one in found.values() if one.get("file") not in files]
        strange += [name for name in files if name.partition("/")[0] not in PARTS]
        if strange:
            raise ReleaseError(f"{self.source.path} holds {strange[0]!r}, which no backup does")

    @property
    def moved(self) -> list[Path]:
        """What this run has moved aside."""
        places = sorted((*self.aside.rglob("*"), *self.settings_aside.rglob("*")))
        return [one for one in places if one.is_symlink() or not one.is_dir()]

    def refuse_strangers_settings(self, here: Path) -> None:
        """ReleaseError where root would run settings that somebody else could have written.

        Those that are in the installation *here* anyway are taken from anywhere.
        """
        if "settings" not in self.parts or not is_root() or is_roots_alone(self.source.path):
            return
        for name, about in self.source.manifest["files"].items():
            part, _, place = name.partition("/")
            if part == "settings" and digest_of(here / place) != about["sha256"]:
                raise ReleaseError(
                    f"{self.source.path} could have been written by others than root, and its "
                    f"{place} is another than that in {here}: settings are code that root would "
                    "run. Look at it and copy the file to where only root may write, or restore "
                    "with --only=database --only=uploads"
                )

    @property
    def databases(self) -> dict[str, Mapping[str, Any]]:
        """The databases in the file, by the name of their connection."""
        found: dict[str, Mapping[str, Any]] = self.source.manifest["databases"]
        return found if "database" in self.parts else {}

    @contextmanager
    def staged(self, told: Told = nobody) -> Iterator[Path]:
        """The file's members in a folder beside their places, gone at the end."""
        with written(self.into):
            self.into.mkdir(parents=True, exist_ok=True)
            remove_leftovers(self.into)
        with _aside(self.into) as folder:
            with written(self.into):
                self.source.extract(folder, told)
            yield folder

    def moves(self, folder: Path, targets: Mapping[str, Path]) -> dict[Path, Path]:
        """Which file of *folder* goes where; the SQLite files to *targets*.

        ReleaseError if one of the places is taken, unless *force*.
        """
        moves = {source: self._true(place) for source, place in self._moves(folder, targets)}
        taken = sorted({str(self._top(place)) for place in moves.values() if is_there(place)})
        if taken and not (self.force or self.was_interrupted()):
            raise ReleaseError(
                f"in the way: {', '.join(taken[:8])}; restore into an empty folder with --into, or "
                "with --force, which moves them aside and deletes nothing"
            )
        return moves

    def require_writable(self, places: Iterable[Path]) -> None:
        """ReleaseError where this process may not write, before anything is moved."""
        for place in (*places, self.aside):
            _require_writable(place)

    def place_files(self, moves: Mapping[Path, Path], aside: Path | None = None) -> None:
        """Move files to their places, and what is there below *aside*; default: in storage/."""
        try:
            for source, place in moves.items():
                owner = _owner(place)
                self._move_aside(place, aside or self.aside)
                _make_folders(place.parent, owner)
                shutil.move(source, place)
                _give(place, owner)
        except OSError as error:
            raise ReleaseError(
                f"{error}: half of it is restored; mend that and run the same command again"
            ) from error

    def let_read(self, owner: Owner, places: Iterable[Path]) -> None:
        """Let the services' user read the settings in *places*, whatever root's umask is."""
        folders = {
            one
            for place in places
            for one in place.parents
            if one != self.into and one.is_relative_to(self.into)
        }
        let_read(owner, (*folders, *places))

    def begin(self) -> None:
        """Note that this folder is half restored, so that a killed run can be begun again."""
        (self.into / _UNDER_WAY).write_text(json.dumps({"file": str(self.source.path)}), "utf-8")

    def end(self) -> None:
        """All is in place."""
        (self.into / _UNDER_WAY).unlink(missing_ok=True)

    def was_interrupted(self) -> bool:
        """Whether an earlier run was killed after it had begun to move."""
        return (self.into / _UNDER_WAY).exists()

    def _moves(self, folder: Path, targets: Mapping[str, Path]) -> Iterator[tuple[Path, Path]]:
        for name, target in targets.items():
            yield folder / self.databases[name]["file"], target
        for part in ("uploads", "settings"):
            if part in self.parts:
                for file in files_below(folder / part):
                    yield file, self.into / file.relative_to(folder / part)

    def _true(self, place: Path) -> Path:
        """Where *place* is: a link right in the folder, such as `.env`, is followed.

        A link further down could be one of an upload's making, and is never gone through.
        """
        if not place.is_relative_to(self.into):
            return place
        first, *rest = place.relative_to(self.into).parts
        top = (self.into / first).resolve()
        for number in range(1, len(rest)):
            if (link := top.joinpath(*rest[:number])).is_symlink():
                raise ReleaseError(f"{link} is a link: remove it, nothing is restored through it")
        return top.joinpath(*rest)

    def _top(self, place: Path) -> Path:
        return place.relative_to(self.into) if place.is_relative_to(self.into) else place

    def _move_aside(self, place: Path, folder: Path) -> None:
        # A database's journal belongs to it: left behind, it would be played into the new one.
        for old in (place, *(place.with_name(place.name + tail) for tail in ("-wal", "-shm"))):
            if is_there(old):
                aside = folder / str(self._top(old)).lstrip("/")
                _make_folders(aside.parent, _owner(folder))
                shutil.move(old, aside)


def is_there(place: Path) -> bool:
    """Whether something has the name *place*, if only a link that leads nowhere."""
    return os.path.lexists(place)


def _nearest(place: Path) -> Path:
    """*place*, or the folder above it that is there."""
    return place if is_there(place) else _nearest(place.parent)


def _require_writable(place: Path) -> None:
    folder = _nearest(place.parent)
    if not (folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)):
        raise ReleaseError(
            f"{folder} may not be written to: restore as its owner or as root; nothing was changed"
        )


def _owner(place: Path) -> tuple[int, int]:
    """User and group to whom *place* belongs, or will: that of the folder it comes into."""
    about = _nearest(place).lstat()
    return about.st_uid, about.st_gid


def _make_folders(folder: Path, owner: tuple[int, int]) -> None:
    if not folder.is_dir():
        _make_folders(folder.parent, owner)
        folder.mkdir()
        _give(folder, owner)


def _give(place: Path, owner: tuple[int, int]) -> None:
    """Let *place* belong to *owner*, where root restores what a service's user reads and writes."""
    if is_root():
        os.chown(place, *owner, follow_symlinks=False)


def _files_of(place: Installation) -> Iterator[tuple[str, Path]]:
    """(name in the backup, file) of uploads and settings."""
    for part, names in (("uploads", place.kept), ("settings", SETTINGS)):
        for name in names:
            for file in files_below(place.base / name):
                yield f"{part}/{file.relative_to(place.base).as_posix()}", file


def _mode(file: Path) -> int:
    return file.stat().st_mode & 0o777


def _mode_of_database(connection: Connection) -> int:
    """The rights of an SQLite file, but for everybody's; a dump is for its owner alone."""
    path = (
        file_of(str(connection.config["database"])) if connection.dialect.name == "sqlite" else None
    )
    file = Path(path) if path else None
    return _mode(file) & 0o660 if file is not None and file.is_file() else 0o600


@contextmanager
def _aside(folder: Path) -> Iterator[Path]:
    """A private folder inside *folder*, on the same disk, named after this process."""
    with written(folder):
        folder.mkdir(parents=True, exist_ok=True)
        place = Path(tempfile.mkdtemp(prefix=f"{UNFINISHED}{os.getpid()}-", dir=folder))
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)
