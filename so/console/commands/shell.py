"""`shell`, `test`, `completion`: daily tools around an application."""

from __future__ import annotations

import code
import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import so
from so.console.command import Command
from so.console.commands.look import models_of
from so.errors import CommandError

_SHORT = ("DB", "Router", "Gate", "app", "cache", "config", "dispatch", "env", "queue", "activity")


class Shell(Command):
    """A Python shell with the application in it."""

    signature = "shell {--execute= : Run this line, or these, and end}"
    description = "Open a Python shell with the models and helpers imported"

    def handle(self) -> int:
        """Run one line, or ask for lines until the end of input."""
        names: dict[str, Any] = {name: getattr(so, name) for name in _SHORT}
        names |= models_of(self.app)
        line = self.option("execute")
        console = code.InteractiveConsole(names)
        if line:
            failed: list[bool] = []
            console.showtraceback = lambda: _told(failed)  # type: ignore[method-assign]
            several = "\n" in str(line).strip()
            more = console.runsource(f"{line}\n", "<shell>", "exec" if several else "single")
            if more:
                raise CommandError(f"the line is not complete: {line}")
            return 1 if failed else 0
        self._complete(names)
        models = ", ".join(sorted(models_of(self.app)))
        known = f"Imported: {', '.join(_SHORT)}" + (f", {models}" if models else "")
        console.interact(f"{self.app.version()} in {self.app.base_path()}\n{known}", "")
        return 0

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
        if history.is_file():
            readline.read_history_file(history)
        import atexit

        atexit.register(readline.write_history_file, str(history))


def _told(failed: list[bool]) -> None:
    failed.append(True)
    sys.excepthook(*sys.exc_info())


class Test(Command):
    """With pytest where it is installed, else with the standard library's unittest."""

    signature = "test {args?* : Handed on, such as tests/test_orders.py or -k name}"
    description = "Run the tests of the application"

    def handle(self) -> int:
        """Run them in a process of their own; its exit code."""
        given = [str(one) for one in self.argument("args") or []]
        has_pytest = importlib.util.find_spec("pytest") is not None
        runner = ["-m", "pytest"] if has_pytest else ["-m", "unittest"]
        if not has_pytest and not given:
            given = ["discover", "-s", "tests", "-t", "."]
        path = os.pathsep.join(
            [str(self.app.base_path()), str(Path(so.__file__).resolve().parent.parent)]
        )
        environ = {**os.environ, "APP_ENV": "testing", "PYTHONPATH": path}
        words = [sys.executable, *runner, *given]
        return subprocess.run(words, cwd=self.app.base_path(), env=environ, check=False).returncode  # noqa: S603 - this Python


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
    description = "Print what completes command names in a shell"

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
            raise CommandError(f"{shell!r} is no shell known here: bash, zsh or fish")
        return 0
