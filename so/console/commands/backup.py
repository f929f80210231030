"""`backup` and `restore`: an installation as one file, and an installation from one file."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from so.console.command import Command
from so.console.output import Output
from so.db.connection import Connection
from so.db.manager import Database
from so.db.options import file_of
from so.db.tables import drop_all, integrity, table_names
from so.errors import ReleaseError, UsageError
from so.release import dumps
from so.release.alone import alone
from so.release.backup import PARTS, Installation, Restoration, keep_newest, write_backup
from so.release.files import links_below
from so.release.sealed import Sealed
from so.settings.app import AppSettings
from so.settings.backup import ENDING, BackupSettings
from so.settings.database import DatabaseSettings
from so.support.archive import home_of
from so.support.ownership import Owner, done_as, hand_over, owner_of

if TYPE_CHECKING:
    from so.application import Application

# An installation is looked at without its own code, which a backup does not hold.
BARE: dict[str, Any] = {"app": {"providers": [], "middleware": [], "routes": []}}


class Backup(Command):
    """Databases, uploads, keys and settings, while everything runs."""

    signature = (
        "backup {file? : Default: a name with the time below backup.path} "
        "{--connection=* : Only these databases; default: those the systems use} "
        "{--keep=@backup.keep : Keep so many files of that folder; 0 keeps all}"
    )

    def handle(self, database: Database) -> int:
        """Write the file; tell where it is."""
        given, keep = self.argument("file"), self._keep()
        target = self.app.base_path(str(given)) if given else self._new_name()
        place = self._installation(database)
        with self.hearing():
            size = write_backup(place, target, self.going)
        links = [str(one) for name in place.kept for one in links_below(place.base / name)]
        gone = [] if given else keep_newest(target.parent, f"*{ENDING}", keep)
        if self.wants_json:
            removed = [str(one) for one in gone]
            self.json({"file": str(target), "bytes": size, "removed": removed, "links": links})
            return 0
        self.info(f"Backed up to {target} ({size:,} bytes).")
        self.comment("It holds keys and passwords: keep it where only you can read it.")
        for link in links:
            self.warn(f"{link} is a link: what it leads to is not in the backup.")
        for one in gone:
            self.line(f"Removed {one}, more than {keep} are not kept.")
        return 0

    def _keep(self) -> int:
        given = str(self.option("keep"))
        if not (given.isascii() and given.isdigit()):
            raise UsageError(f"--keep={given!r} is no number of files")
        return int(given)

    def _installation(self, database: Database) -> Installation:
        names = self.option("connection") or used_connections(self.app)
        return Installation(
            base=self.app.base_path(),
            name=self.app.settings(AppSettings).name,
            connections=_apart(database.connection(name) for name in names),
            kept=self._kept(),
            version=self.app.version(),
        )

    def _kept(self) -> list[str]:
        """The folders of uploads that lie in the application's folder, and its made-up key."""
        base = self.app.base_path()
        folders = [base / str(one) for one in dict(self.app.make("http_settings").disks).values()]
        places = [*folders, self.app.storage_path("app.key")]
        return [str(one.relative_to(base)) for one in places if one.is_relative_to(base)]

    def _new_name(self) -> Path:
        folder = self.app.base_path(self.app.settings(BackupSettings).path)
        time = self.app.clock.now().strftime("%Y%m%d-%H%M%S")
        return folder / f"{time}{ENDING}"


