"""One file that carries many, with the SHA-256 of each: what backups and bundles are written as.

It is a plain `.tar.gz`, so that it can be looked into anywhere. The last member is MANIFEST.json: a
file that was cut off has none and is refused. While it is written it has another name.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import shutil
import sqlite3
import tarfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from so.errors import ReleaseError

MANIFEST = "MANIFEST.json"
MANIFEST_BYTES = 256 * 1024 * 1024  # more is no list of files
PIECE = 1024 * 1024  # bytes read at once
UNFINISHED = ".unfinished-"  # what a process works on: then its number, so that others can tidy up
ROOM_BYTES = 32 * 1024 * 1024  # that a disk must have left beside what is unpacked
_BROKEN = (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError, ValueError, KeyError)


Told = Callable[[int, int], object]
"""Is told how far it is: done, of how many."""


def nobody(done: int, total: int) -> None:
    """Tell nobody how far it is."""


@contextmanager
def written(place: Path) -> Iterator[None]:
    """ReleaseError with *place* for what a disk or its rights refuse inside the block."""
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        told = getattr(error, "strerror", None) or str(error)
        name = getattr(error, "filename", None)
        where = place if name is None else name
        raise ReleaseError(
            f"cannot write {where}: {told.lower()}; nothing is left of it"
        ) from error


class SealedWriter:
    """Adds files one by one; `sealed` makes it."""

    def __init__(self, archive: tarfile.TarFile) -> None:
        self._archive = archive
        self.files: dict[str, dict[str, Any]] = {}

    def add(self, name: str, file: Path, mode: int = 0o600) -> None:
        """*file* as *name*; what is appended to it meanwhile is left out."""
        with file.open("rb") as stream:
            about = os.fstat(stream.fileno())
            try:
                self._add(name, stream, about.st_size, int(about.st_mtime), mode)
            except OSError as error:
                if error.errno is not None:  # of the disk, and not of tarfile
                    raise
                raise ReleaseError(f"{file} became shorter while it was read") from error

    def add_text(self, name: str, text: str) -> None:
        """*text* as a file called *name*."""
        content = text.encode()
        self._add(name, io.BytesIO(content), len(content), 0, 0o600)

    def _add(self, name: str, stream: IO[bytes], size: int, moment: int, mode: int) -> None:
        entry = tarfile.TarInfo(name)
        entry.size, entry.mtime, entry.mode = size, moment, mode
        reader = _Hashing(stream)
        self._archive.addfile(entry, reader)
        self.files[name] = {"sha256": reader.digest, "bytes": size}


class _Hashing:
    """A stream that knows the hash of what was read from it."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._hash = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        piece = self._stream.read(size)
        self._hash.update(piece)
        return piece

    @property
    def digest(self) -> str:
        return self._hash.hexdigest()


@contextmanager
def sealed(target: Path, about: Mapping[str, Any], *, mode: int = 0o600) -> Iterator[SealedWriter]:
    """Write *target*; it has its name only when all is in it, and on the disk.

    *about* goes into the manifest beside the files. ReleaseError if *target* exists.
    """
    if target.exists():
        raise ReleaseError(f"{target} exists: move it away or choose another name")
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{UNFINISHED}{os.getpid()}-{target.name}.part")
    try:
        with os.fdopen(os.open(part, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, mode), "wb") as raw:
            with tarfile.open(fileobj=raw, mode="w:gz", format=tarfile.PAX_FORMAT) as archive:
                writer = SealedWriter(archive)
                yield writer
                manifest = {**about, "files": dict(sorted(writer.files.items()))}
                writer.add_text(MANIFEST, json.dumps(manifest, indent=1))
            raw.flush()
            os.fsync(raw.fileno())
        os.link(part, target)  # and not rename: whoever was faster keeps the name
    except FileExistsError as error:
        raise ReleaseError(f"{target} exists: move it away or choose another name") from error
    finally:
        part.unlink(missing_ok=True)


def remove_leftovers(folder: Path) -> None:
    """Remove what processes that were killed have left unfinished in *folder*."""
    for place in folder.glob(f"{UNFINISHED}*-*") if folder.is_dir() else ():
        if not _is_alive(place.name.removeprefix(UNFINISHED).partition("-")[0]):
            shutil.rmtree(place) if place.is_dir() else place.unlink(missing_ok=True)


def _is_alive(process: str) -> bool:
    if not process.isdecimal():
        return False
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


