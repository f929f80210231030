"""The console kernel: finds a command by name, reads its arguments, runs it, gives an exit code.

0 ok, 1 failure or unknown command, 2 bad usage, 130 interrupted, 143 terminated.
"""

from __future__ import annotations

import difflib
import importlib
import io
import logging
import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from so.console.command import Command
from so.console.commands import COMMANDS
from so.console.output import DEBUG, NORMAL, QUIET, VERBOSE, VERY_VERBOSE, Output
from so.errors import CommandError, CommandNotFound, SixOrbitError
from so.support.scope import Scope, entered

if TYPE_CHECKING:
    from so.application import Application

OK, FAILURE, USAGE, INTERRUPTED, TERMINATED = 0, 1, 2, 130, 143
_GLOBAL_HELP = """\
  -h, --help             Show help for a command
  -q, --quiet            Print nothing but errors
  -v, -vv, -vvv          Print more
  -V, --version          Show the version
  -n, --no-interaction   Never ask, take the defaults
      --env=NAME         Run with APP_ENV=NAME
      --no-ansi          No colours
      --json             Machine output, on list and status commands"""


class Kernel:
    """The commands of one application: those of the framework and those of `app/commands`."""

    def __init__(self, app: Application) -> None:
        self.app = app
        self._own: dict[str, type[Command]] = {}
        self._discovered = False
        self._last_output = ""

    # --- the registry ---

    def register(self, cls: type[Command]) -> None:
        """Add an application's command; a command of the same name is replaced."""
        self._own[cls.parsed_signature().name] = cls

    def register_commands(self, classes: Iterable[type[Command]]) -> None:
        """Add several commands."""
        for cls in classes:
            self.register(cls)

    def get_commands(self) -> dict[str, str]:
        """Every command that is listed: name → description."""
        self._discover()
        known = {name: description for name, (_, _, description) in COMMANDS.items()}
        for name, cls in self._own.items():
            if not cls.hidden:
                known[name] = cls.description
        return dict(sorted(known.items()))

    def find(self, name: str) -> type[Command]:
        """The class of the command *name*; raises CommandNotFound with the nearest name."""
        if name in COMMANDS and name not in self._own:
            module, cls, _ = COMMANDS[name]
            found: type[Command] = getattr(
                importlib.import_module(f"so.console.commands.{module}"), cls
            )
            return found
        self._discover()
        if name in self._own:
            return self._own[name]
        close = difflib.get_close_matches(name, self.get_commands(), 1, 0.5)
        hint = f"\nDid you mean this?\n    {close[0]}" if close else ""
        raise CommandNotFound(f"Command not found: {name}{hint}")

    def _discover(self) -> None:
        if self._discovered:
            return
        self._discovered = True
        for module in self.app.discover("commands"):
            for value in vars(module).values():
                if _is_command(value) and value.__module__ == module.__name__:
                    self.register(value)

    # --- running ---

    def run(self, argv: Sequence[str], output: Output | None = None) -> int:
        """Run the command line *argv* (without the program's name); the exit code."""
        words, settings = _split_globals(argv)
        if settings.get("env"):
            self.app.use_environment(settings["env"])
        output = output or _output_for(settings)
        name = words[0] if words else "list"
        if settings.get("version"):
            output.line(f"SixOrbit {self.app.version()}")
            return OK
        if name == "list":
            return self._list(output, words[1:], settings.get("json", False))
        if name == "help" or settings.get("help"):
            target = words[1:2] if name == "help" else words[:1]
            return self._guarded(output, lambda: self._help(output, target))
        return self.run_command(name, words[1:], output, wants_json=settings.get("json", False))

    def call(self, argv: str | Sequence[str], params: Mapping[str, Any] | None = None) -> int:
        """Run a command from code: `call("cache:clear", {"--tags": "a"})` or a whole line.

        Its text is what `output()` then returns; nothing is printed, nothing is asked.
        """
        words = shlex.split(argv) if isinstance(argv, str) else list(argv)
        stream = io.StringIO()
        _, settings = _split_globals(words)
        output = _output_for(settings, stream=stream, interactive=False)
        code = self.run([*words, *self.argv_of(params or {})], output)
        self._last_output = stream.getvalue()
        return code

    def output(self) -> str:
        """The text of the last `call()`."""
        return self._last_output

    def run_command(
        self, name: str, words: Sequence[str], output: Output, *, wants_json: bool = False
    ) -> int:
        """Run the command *name* with its own *words*; errors become text and an exit code."""
        return self._guarded(output, lambda: self._execute(name, words, output, wants_json))

    def _execute(self, name: str, words: Sequence[str], output: Output, wants_json: bool) -> int:
        command = self.find(name)()
        command.app, command.kernel, command.output = self.app, self, output
        command.wants_json = wants_json
        signature = command.parsed_signature()
        parser = signature.parser(command.description)
        if command.destructive and "force" not in {o.name for o in signature.options}:
            parser.add_argument("--force", action="store_true")
        command._values = vars(parser.parse_args(list(words)))
        if not self._allowed(command):
            output.line("Command cancelled.", "comment")
            return FAILURE
        self.app.boot()
        scope = Scope("command")
        scope.causer = f"system:{name}"
        with entered(scope):
            code = self.app.call(command.handle)
        return int(code) if code is not None else OK

    def _allowed(self, command: Command) -> bool:
        if not command.destructive or not self.app.is_production():
            return True
        return bool(command._values.get("force")) or command.confirm(
            "This application is in production. Do you really want to run this command?"
        )

    def _guarded(self, output: Output, work: Any) -> int:
        try:
            code: int = work()
            return code
        except CommandError as error:
            output.error(error)
            return error.exit_code
        except SixOrbitError as error:
            output.error(f"{type(error).__name__}: {error}")
            if output.verbosity >= VERBOSE:
                logging.getLogger("so").exception("command failed")
            return FAILURE
        except KeyboardInterrupt:
            return INTERRUPTED
        except BrokenPipeError:
            return OK

    @staticmethod
    def argv_of(params: Mapping[str, Any]) -> list[str]:
        """Parameters as words: `{"user": 1, "--force": True, "--id": [1, 2]}`."""
        words: list[str] = []
        for name, value in params.items():
            if not name.startswith("-"):
                words += [str(v) for v in (value if isinstance(value, (list, tuple)) else [value])]
            elif value is True:
                words.append(name)
            elif value is not False and value is not None:
                many = value if isinstance(value, (list, tuple)) else [value]
                words += [f"{name}={v}" for v in many]
        return words

    # --- list and help ---

    def _list(self, output: Output, words: Sequence[str], as_json: bool) -> int:
        commands = self.get_commands()
        if words:
            commands = {n: d for n, d in commands.items() if n.split(":")[0] == words[0]}
        if as_json:
            import json

            output.line(json.dumps(commands, ensure_ascii=False, indent=2))
            return OK
        output.line(f"SixOrbit {self.app.version()}", "bold")
        output.line("\nUsage:\n  sixorbit <command> [options] [arguments]\n\nOptions:", "comment")
        output.line(_GLOBAL_HELP)
        output.line("\nAvailable commands:", "comment")
        width = max(map(len, commands), default=0)
        namespace = ""
        for name in sorted(commands, key=lambda n: (":" in n, n)):
            head = name.split(":")[0] if ":" in name else ""
            if head != namespace:
                output.line(f" {head}", "comment")
                namespace = head
            output.line(f"  {output.styled(name.ljust(width), 'info')}  {commands[name]}")
        return OK

    def _help(self, output: Output, words: Sequence[str]) -> int:
        if not words:
            return self._list(output, [], False)
        cls = self.find(words[0])
        text = cls.parsed_signature().parser(cls.description).format_help()
        output.line(text.rstrip())
        output.line(f"\nglobal options:\n{_GLOBAL_HELP}")
        return OK


