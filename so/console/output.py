"""What a command prints and asks: styled lines, tables, progress, questions.

Styles appear on a terminal only. Without a terminal, or with --no-interaction, a question takes
its default and never blocks.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from typing import TextIO, cast

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
        self._stream.flush()


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
        self.ansi = _is_terminal(self.stream) if ansi is None else ansi
        self.interactive = _is_terminal(sys.stdin) if interactive is None else interactive

    def line(self, text: object = "", style: str | None = None, level: int = NORMAL) -> None:
        """Print one line, unless the output is quieter than *level*."""
        if self.verbosity >= level:
            self.stream.write(self.styled(str(text), style) + "\n")
            self.stream.flush()

    def for_documents(self) -> Output:
        """The same for a program: plain, and nobody is asked."""
        return Output(
            self.stream,
            self.error_stream,
            verbosity=self.verbosity,
            ansi=False,
            interactive=False,
        )

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
        self.stream.write(text)
        self.stream.flush()

    def error(self, text: object) -> None:
        """Print one line on the error stream, even when quiet."""
        self.error_stream.write(self.styled(str(text), "error") + "\n")
        self.error_stream.flush()

    def styled(self, text: str, style: str | None) -> str:
        """*text* in *style*, or plain where no colour is wanted."""
        code = _STYLES.get(style or "")
        return f"\033[{code}m{text}\033[0m" if code and self.ansi else text

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

    def progress(self, done: int, total: int) -> None:
        """Draw *done* of *total* over the same line (one line a call without a terminal)."""
        if self.verbosity < NORMAL:
            return
        share = done / total if total else 1.0
        bar = ("=" * int(share * 28)).ljust(28)
        end = "\n" if done >= total or not self.ansi else ""
        start = "\r" if self.ansi else ""
        self.stream.write(f"{start} {done}/{total} [{bar}] {share:4.0%}{end}")
        self.stream.flush()

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
