"""One file that carries an application to a machine without a network, and a new version of it.

It holds the framework, the application, the guides, the driver's wheel where one is given, a list
of what is inside (CycloneDX 1.5) and `install.py`, which needs nothing but Python.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from so.errors import ReleaseError
from so.release import back, wheels
from so.release.files import SKELETON, files_below
from so.release.sealed import Sealed, Told, nobody, remove_leftovers, sealed, written

FORMAT = "bundle 1"
# What belongs to a machine and not to an application, or is made anew.
_LEFT_OUT = {"storage", "build", "dist", "node_modules", "vendor", "venv"}
_KEPT = (".env", "storage")  # of an installation, through every upgrade
_VARIABLE = re.compile(r"^(?:# )?([A-Z][A-Z0-9_]*)=([^#\n]*?)\s*(?:#.*)?$", re.MULTILINE)


def application_files(base: Path) -> Iterator[tuple[str, Path]]:
    """(name, file) of the application in *base*, and of the framework it runs on."""
    framework = Path(__file__).resolve().parent.parent
    skeleton = framework / "skeleton" if (framework / "skeleton").is_dir() else framework.parent
    own = {entry.name for entry in base.iterdir()}
    for entry in sorted(base.iterdir()):
        hidden = entry.name.startswith(".") and entry.name != ".env.example"
        if not hidden and entry.name not in _LEFT_OUT:
            yield from ((f.relative_to(base).as_posix(), f) for f in files_below(entry))
    if "so" not in own:
        for file in files_below(framework):
            name = file.relative_to(framework).as_posix()
            if not name.startswith("skeleton/"):
                yield f"so/{name}", file
    for name in SKELETON:
        if name.partition("/")[0] not in own:
            found = files_below(skeleton / name)
            yield from ((f.relative_to(skeleton).as_posix(), f) for f in found)


def write_bundle(
    base: Path,
    name: str,
    version: str,
    target: Path,
    taken: Sequence[Path] = (),
    told: Told = nobody,
) -> int:
    """Write *target*, with the framework of *version* and the wheels *taken*; its size in bytes."""
    for wheel in taken:
        wheels.require(wheel)
    with written(target):
        remove_leftovers(target.parent)
    about = {"format": FORMAT, "application": name, "framework": version}
    with written(target), sealed(target, about, mode=0o644) as archive:
        files = list(application_files(base))
        for done, (place, file) in enumerate(files, 1):
            archive.add(place, file, 0o755 if place.startswith("bin/") else 0o644)
            told(done, len(files))
        for wheel in taken:
            archive.add(f"wheels/{wheel.name}", wheel, 0o644)
        archive.add("install.py", Path(__file__).with_name("install.py"), 0o644)
        archive.add_text(
            "sbom.cdx.json", json.dumps(bill_of_materials(name, version, taken), indent=1)
        )
    return target.stat().st_size


def bill_of_materials(name: str, version: str, taken: Iterable[Path]) -> dict[str, Any]:
    """What a bundle is made of, as CycloneDX 1.5 says it."""
    framework = {
        "type": "framework",
        "bom-ref": "so",
        "name": "so-framework",
        "version": version,
        "licenses": [{"license": {"id": "MIT"}}],
        "purl": f"pkg:pypi/so-framework@{version}",
    }
    parts = [framework, *map(_part, taken)]
    made_of = json.dumps([name, parts], sort_keys=True)
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, made_of)}",
        "version": 1,
        "metadata": {"component": {"type": "application", "bom-ref": "app", "name": name}},
        "components": parts,
        "dependencies": [
            {"ref": "app", "dependsOn": [part["bom-ref"] for part in parts]},
            *({"ref": part["bom-ref"], "dependsOn": []} for part in parts),
        ],
    }


def _part(wheel: Path) -> dict[str, Any]:
    name, version = [*wheel.name.split("-"), "0"][:2]
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    return {
        "type": "library",
        "bom-ref": wheel.name,
        "name": name.replace("_", "-"),
        "version": version,
        "purl": f"pkg:pypi/{name.replace('_', '-').lower()}@{version}",
        "hashes": [{"alg": "SHA-256", "content": digest}],
    }


@dataclass
class Upgrade:
    """A new version for the installation in *base*; `back()` undoes what `forward()` did."""

    base: Path
    source: Sealed
    moment: str
    """By which the old version is called that is kept."""

    def __post_init__(self) -> None:
        if self.source.manifest.get("format") != FORMAT:
            raise ReleaseError(f"{self.source.path} is no bundle: `bin/sixorbit bundle` writes one")
        if not (self.base / "so").is_dir() or not (self.base / "bin" / "sixorbit").is_file():
            raise ReleaseError(f"{self.base} is no installation: so/ or bin/sixorbit is missing")

    @property
    def kept(self) -> Path:
        """Where the old version goes: beside the new one, so that the same may write there."""
        return self.base / back.FOLDER / self.moment

    def changed_settings(self, folder: Path) -> list[str]:
        """Which variables come, go, or have another default, by the two .env.example."""
        old, new = (_variables(place / ".env.example") for place in (self.base, folder))
        found = [f"new: {name}={value}" for name, value in new.items() if name not in old]
        found += [f"gone: {name}" for name in old if name not in new]
        both = [name for name in new if name in old and old[name] != new[name]]
        return [*found, *(f"changed: {name}={old[name]} is now {new[name]}" for name in both)]

    def is_older(self, version: str) -> bool:
        """Whether the bundle's framework is older than *version*."""
        return _numbers(str(self.source.manifest.get("framework", ""))) < _numbers(version)

    def bring_wheels(self, folder: Path) -> None:
        """Make `vendor/` in *folder*: what is in the installation's, and the wheels that came.

        Nothing where none came. ReleaseError for one that is for another machine.
        """
        shutil.rmtree(folder / "vendor", ignore_errors=True)
        if brought := wheels.chosen((folder / "wheels").glob("*.whl")):
            if (self.base / "vendor").is_dir():
                shutil.copytree(self.base / "vendor", folder / "vendor", symlinks=True)
            wheels.unpack(brought, folder / "vendor")

    def forward(self, folder: Path) -> None:
        """Put the new version in place of the old one, which is kept.

        What is to be done is written down first: killed at any moment, `back()` or the script
        beside the old version undoes it.
        """
        ours = (*_KEPT, "install.py", "sbom.cdx.json", "wheels")
        names = sorted(one.name for one in folder.iterdir() if one.name not in ours)
        self.kept.mkdir(parents=True)
        self.kept.parent.chmod(0o700)  # older settings may hold what is nobody else's
        shutil.copyfile(Path(__file__).with_name("back.py"), self.kept / back.SCRIPT)
        there = {name: os.path.lexists(self.base / name) for name in names}
        (self.kept / back.PLAN).write_text(json.dumps(there), "utf-8")
        part = self.base / f"{back.UNDER_WAY}.part"  # whole or not there
        part.write_text(self.moment, "utf-8")
        part.replace(self.base / back.UNDER_WAY)
        for name in names:
            if there[name]:
                back.move(self.base / name, self.kept / name)
            back.move(folder / name, self.base / name)

    def end(self) -> None:
        """The new version works."""
        (self.base / back.UNDER_WAY).unlink(missing_ok=True)

    def back(self) -> None:
        """The old version again."""
        if (self.kept / back.PLAN).is_file():
            back.put_back(self.kept)


def interrupted(base: Path) -> Path | None:
    """Where the old version of an upgrade is that never came to its end; None if all did.

    An older version of this command noted the whole of a path, below the installation; of any
    other path only the name is taken.
    """
    marker = base / back.UNDER_WAY
    noted = Path(marker.read_text("utf-8")) if marker.is_file() else Path()
    if noted.is_relative_to(base):
        return noted
    return base / back.FOLDER / noted.name if noted.name else None


def _numbers(version: str) -> list[int]:
    return [int(part) for part in re.findall(r"[0-9]+", version)]


def _variables(file: Path) -> dict[str, str]:
    text = file.read_text("utf-8") if file.is_file() else ""
    return {name: value.strip() for name, value in _VARIABLE.findall(text)}
