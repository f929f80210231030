"""The console kernel: finds a command by name, reads its arguments, runs it, gives an exit code.

0 ok, 1 failure or unknown command, 2 bad usage, 130 interrupted, 143 terminated.
"""

from __future__ import annotations

import errno
import importlib
import io
import os
import re
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext, suppress
from typing import TYPE_CHECKING, Any, cast

from so.console.command import Command, setting_of, variable_of
from so.console.commands import COMMANDS
from so.console.output import DEBUG, NORMAL, QUIET, VERBOSE, VERY_VERBOSE, Output
from so.console.signature import Parser, Signature, Tell
from so.errors import (
    CommandError,
    CommandNotFound,
    ConfigError,
    QueryError,
    SixOrbitError,
    UsageError,
)
from so.support.listed import listed
from so.support.near import nearest
from so.support.ownership import owner_of
from so.support.plain import plain
from so.support.scope import (
    UNSET,
    Scope,
    batch_said,
    causer_said,
    current_scope,
    entered,
)  # fmt: skip
from so.support.signatures import class_of, parameters

if TYPE_CHECKING:
    from so.application import Application

_NO_TABLE = re.compile(r"no such table: (?:\w+\.)?(\w+)|Table '[^']*?\.?(\w+)' doesn't exist")
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

    def find(self, name: str | type[Command]) -> type[Command]:
        """The class of the command *name*; raises CommandNotFound with the nearest name."""
        if isinstance(name, type):
            return name
        if name in COMMANDS and name not in self._own:
            module, cls, _ = COMMANDS[name]
            found: type[Command] = getattr(
                importlib.import_module(f"so.console.commands.{module}"), cls
            )
            return found
        self._discover()
        if name in self._own:
            return self._own[name]
        known = self.get_commands()
        if name.startswith("-"):
            near = nearest(name, _GLOBAL_NAMES, 0.5)
            raise UsageError(
                f"there is no option {name}" + (f"; did you mean {near}?" if near else "")
            )
        raise CommandNotFound(f"Command not found: {name}{_meant(name, known)}")

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
        output = output or _output_for(settings)
        return self._guarded(output, lambda: self._route(words, settings, output))

    def _route(self, words: list[str], settings: dict[str, Any], output: Output) -> int:
        if "env" in settings:
            self.app.use_environment(settings["env"] or _missing("--env needs a name: --env=local"))
        name = words[0] if words else "list"
        for_people = settings.get("version") or settings.get("help") or name == "help"
        if settings.get("json") and for_people:
            raise UsageError("help and --version give no JSON: leave out --json")
        if settings.get("version"):
            output.line(f"SixOrbit {self.app.version()}")
            return OK
        if name == "list":
            return self._list(output, words[1:], settings.get("json", False))
        if name == "help" or settings.get("help"):
            return self._help(output, words[1:2] if name == "help" else words[:1])
        if self._is_group(name):
            return self._list(output, [name], settings.get("json", False))
        return self._execute(self.find(name), words[1:], output, settings.get("json", False))

    def keeps_rights(self, argv: Sequence[str]) -> bool:
        """Whether root runs *argv* as root, whosever storage/ is."""
        words, settings = _split_globals(argv)
        name = words[0] if words else "list"
        if name in ("list", "help") or settings.keys() & {"help", "version"}:
            return True
        try:
            return self._is_group(name) or self.find(name).keeps_rights
        except SixOrbitError:
            return True  # it is not run

    def _is_group(self, name: str) -> bool:
        """Whether *name* is no command, but what several begin with: `queue`, `make`."""
        if name in COMMANDS or not name:
            return False
        known = self.get_commands()
        return name not in known and any(one.startswith(f"{name}:") for one in known)

    def call(
        self,
        argv: str | Sequence[str] | type[Command],
        params: Mapping[str, Any] | None = None,
    ) -> int:
        """Run a command from code: `call("cache:clear", {"--tags": "a"})` or a whole line.

        Its text is what `output()` then returns; nothing is printed, nothing is asked.
        """
        stream = io.StringIO()
        try:
            return self._call(argv, params or {}, stream)
        finally:
            self._last_output = stream.getvalue()

    def _call(self, argv: Any, params: Mapping[str, Any], stream: io.StringIO) -> int:
        if isinstance(argv, type):
            self.register(cast("type[Command]", argv))
            argv = [cast("type[Command]", argv).parsed_signature().name]
        words = shlex.split(argv) if isinstance(argv, str) else [str(word) for word in argv]
        given = {name: value for name, value in params.items() if name in _GLOBAL_NAMES}
        _, settings = _split_globals([*words, *_words_of_options(given)])
        output = _output_for(settings, stream=stream, interactive=False)

        def work() -> int:
            rest = {name: value for name, value in params.items() if name not in given}
            own = self._words(words[0], rest) if rest else []
            return self.run([*words, *_words_of_options(given), *own], output)

        return self._guarded(output, work)

    def output(self) -> str:
        """The text of the last `call()`."""
        return self._last_output

    def run_command(
        self, name: str | type[Command], params: Mapping[str, Any], output: Output
    ) -> int:
        """Run the command *name* inside another one's output; errors become text and a code."""

        def work() -> int:
            return self._execute(self.find(name), self._words(name, params), output, False)

        return self._guarded(output, work)

    def _execute(
        self, cls: type[Command], words: Sequence[str], output: Output, wants_json: bool
    ) -> int:
        if wants_json:
            if not cls.knows_json():
                raise UsageError(f"{cls.parsed_signature().name} gives no JSON: leave out --json")
            output = output.for_documents()
        command = cls()
        command.app, command.kernel, command.output = self.app, self, output
        command.wants_json = wants_json
        command._values = vars(_parser(cls).parse(_handed_on(words) if cls.hands_on else words))
        self._refuse_local_service()
        if not self._allowed(command):
            output.error("Command cancelled.")
            return FAILURE
        if command.keeps_rights and owner_of(self.app.storage_path()):
            self.app.config.set("logging.default", "stderr")  # a log in there is not root's to open
        self.app.boot(anyhow=command.names_faults)
        # As the web kernel does; a command that names what is wrong does so without a log, too.
        with suppress(ConfigError) if command.names_faults else nullcontext():
            self.app.make("logger")
        scope = _scope(cls.parsed_signature().name)
        with entered(scope):
            handle = plain(command.handle, "the command's")
            return _exit_code(self.app.call(handle, _asked_by_name(command)))

    def _refuse_local_service(self) -> None:
        unit = os.environ.get("SIXORBIT_UNIT")
        if unit and self.app.environment("local"):
            raise CommandError(
                f"{unit} runs with APP_ENV=local, in which everybody may do everything: "
                "set APP_ENV=production in the unit and in .env"
            )

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
            if error.exit_code != USAGE:
                self._log(output, error, None)
            return error.exit_code
        except KeyboardInterrupt:
            return INTERRUPTED
        except SystemExit as error:
            return _exit_code(error.code)
        except BrokenPipeError:
            return OK
        except Exception as error:
            return self._failed(output, error)

    def _failed(self, output: Output, error: Exception) -> int:
        """Print *error*, with its traceback where somebody would look for a mistake of the code."""
        is_ours = isinstance(error, SixOrbitError) or _is_of_the_machine(error)
        if self._log(output, error, error, in_full=not is_ours):
            return FAILURE
        if output.verbosity >= VERBOSE or (not is_ours and self.app.is_debug()):
            import traceback

            output.error("".join(traceback.format_exception(error)).rstrip())
            return FAILURE
        output.error(f"{type(error).__name__}: {error}")
        if not is_ours:
            output.error("Run it with -v to see where.")
        elif isinstance(error, QueryError) and _lacks_our_table(error):
            output.error("Run `bin/sixorbit db:install`: it creates the tables of the framework.")
        return FAILURE

    def _log(
        self, output: Output, error: Exception, trace: Exception | None, *, in_full: bool = False
    ) -> bool:
        """Let *error* stand in the application's log, and on standard error once.

        True where that log is what standard error is for, with the traceback *in_full*: a service
        manager reads it there, and nothing is left to print.
        """
        from so.support import logs

        try:
            logger = self.app.make("logger")
        except Exception:
            return False  # it is what has failed: the error is printed
        is_printed = output.error_stream is sys.stderr
        is_told = (
            in_full
            and is_printed
            and output.verbosity < VERBOSE
            and not sys.stderr.isatty()
            and logs.is_on_stderr(logger)
        )
        extra = {logs.SHOWN: is_printed and not is_told}
        logger.error("%s: %s", type(error).__name__, error, exc_info=trace, extra=extra)
        return is_told

    def _words(self, name: str | type[Command], params: Mapping[str, Any]) -> list[str]:
        """*params* as words: `{"user": 1, "--force": True, "--id": [1, 2]}`, in any order."""
        if name in ("list", "help"):
            return [str(value) for value in params.values()]
        signature = self.find(name).parsed_signature()
        arguments = [argument.name for argument in signature.arguments]
        options = {key: value for key, value in params.items() if key not in arguments}
        words = _words_of_options({_dashed(key, signature): v for key, v in options.items()})
        values = [params[key] for key in arguments if params.get(key) is not None]
        texts = [str(one) for value in values for one in listed(value)]
        return [*words, "--", *texts] if texts else words

    # --- list and help ---

    def _list(self, output: Output, words: Sequence[str], as_json: bool) -> int:
        commands = self.get_commands()
        if words:
            known, group = commands, words[0]
            commands = {n: d for n, d in known.items() if n.split(":")[0] == group}
            if not commands:
                near = nearest(group, {name.split(":")[0] for name in known})
                hint = f"; did you mean {near}?" if near else ""
                raise UsageError(f"there is no command and no group {group!r}{hint}")
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
        output.line(_parser(self.find(words[0]), self._told).format_help().rstrip())
        output.line(f"\nglobal options:\n{_GLOBAL_HELP}")
        return OK

    def _told(self, key: str) -> str:
        """What the setting *key* is now, with its variable, even where it is misspelt."""
        variable = variable_of(key)
        try:
            value = setting_of(self.app, key)
        except ConfigError:
            value = "not right"
        shown = "none" if value is None else ",".join(value) if isinstance(value, tuple) else value
        return f"{shown}; {variable or key}"


