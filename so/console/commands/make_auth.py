"""`make:auth`: routes, controllers, pages and tests of accounts, written into an application."""

from __future__ import annotations

import ast
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from so.console.command import Command
from so.errors import CommandError
from so.settings.database import DatabaseSettings

PACKAGE = "app/accounts"
MODULES = (
    "__init__", "routes", "login", "passwords", "verification", "two_factor", "profile", "pages",
)  # fmt: skip
MIXINS = ("HasApiTokens", "HasRoles", "TwoFactor", "MustVerifyEmail", "Notifiable")
_IMPORT = "from app.accounts.routes import account_routes"
_MODEL = f'''

class User({", ".join(MIXINS)}, Model):
    """Somebody who logs in."""

    type_alias = "user"
    fillable = ["name", "email", "password"]
    hidden = ["password"]
'''


class MakeAuth(Command):
    """Writes nothing over what is there, and what it has written is the application's own."""

    signature = "make:auth"
    description = "Write routes, controllers, pages and tests of accounts"

    def handle(self) -> int:
        """Write what is missing, and say what is left to do."""
        base = self.app.base_path()
        if (base / PACKAGE).exists():
            raise CommandError(f"{base / PACKAGE} is there already: this is done once")
        for name in MODULES:
            self._write(base / PACKAGE / f"{name}.py", f"{name}.py.txt")
        self._write(base / "tests" / "test_accounts.py", "test_accounts.py.txt")
        if not (base / "tests" / "__init__.py").exists():
            (base / "tests" / "__init__.py").write_text('"""Tests of this application."""\n')
        self._model(base)
        self._routes(base / "app" / "routes.py")
        self.line("Run `sixorbit migrate`, then `python3 -m unittest tests.test_accounts`.")
        return 0

    def _write(self, file: Path, template: str) -> None:
        if file.exists():
            self.warn(f"{file.relative_to(self.app.base_path())} is there already and stays")
            return
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(_stub(template).read_text("utf-8"), "utf-8")
        self.info(f"Written: {file.relative_to(self.app.base_path())}")

    def _model(self, base: Path) -> None:
        """A user model and its table, or what the one that is there lacks."""
        place = base / "app" / "models.py"
        if not place.is_file():
            folder = base / "app" / "models"
            place = folder / "__init__.py" if folder.is_dir() else place
        source = place.read_text("utf-8") if place.is_file() else '"""The models."""\n'
        found = _class(source, "User")
        if found is not None:
            lacking = [name for name in MIXINS if name not in _bases(found)]
            if lacking:
                self.warn(f"Let class User in {place.name} begin with: {', '.join(lacking)}")
            return
        imports = ", ".join([*MIXINS, "Model"])
        place.write_text(_with_import(source, f"from so import {imports}") + _MODEL, "utf-8")
        self.info(f"Written: class User in {place.relative_to(base)}")
        self._table(base)

    def _table(self, base: Path) -> None:
        folder = base / self.app.settings(DatabaseSettings).migrations
        now = self.app.make("clock").now()
        for engine in ("sqlite", "mysql"):
            self._write(
                folder / f"{now:%Y_%m_%d_%H%M%S}_create_users_table.{engine}.sql",
                f"users.{engine}.sql",
            )

    def _routes(self, file: Path) -> None:
        """Let app/routes.py register the addresses of accounts."""
        source = file.read_text("utf-8") if file.is_file() else '"""The routes."""\n'
        if "account_routes" in source:
            return
        file.parent.mkdir(parents=True, exist_ok=True)
        text = _with_import(source, _IMPORT).rstrip("\n")
        file.write_text(f"{text}\n\naccount_routes()\n", "utf-8")
        self.info("Added to app/routes.py: account_routes()")


def _stub(name: str) -> Traversable:
    return files("so").joinpath("console", "stubs", "accounts", name)


def _class(source: str, name: str) -> ast.ClassDef | None:
    for node in ast.parse(source).body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            return node
    return None


def _bases(node: ast.ClassDef) -> list[str]:
    return [ast.unparse(base).rpartition(".")[2] for base in node.bases]


def _with_import(source: str, line: str) -> str:
    """*source* with the import *line* behind the imports, or behind the docstring."""
    body = ast.parse(source).body
    heads: list[ast.stmt] = [n for n in body if isinstance(n, (ast.Import, ast.ImportFrom))]
    if not heads and body and ast.get_docstring(ast.parse(source)) is not None:
        heads = body[:1]
        line = f"\n{line}"
    at = max((node.end_lineno or 0 for node in heads), default=0)
    lines = source.splitlines()
    lines[at:at] = line.split("\n")
    return "\n".join(lines).rstrip("\n") + "\n"
