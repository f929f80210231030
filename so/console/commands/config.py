"""`config:show`: the settings as the application sees them, secrets masked."""

from __future__ import annotations

import json
from typing import Any

from so.application.trail import SettingsMasker
from so.console.command import Command
from so.errors import CommandError
from so.support.codec import to_jsonable


class ConfigShow(Command):
    """Prints one setting, one file of them, or all."""

    signature = "config:show {key? : Such as database.default; everything without it}"

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
