"""`bundle` and `upgrade`: an application to a machine without a network, and its next version."""

from __future__ import annotations

import compileall
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path

from so.console.command import Command
from so.errors import CommandError, UsageError
from so.release.alone import alone
from so.release.back import FOLDER, put_back
from so.release.bundle import Upgrade, interrupted, write_bundle
from so.release.files import for_services
from so.release.sealed import UNFINISHED, Sealed, remove_leftovers, written
from so.release.zipapp import write_zipapp
from so.settings.app import AppSettings
from so.support.archive import VARIABLE

CODE = ("so", "app", "config")
HEALTH_SECONDS = 10
HEALTH_LOOKS = 4  # one after the other, a second apart


class Bundle(Command):
    """Framework, application, guides and what they need, in one file with checksums."""

    signature = (
        "bundle {file? : Default: NAME-TIME.bundle.tar.gz in this folder} "
        "{--wheel=* : A wheel to take along, such as that of the MySQL driver}"
    )
    keeps_rights = True

    def handle(self) -> int:
        """Write it; say how it is installed."""
        name = self.app.settings(AppSettings).name
        given = self.argument("file")
        time = self.app.clock.now().strftime("%Y%m%d-%H%M%S")
        target = Path(str(given)) if given else Path(f"{_stem(name)}-{time}.bundle.tar.gz")
        wheels = [Path(str(one)) for one in self.option("wheel")]
        size = write_bundle(
            self.app.base_path(), name, self.app.version(), target.resolve(), wheels, self.going
        )
        if self.wants_json:
            self.json({"file": str(target), "bytes": size})
            return 0
        self.info(f"Bundled {name} in {target} ({size:,} bytes).")
        self.line("On the other machine:")
        self.line(f"  python3 -m tarfile -e {target.name} unpacked")
        self.line("  python3 unpacked/install.py /srv/erp")
        return 0


class Zipapp(Command):
    """Framework and application in one file that Python runs."""

    signature = (
        "zipapp {file? : Default: NAME.pyz in this folder} "
        "{--wheel=* : A wheel to take along, such as that of the MySQL driver}"
    )
    keeps_rights = True

    def handle(self) -> int:
        """Write it; say how it is run."""
        name = self.app.settings(AppSettings).name
        target = Path(str(self.argument("file") or f"{_stem(name)}.pyz"))
        if target.suffix != ".pyz":
            raise UsageError(f"{target} should end with .pyz, by which Python files know it")
        wheels = [Path(str(one)) for one in self.option("wheel")]
        size = write_zipapp(self.app.base_path(), target.resolve(), wheels, self.going)
        if self.wants_json:
            self.json({"file": str(target), "bytes": size})
            return 0
        self.info(f"Wrote {name} as {target} ({size:,} bytes).")
        self.line("storage/ and .env are those beside it, wherever it is:")
        for words in ("key:generate", "db:install", "migrate", "serve"):
            self.line(f"  python3 {target.name} {words}")
        return 0


def _stem(name: str) -> str:
    return "".join(c if c.isalnum() else "-" for c in name.lower())


