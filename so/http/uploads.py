"""Uploaded files: what the client claims, what the content says, and where to put them safely.

Small files stay in memory, larger ones wait in a temporary file that goes with the request.
"""

from __future__ import annotations

import io
import os
import re
import weakref
from pathlib import Path
from typing import BinaryIO, cast

from so.errors import UploadError
from so.http.settings import DEFAULTS, HttpSettings
from so.http.sniffing import HEAD_BYTES, IMAGES, Kind, dimensions, sniff

_UNSAFE = re.compile(r'[\x00-\x1f\x7f<>:"|?*]')
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_DRIVE = re.compile(r"^(?:[A-Za-z]:)+")
_ANONYMOUS = "file"
_DEVICES = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\..*)?", re.IGNORECASE)
_LONGEST_NAME_BYTES = 200

OK, PARTIAL, MISSING = 0, 3, 4


class Spool:
    """Bytes that are kept in memory up to a limit, and in a temporary file above it."""

    def __init__(self, memory_bytes: int, folder: str | None = None) -> None:
        self.size = 0
        self._memory_bytes = memory_bytes
        self._folder = folder
        self._file: BinaryIO = io.BytesIO()
        self.path: Path | None = None
        self._remove: weakref.finalize[[BinaryIO, str], Spool] | None = None

    def write(self, chunk: bytes) -> None:
        """Add *chunk* at the end."""
        self.size += len(chunk)
        if self.path is None and self.size > self._memory_bytes:
            self.to_disk()
        self._file.write(chunk)

    def to_disk(self) -> Path:
        """The temporary file with everything written so far."""
        if self.path is None:
            import tempfile  # only when a file is this large

            handle, name = tempfile.mkstemp(prefix="so-upload-", dir=self._folder)
            file = cast(BinaryIO, os.fdopen(handle, "w+b"))
            file.write(cast(io.BytesIO, self._file).getvalue())
            self._file = file
            self.path = Path(name)
            self._remove = weakref.finalize(self, _remove, file, name)
        self._file.flush()
        return self.path

    def open(self) -> BinaryIO:
        """A reader at the start, of its own."""
        if self.path is None:
            return io.BytesIO(cast(io.BytesIO, self._file).getvalue())
        self._file.flush()
        return self.path.open("rb")

    def discard(self) -> None:
        """Let go of the bytes."""
        self._file.close()
        if self._remove is not None:
            self._remove()


def _remove(file: BinaryIO, name: str) -> None:
    file.close()
    Path(name).unlink(missing_ok=True)


