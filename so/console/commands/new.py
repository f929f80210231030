"""`new DIR`: a small application that runs at once, with the framework copied into it."""

from __future__ import annotations

import secrets
import shutil
import zipfile
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

import so
from so.console.command import Command
from so.errors import CommandError
from so.support import dotenv

_FOLDERS = ("app/commands", "database/migrations", "storage")  # empty at first
_LEFT_OUT = ("__pycache__", "skeleton")


class New(Command):
    """Writes the skeleton; refuses a folder that has something in it."""

    signature = "new {directory : Where to create it}"
    keeps_rights = True

    def handle(self) -> int:
        """Write everything beside the new folder, move it there, and say how to start."""
        target = Path(self.argument("directory")).resolve()
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise CommandError(f"{target} is not empty: name a new folder")
        framework = resources.files("so")
        skeleton = _skeleton(framework)
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
        try:
            _write(part, framework, skeleton, target.name)
            part.replace(target)
        except BaseException:
            shutil.rmtree(part, ignore_errors=True)
            raise
        self.report_done({"created": str(target)}, f"Created {target}")
        if self.wants_json:
            return 0
        self.line(f"  cd {target}\n  bin/sixorbit db:install\n  bin/sixorbit serve")
        if (target / "docs").is_dir():
            self.line("The guides are in docs/, and at /docs while it serves.")
        return 0


def _skeleton(framework: Traversable) -> Traversable:
    """Where settings and guides lie: inside an installed package, or beside the framework.

    Either may be in an archive that Python runs from.
    """
    for folder in (framework / "skeleton", _beside()):
        if (folder / "config").is_dir() and (folder / "bin" / "sixorbit").is_file():
            return folder
    raise CommandError(f"config/ or bin/sixorbit is missing beside {framework}: copy them there")


def _beside() -> Traversable:
    archive = getattr(so.__loader__, "archive", None)
    place = Path(str(so.__file__)).parent.parent
    if archive is None:
        return place
    inside = place.relative_to(archive).as_posix()
    return zipfile.Path(archive, "" if inside == "." else f"{inside}/")


def _write(folder: Path, framework: Traversable, skeleton: Traversable, name: str) -> None:
    for path in _FOLDERS:
        (folder / path).mkdir(parents=True)
        (folder / path / ".gitkeep").touch()
    _write_stubs(framework / "console" / "stubs" / "new", folder, name)
    _copy(framework, folder / "so")
    for path in ("config", "docs", "deploy", ".env.example", "bin/sixorbit"):
        _copy(skeleton / path, folder / path)
    (folder / "bin" / "sixorbit").chmod(0o755)
    lines = [f"APP_NAME={name}", "APP_ENV=local", "APP_DEBUG=true"]
    text = "\n".join([*lines, f"APP_KEY={secrets.token_urlsafe(32)}"]) + "\n"
    dotenv.write(folder / ".env", dotenv.with_value(text, "APP_NAME", name))


def _write_stubs(source: Traversable, target: Path, name: str) -> None:
    """The application's own files; their names end with .txt, so that no tool takes them for code.

    In Markdown `{name}` stands for the application's.
    """
    target.mkdir(parents=True, exist_ok=True)
    for entry in source.iterdir():
        if entry.is_dir():
            _write_stubs(entry, target / entry.name, name)
        elif entry.name.endswith(".txt"):
            text = entry.read_text("utf-8")
            file = target / entry.name.removesuffix(".txt")
            file.write_text(text.replace("{name}", name) if file.suffix == ".md" else text, "utf-8")


def _copy(source: Traversable, target: Path) -> None:
    """Copy a folder or a file, if it is there."""
    if source.is_file():
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(source.read_bytes())
    elif source.is_dir():
        target.mkdir(parents=True, exist_ok=True)
        for entry in source.iterdir():
            if entry.name not in _LEFT_OUT and not entry.name.endswith(".pyc"):
                _copy(entry, target / entry.name)