class Restore(Command):
    """Never overwrites; looks at what was restored before it says that it is."""

    signature = (
        "restore {file : What `backup` wrote} "
        "{--into= : Folder of the installation; default: this one} "
        "{--only=* : database, uploads or settings; default: all of them} "
        "{--force : Move what is in the way aside instead of refusing}"
    )
    keeps_rights = True

    def handle(self) -> int:
        """Check the file, put everything in its place, check the databases."""
        into = Path(str(self.option("into") or home_of(self.app.base_path()))).resolve()
        run = Restoration(
            Sealed.read(Path(str(self.argument("file"))), self.going),
            into,
            self.option("only") or PARTS,
            force=bool(self.option("force")),
        )
        run.refuse_strangers_settings(self.app.base_path())
        if run.was_interrupted() and not self.wants_json:
            self.comment("An earlier run was interrupted: what it has put in place is moved aside.")
        into.mkdir(parents=True, exist_ok=True)
        owner = owner_of(into / "storage")
        with alone(into, "not restored"), self.hearing(), run.staged(self.going) as folder:
            if code := self._place(run, folder, owner):
                return code
            run.end()
        return done_as(owner, lambda: self._proved(run))

    def _place(self, run: Restoration, folder: Path, owner: Owner | None) -> int:
        """Data with the rights of *owner*, then the settings; an exit code."""
        settled = folder / "settings" if "settings" in run.parts else run.into
        with _looked_at(settled) as app:
            chosen = {name: _connection(app, name, one) for name, one in run.databases.items()}
            files = {
                name: _in_place(connection, settled, run.into)
                for name, connection in chosen.items()
                if connection.dialect.name == "sqlite"
            }
            moves = run.moves(folder, files)
            settings = {s: to for s, to in moves.items() if s.is_relative_to(folder / "settings")}
            data = {source: to for source, to in moves.items() if source not in settings}
            servers = {name: one for name, one in chosen.items() if name not in files}
            if owner is not None:
                for part in ("database", "uploads"):  # and no settings
                    hand_over(folder / part, owner)
                folder.chmod(0o711)
            code = done_as(owner, lambda: _refuse(run, data, servers))
            run.require_writable(settings.values())
            if code:
                return code
            run.begin()
            if code := done_as(owner, lambda: _place_data(run, folder, data, servers)):
                return code
            run.place_files(settings, run.settings_aside)
            if owner is not None:
                run.let_read(owner, settings.values())
        return 0

    def _proved(self, run: Restoration) -> int:
        """Look at the databases as `db:check` and `activity:verify` do; 1 for a fault."""
        checks: dict[str, str] = {}
        sound = True
        with _looked_at(run.into) as app, self.hearing():
            for name in run.databases:
                checks[name] = _integrity(app.make("db").connection(name))
                sound = sound and checks[name] == "ok"
            for command in ("db:check", "activity:verify") if run.databases else ():
                checks[command], is_sound = self._asked(app, command)
                sound = is_sound and sound
        return self._told(run, checks, sound)

    def _told(self, run: Restoration, checks: dict[str, str], sound: bool) -> int:
        moved = [str(place) for place in run.moved]
        if self.wants_json:
            facts = {"into": str(run.into), "sound": sound, "checks": checks, "moved": moved}
            self.json(facts)
            return 0 if sound else 1
        for place in moved:
            self.line(f"Moved aside: {place}")
        for name, verdict in checks.items():
            self.line(f"{name}: {verdict}")
        if sound:
            self.success(f"Restored into {run.into}.")
        else:
            self.error(f"Restored into {run.into}, but the checks above found faults.")
        return 0 if sound else 1

    def _asked(self, app: Application, command: str) -> tuple[str, bool]:
        """What *command* has to say of the restored application, and whether that is good."""
        from so.console.kernel import Kernel

        text = io.StringIO()
        output = Output(text) if self.wants_json else self.output.beside(text)
        code = Kernel(app).run_command(command, {}, output)
        # 2: nothing to check it with; 3: rows wait for their seal, as in any running system
        good = code == 0 or (command == "activity:verify" and code in (2, 3))
        return text.getvalue().strip(), good


def used_connections(app: Application) -> list[str]:
    """The connections that the application and the systems use, the default one first."""
    topics = ("cache", "session", "queue")
    named = [app.config.get(f"{topic}.connection") for topic in topics]
    default = app.settings(DatabaseSettings).default
    known = app.settings(DatabaseSettings).connections
    return list(dict.fromkeys([default, *(str(one) for one in named if one in known)]))


def _apart(connections: Iterator[Connection]) -> list[Connection]:
    """One connection for each database: two names may stand for one."""
    found: dict[tuple[Any, ...], Connection] = {}
    for connection in connections:
        config = connection.config
        keys = ("host", "port", "unix_socket", "database")
        found.setdefault(tuple(str(config.get(key)) for key in keys), connection)
    return list(found.values())


def _looked_at(base: Path) -> Application:
    from so.application import Application

    base.mkdir(parents=True, exist_ok=True)
    return Application(base, BARE)


def _connection(app: Application, name: str, dumped: Mapping[str, Any]) -> Connection:
    known = app.settings(DatabaseSettings).connections
    if name not in known:
        raise ReleaseError(
            f"the backup holds a database {name!r}, and the settings there know only "
            f"{', '.join(sorted(known))}: restore with the settings it was made with"
        )
    connection: Connection = app.make("db").connection(name)
    if connection.dialect.name != dumped["engine"]:
        raise ReleaseError(
            f"the backup of {name!r} is of {dumped['engine']}, the settings there say "
            f"{connection.dialect.name}: restore with the settings it was made with"
        )
    return connection


def _in_place(connection: Connection, settled: Path, into: Path) -> Path:
    path = Path(file_of(str(connection.config["database"])) or ":memory:")
    return into / path.relative_to(settled) if path.is_relative_to(settled) else into / path


def _refuse(run: Restoration, data: Mapping[Path, Path], servers: Mapping[str, Connection]) -> int:
    """ReleaseError for what cannot be written, or has something in it that nobody let go."""
    run.require_writable(data.values())
    for connection in () if run.force or run.was_interrupted() else servers.values():
        if tables := table_names(connection):
            raise ReleaseError(
                f"database {connection.config['database']!r} has {len(tables)} tables: name an "
                "empty one in DB_DATABASE, or use --force, which dumps them into storage/ first"
            )
    return 0


def _place_data(
    run: Restoration, folder: Path, data: Mapping[Path, Path], servers: Mapping[str, Connection]
) -> int:
    for name, connection in servers.items():
        _make_room(run, name, connection)
    run.place_files(data)
    for name, connection in servers.items():
        dumps.load(connection.config, folder / run.databases[name]["file"])
    return 0


def _make_room(run: Restoration, name: str, connection: Connection) -> None:
    """Keep what a server's database holds, and empty it."""
    if table_names(connection):
        kept = run.aside / f"{name}.sql"
        kept.parent.mkdir(parents=True, exist_ok=True)
        dumps.dump(connection, kept)
        drop_all(connection)


def _integrity(connection: Connection) -> str:
    if connection.dialect.name == "sqlite":
        return integrity(connection)
    return "ok" if table_names(connection) else "no table"
