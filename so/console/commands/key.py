"""`key:generate`: the secret that signs sessions, links and cookies."""

from __future__ import annotations

import base64
import os
import secrets
from pathlib import Path

from so.console.command import Command
from so.errors import CommandError
from so.settings.app import AppSettings
from so.support import dotenv
from so.support.ownership import own_text

KEY, PREVIOUS = "APP_KEY", "APP_PREVIOUS_KEYS"


class KeyGenerate(Command):
    """Writes it to `.env`; a key that is there is not replaced unless that is asked for."""

    signature = (
        "key:generate {--show : Print a key and change nothing} "
        "{--force : Replace the key that is there; what it signed becomes worthless} "
        "{--rotate : Replace it, and go on accepting what the old one signed}"
    )
    keeps_rights = True
    names_faults = True  # it mends one

    def handle(self) -> int:
        """Write, or show, a key of 256 random bits."""
        key = "base64:" + base64.b64encode(secrets.token_bytes(32)).decode()
        if self.option("show"):
            self.json({"key": key}) if self.wants_json else self.line(key)
            return 0
        file = self.app.base_path(".env")
        text = dotenv.read(file) or dotenv.read(self.app.base_path(".env.example")) or ""
        there = dotenv.values(text, str(file), os.environ.get)
        found = AppSettings.from_config({}, there.get)
        if found.key and not (self.option("force") or self.option("rotate")):
            self.error(
                f"{file} has an {KEY} already: with --rotate a new one signs and the old one is "
                "still accepted, with --force everything signed so far becomes worthless"
            )
            return 1
        if self.option("rotate"):
            known = dict.fromkeys(filter(None, [self._signing(found.key), *found.previous_keys]))
            if known:
                text = dotenv.with_value(text, PREVIOUS, ",".join(known), str(file))
        try:
            dotenv.write(file, dotenv.with_value(text, KEY, key, str(file)))
        except OSError as error:
            told = f"cannot write {file}: {(error.strerror or str(error)).lower()}"
            raise CommandError(f"{told}; with --show a key is printed, for whoever may") from error
        file = Path(os.path.realpath(file))  # an archive's is a link
        facts = {"file": str(file), "overridden": KEY in os.environ}
        self.report_done(facts, f"{KEY} written to {file}.")
        if KEY in os.environ and not self.wants_json:
            self.warn(
                f"The environment has an {KEY} as well, and that one counts: change it there."
            )
        return 0

    def _signing(self, key: str | None) -> str | None:
        """The key that signs today: *key*, or the one that was made where there was none."""
        return key or own_text(self.app.storage_path("app.key"))
