"""`about` and `check`: what this installation is, and everything that is wrong with it."""

from __future__ import annotations

import os
import platform
import re
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import so
from so.application import homes
from so.application.dangers import dangers
from so.application.delivery import unsent
from so.application.logins import cipher_of
from so.application.trail import unverified
from so.console.command import Command
from so.errors import CommandError, ConfigError, DatabaseError, SixOrbitError
from so.release import back
from so.release.bundle import interrupted
from so.settings.activity import ActivitySettings
from so.settings.app import AppSettings
from so.settings.cache import CacheSettings
from so.settings.database import DatabaseSettings, driver_of
from so.settings.mail import MailSettings
from so.settings.notifications import NotificationSettings
from so.settings.queue import QueueSettings
from so.settings.session import SessionSettings
from so.support.near import nearest
from so.support.ownership import STARTED_BY, Owner, changeable, owner_of

if TYPE_CHECKING:
    from so.db.connection import Connection
    from so.db.schema import SchemaFault

LARGEST_SKEW = 2.0  # seconds between this clock and the database's
DAYS_LATE = 7  # after which a timer that should have cleaned up has evidently not run
LATE_REPLICA = 60  # seconds that a replica may be behind
MANY_FAILED_JOBS = 10_000
# What root runs or reads of an installation: its commands, and what they import.
CODE = (".env", "bin", "so", "app", "config", "database/migrations", "vendor", back.FOLDER)

_VARIABLE = re.compile(r"\b[A-Z][A-Z0-9]*_[A-Z0-9_]+\b")


class About(Command):
    """For a first look and for support."""

    signature = "about"

    def handle(self) -> int:
        """Print names, versions and drivers."""
        settings = self.app.settings
        facts = {
            "application": settings(AppSettings).name,
            "environment": self.app.environment(),
            "debug": self.app.is_debug(),
            "folder": str(self.app.base_path()),
            "framework": self.app.version(),
            "python": platform.python_version(),
            "sqlite": sqlite3.sqlite_version,
            "database": settings(DatabaseSettings).default,
            "cache": settings(CacheSettings).default,
            "queue": settings(QueueSettings).default,
            "sessions": settings(SessionSettings).driver,
            "mail": settings(MailSettings).driver,
            **self._engines(),
        }
        if self.wants_json:
            self.json(facts)
            return 0
        for name, value in facts.items():
            self.line(f"{name:<12} {value}")
        return 0

    def _engines(self) -> dict[str, str]:
        """The version of the database server, if there is one, and of the driver that asks it."""
        settings = self.app.settings(DatabaseSettings)
        if driver_of(settings.connections[settings.default]) == "sqlite":
            return {"driver": f"sqlite3 of Python {platform.python_version()}"}
        try:
            driver = f"mysql-connector-python {metadata.version('mysql-connector-python')}"
        except metadata.PackageNotFoundError:
            driver = "not installed: pip install mysql-connector-python"
        try:
            server = str(self.app.make("db").connection().scalar("select version()"))
        except DatabaseError as error:
            server = f"not reached: {error}".splitlines()[0]
        return {"server": server, "driver": driver}


