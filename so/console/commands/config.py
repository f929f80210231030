"""`config:show`: the settings as the application sees them, secrets masked."""

from __future__ import annotations

import json
import re
from typing import Any

from so.console.command import Command
from so.errors import CommandError
from so.support.codec import to_jsonable
from so.support.masking import Masker

_SECRET = ("password", "passwd", "secret", "api_key", "private_key", "credential", "salt")
_KEYS = ("key", "previous_keys")
_PASSWORD_OF_URL = re.compile(r"(://[^:/@\s]*:)[^/@\s]+@")


class SettingsMasker(Masker):
    """Knows the names of settings: a cookie's name is no secret there, a `key` is."""

    def __init__(self) -> None:
        super().__init__(_SECRET)

    def is_secret(self, name: object) -> bool:
        """True for passwords, secrets and keys."""
        return name in _KEYS or super().is_secret(name)

    def text(self, text: str) -> str:
        """*text* without the password of a URL."""
        return super().text(_PASSWORD_OF_URL.sub(r"\1***@", text))


class ConfigShow(Command):
    """Prints one setting, one file of them, or all."""

    signature = "config:show {key? : Such as database.default; everything without it}"
    description = "Show the configuration, secrets masked"

    def handle(self) -> int:
        """Print the value; a key that does not exist is an error."""
        key = self.argument("key")
        if key and not self.app.config.has(key):
            raise CommandError(f"there is no setting {key!r}: `config:show` lists them all")
        value = self.app.config.get(key) if key else self.app.config.all()
        name = str(key or "").rpartition(".")[2]
        masked = SettingsMasker().mask(value, name)
        if self.wants_json or not isinstance(masked, dict):
            self.output.write(json.dumps(_plain(masked), ensure_ascii=False, indent=2) + "\n")
            return 0
        for path, item in _leaves(masked, key or ""):
            self.line(f"{path} = {item!r}")
        return 0


def _plain(value: Any) -> Any:
    try:
        return to_jsonable(value)
    except TypeError:
        return repr(value)


def _leaves(value: Any, path: str) -> list[tuple[str, Any]]:
    if not isinstance(value, dict) or not value:
        return [(path, value)]
    found = []
    for key, item in value.items():
        found += _leaves(item, f"{path}.{key}" if path else str(key))
    return found
