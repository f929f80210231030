"""Wheels that came along, such as the database driver: which fit this Python, and into a folder.

A wheel is a zip file whose files are put where Python looks for modules. Unpacking it needs no pip,
which many servers do not have. What is unpacked anew takes the place of its version before.
"""

from __future__ import annotations

import csv
import io
import platform
import re
import shutil
import sys
import sysconfig
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from so.errors import ReleaseError

_DATA = re.compile(r"[^/]+\.data/(purelib|platlib|[^/]+)/(.+)")


def chosen(wheels: Iterable[Path]) -> list[Path]:
    """One wheel of each distribution among *wheels* that fits; ReleaseError where none does.

    A bundle for several machines may carry one for each Python.
    """
    found: dict[str, list[Path]] = {}
    for wheel in sorted(wheels):
        found.setdefault(_key(wheel.name), []).append(wheel)
    return [_that_fits(ones) for ones in found.values()]


def _that_fits(wheels: list[Path]) -> Path:
    fitting = [one for one in reversed(wheels) if fits(one.name)]
    if not fitting:
        names = ", ".join(one.name for one in wheels)
        raise ReleaseError(
            f"{names} is for another machine: here is {platform.python_implementation()} "
            f"{platform.python_version()} on {sysconfig.get_platform()}; bundle a wheel for it"
        )
    return min(fitting, key=lambda one: one.name.endswith("-any.whl"))  # made for it: quicker


def fits(name: str) -> bool:
    """Whether this Python on this machine can use the wheel called *name*."""
    parts = name.removesuffix(".whl").split("-")
    if len(parts) < 5:
        return False
    pythons, abi, platforms = (part.split(".") for part in parts[-3:])
    return any(_knows_python(one, abi) for one in pythons) and any(map(_is_machine, platforms))


def _knows_python(tag: str, abi: list[str]) -> bool:
    found = re.fullmatch(r"(py|cp)(\d)(\d*)", tag)
    if found is None or (found[1] == "cp" and sys.implementation.name != "cpython"):
        return False
    asked = int(found[2]), int(found[3] or 0)
    if found[1] == "cp" and "abi3" not in abi:
        flags = getattr(sys, "abiflags", "")
        return asked == sys.version_info[:2] and f"cp{asked[0]}{asked[1]}{flags}" in abi
    return asked[0] == sys.version_info.major and asked <= sys.version_info[:2]


def _is_machine(tag: str) -> bool:
    if tag == "any":
        return True
    system, _, machine = sysconfig.get_platform().replace(".", "_").partition("-")
    if system != "linux":
        return tag.startswith(system) and tag.endswith((machine.rpartition("-")[2], "universal2"))
    library, version = platform.libc_ver()
    kind = "manylinux" if library == "glibc" else "musllinux"
    if not tag.startswith(("linux_", kind)) or not tag.endswith(f"_{machine}"):
        return False
    needed = re.match(r"manylinux_(\d+)_(\d+)_", tag)
    there = [int(part) for part in re.findall(r"\d+", version)]
    return needed is None or [int(needed[1]), int(needed[2])] <= there


def require(wheel: Path) -> None:
    """ReleaseError if *wheel* is none."""
    if wheel.suffix != ".whl" or not zipfile.is_zipfile(wheel):
        raise ReleaseError(f"{wheel} is no wheel: give a .whl file")


def contents(wheel: Path) -> Iterator[tuple[str, bytes]]:
    """(name below the folder, content) of the modules in *wheel*; ReleaseError if it is none."""
    require(wheel)
    with zipfile.ZipFile(wheel) as packed:
        for name in packed.namelist():
            data = _DATA.fullmatch(name)
            if name.endswith("/") or (data and data[1] not in ("purelib", "platlib")):
                continue  # scripts and manuals are for the machine's own folders
            place = data[2] if data else name
            if ".." in PurePosixPath(place).parts or place.startswith("/") or "\\" in place:
                raise ReleaseError(f"{wheel} holds {name!r}, which is no plain file below it")
            yield place, packed.read(name)


def unpack(wheels: Iterable[Path], folder: Path) -> None:
    """Put what fits of *wheels* into *folder*, each in the place of its version before."""
    for wheel in chosen(wheels):
        _forget(folder, _key(wheel.name))
        for name, content in contents(wheel):
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)


def _forget(folder: Path, key: str) -> None:
    """Remove the files of the distribution *key* that are in *folder*."""
    for about in [one for one in folder.glob("*.dist-info") if _key(one.name) == key]:
        record = about / "RECORD"
        text = record.read_text("utf-8") if record.is_file() else ""
        for row in csv.reader(io.StringIO(text)):
            if row and ".." not in PurePosixPath(row[0]).parts and not row[0].startswith("/"):
                (folder / row[0]).unlink(missing_ok=True)
        shutil.rmtree(about)


def _key(name: str) -> str:
    """The distribution that a wheel or its `.dist-info` is of, as its name is compared."""
    return re.sub(r"[-_.]+", "-", name.partition("-")[0]).lower()
