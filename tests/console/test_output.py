"""What a terminal sees, and what a pipe sees."""

from __future__ import annotations

import errno
import io
import os
import sys

import pytest

from so.console import Kernel
from so.console.output import QUIET, Output, Tail


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class FullDisk(io.StringIO):
    def flush(self) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_colours_are_for_terminals():
    terminal, pipe = Terminal(), io.StringIO()

    Output(terminal).line("good", "info")
    Output(pipe).line("good", "info")
    Output(terminal, ansi=False).line("plain", "info")
    Output(terminal).line("no style", "nothing of the kind")

    assert terminal.getvalue() == "\033[32mgood\033[0m\nplain\nno style\n"
    assert pipe.getvalue() == "good\n"


def test_one_that_is_heard_may_be_cleared_away_after_its_stream():
    pipe, tail = io.TextIOWrapper(io.BytesIO()), Tail()
    heard = Output(pipe, pipe).heard(tail)

    heard.line("good")
    pipe.close()
    heard.stream.close()  # as CPython does it, which tells of what fails then from 3.13 on

    assert tail.text == "good\n"


def test_a_terminal_draws_its_progress_over_one_line():
    terminal = Terminal()
    output = Output(terminal)

    output.progress(1, 2)
    output.progress(2, 2)

    assert terminal.getvalue().count("\r") == 2
    assert terminal.getvalue().count("\n") == 1


def test_a_terminal_is_told_how_long_the_rest_takes_and_a_log_each_tenth():
    terminal, pipe = Terminal(), io.StringIO()
    drawn, logged = Output(terminal), Output(pipe)
    for output in (drawn, logged):
        output.progress(1, 1000)
        output._way._began -= 60  # a minute has passed
        output._way._told -= 60
        output.progress(250, 1000)
        output.progress(251, 1000)
        output.progress(1000, 1000)

    assert "25%  3 min left" in terminal.getvalue()
    assert [line.split()[0] for line in pipe.getvalue().splitlines()] == [
        "1/1000", "250/1000", "1000/1000"
    ]  # fmt: skip


def test_a_log_hears_nothing_of_work_that_took_a_moment():
    terminal, pipe = Terminal(), io.StringIO()
    for stream in (terminal, pipe):
        Output(stream).progress(1, 2, if_long=True)

    assert pipe.getvalue() == ""
    assert "1/2" in terminal.getvalue()


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


def test_a_terminal_is_drawn_on_now_and_then_and_at_the_end():
    terminal = Terminal()
    output = Output(terminal)

    for done in range(1, 10_001):
        output.progress(done, 10_000)

    assert terminal.getvalue().count("\r") < 100
    assert terminal.getvalue().endswith("100%\033[K\n")


def test_what_is_said_meanwhile_stands_in_the_place_of_the_bar():
    terminal = Terminal()
    output = Output(terminal)

    output.progress(1, 2)
    output.line("first.sql 3 ms DONE")
    output.line("second.sql 3 ms DONE")

    assert terminal.getvalue().endswith(
        "50%\033[K\r\033[Kfirst.sql 3 ms DONE\nsecond.sql 3 ms DONE\n"
    )


@pytest.mark.parametrize(
    ("environ", "shown"),
    [({}, "\033[32mdone\033[0m\n"), ({"NO_COLOR": "1"}, "done\n"), ({"TERM": "dumb"}, "done\n")],
)
def test_who_wants_no_colour_gets_none(monkeypatch, environ, shown):
    for name in ("NO_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    screen = Terminal()

    Output(screen).line("done", "info")

    assert screen.getvalue() == shown


def test_a_full_disk_is_said_in_a_sentence(app):
    errors = io.StringIO()

    code = Kernel(app).run(["list"], Output(FullDisk(), errors))

    assert code == 1
    assert errors.getvalue() == "what is printed cannot be written: No space left on device\n"
