"""`migrate*` and `make:migration`: the application's own tables, file by file."""

from __future__ import annotations

import re
from pathlib import Path

from so.application.trail import note
from so.console.command import Command
from so.db import schema
from so.db.manager import Database
from so.db.migrations import Migrator
from so.db.tables import drop_all
from so.errors import UsageError
from so.settings.database import DatabaseSettings
from so.support import numbers

_LONGEST_STATEMENT_SECONDS = 86_400
"""An `alter table` of a large table says nothing for hours."""

_TEMPLATE = """\
-- {title}
-- Money is decimal(12,2) on both engines.

create table {table} (
    id {id},
    name varchar(255) not null,
    created_at {time},
    updated_at {time}
){options};

-- rollback

drop table {table};
"""
_SQLITE = {
    "id": "integer primary key autoincrement",
    "time": "datetime null default null",
    "options": "",
}
_MYSQL = {
    "id": "bigint unsigned not null auto_increment primary key",
    "time": "datetime(6) null default null",
    "options": " engine=InnoDB default charset=utf8mb4 collate=utf8mb4_unicode_ci",
}
_PYTHON = '''"""{title}"""

from so import Connection


def up(db: Connection) -> None:
    """Change the database."""
    db.statement("create table {table} (id integer primary key, name varchar(255) not null)")


def down(db: Connection) -> None:
    """Undo it."""
    db.statement("drop table {table}")
'''


class _Migrate(Command):
    """What the three have in common."""

    def migrator(self, database: Database) -> Migrator:
        """For the connection and folder in question."""
        folder = self.app.base_path(self.app.settings(DatabaseSettings).migrations)
        connection = database.connection(self.option("connection"))
        if connection.dialect.name == "mysql":
            connection = connection.separate(read_timeout=_LONGEST_STATEMENT_SECONDS)
        return Migrator(connection, Path(folder))

    def number(self, name: str) -> int | None:
        """The option *name* as a count of at least 1, or None."""
        given = self.option(name)
        if given is None:
            return None
        if not (numbers.whole(str(given)) or 0) >= 1:
            raise UsageError(f"--{name} must be a number from 1, not {given!r}")
        return int(given)

    def find_seeder(self) -> None:
        """Raise CommandError for a seeder that there is not, before anything is dropped for it."""
        if name := self._seeder():
            from so.console.commands.db import seeder_of

            seeder_of(self.app.database_path("seeders"), name)

    def seed(self) -> int:
        """Run the seeder that was asked for, if any was."""
        name = self._seeder()
        seed = self.call_silently if self.wants_json else self.call
        return seed("db:seed", {"--force": True, "--class": name}) if name else 0

    def _seeder(self) -> str | None:
        named = self.has_option("seeder") and self.option("seeder")
        return str(named) if named else "DatabaseSeeder" if self.option("seed") else None

    def report(self, name: str, ms: float) -> None:
        """Print a file that was applied, and note it in the trail."""
        note(self.app, "migrated", f"Applied the migration {name}", self._what(name))
        if not self.wants_json:
            self.line(f"  {name} {ms:.0f} ms DONE")

    def _what(self, name: str) -> dict[str, str | None]:
        return {"migration": name, "connection": self.option("connection")}

    def undone(self, name: str, ms: float) -> None:
        """Print a file that was undone, and note it in the trail."""
        note(self.app, "migrated", f"Undid the migration {name}", self._what(name))
        if not self.wants_json:
            self.line(f"  {name} {ms:.0f} ms UNDONE")

    def tell(self, verb: str, names: list[str], nothing: str) -> None:
        """Say what was done, or that there was nothing to do."""
        if self.wants_json:
            self.json(names)
        elif not names:
            self.info(nothing)
        else:
            self.info(f"{verb} {len(names)} migration{'s' if len(names) > 1 else ''}")


class Migrate(_Migrate):
    """Applies the migrations that were not applied yet."""

    signature = (
        "migrate {--step= : At most that many files, each a batch of its own} "
        "{--pretend : Print the statements, run none} {--force : Do not ask in production} "
        "{--connection= : Default: the default one} {--seed : Run db:seed afterwards}"
    )
    destructive = True

    def handle(self, database: Database) -> int:
        """Apply, or print what would be applied."""
        migrator = self.migrator(database)
        if self.option("pretend"):
            return self._pretend(migrator)
        self.find_seeder()
        with self.hearing():
            done = migrator.run(self.number("step"), self.report)
        self.tell("Applied", done, "Nothing to migrate")
        return self.seed()

    def _pretend(self, migrator: Migrator) -> int:
        found = migrator.pretend(self.number("step"))
        if self.wants_json:
            self.json(found)
            return 0
        for name, statements in found.items():
            self.comment(f"-- {name}")
            for statement in statements:
                self.line(f"{statement};")
        return 0


class MigrateRollback(_Migrate):
    """Undoes the last batch."""

    signature = (
        "migrate:rollback {--step= : That many files instead of the last batch} "
        "{--force : Do not ask in production} {--connection= : Default: the default one}"
    )
    destructive = True

    def handle(self, database: Database) -> int:
        """Undo and print what was undone."""
        with self.hearing():
            done = self.migrator(database).roll_back(self.number("step"), self.undone)
        self.tell("Undid", done, "Nothing to roll back")
        return 0


