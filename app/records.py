"""The records of a CSV file one by one, whatever is in it: a hostile file costs no more memory.

A record that is too long, or a quote that is never closed, is one bad record; reading goes on at
the line after the one it began in, so that it takes no good line with it.
"""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterator
from typing import TextIO

LONGEST_RECORD = 16_384  # characters of a record, line ends included


def records(file: TextIO) -> Iterator[tuple[int, list[str], str]]:
    """(number of its first line, its fields, what is wrong with it) of each record in *file*.

    Open *file* with `newline=""`. Empty lines are left out.
    """
    lines = _Lines(file)
    reader = csv.reader(lines, strict=True)
    while True:
        lines.begin()
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            begun = lines.give_back()
            yield lines.first, [begun], f"not readable as CSV: {error}"
            continue
        if row:
            yield lines.first, row, ""


class _Lines:
    """What `csv.reader` reads: it asks for lines until a record is whole."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._record: list[str] = []
        self._size = self._number = 0
        self._again: deque[str] = deque()
        self.first = 1

    def begin(self) -> None:
        """A new record."""
        self._record, self._size, self.first = [], 0, self._number + 1

    def give_back(self) -> str:
        """Read all but the first line of this record anew; the first one."""
        rest = self._record[1:]
        self._again.extendleft(reversed(rest))
        self._number -= len(rest)
        return self._record[0] if self._record else ""

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._again.popleft() if self._again else self._read()
        if not line:
            raise StopIteration
        self._number += 1
        self._size += len(line)
        self._record.append(line)
        if self._size > LONGEST_RECORD:
            raise csv.Error(f"more than {LONGEST_RECORD} characters in one record")
        return line

    def _read(self) -> str:
        """The next line, or the beginning of one that is too long: enough to see that it is."""
        line = rest = self._file.readline(LONGEST_RECORD + 1)
        while len(rest) > LONGEST_RECORD and rest[-1] not in "\r\n":
            rest = self._file.readline(LONGEST_RECORD + 1)
        return line
