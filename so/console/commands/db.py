"""`db:*`: install the framework's tables, print and check them, back up, fill with seeders."""

from __future__ import annotations

import importlib.util
import inspect
import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

from so.application import homes
from so.console.command import Command
from so.db import schema
from so.db.connection import Connection
from so.db.framework import framework_sql
from so.db.manager import Database
from so.db.model import Model
from so.db.options import file_of
from so.errors import CommandError, SchemaError, UsageError


class DbInstall(Command):
    """Creates the framework's tables where they are missing."""

    signature = "db:install {--connection= : Default: every one that holds tables of the framework}"

    def handle(self) -> int:
        """Install and print what was created."""
        result = homes.install(self.app, self.option("connection"))
        if self.wants_json:
            self.json(result)
            return 0
        for name, done in result.items():
            for text in done:
                is_gone = text.startswith("dropped ")
                self.line(f"  {name}: {text if is_gone else f'created {text}'}")
            self.info(f"{name}: {'installed' if done else 'everything was there already'}")
        return 0


class DbSchema(Command):
    """Prints the file of SQL that a DBA may source by hand."""

    signature = "db:schema {--dialect= : mysql or sqlite; default: the default connection's}"

    def handle(self, database: Database) -> int:
        """Print the file."""
        dialect = self.option("dialect") or database.connection().dialect.name
        try:
            self.line(framework_sql("mysql" if dialect == "mariadb" else str(dialect)))
        except SchemaError as error:
            raise UsageError(str(error)) from error
        return 0


class DbCheck(Command):
    """Compares live databases with what the framework needs."""

    signature = "db:check {--connection= : Default: every one that holds tables of the framework}"

    def handle(self, database: Database) -> int:
        """Print each fault; 1 if there is one. Money in text is named, but is no fault."""
        found, name = {}, self.option("connection")
        for connection in [database.connection(name)] if name else homes.connections(self.app):
            money = schema.money_in_text(connection, _decimals(database, connection))
            found[connection.name] = [*schema.check(connection), *money]
        if self.wants_json:
            self.json({name: [vars(f) for f in faults] for name, faults in found.items()})
        else:
            self._print(found)
        return (
            1 if any(fault.kind != "money" for faults in found.values() for fault in faults) else 0
        )

    def _print(self, found: dict[str, list[schema.SchemaFault]]) -> None:
        for name, faults in found.items():
            for fault in faults:
                self.error(f"{name}: {fault}")
                if fault.kind == "collation":
                    self.comment(f"  {fault.mend};")
            if not faults:
                self.info(f"{name}: everything is there")
        if any(
            fault.kind not in ("collation", "money")
            for faults in found.values()
            for fault in faults
        ):
            self.line("db:install creates what is missing")


class DbBackup(Command):
    """Copies an SQLite database while others go on writing."""

    signature = (
        "db:backup {file? : Default: storage/backups/NAME-TIME.sqlite} "
        "{--connection= : Default: the default one}"
    )

    def handle(self, database: Database) -> int:
        """Write the copy and print where it is."""
        connection = database.connection(self.option("connection"))
        given = self.argument("file")
        target = self.app.base_path(str(given)) if given else self._new_name(connection)
        with self.hearing():
            size = schema.backup(connection, Path(target))
        if self.wants_json:
            self.json({"file": str(target), "bytes": size})
        else:
            self.info(f"backed up {connection.name} to {target} ({size:,} bytes)")
        return 0

    def _new_name(self, connection: Connection) -> Path:
        name = Path(file_of(str(connection.config["database"])) or "memory").stem
        time = connection.clock.now().strftime("%Y%m%d-%H%M%S")
        return self.app.storage_path(f"backups/{name}-{time}.sqlite")


class DbSeed(Command):
    """Runs a seeder of database/seeders."""

    signature = "db:seed {seeder? : Its class} {--class=DatabaseSeeder : The same as an option}"
    destructive = True

    def handle(self) -> int:
        """Run the seeder's `run()`, whatever it asks for injected."""
        name = str(self.argument("seeder") or self.option("class"))
        with self.hearing():
            self.app.make("seeding")(seeder_of(self.app.database_path("seeders"), name))
        self.report_done({"seeded": name}, f"seeded: {name}")
        return 0


def _decimals(database: Database, connection: Connection) -> Iterator[tuple[str, str, str]]:
    """Table, column and cast of what the application's models on *connection* keep as decimals."""
    waiting: list[Any] = list(Model.__subclasses__())
    while waiting:
        model = waiting.pop()
        waiting += model.__subclasses__()
        if (model.connection or database.default_connection) != connection.name:
            continue
        for column, cast in model.casts.items():
            if cast is Decimal or str(cast).strip().lower().partition(":")[0] == "decimal":
                yield connection.grammar.prefixed(model.table), column, str(cast)


def seeder_of(folder: Path, name: str) -> type[Any]:
    """The seeder *name* of the files in *folder*; CommandError names those there are."""
    for path in sorted(folder.glob("*.py")):
        if re.search(rf"^class {re.escape(name)}\b", path.read_text("utf-8-sig"), re.MULTILINE):
            return _class_in(path, name)
    known = sorted(
        match
        for path in folder.glob("*.py")
        for match in re.findall(r"^class (\w+)", path.read_text("utf-8-sig"), re.MULTILINE)
    )
    there = f"there are {', '.join(known)}: name one" if known else f"{folder} has none"
    there += f"; `make:seeder {name}` makes one, which may call others"
    raise CommandError(f"no seeder {name!r} was found; {there}")


def _class_in(path: Path, name: str) -> type[Any]:
    spec = importlib.util.spec_from_file_location(f"seeder_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found: type[Any] = getattr(module, name)
    run: Callable[..., Any] | None = getattr(found, "run", None)
    if not inspect.isclass(found) or run is None:
        raise CommandError(f"{name} in {path.name} has no run(): write one")
    return found