def _is_command(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, Command) and bool(value.signature)


_FLAGS = {
    "-h": "help", "--help": "help", "-q": "quiet", "--quiet": "quiet", "-V": "version",
    "--version": "version", "-n": "no_interaction", "--no-interaction": "no_interaction",
    "--no-ansi": "no_ansi", "--json": "json",
}  # fmt: skip
_VERBOSE = {"-v": VERBOSE, "-vv": VERY_VERBOSE, "-vvv": DEBUG}


def _split_globals(argv: Sequence[str]) -> tuple[list[str], dict[str, Any]]:
    """The words of the command itself, and the global options taken out of them (before `--`)."""
    words: list[str] = []
    settings: dict[str, Any] = {}
    rest = iter(argv)
    for word in rest:
        if word == "--":
            words += [word, *rest]
        elif word in _FLAGS:
            settings[_FLAGS[word]] = True
        elif word in _VERBOSE:
            settings["verbosity"] = _VERBOSE[word]
        elif word.startswith("--env="):
            settings["env"] = word[6:]
        else:
            words.append(word)
    return words, settings


def _output_for(settings: Mapping[str, Any], **kwargs: Any) -> Output:
    if settings.get("no_interaction"):
        kwargs["interactive"] = False
    if settings.get("no_ansi"):
        kwargs["ansi"] = False
    verbosity = QUIET if settings.get("quiet") else settings.get("verbosity", NORMAL)
    return Output(verbosity=verbosity, **kwargs)
