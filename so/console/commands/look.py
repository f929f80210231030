"""Looking at what is there: `db:show`, `db:table`, `model:show`, `event:list`."""

from __future__ import annotations

import pkgutil
from collections.abc import Iterator
from typing import Any

from so.console.command import Command
from so.db.manager import Database
from so.db.model import Model
from so.db.tables import columns, foreign_keys, indexes, sizes, table_names, whole_size
from so.errors import CommandError
from so.support.near import nearest
from so.support.places import place_of


class DbShow(Command):
    """Engine, version, tables."""

    signature = "db:show {--connection= : Default: the default one}"

    def handle(self, database: Database) -> int:
        """Print it."""
        connection = database.connection(self.option("connection"))
        sqlite = connection.dialect.name == "sqlite"
        version = connection.scalar("select sqlite_version()" if sqlite else "select version()")
        tables = sizes(connection)
        about = {
            "connection": connection.name,
            "engine": connection.dialect.name,
            "version": version,
            "database": str(connection.config["database"]),
            "bytes": whole_size(connection),
        }
        if self.wants_json:
            self.json({**about, "tables": [vars(one) for one in tables]})
            return 0
        for name, value in about.items():
            self.line(f"{name:<12} {value}")
        # SQLite does not say how large a table is: no column for nothing.
        shown = 3 if any(t.bytes is not None for t in tables) else 2
        rows = [(t.name, t.rows, t.bytes)[:shown] for t in tables]
        self.table(("Table", "Rows, about", "Bytes")[:shown], rows)
        return 0


class DbTable(Command):
    """Columns, indexes, foreign keys."""

    signature = "db:table {name : Of the table} {--connection= : Default: the default one}"

    def handle(self, database: Database) -> int:
        """Print it."""
        connection, name = (
            database.connection(self.option("connection")),
            str(self.argument("name")),
        )
        known = table_names(connection)
        if name not in known:
            close = nearest(name, known)
            raise CommandError(
                f"there is no table {name!r}" + (f"; did you mean {close!r}?" if close else "")
            )
        found = {
            "table": name,
            "columns": columns(connection, name),
            "indexes": indexes(connection, name),
            "foreign_keys": foreign_keys(connection, name),
        }
        if self.wants_json:
            self.json(found)
            return 0
        for title, rows in found.items():
            if isinstance(rows, list) and rows:
                self.comment(title.replace("_", " ").capitalize())
                self.table([str(key) for key in rows[0]], [tuple(row.values()) for row in rows])
        return 0


class ModelShow(Command):
    """What a model is made of."""

    signature = "model:show {name : Such as Order}"

    def handle(self) -> int:
        """Print it."""
        name, known = str(self.argument("name")), models_of(self.app)
        cls = known.get(name) or known.get(name.rpartition(".")[2])
        if cls is None:
            close = nearest(name, known)
            raise CommandError(
                f"there is no model {name!r}" + (f"; did you mean {close!r}?" if close else "")
            )
        found = self._facts(cls)
        if self.wants_json:
            self.json(found)
            return 0
        for key in ("model", "table", "primary_key", "type_alias"):
            self.line(f"{key:<12} {found[key]}")
        self.table(
            ("Attribute", "Type", "Cast", "Fillable", "Hidden"),
            [tuple(one.values()) for one in found["attributes"]],
        )
        for key in ("relations", "listeners"):
            if found[key]:
                self.comment(key.capitalize())
                for one in found[key]:
                    self.line(f"  {one}")
        return 0

    def _facts(self, cls: Any) -> dict[str, Any]:
        plan = cls._plan
        connection = cls()._connection()
        rows = columns(connection, connection.grammar.prefixed(cls.table))
        return {
            "model": f"{cls.__module__}.{cls.__qualname__}",
            "table": cls.table,
            "primary_key": cls.primary_key,
            "type_alias": cls.type_alias,
            "attributes": [
                {
                    "name": row["name"],
                    "type": row["type"],
                    "cast": _cast(cls.casts.get(row["name"])),
                    "fillable": row["name"] in cls.fillable,
                    "hidden": row["name"] in cls.hidden,
                }
                for row in rows
            ],
            "relations": sorted(plan.relations),
            "listeners": [f"{event}: {listener}" for event, listener in listeners_of(cls)],
        }


class EventList(Command):
    """Who hears what."""

    signature = "event:list"

    def handle(self) -> int:
        """Print them."""
        rows = [
            {"event": f"{name}.{event}", "listener": listener}
            for name, cls in sorted(models_of(self.app).items())
            for event, listener in listeners_of(cls)
        ]
        hooks = self.app.make("queue").hooks_by_kind()
        rows += [
            {"event": f"queue.{kind}", "listener": place_of(fn)}
            for kind, found in sorted(hooks.items())
            for fn in found
        ]
        if self.wants_json:
            self.json(rows)
        elif rows:
            self.table(("Event", "Listener"), [tuple(row.values()) for row in rows])
        else:
            self.line("Nobody listens.")
        return 0


def models_of(app: Any) -> dict[str, Any]:
    """The models of the application by name, its modules imported for it."""
    found = {}
    for name in _modules(app):
        module = app.import_module(name)
        for value in vars(module).values():
            if isinstance(value, type) and issubclass(value, Model) and value.__module__ == name:
                found[value.__name__] = value
    return found


def _modules(app: Any) -> Iterator[str]:
    has_package = (app.base_path("app") / "__init__.py").is_file()
    package = app.import_module("app") if has_package else None
    for info in pkgutil.iter_modules(getattr(package, "__path__", []), "app."):
        if info.name == "app.models":
            yield info.name
            models = app.import_module(info.name)
            inner = pkgutil.iter_modules(getattr(models, "__path__", []), "app.models.")
            yield from (one.name for one in inner)


def listeners_of(cls: Any) -> Iterator[tuple[str, str]]:
    """(event, where the listener stands) of a model, observers among them."""
    for event, found in cls._events.heard().items():
        for listener in found:
            yield event, place_of(listener)


def _cast(cast: Any) -> str | None:
    return (
        None
        if cast is None
        else cast
        if isinstance(cast, str)
        else getattr(cast, "__name__", str(cast))
    )
