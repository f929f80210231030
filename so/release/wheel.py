"""A wheel and a source archive of this project, written without any build tool.

The forms are those of the packaging specifications: binary distribution format 1.0, source
distribution format, core metadata 2.1. The same sources give the same bytes.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import os
import re
import tarfile
import time
import tomllib
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from so.errors import ReleaseError
from so.release.files import package_files, source_files

TAG = "py3-none-any"
EARLIEST = 315_532_800  # 1980-01-01: a zip file can hold no moment before


@dataclass(frozen=True)
class Project:
    """A checkout, and what its pyproject.toml says of it."""

    root: Path
    table: dict[str, Any]
    version: str

    @classmethod
    def at(cls, root: Path) -> Project:
        """The project in *root*; ReleaseError where it has no pyproject.toml or no version."""
        file = root / "pyproject.toml"
        if not file.is_file():
            raise ReleaseError(f"{root} has no pyproject.toml: run this in a checkout")
        source = (root / "so" / "__init__.py").read_text("utf-8")
        version = re.search(r'^__version__ = "([^"]+)"$', source, re.MULTILINE)
        if version is None:
            raise ReleaseError(f'{root / "so" / "__init__.py"} has no line __version__ = "…"')
        table = tomllib.loads(file.read_text("utf-8"))["project"]
        return cls(root, table, version[1])

    @property
    def stem(self) -> str:
        """Name and version as archives spell them: `so_framework-2.0.0`."""
        return f"{str(self.table['name']).replace('-', '_')}-{self.version}"

    @property
    def metadata(self) -> str:
        """The core metadata: METADATA of a wheel, PKG-INFO of a source archive."""
        lines = [
            "Metadata-Version: 2.1",
            f"Name: {self.table['name']}",
            f"Version: {self.version}",
            f"Summary: {self.table['description']}",
            f"License: {self.table['license']['text']}",
            f"Requires-Python: {self.table['requires-python']}",
            *(f"Requires-Dist: {one}" for one in self.table.get("dependencies", [])),
        ]
        for extra, needs in self.table.get("optional-dependencies", {}).items():
            lines.append(f"Provides-Extra: {extra}")
            lines += [f'Requires-Dist: {one}; extra == "{extra}"' for one in needs]
        readme = (self.root / self.table["readme"]).read_text("utf-8")
        return "\n".join([*lines, "Description-Content-Type: text/markdown", "", readme])

    @property
    def entry_points(self) -> str:
        """The commands that an installer makes, as entry_points.txt."""
        scripts = self.table.get("scripts", {})
        return "[console_scripts]\n" + "".join(f"{a} = {b}\n" for a, b in scripts.items())


def write_wheel(project: Project, folder: Path, *, editable: bool = False) -> Path:
    """The wheel in *folder*: the package with its skeleton, or only a pointer to the checkout."""
    target = folder / f"{project.stem}-{TAG}.whl"
    files = _pointer(project) if editable else _contents(package_files(project.root))
    record: list[str] = []
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content, mode in (*files, *dist_info(project)):
            _add(archive, name, content, mode)
            record.append(f"{name},sha256={_hash(content)},{len(content)}")
        name = f"{project.stem}.dist-info/RECORD"
        _add(archive, name, "\n".join([*record, f"{name},,", ""]).encode(), 0o644)
    return target


def write_sdist(project: Project, folder: Path) -> Path:
    """The source archive in *folder*: what builds the wheel again, and the tests."""
    target = folder / f"{project.stem}.tar.gz"
    with (
        target.open("wb") as raw,
        gzip.GzipFile("", "wb", fileobj=raw, mtime=_moment()) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        about = ("PKG-INFO", project.metadata.encode(), 0o644)
        for name, content, mode in (*_contents(source_files(project.root)), about):
            entry = tarfile.TarInfo(f"{project.stem}/{name}")
            entry.size, entry.mode, entry.mtime = len(content), mode, _moment()
            archive.addfile(entry, io.BytesIO(content))
    return target


def dist_info(project: Project) -> Iterator[tuple[str, bytes, int]]:
    """(name, content, mode) of what a wheel says of itself, RECORD excepted."""
    wheel = f"Wheel-Version: 1.0\nGenerator: so {project.version}\nRoot-Is-Purelib: true\n"
    texts = {
        "METADATA": project.metadata,
        "WHEEL": f"{wheel}Tag: {TAG}\n",
        "entry_points.txt": project.entry_points,
        "LICENSE": (project.root / "LICENSE").read_text("utf-8"),
    }
    for name, text in texts.items():
        yield f"{project.stem}.dist-info/{name}", text.encode(), 0o644


def _contents(files: Iterable[tuple[str, Path]]) -> Iterator[tuple[str, bytes, int]]:
    for name, file in files:
        yield name, file.read_bytes(), 0o755 if os.access(file, os.X_OK) else 0o644


def _pointer(project: Project) -> Iterator[tuple[str, bytes, int]]:
    yield f"{project.stem.partition('-')[0]}.pth", f"{project.root}\n".encode(), 0o644


def _add(archive: zipfile.ZipFile, name: str, content: bytes, mode: int) -> None:
    entry = zipfile.ZipInfo(name, time.gmtime(_moment())[:6])
    entry.external_attr = (0o100000 | mode) << 16
    entry.compress_type = zipfile.ZIP_DEFLATED
    archive.writestr(entry, content)


def _hash(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()


def _moment() -> int:
    """The time that archives give their files: SOURCE_DATE_EPOCH, as reproducible builds ask."""
    return max(int(os.environ.get("SOURCE_DATE_EPOCH", EARLIEST)), EARLIEST)