@dataclass(frozen=True)
class Sealed:
    """A file that was read to its end, each member as its manifest says."""

    path: Path
    manifest: dict[str, Any]

    @classmethod
    def read(cls, path: Path, told: Told = nobody) -> Sealed:
        """Check *path*, telling how many bytes of it; ReleaseError says what is wrong with it."""
        if not path.is_file():
            raise ReleaseError(f"there is no file {path}")
        if not os.access(path, os.R_OK):
            raise ReleaseError(f"{path} may not be read by this user")
        found: dict[str, dict[str, Any]] = {}
        manifest: Any = None
        try:
            for name, stream, size in _members(path, told):
                if manifest is not None or name in found:
                    raise ReleaseError(f"{path} holds {name} where nothing may follow")
                if name == MANIFEST:
                    manifest = json.loads(stream.read(MANIFEST_BYTES))
                else:
                    found[name] = {"sha256": _digest(stream), "bytes": size}
        except _BROKEN as error:
            raise ReleaseError(f"{path} is damaged or was cut off: {error}") from error
        if not isinstance(manifest, dict):
            raise ReleaseError(f"{path} has no {MANIFEST}: it was cut off, or is something else")
        _compare(path, manifest.get("files"), found)
        return cls(path, manifest)

    def extract(self, folder: Path, told: Told = nobody) -> list[Path]:
        """Write every member below *folder*, with the rights it had; the files written.

        ReleaseError before anything is written where the disk has no room for them, and for a
        member that is another now than when the file was read.
        """
        self._require_room(folder)
        written: list[Path] = []
        files = self.manifest["files"]
        with tarfile.open(self.path, "r:gz") as archive:
            for entry in archive:
                if entry.name == MANIFEST:
                    continue
                stream, about = archive.extractfile(entry), files.get(entry.name)
                target = folder / entry.name
                if stream is None or about is None or _laid(stream, target, entry) != about:
                    raise ReleaseError(f"{self.path} was changed since it was looked through")
                written.append(target)
                told(len(written), len(files))
        return written

    def _require_room(self, folder: Path) -> None:
        needed = sum(about["bytes"] for about in self.manifest["files"].values()) + ROOM_BYTES
        there = next(each for each in (folder, *folder.absolute().parents) if each.exists())
        free = shutil.disk_usage(there).free
        if needed > free:
            raise ReleaseError(
                f"the disk of {folder.parent} has {free:,} bytes left, and {self.path} needs "
                f"{needed:,}: make room first; nothing was changed"
            )


def _laid(stream: IO[bytes], target: Path, entry: tarfile.TarInfo) -> dict[str, Any]:
    """Write *stream* as *target*, which is not there yet; what a manifest says of it."""
    reader = _Hashing(stream)
    target.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, entry.mode & 0o777)
    with os.fdopen(handle, "wb") as out:
        while piece := reader.read(PIECE):
            out.write(piece)
        return {"sha256": reader.digest, "bytes": out.tell()}


def _members(path: Path, told: Told) -> Iterator[tuple[str, IO[bytes], int]]:
    whole = path.stat().st_size
    with (
        path.open("rb") as file,
        gzip.open(file) as raw,
        tarfile.open(fileobj=raw, mode="r|") as archive,
    ):
        for entry in archive:
            is_plain = entry.isfile() and not entry.issparse() and _is_below(entry.name)
            stream = archive.extractfile(entry) if is_plain else None
            if stream is None:
                raise ReleaseError(f"{path} holds {entry.name!r}, which is no plain file below it")
            yield entry.name, stream, entry.size
            told(file.tell(), whole)
        while raw.read(PIECE):  # to its end, where gzip has a checksum of its own
            pass


def _is_below(name: str) -> bool:
    """Whether *name* is that of one file below a folder, and the only way to write it."""
    parts = PurePosixPath(name).parts
    return "/".join(parts) == name and ".." not in parts and not set("\\\0") & set(name)


def _digest(stream: IO[bytes]) -> str:
    found = hashlib.sha256()
    while piece := stream.read(PIECE):
        found.update(piece)
    return found.hexdigest()


def digest_of(file: Path) -> str | None:
    """The SHA-256 of *file*; None where there is none."""
    try:
        with file.open("rb") as stream:
            return _digest(stream)
    except OSError:
        return None


def _compare(path: Path, listed: Any, found: dict[str, dict[str, Any]]) -> None:
    if listed == found:
        return
    if not isinstance(listed, dict):
        raise ReleaseError(f"{path} does not say what it holds")
    names = sorted(n for n in {*listed, *found} if listed.get(n) != found.get(n))
    raise ReleaseError(f"{path} does not hold what it says: {', '.join(names[:5])}")
