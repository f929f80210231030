"""What the project's commands, settings and environment variables are, read from their source.

`python -m tests.support.reference` prints docs/reference.md.
The settings are the fields of so/settings; those of connections stand in config/database.py, where
the comment beside a line is the meaning.
"""

from __future__ import annotations

import ast
import importlib
import io
import sys
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from so.console.commands import COMMANDS
from so.console.signature import Signature
from so.settings import TOPICS, settings_class
from so.support.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
# Dicts that config/database.py uses for several connections.
_SHARED = {"_sqlite": "database.connections.sqlite", "_mysql": "database.connections.mysql"}


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


def topics() -> list[Topic]:
    """Every topic of `config/`, by name."""
    names = sorted(file.stem for file in (ROOT / "config").glob("*.py"))
    return [_told(name) if name in TOPICS else _topic(name) for name in names]


def variables(topic: Topic) -> dict[str, tuple[str, str]]:
    """Every environment variable of *topic*: its first default, and its meaning."""
    found: dict[str, tuple[str, str]] = {}
    for setting in topic.settings:
        for name, default in setting.variables:
            if name not in found or not found[name][1]:
                found[name] = (default, setting.meaning)
    return found


# --- reading --------------------------------------------------------------------------------------


def _told(name: str) -> Topic:
    topic = settings_class(name)
    module = ast.parse((ROOT / "so" / "settings" / f"{name}.py").read_text("utf-8"))
    return Topic(name, _first_words(module), list(_fields(topic, name)))


def _fields(topic: type[Settings], prefix: str) -> Iterator[Setting]:
    for name, told in topic.told().items():
        key = f"{prefix}.{topic.key_of(name)}"
        if told.part is not None:
            yield from _fields(told.part, key)
        else:
            default = topic.default_of(name)
            shown = repr(list(default) if isinstance(default, tuple) else default)
            read = [(told.variable, shown)] if told.variable else []
            yield Setting(key, read, shown, told.meaning)


def _first_words(module: ast.Module) -> str:
    return " ".join((ast.get_docstring(module) or "").split("\n\n")[0].split())


def _topic(name: str) -> Topic:
    file = ROOT / "config" / f"{name}.py"
    text = file.read_text("utf-8")
    tree = ast.parse(text)
    reader = _Reader(text, tree)
    found: list[Setting] = []
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict):
            name = ast.unparse(node.targets[0])
            prefix = file.stem if name == "config" else _SHARED.get(name, f"{file.stem}.{name}")
            found += reader.entries(node.value, prefix)
    return Topic(file.stem, _first_words(tree), found)


class _Reader:
    def __init__(self, text: str, tree: ast.Module) -> None:
        self._comments: dict[int, str] = {}
        self._alone: set[int] = set()
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.COMMENT:
                line, column = token.start
                self._comments[line] = token.string.lstrip("# ").rstrip()
                if not token.line[:column].strip():
                    self._alone.add(line)
        self._named = {
            ast.unparse(node.targets[0]): node.value
            for node in tree.body
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call)
        }

    def entries(self, node: ast.Dict, prefix: str) -> Iterator[Setting]:
        for key, value in zip(node.keys, node.values, strict=True):
            if key is None or ast.unparse(value) in _SHARED:
                continue
            path = f"{prefix}.{ast.literal_eval(key)}"
            if isinstance(value, ast.Dict) and value.keys:
                yield from self.entries(value, path)
            else:
                yield self._setting(path, key.lineno, value)

    def _setting(self, path: str, line: int, value: ast.expr) -> Setting:
        calls = _env_calls(value)
        if not calls:
            for name in (n.id for n in ast.walk(value) if isinstance(n, ast.Name)):
                calls += _env_calls(self._named[name]) if name in self._named else []
        read: dict[str, str] = {}
        for call in calls:
            default = ast.unparse(call.args[1]) if len(call.args) > 1 else "None"
            read.setdefault(ast.literal_eval(call.args[0]), default)
        default = next(iter(read.values())) if read else ast.unparse(value)
        return Setting(path, list(read.items()), default, self._meaning(line, value))

    def _meaning(self, line: int, value: ast.expr) -> str:
        """The comment beside the entry, or the lines of comment right above it."""
        own = [c for n, c in self._comments.items() if line <= n <= (value.end_lineno or line)]
        if own:
            return " ".join(own)
        above: list[str] = []
        while (line := line - 1) in self._alone:
            above.insert(0, self._comments[line])
        return " ".join(above)


def _env_calls(node: ast.AST) -> list[ast.Call]:
    return [
        call
        for call in ast.walk(node)
        if isinstance(call, ast.Call) and ast.unparse(call.func).split(".")[0] == "env"
    ]


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