class Check(Command):
    """Says all that is wrong at once, so that one look is enough before going live."""

    signature = "check {--as= : Look as this user would, such as www-data; needs root}"
    keeps_rights = True
    names_faults = True
    _incomplete = False  # a table of the framework is missing

    def handle(self) -> int:
        """Run every check; exit 1 if one of them found something."""
        owner = owner_of(self.app.storage_path())
        if user := self.option("as") or (owner and owner.name):
            return self._as(str(user), owner)
        faults = list(dict.fromkeys(self._faults()))  # one cause may stop several checks
        notes = list(self._notes())
        if self.wants_json:
            more = {"notes": notes} if notes else {}
            self.json({"ok": not faults, "faults": faults, **more})
        else:
            for fault in faults:
                self.error(f"✗ {fault}")
            for note in notes:
                self.warn(f"! {note}")
            if not faults:
                self.success("Everything is in order.")
        return 1 if faults else 0

    def _as(self, user: str, owner: Owner | None) -> int:
        """The same in a process of *user*, with nothing of this one's rights or environment.

        Another process, since this one has read the settings already, with other eyes.
        """
        entry = owner if owner is not None and owner.name == user else _user_called(user)
        words = [sys.executable, "-m", "so", "check", *(["--json"] if self.wants_json else [])]
        environ = {
            "PATH": os.defpath,
            "PYTHONPATH": str(Path(so.__file__).resolve().parent.parent),
            "SIXORBIT_BASE": str(self.app.base_path()),
            "PYTHONDONTWRITEBYTECODE": "1",
            "APP_ENV": "production",
            STARTED_BY: "root",
        }
        try:
            return subprocess.run(  # noqa: S603 - this program itself
                words,
                user=entry.uid,
                group=entry.gid,
                extra_groups=entry.groups,
                env=environ,
                cwd="/",
                check=False,
            ).returncode
        except PermissionError as error:
            if os.geteuid() != 0:
                raise CommandError(f"only root can look as {user}: run it with sudo") from error
            raise CommandError(
                f"{user} may not run {sys.executable}: use a Python outside of private folders"
            ) from error

    def _code(self) -> Iterator[str]:
        """What root runs and this user could change, where root has asked."""
        if os.environ.get(STARTED_BY) != "root" or not self.app.is_production():
            return
        base = self.app.base_path()
        me = Owner.of_this_process()
        found = changeable(me, [*(base / name for name in CODE), Path(so.__file__).parent])
        if found is not None:
            yield (
                f"{found} may be changed by {me.name}, and root runs what is in there: "
                f"`chown -R root {found}` and `chmod -R go-w {found}`"
            )

    def _upgrade(self) -> Iterator[str]:
        kept = interrupted(self.app.base_path())
        if kept is not None:
            yield (
                f"an upgrade was interrupted: `python3 {kept}/PUT-BACK.py` puts the version before "
                "back, and so does the next `upgrade`"
            )

    def _faults(self) -> Iterator[str]:
        for check in (
            self._config,
            self._upgrade,
            self._mail,
            self._keys,
            self._permissions,
            self._code,
            self._database,
            self._replicas,
            self._migrations,
            self._growth,
            self._trail,
        ):
            try:
                yield from check()
            except SixOrbitError as error:
                yield str(error)
            except (OSError, ValueError, TypeError) as error:
                yield f"{type(error).__name__}: {error}"

    def _config(self) -> Iterator[str]:
        yield from self.app.faults()
        # Made, each of them reads and checks its settings.
        for room in (
            "logger", "http_settings", "sessions", "cookie_settings", "caches", "queue", "router",
        ):  # fmt: skip
            try:
                self.app.make(room)
            except (SixOrbitError, ValueError, TypeError) as error:
                yield str(error)
        yield from dangers(self.app)
        if self.app.is_production() and self.app.settings(SessionSettings).secure is not True:
            yield "SESSION_SECURE_COOKIE is not true in production: set it, and serve HTTPS"

    def _mail(self) -> Iterator[str]:
        mail = self.app.settings(MailSettings)
        if mail.driver == "smtp" and mail.username and mail.encryption == "none":
            yield "MAIL_PASSWORD is sent in clear: set MAIL_ENCRYPTION to starttls or tls"

    def _notes(self) -> Iterator[str]:
        """What is no fault, but good to know."""
        yield from self._misspelt()
        if self._incomplete or cipher_of(self.app) is not None:
            return
        try:
            rows = self.app.make("db").table("user_security")
            if rows.where("two_factor_secret", "like", "sig:%").exists():
                yield (
                    "the secrets of second factors are signed, not encrypted: bind a `cipher` with "
                    "encrypt(text) and decrypt(text) if others can read the database"
                )
        except SixOrbitError:
            return  # the database has a fault of its own, which is named

    def _misspelt(self) -> Iterator[str]:
        """Names in `.env` that nothing reads, and that are nearly one that is read."""
        ours = Path(so.__file__).parent / "settings"
        files = [
            file
            for folder in (ours, self.app.base_path("config"), self.app.base_path("app"))
            for file in folder.rglob("*.py")
        ]
        read = {name for file in files for name in _VARIABLE.findall(file.read_text("utf-8"))}
        for name in self.app.dotenv:
            near = None if name in read else nearest(name, read, 0.85)
            if near:
                yield f"nothing reads {name} of .env; did you mean {near}?"

    def _keys(self) -> Iterator[str]:
        try:
            self.app.make("signer")
        except SixOrbitError as error:
            yield str(error)

    def _permissions(self) -> Iterator[str]:
        storage = self.app.storage_path()
        if not storage.is_dir() or not os.access(storage, os.W_OK):
            yield f"{storage} cannot be written to: create it and give it to this user"
        env = self.app.base_path(".env")
        if env.is_file() and env.stat().st_mode & 0o004:
            yield f"{env} can be read by everybody: chmod 640 {env}"

    def _database(self) -> Iterator[str]:
        from so.db.schema import check

        for connection in self._places():
            yield from self._tables(connection.name, check(connection))
            skew = abs(connection.database_time() - time.time())
            if skew > LARGEST_SKEW:
                yield f"the clock of database {connection.name} differs by {skew:.1f} seconds"

    def _replicas(self) -> Iterator[str]:
        from so.db.replicas import replicas

        for connection in self._places():
            for one in replicas(connection):
                if not one.is_up or (one.behind_seconds or 0) > LATE_REPLICA:
                    yield f"database {connection.name}: {one}; what is read there is old"

    def _places(self) -> list[Connection]:
        try:
            return homes.connections(self.app)
        except ConfigError:  # named already
            return [self.app.make("db").connection()]

    def _tables(self, name: str, faults: list[SchemaFault]) -> Iterator[str]:
        missing = [fault.table for fault in faults if fault.kind == "table"]
        self._incomplete = self._incomplete or bool(missing)
        if missing:
            from so.db.schema import framework_tables

            is_all = len(missing) == len(framework_tables("sqlite"))
            names = "of the framework (jobs, sessions, …)" if is_all else ", ".join(missing)
            yield f"database {name} lacks the tables {names}; run `bin/sixorbit db:install`"
        for fault in faults:
            if fault.kind != "table":
                yield f"database {name}: {fault}; run `bin/sixorbit db:install`"

    def _migrations(self) -> Iterator[str]:
        from so.db.migrations import Migrator

        folder = self.app.base_path(self.app.settings(DatabaseSettings).migrations)
        pending = Migrator(self.app.make("db").connection(), folder).pending()
        if pending:
            names = ", ".join(str(getattr(one, "name", one)) for one in pending)
            yield f"migrations are pending: {names}; run `bin/sixorbit migrate`"

    def _trail(self) -> Iterator[str]:
        """A trail that is signed, and that nobody looks at; notifications that nobody sends."""
        if not self._incomplete:
            yield from unverified(self.app)
            yield from unsent(self.app)

    def _growth(self) -> Iterator[str]:
        """Rows that a timer should have removed long ago, found by an index."""
        if self._incomplete:
            return
        sessions, now = self.app.settings(SessionSettings), self.app.clock.now()
        late = timedelta(days=DAYS_LATE)
        activity = now - timedelta(days=self.app.settings(ActivitySettings).prune_days) - late
        notified = now - timedelta(days=self.app.settings(NotificationSettings).prune_days) - late
        idle = int((now - late).timestamp()) - int(60 * sessions.lifetime)
        for table, column, before, command in (
            ("activity_log", "created_at", activity, "activity:prune"),
            ("notifications", "read_at", notified, "notification:cleanup"),
            ("sessions", "last_activity", idle, "session:cleanup"),
            ("cache", "expiration", int((now - late).timestamp()), "cache:gc"),
        ):
            rows = self.app.make("db").table(table)
            if rows.where(column, "<", before).exists():
                yield f"{table} holds rows that are long over: run `{command}` by a timer"
        failed = self.app.make("db").table("failed_jobs").select("id").limit(MANY_FAILED_JOBS + 1)
        if len(failed.get()) > MANY_FAILED_JOBS:
            yield f"more than {MANY_FAILED_JOBS} jobs have failed: look at `queue:failed`"


def _user_called(name: str) -> Owner:
    if not hasattr(os, "geteuid"):
        raise CommandError(f"check --as is for Unix; {sys.platform} has no such users")
    user = Owner.called(name)
    if user is None:
        raise CommandError(f"there is no user {name!r}: `useradd --system {name}`")
    return user