class UpgradeCommand(Command):
    """The new version in place, or the old one as it was."""

    signature = (
        "upgrade {file : What `bundle` wrote} "
        "{--reload= : What makes the services take the new code, such as "
        "`systemctl reload sixorbit-web`} "
        "{--health= : An address that must answer 200 afterwards} "
        "{--pretend : Show what changes, change nothing} "
        "{--older : Take a version that is older than this one}"
    )
    keeps_rights = True

    def handle(self) -> int:
        """Check, keep a copy, replace, migrate, reload, look; back again at the first failure."""
        base = self.app.base_path()
        if archive := os.environ.get(VARIABLE):
            raise CommandError(
                f"this application runs from {archive}: put the new archive in its place, run "
                "`db:install` and `migrate`, and restart its services"
            )
        with alone(base, "not upgraded"):
            return self._upgraded(base)

    def _upgraded(self, base: Path) -> int:
        moment = self.app.clock.now().strftime("%Y%m%d-%H%M%S-%f")
        source = Sealed.read(Path(str(self.argument("file"))), self.going)
        upgrade = Upgrade(base, source, moment)
        self._refuse(upgrade)
        with written(base):
            remove_leftovers(base)
            place = tempfile.TemporaryDirectory(prefix=f"{UNFINISHED}{os.getpid()}-", dir=base)
        with place as folder:
            with written(base), for_services():
                source.extract(Path(folder), self.going)
            changes = upgrade.changed_settings(Path(folder))
            for change in () if self.wants_json else changes:
                self.line(f"setting {change}")
            if self.option("pretend"):
                told = "That is what would change" if changes else "No setting changes"
                self.report_done(
                    {"settings": changes, "upgraded": False}, f"{told}; nothing was done."
                )
                return 0
            self._replace(upgrade, Path(folder))
        return self._proved(upgrade, changes)

    def _replace(self, upgrade: Upgrade, folder: Path) -> None:
        try:
            with for_services():
                upgrade.bring_wheels(folder)
                _compile(folder, upgrade.base)
            upgrade.forward(folder)
        except OSError as error:
            upgrade.back()
            raise CommandError(f"{error}; the old version is as it was") from error

    def _proved(self, upgrade: Upgrade, changes: list[str]) -> int:
        before = self._applied(upgrade.base)
        try:
            self._prove(upgrade.base)
        except CommandError as error:
            upgrade.back()
            self.error(f"{error}")
            self.error("The old version is back in its place.")
            if migrated := self._applied(upgrade.base) - before:
                self.error(f"Migrations that ran stay: {', '.join(sorted(migrated))}")
            self._reload()
            return 1
        migrated = self._applied(upgrade.base) - before
        upgrade.end()
        kept = str(upgrade.kept)
        facts = {"settings": changes, "upgraded": True, "migrated": sorted(migrated), "kept": kept}
        self.report_done(facts, f"Upgraded. The version before is in {kept}.")
        return 0

    def _refuse(self, upgrade: Upgrade) -> None:
        """CommandError for a version that is older, and after one that was interrupted."""
        if upgrade.is_older(self.app.version()) and not self.option("older"):
            there = upgrade.source.manifest.get("framework")
            raise CommandError(
                f"{upgrade.source.path} has version {there} of the framework, older than "
                f"{self.app.version()} here, and may not know today's tables; --older takes it"
            )
        kept = interrupted(upgrade.base)
        if kept is None or self.option("pretend"):
            return
        if kept.parent != upgrade.base / FOLDER:  # in storage/, which is not root's to run
            raise CommandError(
                f"an upgrade by an older version was interrupted: `python3 {kept}/PUT-BACK.py` "
                "puts the version before it back; look at it and run it, then `upgrade` again"
            )
        put_back(kept)
        raise CommandError(
            "an earlier upgrade was interrupted: the version before it is back in its place. "
            "Run `upgrade` again"
        )

    def _applied(self, base: Path) -> set[str]:
        """The migrations that have run; none where the database cannot be asked."""
        with suppress(CommandError, ValueError):
            found = json.loads(self._run(["migrate:status", "--json"], base))
            return {one["name"] for one in found if one["batch"] is not None}
        return set()

    def _prove(self, base: Path) -> None:
        """CommandError where the new version does not work."""
        for words in (["db:install"], ["migrate", "--force"], ["route:list", "--json"]):
            if not self.wants_json:
                self.comment(f"{' '.join(words)} …")
            self._run(words, base)
        self._reload()
        url = self.option("health")
        for look in range(HEALTH_LOOKS) if url else ():
            # Right after a reload it may still be a process of the version before that answers.
            time.sleep(1 if look else 0)
            _require_200(str(url))

    def _run(self, words: list[str], base: Path) -> str:
        """What a command of the version in place prints, which is a process of its own.

        Started by root it works as the user to whom storage/ belongs.
        """
        command = [sys.executable, str(base / "bin" / "sixorbit"), *words]
        done = subprocess.run(command, cwd=base, capture_output=True, text=True, check=False)  # noqa: S603 - this Python and our own commands
        if done.returncode:
            said = (done.stderr or done.stdout).strip()
            raise CommandError(f"{' '.join(words)} failed with the new version: {said}")
        return done.stdout

    def _reload(self) -> None:
        line = self.option("reload")
        if line and subprocess.run(str(line), shell=True, check=False).returncode:  # noqa: S602 - typed by whoever runs it
            raise CommandError(f"{line} failed")


def _compile(folder: Path, base: Path) -> None:
    """Compile the new version in *folder* for its place, *base*: services may not write there."""
    for name in CODE:
        if (folder / name).is_dir():
            compileall.compile_dir(
                str(folder / name), quiet=2, stripdir=str(folder), prependdir=str(base)
            )


def _require_200(url: str) -> None:
    if not url.startswith(("http://", "https://")):
        raise UsageError(f"--health={url} is no address: it begins with http:// or https://")
    try:
        with urllib.request.urlopen(url, timeout=HEALTH_SECONDS) as answer:  # noqa: S310 - checked above
            if answer.status != 200:
                raise CommandError(f"{url} answered {answer.status}")
    except (urllib.error.URLError, OSError) as error:
        raise CommandError(f"{url} does not answer: {error}") from error
