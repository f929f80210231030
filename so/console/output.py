"""What a command prints and asks: styled lines, tables, progress, questions.

Styles appear on a terminal only. Without a terminal, or with --no-interaction, a question takes
its default and never blocks.
"""

from __future__ import annotations

import io
import os
import sys
import time
from collections.abc import Sequence
from typing import TextIO, cast

from so.errors import CommandError

QUIET, NORMAL, VERBOSE, VERY_VERBOSE, DEBUG = range(5)
_STYLES = {
    "info": "32", "comment": "33", "question": "36", "error": "31", "warn": "33",
    "success": "32;1", "bold": "1", "dim": "2",
}  # fmt: skip


class Tail:
    """The end of what was printed, in `text`."""

    KEPT = 4000  # characters

    def __init__(self) -> None:
        self.text = ""

    def add(self, text: str) -> None:
        """Take *text* in."""
        self.text = (self.text + text)[-self.KEPT :]


class _Through(io.TextIOBase):
    """A stream that passes on what is written, and tells a tail of it."""

    def __init__(self, stream: TextIO, tail: Tail) -> None:
        self._stream, self._tail = stream, tail

    def write(self, text: str) -> int:
        self._tail.add(text)
        return self._stream.write(text)

    def flush(self) -> None:
        if not self._stream.closed:  # as it may be when this one is cleared away, which flushes it
            self._stream.flush()


LOG_SECONDS = 10.0  # a log gets a line that often, and at each tenth of the way
DRAWN_SECONDS = 0.1  # between two looks of a terminal
LEFT_AFTER_SECONDS = 2.0  # before that nobody can tell how long it takes


class _Way:
    """How far a long work is, and when it began."""

    def __init__(self) -> None:
        self._total, self._done, self._tenth = -1, 0, -1
        self._began = self._told = 0.0
        self.is_open = False  # a bar stands on the terminal's line, which others write over

    def go_on(self, done: int, total: int) -> None:
        """It is at *done* of *total*; a smaller *done* is the beginning of another work."""
        if total != self._total or done < self._done:
            self._total, self._tenth = total, -1
            self._began = self._told = time.monotonic()
        self._done = done

    def is_short(self) -> bool:
        """Whether it has not taken long yet."""
        return time.monotonic() - self._began < LEFT_AFTER_SECONDS

    def is_due(self) -> bool:
        """Whether a log should be told: at each tenth, and when long nothing was said."""
        tenth, now = self._done * 10 // (self._total or 1), time.monotonic()
        if tenth == self._tenth and now - self._told < LOG_SECONDS:
            return False
        self._tenth, self._told = tenth, now
        return True

    def is_to_be_drawn(self) -> bool:
        """Whether a terminal should see it: now and then, and the end."""
        now = time.monotonic()
        if self.is_open and self._done < self._total and now - self._told < DRAWN_SECONDS:
            return False
        self._told = now
        return True

    def left(self) -> str:
        """How long the rest takes at the pace so far; nothing while that can't be told."""
        if self.is_short() or not 0 < self._done < self._total:
            return ""
        passed = time.monotonic() - self._began
        return f"  {_duration(passed / self._done * (self._total - self._done))} left"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


