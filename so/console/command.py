"""`Command`: the base of every command, and `@command` for those that are one function."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from so.console.output import NORMAL, Output
from so.console.signature import Signature
from so.errors import CommandError
from so.support.progress import heard
from so.support.signatures import parameters

if TYPE_CHECKING:
    from so.application import Application

T = TypeVar("T")
_GIVES_JSON = frozenset(("wants_json", "report_done"))


class Caller(Protocol):
    """What a command asks of the kernel that runs it: other commands."""

    def get_commands(self) -> dict[str, str]: ...

    def run(self, argv: Sequence[str], output: Output | None = None) -> int: ...

    def run_command(
        self, name: str | type[Command], params: Mapping[str, Any], output: Output
    ) -> int: ...

    def call(
        self, argv: str | Sequence[str] | type[Command], params: Mapping[str, Any] | None = None
    ) -> int: ...

    def output(self) -> str: ...


class Command:
    """Subclass, give `signature` and `description`, write `handle`.

    `handle` gets what its annotations ask of the container and returns an exit code (None is 0).
    Parameters named like an argument or option, and without a class, get its value.
    `destructive = True` asks before it runs in production, unless `--force` is given. Started by
    root, it runs as the user to whom storage/ belongs, unless `keeps_rights = True`.
    """

    signature: str = ""
    description: str = ""
    destructive: bool = False
    hidden: bool = False
    names_faults: bool = False
    """True for a command that runs whatever is wrong with the settings."""
    keeps_rights: bool = False
    """True for a command that writes elsewhere than in storage/, and never as root in there."""
    hands_on: bool = False
    """True for a command whose words, options too, are another program's."""

    def __init__(self) -> None:
        self.app: Application = None  # type: ignore[assignment]  # set by the kernel before handle
        self.kernel: Caller = None  # type: ignore[assignment]
        self.output = Output()
        self.wants_json = False
        self._values: dict[str, Any] = {}

    handle: Callable[..., int | None]

    @classmethod
    def knows_json(cls) -> bool:
        """Whether its code asks `wants_json` or calls `report_done()`; others refuse `--json`."""
        kinds = cls.__mro__[: cls.__mro__.index(Command)]
        functions = (value for kind in kinds for value in vars(kind).values())
        codes = (
            getattr(inspect.unwrap(function), "__code__", None)
            for function in functions
            if callable(function)
        )
        return any(code is not None and not _GIVES_JSON.isdisjoint(code.co_names) for code in codes)

    @classmethod
    def parsed_signature(cls) -> Signature:
        """The signature as read; raises CommandError if it makes no sense."""
        if not cls.signature:
            raise CommandError(f"{cls.__name__} has no signature: set `signature = 'topic:verb'`")
        return Signature.parse(cls.signature)

    # --- input ---

    def argument(self, name: str | int, default: Any = None) -> Any:
        """The argument called *name*, or the one at that index; *default* when not given."""
        arguments = self.arguments()
        if isinstance(name, int):
            values = list(arguments.values())
            value = values[name] if -len(values) <= name < len(values) else None
        else:
            value = arguments.get(name)
        return default if value is None else value

    def arguments(self) -> dict[str, Any]:
        """All arguments by name."""
        names = [argument.name for argument in self.parsed_signature().arguments]
        return {name: self._values.get(name) for name in names}

    def option(self, name: str, default: Any = None) -> Any:
        """The option called *name* (a flag is True or False); *default* when not given.

        One that has a setting as its default is what that says.
        """
        value = self.options().get(name)
        return default if value is None else value

    def options(self) -> dict[str, Any]:
        """All options by name."""
        found = {}
        for option in self.parsed_signature().options:
            value = self._values.get(option.name)
            if value is None and option.setting is not None:
                value = setting_of(self.app, option.setting)
            found[option.name] = (value or []) if option.many else value
        return found

    def is_given(self, name: str) -> bool:
        """True if *name* stands on the command line."""
        return self._values.get(name) not in (None, False)

    def has_option(self, name: str) -> bool:
        """True if *name* was given and is not empty."""
        return bool(self.options().get(name))

    # --- output ---

    def line(self, text: object = "", style: str | None = None, level: int = NORMAL) -> None:
        """Print one line."""
        self.output.line(text, style, level)

    def info(self, text: object) -> None:
        """Print good news, in green."""
        self.output.line(text, "info")

    def comment(self, text: object) -> None:
        """Print a side note, in yellow."""
        self.output.line(text, "comment")

    def question(self, text: object) -> None:
        """Print a question, in cyan, without waiting for an answer."""
        self.output.line(text, "question")

    def warn(self, text: object) -> None:
        """Print a warning, in yellow."""
        self.output.line(text, "warn")

    def success(self, text: object) -> None:
        """Print success, in bold green."""
        self.output.line(text, "success")

    def error(self, text: object) -> None:
        """Print an error on stderr."""
        self.output.error(text)

    def alert(self, text: object) -> None:
        """Print *text* in a box of stars."""
        stars = "*" * (len(str(text)) + 12)
        for line in (stars, f"*     {text}     *", stars):
            self.output.line(line, "comment")

    def new_line(self, count: int = 1) -> None:
        """Print *count* empty lines."""
        for _ in range(count):
            self.output.line()

    def table(self, headers: Sequence[object], rows: Iterable[Sequence[object]]) -> None:
        """Print a table."""
        self.output.table(headers, list(rows))

    def json(self, value: object) -> None:
        """Print *value* as the one JSON document of `--json`, even when quiet."""
        from so.support.codec import to_jsonable

        self.output.write(json.dumps(to_jsonable(value), ensure_ascii=False, indent=2) + "\n")

    def report_done(self, facts: Mapping[str, object], text: object) -> None:
        """What was done: *facts* as the document of `--json`, or *text* for people."""
        if self.wants_json:
            self.json(facts)
        else:
            self.info(text)

    def progress(self, done: int, total: int) -> None:
        """Draw a progress bar at *done* of *total*; none beside a document for a program."""
        if not self.wants_json:
            self.output.progress(done, total)

    def going(self, done: int, total: int) -> None:
        """The same for work that mostly takes a moment: a log hears of it when it does not."""
        if not self.wants_json:
            self.output.progress(done, total, if_long=True)

    def hearing(self) -> AbstractContextManager[None]:
        """Draw in the block how far work is that tells it, as clean-ups do."""
        return heard(self.going)

    def with_progress_bar(self, items: Iterable[T], fn: Callable[[T], object]) -> list[T]:
        """Call *fn* for each of *items* under a progress bar; the items as a list."""
        known = list(items)
        for done, item in enumerate(known, 1):
            fn(item)
            self.progress(done, len(known))
        return known

    # --- questions ---

    def ask(self, question: str, default: str | None = None) -> str | None:
        """A line from the user; *default* for an empty answer or with nobody to ask."""
        suffix = f" [{default}]" if default is not None else ""
        return self.output.read(f"{question}{suffix}: ") or default

    def secret(self, question: str) -> str | None:
        """A line from the user that is not echoed; None with nobody to ask."""
        return self.output.read(f"{question}: ", secret=True)

    def confirm(self, question: str, default: bool = False) -> bool:
        """Yes or no; *default* for an empty answer or with nobody to ask."""
        answer = self.output.read(f"{question} (yes/no) [{'yes' if default else 'no'}]: ")
        return default if not answer else answer.strip().lower() in ("y", "yes", "true", "1")

    def choice(self, question: str, choices: Sequence[str], default: Any = None) -> Any:
        """One of *choices*, by its text or its index; asks again until it is one."""
        fallback = choices[default] if isinstance(default, int) else default
        for index, text in enumerate(choices):
            self.output.line(f"  [{index}] {text}")
        for answer in self._answers(f"{question} [{fallback}]: "):
            if not answer:
                return fallback
            if answer in choices:
                return answer
            if answer.isascii() and answer.isdecimal() and int(answer) < len(choices):
                return choices[int(answer)]
            self.error(f"{answer!r} is not one of {', '.join(choices)}")
        return fallback

    def _answers(self, prompt: str) -> Iterator[str]:
        while (answer := self.output.read(prompt)) is not None:
            yield answer.strip()

    # --- other commands ---

    def call(self, name: str | type[Command], params: dict[str, Any] | None = None) -> int:
        """Run another command with this one's output; its exit code."""
        return self.kernel.run_command(name, params or {}, self.output)

    def call_silently(self, name: str | type[Command], params: dict[str, Any] | None = None) -> int:
        """Run another command and throw its output away; its exit code."""
        return self.kernel.call(name, params)


