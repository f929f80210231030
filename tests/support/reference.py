"""What the project's commands, settings and environment variables are, read from their source.

`python -m tests.support.reference` prints docs/reference.md.
The settings are the fields of so/settings.
"""

from __future__ import annotations

import ast
import importlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from so.console.commands import COMMANDS
from so.console.signature import Signature
from so.settings import settings_class
from so.settings.database import CacheFileSettings, MysqlSettings, SqliteSettings
from so.support.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
# The connections that there are where none are given, and what of the last one differs.
CONNECTIONS: list[tuple[type[Settings], set[str] | None]] = [
    (SqliteSettings, None),
    (MysqlSettings, None),
    (
        CacheFileSettings,
        {"database.connections.cache.database", "database.connections.cache.pragmas"},
    ),
]


@dataclass
class Setting:
    """One entry of `config/`: its dotted key, what it reads, its default and its meaning."""

    key: str
    variables: list[tuple[str, str]]  # name, default as Python
    default: str
    meaning: str


@dataclass
class Topic:
    """One file of `config/`."""

    name: str
    title: str
    settings: list[Setting]


@cache
def topics() -> list[Topic]:
    """Every topic of `config/`, by name; read once, whoever asks."""
    names = sorted(file.stem for file in (ROOT / "config").glob("*.py"))
    return [_topic(name) for name in names]


def variables(topic: Topic) -> dict[str, tuple[str, str]]:
    """Every environment variable of *topic*: its first default, and its meaning."""
    found: dict[str, tuple[str, str]] = {}
    for setting in topic.settings:
        for name, default in setting.variables:
            if name not in found or not found[name][1]:
                found[name] = (default, setting.meaning)
    return found


# --- reading --------------------------------------------------------------------------------------


def _topic(name: str) -> Topic:
    topic = settings_class(name)
    module = ast.parse((ROOT / "so" / "settings" / f"{name}.py").read_text("utf-8"))
    return Topic(name, _first_words(module), list(_fields(topic, name)))


def _fields(topic: type[Settings], prefix: str) -> Iterator[Setting]:
    for name, told in topic.told().items():
        key = f"{prefix}.{topic.key_of(name)}"
        if told.part is not None:
            yield from _fields(told.part, key)
        elif key == "database.connections":
            for kind, only in CONNECTIONS:
                of = kind.topic
                yield from (one for one in _fields(kind, of) if only is None or one.key in only)
        else:
            default = topic.default_of(name)
            shown = repr(list(default) if isinstance(default, tuple) else default)
            read = [(told.variable, shown)] if told.variable else []
            yield Setting(key, read, shown, told.meaning)


def _first_words(module: ast.Module) -> str:
    return " ".join((ast.get_docstring(module) or "").split("\n\n")[0].split())


# --- writing --------------------------------------------------------------------------------------


def reference() -> str:
    """The text of docs/reference.md."""
    lines = [
        "# Reference",
        "",
        "Every command, setting and environment variable. This page is written by"
        " `python -m tests.support.reference > docs/reference.md`; a test keeps it current.",
        "",
        "## Commands",
        "",
        "Every command takes `-h -q -v -vv -vvv -V -n --env= --no-ansi --json`.",
        "",
        "| Command | Arguments and options | |",
        "| --- | --- | --- |",
    ]
    for name in sorted(COMMANDS):
        lines.append(f"| `{name}` | {_words(name)} | {_cell(COMMANDS[name][2])} |")
    lines += ["", "## Settings and environment variables", ""]
    lines.append('A setting is read by `config("key")`; a variable stands in `.env` or outside.')
    for topic in topics():
        lines += ["", f"### config/{topic.name}.py", "", topic.title, ""]
        lines += ["| Setting | Variable | Default | Meaning |", "| --- | --- | --- | --- |"]
        for one in topic.settings:
            read = ", ".join(f"`{name}`" for name, _ in one.variables)
            default = _cell(f"`{' '.join(one.default.split())}`")
            lines.append(f"| `{one.key}` | {read} | {default} | {_cell(one.meaning)} |")
    return "\n".join(lines) + "\n"


def _words(name: str) -> str:
    module, cls, _ = COMMANDS[name]
    command = getattr(importlib.import_module(f"so.console.commands.{module}"), cls)
    signature = Signature.parse(command.signature)
    arguments = [f"{a.name}{'?' if a.optional else ''}" for a in signature.arguments]
    options = [f"--{o.name}{'=' if o.takes_value else ''}" for o in signature.options]
    return " ".join(f"`{word}`" for word in [*arguments, *options])


def written(default: str) -> str:
    """A default as it stands in `.env`; '' for none."""
    value = eval(default, {"MIB": 1024 * 1024})
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else ",".join(value) if isinstance(value, list) else str(value)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.write(reference())