class UploadedFile:
    """One file of a form.

    Attributes: client_name (the last part of what is claimed: no folder, no drive, no control
    character), client_extension, client_mime_type (claims, never to be trusted),
    mime_type and extension (from the content), size in bytes, error (0 is none), path.
    """

    def __init__(
        self,
        spool: Spool,
        client_name: str,
        client_mime_type: str = "",
        settings: HttpSettings = DEFAULTS,
        error: int = OK,
    ) -> None:
        self._spool = spool
        self._settings = settings
        self._stream: BinaryIO | None = None
        self._kind: Kind | None = None
        self._moved_to: Path | None = None
        self.client_name = last_part(client_name)
        self.client_mime_type = client_mime_type
        self.error = error

    @classmethod
    def fake(
        cls,
        name: str,
        content: bytes | str = b"",
        mime_type: str = "",
        settings: HttpSettings = DEFAULTS,
    ) -> UploadedFile:
        """A file with *content*, for tests and for files that come from elsewhere."""
        spool = Spool(settings.spool_bytes, settings.upload_dir)
        spool.write(content.encode() if isinstance(content, str) else content)
        return cls(spool, name, mime_type, settings)

    # --- what it is -----------------------------------------------------------------------------

    @property
    def size(self) -> int:
        """Bytes received."""
        return self._spool.size

    @property
    def client_extension(self) -> str:
        """The extension of the claimed name, in lower case, without the dot."""
        return Path(self.client_name).suffix[1:].lower()

    @property
    def mime_type(self) -> str:
        """The media type, told from the content."""
        return self._sniffed().mime_type

    @property
    def extension(self) -> str:
        """The extension that suits the content (`jpg`, `pdf`, `csv`, …; `bin` if unknown)."""
        return self._sniffed().extension

    @property
    def path(self) -> Path:
        """Where the file lies; it is gone after the request unless it was moved."""
        return self._moved_to or self._spool.to_disk()

    def is_valid(self) -> bool:
        """True if it arrived whole and has not been moved."""
        return self.error == OK and self._moved_to is None

    def is_image(self) -> bool:
        """True if the content is a picture (SVG, which can carry scripts, is not counted)."""
        return self.mime_type in IMAGES

    def dimensions(self) -> tuple[int, int] | None:
        """(width, height) in pixels of a png, jpg, gif, webp or bmp; None for anything else."""
        with self._open() as file:
            return dimensions(file)

    def read(self, size: int = -1) -> bytes:
        """The next *size* bytes, all that is left without."""
        return self.stream().read(size)

    def stream(self) -> BinaryIO:
        """A file object over the content; the same one at each call, `seek(0)` to start again."""
        if self._stream is None:
            self._stream = self._open()
            weakref.finalize(self, self._stream.close)
        return self._stream

    def _open(self) -> BinaryIO:
        return self._moved_to.open("rb") if self._moved_to else self._spool.open()

    def _sniffed(self) -> Kind:
        if self._kind is None:
            with self._open() as file:
                self._kind = sniff(file.read(HEAD_BYTES))
        return self._kind

    def to_dict(self) -> dict[str, object]:
        """What JSON shows of it."""
        return {"name": self.client_name, "mime_type": self.mime_type, "size": self.size}

    # --- where it goes --------------------------------------------------------------------------

    def hash_name(self) -> str:
        """A random name with the extension of the content."""
        ending = self.extension
        return os.urandom(20).hex() + (f".{ending}" if ending else "")

    def move(self, directory: str | Path, name: str | None = None) -> Path:
        """Move it into *directory* (made if need be) under a safe form of *name*; its new path.

        A file of that name is replaced, nothing outside *directory* ever. Raises UploadError if
        the upload is not valid or cannot be written.
        """
        if not self.is_valid():
            raise UploadError(f"the upload {self.client_name!r} cannot be moved: {self._trouble()}")
        target = Path(directory) / safe_name(name or self.client_name)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            self._place(target)
        except OSError as error:
            raise UploadError(f"cannot write the upload to {target}: {error}") from error
        self._close_stream()
        self._moved_to = target
        return target

    def store(self, folder: str = "", disk: str | None = None) -> str:
        """Keep it in *folder* of *disk* under a random name; the path within the disk."""
        return self.store_as(folder, self.hash_name(), disk)

    def store_as(self, folder: str, name: str, disk: str | None = None) -> str:
        """Keep it in *folder* of *disk* as *name*; the path within the disk.

        UploadError for a folder outside the disk or a disk that `http.disks` does not name.
        """
        root = self._root(disk or self._settings.default_disk)
        target = (root / folder.replace("\\", "/").strip("/")).resolve()
        if target != root and root not in target.parents:
            raise UploadError(f"the folder {folder!r} leads out of the disk: name one inside it")
        return self.move(target, name).relative_to(root).as_posix()

    def _root(self, disk: str) -> Path:
        root = self._settings.disks.get(disk)
        if root is None:
            known = ", ".join(self._settings.disks)
            raise UploadError(f"there is no disk {disk!r}: config http.disks names {known}")
        return Path(root).resolve()

    def _place(self, target: Path) -> None:
        """Beside the target first, then over it in one step: a symbolic link there is replaced,
        not followed, and a reader sees the old file or the new one.
        """
        beside = target.with_name(f".{os.urandom(8).hex()}.part")
        try:
            with self._spool.open() as source, beside.open("xb") as copy:
                import shutil

                shutil.copyfileobj(source, copy, 1024 * 1024)
            os.replace(beside, target)
        except OSError:
            beside.unlink(missing_ok=True)
            raise
        self._spool.discard()

    def _trouble(self) -> str:
        if self._moved_to is not None:
            return f"it was moved to {self._moved_to} already"
        return {PARTIAL: "it arrived in part only", MISSING: "no file was sent"}.get(
            self.error, f"error {self.error}"
        )

    def _close_stream(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def __repr__(self) -> str:
        return f"<UploadedFile {self.client_name!r} {self.size} bytes>"


def last_part(name: str) -> str:
    """The claimed *name* without folders of either kind, drive and control characters; "file" for
    one that is nothing but these.
    """
    path = _CONTROL.sub("", name).replace("\\", "/").rstrip("/")
    last = _DRIVE.sub("", path.rpartition("/")[2])
    return _ANONYMOUS if last.strip() in ("", ".", "..") else last


def safe_name(name: str) -> str:
    """*name* as a plain file name: no folder, no leading dot, nothing a file system objects to."""
    import unicodedata  # a megabyte that most requests never need

    base = unicodedata.normalize("NFC", name).replace("\\", "/").rpartition("/")[2]
    base = _UNSAFE.sub("_", base.encode("utf-8", "replace").decode()).strip(" .")
    if _DEVICES.fullmatch(base):
        base = f"_{base}"
    stem, ending = os.path.splitext(base)
    ending = ending.encode()[:40].decode("utf-8", "ignore")
    room = _LONGEST_NAME_BYTES - len(ending.encode())
    return (stem.encode()[:room].decode("utf-8", "ignore") + ending) or _ANONYMOUS