def _is_of_the_machine(error: Exception) -> bool:
    """Whether a place refuses it: no rights, no room, nothing to write to. No line is to mend."""
    places = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT)
    return isinstance(error, OSError) and error.errno in places


def _lacks_our_table(error: QueryError) -> bool:
    """Whether it failed for want of a table that `db:install` makes; others are migrations'."""
    found = _NO_TABLE.search(str(error))
    if found is None:
        return False
    from so.db.schema import framework_tables

    return (found[1] or found[2]) in framework_tables("sqlite")


def _meant(name: str, known: Mapping[str, str]) -> str:
    """What whoever typed *name* may have meant, or what does here what it does elsewhere."""
    from so.support.habits import COMMANDS as HABITS

    # What is typed by habit first; then what is nearly typed so, of both.
    typed = name.lower() if name.lower() in HABITS else nearest(name, [*known, *HABITS], 0.7)
    meant = HABITS.get(typed, typed) if typed else None
    group = name.partition(":")[0]
    if meant is None and any(one.startswith(f"{group}:") for one in known):
        return f"\n`list {group}` names those that begin so."
    if meant is None:
        return ""
    is_ours = meant in known or meant == "list"
    return f"\nDid you mean this?\n    {meant}" if is_ours else f"\nHere {meant}."


def _is_command(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, Command) and bool(value.signature)


def _parser(cls: type[Command], tell: Tell = str) -> Parser:
    signature = cls.parsed_signature()
    known = COMMANDS.get(signature.name)  # what is ours is described there, and nowhere else
    text = cls.description or (known[2] if known else "")
    parser = signature.parser(text, tell)
    if cls.destructive and "force" not in {option.name for option in signature.options}:
        parser.add_argument("--force", action="store_true", help="Do not ask in production")
    return parser


def _handed_on(words: Sequence[str]) -> list[str]:
    """*words* as arguments, also those that look like options: another program reads them."""
    return ["--", *(words[1:] if words[:1] == ["--"] else words)]


def _exit_code(result: Any) -> int:
    """What `handle` returned as a code: True and anything that is no number is success."""
    if isinstance(result, bool):
        return OK if result else FAILURE
    return result if isinstance(result, int) else OK


def _asked_by_name(command: Command) -> dict[str, Any]:
    """The arguments and options that `handle` has parameters for, besides what is injected."""
    given = {**command.options(), **command.arguments()}
    named = {name.replace("-", "_"): value for name, value in given.items()}
    wanted = {p.name for p, hint in parameters(command.handle) if class_of(hint)[0] is None}
    return {name: value for name, value in named.items() if name in wanted}


def _words_of_options(options: Mapping[str, Any]) -> list[str]:
    words: list[str] = []
    for name, value in options.items():
        if value is True:
            words.append(name)
        elif value is not False and value is not None:
            words += [f"{name}={one}" for one in listed(value)]
    return words


def _dashed(name: str, signature: Signature) -> str:
    """The option *name* as it is written; raises UsageError for what the command has not got."""
    plain = name.lstrip("-").replace("_", "-")
    for option in signature.options:
        if plain in (option.name.replace("_", "-"), option.short):
            return f"--{option.name}"
    if plain == "force":
        return "--force"
    known = [argument.name for argument in signature.arguments]
    known += [option.name for option in signature.options]
    close = nearest(plain, known)
    hint = f"; did you mean {close!r}?" if close else ""
    raise UsageError(f"{signature.name} has no argument or option {name!r}{hint}")


def _missing(message: str) -> Any:
    raise UsageError(message)


_FLAGS = {
    "-h": "help", "--help": "help", "-q": "quiet", "--quiet": "quiet", "-V": "version",
    "--version": "version", "-n": "no_interaction", "--no-interaction": "no_interaction",
    "--no-ansi": "no_ansi", "--json": "json",
}  # fmt: skip
_VERBOSE = {"-v": VERBOSE, "--verbose": VERBOSE, "-vv": VERY_VERBOSE, "-vvv": DEBUG}
_GLOBAL_NAMES = frozenset([*_FLAGS, *_VERBOSE, "--env"])


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
        elif word == "--env" or word.startswith("--env="):
            settings["env"] = word[6:] or next(rest, "")
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


def _scope(command: str) -> Scope:
    """The scope of a command; what a request or a job runs is done by whoever that works for."""
    outer, scope = current_scope(), Scope("command")
    who, scope.batch = causer_said(), batch_said()
    if outer is not None and outer.kind in ("request", "job", "command"):
        scope.request_id = outer.request_id
        who = outer.user if who is UNSET else who
    scope.data["command"] = command
    is_said = who is not UNSET and who is not None
    by_outer = outer is not None and who == f"system:{outer.data.get('command')}"
    scope.causer = who if is_said and not by_outer else f"system:{command}"
    return scope
