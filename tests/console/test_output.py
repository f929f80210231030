"""What a terminal sees, and what a pipe sees."""

from __future__ import annotations

import io
import sys

from so.console.output import QUIET, Output


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_colours_are_for_terminals():
    terminal, pipe = Terminal(), io.StringIO()

    Output(terminal).line("good", "info")
    Output(pipe).line("good", "info")
    Output(terminal, ansi=False).line("plain", "info")
    Output(terminal).line("no style", "nothing of the kind")

    assert terminal.getvalue() == "\033[32mgood\033[0m\nplain\nno style\n"
    assert pipe.getvalue() == "good\n"


def test_a_terminal_draws_its_progress_over_one_line():
    terminal = Terminal()
    output = Output(terminal)

    output.progress(1, 2)
    output.progress(2, 2)

    assert terminal.getvalue().count("\r") == 2
    assert terminal.getvalue().count("\n") == 1


def test_quiet_output_shows_errors_only():
    out, err = io.StringIO(), io.StringIO()
    output = Output(out, err, verbosity=QUIET)

    output.line("line")
    output.progress(1, 2)
    output.table(["a"], [["b"]])
    output.error("error")

    assert (out.getvalue(), err.getvalue()) == ("", "error\n")


def test_nobody_is_asked_without_a_terminal(monkeypatch):
    closed = io.StringIO()
    closed.close()
    for stdin in (io.StringIO("typed\n"), closed, None):
        monkeypatch.setattr(sys, "stdin", stdin)
        assert Output(io.StringIO()).read("? ") is None
