"""`make:auth`: routes, controllers, pages and tests of accounts, written into an application."""

from __future__ import annotations

import ast
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from so.console.command import Command
from so.console.source import class_in, read, with_import
from so.errors import CommandError
from so.settings.database import DatabaseSettings

PACKAGE = "app/accounts"
FACTORY = "database/factories/user_factory.py"
MODULES = (
    "__init__", "routes", "login", "passwords", "verification", "two_factor", "profile", "pages",
)  # fmt: skip
MIXINS = ("HasApiTokens", "HasRoles", "TwoFactor", "MustVerifyEmail", "Notifiable")
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
    keeps_rights = True

    def handle(self) -> int:
        """Write what is missing, and say what is left to do."""
        self._base = base = self.app.base_path()
        if (base / PACKAGE).exists():
            raise CommandError(f"{base / PACKAGE} is there already: this is done once")
        # All is read before anything is written: what is no Python stops it in time.
        texts, left = self._texts()
        changed = [self._name(file) for file in texts if file.is_file()]
        for file, text in texts.items():
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, "utf-8")
        created = [name for name in map(self._name, texts) if name not in changed]
        self._tell(created, changed, left)
        return 0

    def _name(self, file: Path) -> str:
        return str(file.relative_to(self._base))

    def _tell(self, created: list[str], changed: list[str], left: list[str]) -> None:
        """What was done; what is *left* to somebody."""
        left = [
            *left,
            "Run `bin/sixorbit migrate`, then `bin/sixorbit test tests/test_accounts.py`.",
            "`bin/sixorbit user:create ADDRESS` makes a user; the pages are /login and /account.",
        ]
        if self.wants_json:
            self.json({"created": created, "changed": changed, "left": left})
            return
        for name in (*created, *changed):
            self.info(f"Written: {name}")
        for text in left[:-1]:
            self.warn(text)
        self.line(left[-1])

    def _texts(self) -> tuple[dict[Path, str], list[str]]:
        """What is to be written, by file, and what somebody has to do."""
        tests, models, routes = self._base / "tests", self._models(), self._base / "app/routes.py"
        stubs = {self._base / PACKAGE / f"{name}.py": f"{name}.py.txt" for name in MODULES}
        stubs[tests / "test_accounts.py"] = "test_accounts.py.txt"
        texts, left = {tests / "__init__.py": '"""Tests of this application."""\n'}, []
        source, tree = read(models, '"""The models."""\n')
        user = class_in(tree, "User")
        if user is None:
            stubs |= self._tables()
            stubs[self._base / FACTORY] = "user_factory.py.txt"
        elif lacking := [name for name in MIXINS if name not in _bases(user)]:
            left.append(f"Let class User in {models.name} begin with: {', '.join(lacking)}")
        texts |= {file: _stub(name).read_text("utf-8") for file, name in stubs.items()}
        left += [f"{self._name(f)} is there already and stays" for f in stubs if f.is_file()]
        texts = {file: text for file, text in texts.items() if not file.is_file()}
        if user is None:
            texts[models] = with_import(source, "so", [*MIXINS, "Model"]) + _MODEL
        source, _ = read(routes, '"""The routes."""\n')
        if "account_routes" not in source:
            source = with_import(source, "app.accounts.routes", ["account_routes"])
            texts[routes] = f"{source}\n\naccount_routes()\n"
        return texts, left

    def _models(self) -> Path:
        """Where the models are, or will be."""
        module, folder = self._base / "app" / "models.py", self._base / "app" / "models"
        return folder / "__init__.py" if folder.is_dir() and not module.is_file() else module

    def _tables(self) -> dict[Path, str]:
        folder = self._base / self.app.settings(DatabaseSettings).migrations
        name = f"{self.app.make('clock').now():%Y_%m_%d_%H%M%S}_create_users_table"
        return {folder / f"{name}.{e}.sql": f"users.{e}.sql" for e in ("sqlite", "mysql")}


def _stub(name: str) -> Traversable:
    return files("so").joinpath("console", "stubs", "accounts", name)


def _bases(node: ast.ClassDef) -> list[str]:
    return [ast.unparse(base).rpartition(".")[2] for base in node.bases]
