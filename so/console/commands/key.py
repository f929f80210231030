"""`key:generate`: the secret that signs sessions, links and cookies."""

from __future__ import annotations

import base64
import os
import re
import secrets
from pathlib import Path

from so.console.command import Command

KEY, PREVIOUS = "APP_KEY", "APP_PREVIOUS_KEYS"


class KeyGenerate(Command):
    """Writes it to `.env`; a key that is there is not replaced unless that is asked for."""

    signature = (
        "key:generate {--show : Print a key and change nothing} "
        "{--force : Replace the key that is there; what it signed becomes worthless} "
        "{--rotate : Replace it, and go on accepting what the old one signed}"
    )
    description = "Write a new APP_KEY into .env"

    def handle(self) -> int:
        """Write, or show, a key of 256 random bits."""
        key = "base64:" + base64.b64encode(secrets.token_bytes(32)).decode()
        if self.option("show"):
            self.line(key)
            return 0
        file = self.app.base_path(".env")
        text = _text_of(file, self.app.base_path(".env.example"))
        old = _value(text, KEY)
        if old and not (self.option("force") or self.option("rotate")):
            self.error(
                f"{file} has an {KEY} already: with --rotate a new one signs and the old one is "
                "still accepted, with --force everything signed so far becomes worthless"
            )
            return 1
        if old and self.option("rotate"):
            earlier = _value(text, PREVIOUS)
            text = _with(text, PREVIOUS, ",".join(filter(None, [old, earlier])))
        _write(file, _with(text, KEY, key))
        self.info(f"{KEY} written to {file}.")
        return 0


def _text_of(file: Path, example: Path) -> str:
    for one in (file, example):
        if one.is_file():
            return one.read_text("utf-8")
    return ""


def _line(name: str) -> re.Pattern[str]:
    # Not past the end of the line: `APP_KEY=` on a line of its own has no value.
    return re.compile(rf"^[ \t]*(?:export[ \t]+)?{name}[ \t]*=[ \t]*(.*)$", re.M)


def _value(text: str, name: str) -> str:
    """The last value of *name*, quotes and comment taken off."""
    found = _line(name).findall(text)
    bare = re.split(r"\s#|^#", found[-1], maxsplit=1)[0] if found else ""
    return str(bare).strip().strip("\"'")


def _with(text: str, name: str, value: str) -> str:
    """*text* with *name* set to *value*, in its place or at the end."""
    assignment = f"{name}={value}"
    if _line(name).search(text):
        return _line(name).sub(lambda _: assignment, text)
    return f"{text}{'' if not text or text.endswith(chr(10)) else chr(10)}{assignment}\n"


def _write(file: Path, text: str) -> None:
    """Replace *file* in one step; nobody but its owner can read a new one."""
    mode = file.stat().st_mode & 0o777 if file.is_file() else 0o600
    new = file.with_name(f"{file.name}.{secrets.token_hex(4)}")
    handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(handle, "w", encoding="utf-8") as out:
        out.write(text)
    new.replace(file)
