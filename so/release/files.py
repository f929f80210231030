"""What the project ships, and under which name it stands in a package.

A checkout has the command, guides, settings, deployment files and `.env.example` beside `so/`; an
installed package has nothing beside it, so they stand in `so/skeleton/` there, for `sixorbit new`
and for applications without a `config/` of their own.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SKELETON = ("bin/sixorbit", "config", "docs", "deploy", ".env.example")
SOURCES = (
    *("so", "bin", "config", "docs", "deploy", "app", "database", "storage", "bench", "tests"),
    *(
        ".env.example",
        ".gitignore",
        "pyproject.toml",
        "so_build.py",
        "requirements-dev.txt",
        "Makefile",
    ),
    *("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE"),
)
_LEFT_OUT = ("__pycache__", ".mypy_cache", ".pytest_cache", ".ruff_cache", "results")


def package_files(root: Path) -> Iterator[tuple[str, Path]]:
    """(name in a wheel, file) of the package `so` with its skeleton, from the checkout *root*."""
    for file in files_below(root / "so"):
        yield f"so/{file.relative_to(root / 'so').as_posix()}", file
    for name in SKELETON:
        for file in files_below(root / name):
            yield f"so/skeleton/{file.relative_to(root).as_posix()}", file


def source_files(root: Path) -> Iterator[tuple[str, Path]]:
    """(name below the root, file) of everything from which the project is built and tested."""
    for name in SOURCES:
        for file in files_below(root / name):
            if name != "storage" or file.name == ".gitkeep":
                yield file.relative_to(root).as_posix(), file


def files_below(place: Path) -> Iterator[Path]:
    """The files of a folder in the order of their names, or the file itself; none if missing."""
    if place.is_file():
        yield place
        return
    if not place.is_dir():
        return
    for entry in sorted(place.iterdir()):
        if entry.name in _LEFT_OUT or entry.suffix == ".pyc" or entry.is_symlink():
            continue
        yield from files_below(entry)


def links_below(place: Path) -> Iterator[Path]:
    """The links in a folder, which `files_below` leaves out; they may lead anywhere."""
    for entry in sorted(place.iterdir()) if place.is_dir() else ():
        if entry.is_symlink():
            yield entry
        else:
            yield from links_below(entry)


@contextmanager
def for_services() -> Iterator[None]:
    """Let everybody read what is written in this block: code, which services run as another user.

    On many servers root's umask is 077.
    """
    before = os.umask(0o022)
    os.umask(before & ~0o055)
    try:
        yield
    finally:
        os.umask(before)
