"""SQLite under `kill -9`: committed rows stay, half a transaction never shows, the file is whole.

20 kills in the normal run; `SIXORBIT_CRASH_KILLS=200` for more.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from so.db.connection import Connection

KILLS = int(os.environ.get("SIXORBIT_CRASH_KILLS", "20"))

_WRITER = """
import sys
from so.db.connection import Connection

connection = Connection(sys.argv[1])
n = connection.scalar("select coalesce(max(batch), 0) from entries")
while True:
    n += 1
    with connection.transaction():
        for part in range(5):
            connection.insert("insert into entries (batch, part) values (?, ?)", [n, part])
        if n % 7 == 0:
            connection.delete("delete from entries where batch = ?", [n - 6])
    print(n, flush=True)  # only now may anybody rely on it
"""


@pytest.mark.slow
def test_a_writer_killed_at_random_points_loses_nothing_it_committed(tmp_path: Path):
    path = tmp_path / "entries.db"
    with Connection(str(path)) as connection:
        connection.statement("create table entries (id integer primary key, batch int, part int)")
        connection.statement("create index entries_batch on entries (batch)")
    dice = random.Random(7)

    for _ in range(KILLS):
        acknowledged = _write_and_kill(path, lines=dice.randrange(1, 60))

        with Connection(str(path)) as connection:
            assert connection.scalar("pragma integrity_check") == "ok"
            counts = dict(
                connection.select_tuples("select batch, count(*) from entries group by batch")
            )
        newest = max(counts)
        assert newest >= acknowledged  # one more may be committed but not yet said
        assert newest <= acknowledged + 1
        assert set(counts.values()) == {5}  # whole transactions only
        deleted = {n - 6 for n in range(7, newest + 1, 7)}
        assert set(counts) == set(range(1, newest + 1)) - deleted


def _write_and_kill(path: Path, lines: int) -> int:
    """Let the writer say *lines* numbers, kill it; the last number it said at all."""
    writer = subprocess.Popen(
        [sys.executable, "-c", _WRITER, str(path)], stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None
    said = [int(writer.stdout.readline()) for _ in range(lines)]
    writer.kill()
    said += [int(line) for line in writer.stdout.read().splitlines() if line]
    writer.stdout.close()
    writer.wait()
    return said[-1]