def variable_of(key: str) -> str | None:
    """The environment variable of the setting under the dotted *key*."""
    from so.settings import settings_class

    topic, *parents, name = key.split(".")
    kind = settings_class(topic)
    for parent in parents:
        kind = kind.told()[parent].part or kind
    return kind.told()[name].variable


def setting_of(app: Application, key: str) -> Any:
    """The setting under the dotted *key*, such as `queue.tries`."""
    from so.settings import settings_class

    topic, *names = key.split(".")
    found: Any = app.settings(settings_class(topic))
    for name in names:
        found = getattr(found, name)
    return found


def command(signature: str, description: str = "") -> Callable[[Callable[..., Any]], type[Command]]:
    """Make a command of a function: `@command('inspire {name?}')`.

    The function gets the Command as the parameter `self` or `command`, or one annotated so, and
    its arguments and options by name; the rest comes from the container.
    """

    def make(fn: Callable[..., Any]) -> type[Command]:
        own = {p.name for p, hint in parameters(fn) if hint is Command} | {"self", "command"}

        def handle(self: Command) -> Any:
            values = {**self.options(), **self.arguments()}
            named = {name.replace("-", "_"): value for name, value in values.items()}
            return self.app.call(fn, {**dict.fromkeys(own, self), **named})

        text = description or (fn.__doc__ or "").strip().partition("\n")[0]
        fields = {
            "signature": signature,
            "description": text,
            "handle": handle,
            "function": staticmethod(fn),
        }
        return type(fn.__name__, (Command,), {**fields, "__module__": fn.__module__})

    return make