class _Anew(_Migrate):
    """Brings everything back to nothing, and up again."""

    destructive = True

    def up(self, database: Database, done: dict[str, list[str]]) -> int:
        """Apply all migrations; seed where that was asked for. *done* is what was done before."""
        with self.hearing():
            applied = self.migrator(database).run(None, self.report)
        if self.wants_json:
            self.json({**done, "applied": applied})
        else:
            self.tell("Applied", applied, "Nothing to migrate")
        return self.seed()


class MigrateFresh(_Anew):
    """Drops every table, whoever made it."""

    signature = (
        "migrate:fresh {--seed : Run db:seed afterwards} {--seeder= : That seeder instead} "
        "{--force : Do not ask in production} {--connection= : Default: the default one}"
    )

    def handle(self, database: Database) -> int:
        """Drop, install, migrate, seed."""
        self.find_seeder()
        connection = database.connection(self.option("connection"))
        dropped = drop_all(connection)
        if not self.wants_json:
            self.info(f"Dropped {len(dropped)} table{'s' if len(dropped) != 1 else ''}")
        schema.install(connection)
        note(self.app, "migrated", "Dropped every table", {"dropped": dropped})
        return self.up(database, {"dropped": dropped})


class MigrateReset(_Migrate):
    """Undoes every migration."""

    signature = (
        "migrate:reset {--force : Do not ask in production} "
        "{--connection= : Default: the default one}"
    )
    destructive = True

    def handle(self, database: Database) -> int:
        """Undo all."""
        with self.hearing():
            done = self.migrator(database).roll_back(None, self.undone, everything=True)
        self.tell("Undid", done, "Nothing to roll back")
        return 0


class MigrateRefresh(_Anew):
    """Undoes every migration by its own rollback, and applies it again."""

    signature = (
        "migrate:refresh {--step= : Only that many files} {--seed : Run db:seed afterwards} "
        "{--seeder= : That seeder instead} {--force : Do not ask in production} "
        "{--connection= : Default: the default one}"
    )

    def handle(self, database: Database) -> int:
        """Undo, apply, seed."""
        steps = self.number("step")
        self.find_seeder()
        migrator = self.migrator(database)
        with self.hearing():
            done = migrator.roll_back(steps, self.undone, everything=steps is None)
        if not self.wants_json:
            self.tell("Undid", done, "Nothing to roll back")
        return self.up(database, {"undone": done})


class MigrateStatus(_Migrate):
    """Lists the migrations."""

    signature = "migrate:status {--connection= : Default: the default one}"

    def handle(self, database: Database) -> int:
        """Print a table."""
        lines = self.migrator(database).status()
        if self.wants_json:
            self.json([{**vars(line), "applied": line.batch is not None} for line in lines])
            return 0
        if not lines:
            self.info("There are no migrations; `make:migration` writes one.")
            return 0
        self.table(
            ("Migration", "Batch", "Status"),
            [
                (
                    line.name,
                    "" if line.batch is None else line.batch,
                    "file is missing"
                    if line.file_is_missing
                    else "pending"
                    if line.batch is None
                    else "applied",
                )
                for line in lines
            ],
        )
        return 0


class MakeMigration(Command):
    """Writes the empty form of a migration."""

    signature = (
        "make:migration {name : Such as create_products_table} "
        "{--python : One file with up(db) and down(db) instead of SQL for each engine}"
    )
    keeps_rights = True

    def handle(self) -> int:
        """Write the files and print where."""
        name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|[\s-]+", "_", str(self.argument("name"))).lower()
        if not re.fullmatch(r"\w+", name):
            raise UsageError(f"{name!r} cannot be in a file name: use letters, digits and _")
        folder = Path(self.app.base_path(self.app.settings(DatabaseSettings).migrations))
        folder.mkdir(parents=True, exist_ok=True)
        now = self.app.make("clock").now()
        stem = f"{now:%Y_%m_%d_%H%M%S}_{name}"
        created = []
        for path, text in self._files(folder, stem, name):
            path.write_text(text, "utf-8")
            created.append(str(path.relative_to(self.app.base_path())))
        facts = {"created": created}
        self.report_done(facts, "\n".join(f"Migration created: {one}" for one in created))
        return 0

    def _files(self, folder: Path, stem: str, name: str) -> list[tuple[Path, str]]:
        match = re.fullmatch(r"create_(\w+?)(?:_table)?", name)
        words = {
            "table": match.group(1) if match else "things",
            "title": name.replace("_", " ").capitalize() + ".",
        }
        if self.option("python"):
            return [(folder / f"{stem}.py", _PYTHON.format(**words))]
        return [
            (folder / f"{stem}.sqlite.sql", _TEMPLATE.format(**words, **_SQLITE)),
            (folder / f"{stem}.mysql.sql", _TEMPLATE.format(**words, **_MYSQL)),
        ]
