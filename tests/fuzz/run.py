"""Random builder chains on SQLite and MariaDB: `python -m tests.fuzz.run 100000 [seed]`.

Stops at the first chain on which the engines disagree, and prints the seed that makes it again.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from uuid import uuid4

from so.db.connection import Connection
from tests.fuzz.chains import Maker
from tests.fuzz.engines import Difference, check, fill, prepare
from tests.support.mariadb import find_or_start

CHAINS_A_WORLD = 50


def compare(connections: list[Connection], count: int, seed: int) -> None:
    """Check *count* chains, the first made from *seed*, new rows in the tables now and then."""
    for number in range(seed, seed + count):
        if (number - seed) % CHAINS_A_WORLD == 0:
            world = number
            fill(connections, world)
        chain = Maker(number * 7919 + 1).chain()
        try:
            check(connections, chain)
        except Difference as difference:
            raise Difference(f"seed {number} on the rows of seed {world}: {difference}") from None


def main(arguments: list[str]) -> int:
    """Run as many chains as the first argument says; 1 if the engines disagree."""
    count = int(arguments[0]) if arguments else 2000
    seed = int(arguments[1]) if len(arguments) > 1 else time.time_ns() % 10**9
    server = find_or_start()
    name = f"so_fuzz_{uuid4().hex[:8]}"
    try:
        with Connection(server.config()) as outside:
            outside.statement(f"create database {name} collate utf8mb4_unicode_ci")
        with (
            tempfile.TemporaryDirectory() as folder,
            Connection(str(Path(folder) / "fuzz.sqlite")) as sqlite,
            Connection(server.config(name)) as mysql,
        ):
            for connection in (sqlite, mysql):
                prepare(connection)
            started = time.monotonic()
            compare([sqlite, mysql], count, seed)
            seconds = time.monotonic() - started
        print(f"{count} chains from seed {seed} agree ({seconds:.1f} s)")
        return 0
    except Difference as difference:
        print(difference, file=sys.stderr)
        return 1
    finally:
        with Connection(server.config()) as outside:
            outside.statement(f"drop database if exists {name}")
        server.stop()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
