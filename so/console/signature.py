"""The signature language of commands, read once into what argparse needs.

`report:email {recipient : Who} {--type=daily} {--Q|queue=} {--force} {--id=*} {rest?*}`:
braces hold one argument or option; `?` optional, `*` many, `=` takes a value, `=?` takes one or
none (then it is "-"), `=@queue.tries` has the setting of that name as its default, ` : ` describes.
"""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

from so.errors import CommandError, UsageError
from so.support.near import nearest

_TOKEN = re.compile(r"\{\s*(.*?)\s*\}", re.DOTALL)
_NAME = re.compile(r"^[A-Za-z0-9][\w:.-]*$")
_HELP_WIDTH = 78
_SETTING = re.compile(r"(\??)@([a-z_.]+)")

Tell = Callable[[str], str]


@dataclass(frozen=True)
class Argument:
    """A positional argument; `many` collects a list."""

    name: str
    description: str = ""
    optional: bool = False
    many: bool = False
    default: Any = None


@dataclass(frozen=True)
class Option:
    """`--name`; without `takes_value` it is a flag."""

    name: str
    description: str = ""
    short: str | None = None
    takes_value: bool = False
    many: bool = False
    default: Any = None
    value_optional: bool = False
    setting: str | None = None
    """The dotted key of the setting that counts where the option is not given."""


@dataclass(frozen=True)
class Signature:
    """A command's name with its arguments and options."""

    name: str
    arguments: tuple[Argument, ...] = ()
    options: tuple[Option, ...] = field(default=())

    @classmethod
    def parse(cls, text: str) -> Signature:
        """Read *text*; raises CommandError naming the part that makes no sense."""
        name, _, rest = text.strip().partition(" ")
        if not _NAME.match(name):
            raise CommandError(f"command signature {text!r} has no name: start with `topic:verb`")
        if _TOKEN.sub("", rest).strip():
            raise CommandError(
                f"cannot read {_TOKEN.sub('', rest).strip()!r} in the signature of {name}: "
                "put each argument or option in braces"
            )
        tokens = [_split(token) for token in _TOKEN.findall(rest)]
        options = tuple(_option(t[2:], d) for t, d in tokens if t.startswith("--"))
        arguments = tuple(_argument(t, d) for t, d in tokens if not t.startswith("--"))
        _check(name, arguments, options)
        return cls(name, arguments, options)

    def parser(self, description: str = "", tell: Tell = str) -> Parser:
        """A parser of the command's words; *tell* puts in words what a setting is now."""
        parser = Parser(
            prog=f"sixorbit {self.name}",
            description=description,
            add_help=False,
            allow_abbrev=False,
            formatter_class=_Help,
        )
        for argument in self.arguments:
            _add_argument(parser, argument)
        for option in self.options:
            _add_option(parser, option, tell)
        return parser


class _Help(argparse.HelpFormatter):
    """Help as wide as the terminal says; argparse would import half a dozen modules to ask."""

    def __init__(self, prog: str) -> None:
        columns = os.environ.get("COLUMNS", "")
        super().__init__(prog, width=int(columns) - 2 if columns.isdecimal() else _HELP_WIDTH)

    def _split_lines(self, text: str, width: int) -> list[str]:
        """The lines of *text*; its default is not torn apart."""
        head, bar, default = text.partition(" (default: ")
        lines = super()._split_lines(head, width)
        if bar and len(lines[-1] + bar + default) <= width:
            lines[-1] += bar + default
        elif bar:
            lines.append((bar + default).strip())
        return lines


class Parser(argparse.ArgumentParser):
    """argparse, but it raises UsageError instead of leaving the process."""

    def parse(self, words: Sequence[str]) -> argparse.Namespace:
        """The values in *words*, options and arguments in any order."""
        # Mixing cannot be told to stop at `--`; with it, options stand first anyway.
        read = self.parse_args if "--" in words else self.parse_intermixed_args
        return read(list(words))

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}{self._nearest(message)}\n{self.format_usage().strip()}")

    def _nearest(self, message: str) -> str:
        """The option that a mistyped one may have meant."""
        _, unknown, words = message.partition("unrecognized arguments: ")
        known = [flag for action in self._actions for flag in action.option_strings]
        for word in words.split() if unknown else ():
            close = nearest(word.partition("=")[0], known)
            if word.startswith("--") and close:
                return f"; did you mean {close}?"
        return ""


def _check(name: str, arguments: Sequence[Argument], options: Sequence[Option]) -> None:
    """Raise CommandError for arguments that no command line could tell apart."""
    for before, after in zip(arguments, arguments[1:], strict=False):
        if before.many:
            raise CommandError(f"{name}: {{{before.name}*}} takes all words; put it last")
        if before.optional and not after.optional:
            raise CommandError(
                f"{name}: {{{after.name}}} is required and must stand before {{{before.name}?}}"
            )
    names = [*(one.name for one in arguments), *(one.name for one in options)]
    for one in names:
        if not _NAME.match(one) or names.count(one) > 1:
            raise CommandError(f"{name}: {one!r} cannot be the name of an argument or option")


def _split(token: str) -> tuple[str, str]:
    head, _, description = token.partition(" : ")
    return head.strip(), description.strip()


def _argument(text: str, description: str) -> Argument:
    name, equals, default = text.partition("=")
    optional, many = bool(equals), False
    while name[-1:] in ("?", "*"):
        optional, many = optional or name[-1] == "?", many or name[-1] == "*"
        name = name[:-1]
    if not name:
        raise CommandError(f"cannot read {{{text}}}: an argument needs a name")
    return Argument(name, description, optional, many, default if equals else None)


def _option(text: str, description: str) -> Option:
    head, equals, default = text.partition("=")
    short, bar, name = head.partition("|")
    if not bar:
        short, name = "", head
    setting = None
    if (found := _SETTING.fullmatch(default)) is not None:
        default, setting = found.groups()
    return Option(
        name,
        description,
        short or None,
        bool(equals),
        default == "*",
        None if default in ("", "*", "?") else default,
        default == "?",
        setting,
    )


def _add_argument(parser: argparse.ArgumentParser, argument: Argument) -> None:
    nargs: str | None = None
    if argument.many:
        nargs = "*" if argument.optional else "+"
    elif argument.optional:
        nargs = "?"
    default = [] if argument.many and argument.default is None else argument.default
    options: dict[str, Any] = {"default": default} if nargs in ("?", "*") else {}
    text = _with_default(argument.description, argument.default)
    parser.add_argument(argument.name, nargs=nargs, help=text, **options)


def _with_default(text: str, default: object) -> str:
    if default in (None, ""):
        return text.replace("%", "%%")
    return f"{text} (default: {default})".strip().replace("%", "%%")


def _add_option(parser: argparse.ArgumentParser, option: Option, tell: Tell) -> None:
    flags = [f"--{option.name}"]
    if option.short:
        flags.insert(0, f"-{option.short}" if len(option.short) == 1 else f"--{option.short}")
    settings: dict[str, Any] = {"dest": option.name}
    default = option.default if option.setting is None else tell(option.setting)
    settings["help"] = _with_default(option.description, default)
    if not option.takes_value:
        settings["action"] = "store_true"
    elif option.many:
        settings.update(action="append", default=None)
    elif option.value_optional:
        settings.update(nargs="?", const="-", default=None)
    else:
        settings["default"] = option.default
    parser.add_argument(*flags, **settings)