class Output:
    """Where a command's text goes, how loud, and in colour or not."""

    def __init__(
        self,
        stream: TextIO | None = None,
        error_stream: TextIO | None = None,
        *,
        verbosity: int = NORMAL,
        ansi: bool | None = None,
        interactive: bool | None = None,
    ) -> None:
        self.stream = stream or sys.stdout
        self.error_stream = error_stream or stream or sys.stderr
        self.verbosity = verbosity
        self.ansi = _knows_ansi(self.stream) if ansi is None else ansi
        self.interactive = _is_terminal(sys.stdin) if interactive is None else interactive
        self._way = _Way()
        self._drawn_on = self

    def line(self, text: object = "", style: str | None = None, level: int = NORMAL) -> None:
        """Print one line, unless the output is quieter than *level*."""
        if self.verbosity >= level:
            self._put(self._over_bar() + self.styled(str(text), style) + "\n")

    def for_documents(self) -> Output:
        """The same for a program: plain, and nobody is asked."""
        return Output(
            self.stream,
            self.error_stream,
            verbosity=self.verbosity,
            ansi=False,
            interactive=False,
        )

    def beside(self, stream: TextIO) -> Output:
        """One whose text goes to *stream*, while how far it is is still told here."""
        output = Output(stream, ansi=False, interactive=False)
        output._drawn_on = self
        return output

    def heard(self, tail: Tail) -> Output:
        """The same, whose text *tail* hears of."""
        return Output(
            cast("TextIO", _Through(self.stream, tail)),
            cast("TextIO", _Through(self.error_stream, tail)),
            verbosity=self.verbosity,
            ansi=self.ansi,
            interactive=self.interactive,
        )

    def write(self, text: str) -> None:
        """Print *text* as it is, even when quiet: what a program reads."""
        self._put(text)

    def _put(self, text: str) -> None:
        try:
            self.stream.write(text)
            self.stream.flush()
        except BrokenPipeError:
            raise  # whoever reads no further wants no more of it
        except OSError as error:
            raise CommandError(f"what is printed cannot be written: {error.strerror}") from error

    def error(self, text: object) -> None:
        """Print one line on the error stream, even when quiet."""
        if over := self._over_bar():
            self.stream.write(over)
            self.stream.flush()
        self.error_stream.write(self.styled(str(text), "error") + "\n")
        self.error_stream.flush()

    def styled(self, text: str, style: str | None) -> str:
        """*text* in *style*, or plain where no colour is wanted."""
        code = _STYLES.get(style or "")
        wants_colour = self.ansi and not os.environ.get("NO_COLOR")
        return f"\033[{code}m{text}\033[0m" if code and wants_colour else text

    def table(self, headers: Sequence[object], rows: Sequence[Sequence[object]]) -> None:
        """Print *rows* under *headers*, columns as wide as their widest cell."""
        lines = [[_cell(c) for c in headers], *([_cell(c) for c in row] for row in rows)]
        widths = [max(_width(row[i]) for row in lines) for i in range(len(headers))]
        rule = "+" + "+".join("-" * (width + 2) for width in widths) + "+"
        self.line(rule)
        for index, row in enumerate(lines):
            cells = (f" {c}{' ' * (w - _width(c))} " for c, w in zip(row, widths, strict=False))
            self.line("|" + "|".join(cells) + "|")
            if index == 0:
                self.line(rule)
        if rows:
            self.line(rule)

    def progress(self, done: int, total: int, *, if_long: bool = False) -> None:
        """Draw *done* of *total*: over the same line, with the time left, on a terminal.

        Elsewhere it is a line at each tenth of the way, or each ten seconds; with *if_long* none
        of work that takes a moment only.
        """
        if self._drawn_on is not self:
            self._drawn_on.progress(done, total, if_long=if_long)
            return
        if self.verbosity < NORMAL:
            return
        self._way.go_on(done, total)
        if self.ansi:
            if not self._way.is_to_be_drawn():
                return
        elif (if_long and self._way.is_short()) or not self._way.is_due():
            return
        share = done / total if total else 1.0
        bar = ("=" * int(share * 28)).ljust(28)
        end = "\n" if done >= total or not self.ansi else ""
        start = "\r" if self.ansi else ""
        # What the line before had more than this one is wiped away.
        left = f"{self._way.left()}\033[K" if self.ansi else self._way.left()
        self.stream.write(f"{start} {done}/{total} [{bar}] {share:4.0%}{left}{end}")
        self.stream.flush()
        self._way.is_open = self.ansi and not end

    def _over_bar(self) -> str:
        """What wipes a bar away that is not at its end."""
        was_open, self._way.is_open = self._way.is_open, False
        return "\r\033[K" if was_open else ""

    def read(self, prompt: str, *, secret: bool = False) -> str | None:
        """A line from the user; None without anybody to ask or at end of input."""
        if not self.interactive:
            return None
        try:
            if secret:
                import getpass

                return getpass.getpass(prompt)
            self.stream.write(prompt)
            self.stream.flush()
            answer = sys.stdin.readline()
        except EOFError:
            return None
        return answer.rstrip("\r\n") if answer else None


def _knows_ansi(stream: TextIO | None) -> bool:
    return _is_terminal(stream) and os.environ.get("TERM") != "dumb"


def _is_terminal(stream: TextIO | None) -> bool:
    try:
        return stream is not None and stream.isatty()
    except ValueError:
        return False


def _cell(value: object) -> str:
    return "" if value is None else str(value)


def _width(text: str) -> int:
    if text.isascii():
        return len(text)
    import unicodedata  # a megabyte that most output never needs

    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )
