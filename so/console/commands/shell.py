"""`shell`, `test`, `completion`: daily tools around an application."""

from __future__ import annotations

import code
import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import so
from so.console.command import Command
from so.console.commands.look import models_of
from so.console.output import NORMAL
from so.errors import CommandError, UsageError
from so.support.habits import NAMES
from so.systems.queue.pending import PendingDispatch

_TOLD = ("DB", "Router", "Gate", "app", "cache", "config", "dispatch", "env", "queue", "activity")


class _Line(code.InteractiveInterpreter):
    """Runs what `--execute` says; what went wrong is shown as Python shows it, and remembered."""

    has_failed = False

    def showsyntaxerror(self, filename: str | None = None, **more: Any) -> None:
        """No Python; *more* is what newer ones hand over."""
        self.has_failed = True
        super().showsyntaxerror(filename, **more)

    def showtraceback(self) -> None:
        """Where in the line, and what does here what a name does elsewhere."""
        self.has_failed = True
        error = sys.exc_info()[1]
        if isinstance(error, NameError) and error.name in NAMES:
            error.add_note(f"There is no {error.name} here: {NAMES[error.name]}.")
        if error is not None:
            trace = error.__traceback__ and error.__traceback__.tb_next  # without our own frame
            sys.excepthook(type(error), error.with_traceback(trace), trace)


def _kept(write: Callable[[Path], object], history: Path) -> None:
    with suppress(OSError):  # of storage/, which may be another user's, or gone
        write(history)


def _show(value: object) -> None:
    """As Python shows it; a job is sent before, which `_` would hold back until the next line."""
    if isinstance(value, PendingDispatch):
        value.send()
    sys.__displayhook__(value)


class Shell(Command):
    """A Python shell with the application in it."""

    signature = "shell {--execute= : Run this line, or these, and end}"

    def handle(self) -> int:
        """Run one line, or ask for lines until the end of input."""
        names: dict[str, Any] = {name: getattr(so, name) for name in dir(so) if name[0] != "_"}
        names |= models_of(self.app)
        sys.displayhook = _show
        line = self.option("execute")
        if line:
            return self._run(str(line), _Line(names))
        self._complete(names)
        models = ", ".join(sorted(models_of(self.app)))
        known = f"Imported: all of so, such as {', '.join(_TOLD)}" + (
            f", {models}" if models else ""
        )
        code.InteractiveConsole(names).interact(
            f"SixOrbit {self.app.version()} in {self.app.base_path()}\n{known}", ""
        )
        return 0

    def _run(self, line: str, console: _Line) -> int:
        several = "\n" in line.strip()
        if console.runsource(f"{line}\n", "<shell>", "exec" if several else "single"):
            raise CommandError(f"the line is not complete: {line}")
        return 1 if console.has_failed else 0

    def _complete(self, names: dict[str, Any]) -> None:
        """Completion with the tab key, and a history, where Python has readline."""
        try:
            import readline
            import rlcompleter
        except ImportError:
            return
        readline.set_completer(rlcompleter.Completer(names).complete)
        readline.parse_and_bind("tab: complete")
        history = self.app.storage_path(".shell_history")
        with suppress(OSError):  # none yet, or another user's
            readline.read_history_file(history)
        import atexit

        atexit.register(_kept, readline.write_history_file, history)


class Test(Command):
    """With pytest where it is installed, else with the standard library's unittest."""

    signature = "test {args?* : Handed on, such as tests/test_orders.py or -k name}"
    hands_on = True

    def handle(self) -> int:
        """Run them in a process of their own; its exit code."""
        given = [_option(str(one)) for one in self.argument("args") or []]
        if self.output.verbosity > NORMAL:  # the flag is one of ours as well
            given.append("-v")
        has_pytest = importlib.util.find_spec("pytest") is not None
        runner = ["-m", "pytest"] if has_pytest else ["-m", "unittest"]
        if not has_pytest and (not given or given[0].startswith("-")):
            given = ["discover", "-s", "tests", "-t", ".", *given]
        path = os.pathsep.join(
            [str(self.app.base_path()), str(Path(so.__file__).resolve().parent.parent)]
        )
        environ = {**os.environ, "APP_ENV": "testing", "PYTHONPATH": path}
        words = [sys.executable, *runner, *given]
        return subprocess.run(words, cwd=self.app.base_path(), env=environ, check=False).returncode  # noqa: S603 - this Python


def _option(word: str) -> str:
    """`--filter=name`, as PHPUnit has it, is `-k` of pytest and of unittest."""
    name, _, value = word.partition("=")
    return f"-k{value}" if name == "--filter" and value else word


# By the line and not by COMP_WORDS, which bash takes apart at each colon; of what it has taken the
# beginning, a reply gives the rest. A function that is missing at its end would be no reply at all.
_BASH = """\
_sixorbit() {{
    local line="${{COMP_LINE:0:COMP_POINT}}" word
    word="${{line##* }}"
    COMPREPLY=()
    line="${{line#* }}"
    [[ "${{line#help }}" == *" "* ]] && return 0
    COMPREPLY=($(compgen -W "{words}" -- "$word"))
    if [[ "$word" == *:* && "$COMP_WORDBREAKS" == *:* ]]; then
        COMPREPLY=("${{COMPREPLY[@]#"${{word%:*}}:"}}")
    fi
    return 0
}}
complete -o default -F _sixorbit sixorbit bin/sixorbit
"""
# Printed into a file of the search path, as `_sixorbit`, it is the function that is asked at once.
_ZSH = """\
#compdef sixorbit
_sixorbit() {{
    local -a commands
    commands=({described})
    if (( CURRENT == 2 )) || [[ CURRENT -eq 3 && "$words[2]" == help ]]; then
        _describe command commands
    else
        _files
    fi
}}
if [[ "$funcstack[1]" == _sixorbit ]]; then
    _sixorbit "$@"
else
    compdef _sixorbit sixorbit bin/sixorbit
fi
"""
_FISH_WHERE = "__fish_use_subcommand; or test (commandline -opc)[-1] = help"
_FISH = "complete -c sixorbit -n '{where}' -f -a {name} -d '{text}'\n"


class Completion(Command):
    """`eval "$(bin/sixorbit completion bash)"`."""

    signature = "completion {shell : bash, zsh or fish}"

    def handle(self) -> int:
        """Print it."""
        shell, commands = str(self.argument("shell")), self.kernel.get_commands()
        if shell == "bash":
            self.line(_BASH.format(words=" ".join(commands)).rstrip())
        elif shell == "zsh":
            pairs = (
                f"{name.replace(':', chr(92) + ':')}:{text}" for name, text in commands.items()
            )
            described = " ".join("'" + pair.replace("'", "'\\''") + "'" for pair in pairs)
            self.line(_ZSH.format(described=described).rstrip())
        elif shell == "fish":
            texts = {name: text.replace("'", "\\'") for name, text in commands.items()}
            lines = (
                _FISH.format(where=_FISH_WHERE, name=name, text=text)
                for name, text in texts.items()
            )
            self.line("".join(lines).rstrip())
        else:
            raise UsageError(f"{shell!r} is no shell known here: bash, zsh or fish")
        return 0
