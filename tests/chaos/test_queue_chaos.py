"""Chaos: jobs run while their processes are killed, stopped and replaced, and the server restarts.

Small in the normal run; `make chaos` (SIXORBIT_CHAOS=1) runs 20,000 jobs with 8 processes, and
kills the database as well. SIXORBIT_CHAOS_JOBS and SIXORBIT_CHAOS_SEED choose others.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from so.db.connection import Connection
from so.systems.queue import Job
from tests.conftest import install
from tests.crash.queue_jobs import Books, Tracked
from tests.crash.queue_world import ROOT, World, worlds
from tests.support.mariadb import MariaDB, ServerMissing, launch
from tests.support.needed import lacking

FULL = os.environ.get("SIXORBIT_CHAOS") == "1"
JOBS = int(os.environ.get("SIXORBIT_CHAOS_JOBS", "20000" if FULL else "400"))
SEED = int(os.environ.get("SIXORBIT_CHAOS_SEED", "7"))
PROCESSES = 4 if FULL else 2
EVENTS = 1_000_000 if FULL else 8
PAUSE = (0.2, 1.5) if FULL else (0.02, 0.15)
PATIENCE = 1800 if FULL else 120


class Chaos:
    """Two crews, and a hand that does them harm."""

    def __init__(self, world: World, server: MariaDB | None) -> None:
        self.world = world
        self.server = server
        self.dice = random.Random(SEED)
        self.crews = [self.crew(), self.crew()]
        self.done: Counter[str] = Counter()

    def crew(self) -> subprocess.Popen[bytes]:
        return self.world.start(processes=PROCESSES)

    def harm(self) -> None:
        """One evil thing."""
        deeds: list[tuple[int, Callable[[], None]]] = [
            (10, self.kill_child),
            (4, self.stop_child),
            (3, self.kill_crew),
            (2, self.roll),
        ]
        if self.server is not None:
            deeds.append((1, self.kill_server))
        weights = [weight for weight, _ in deeds]
        deed = self.dice.choices([fn for _, fn in deeds], weights)[0]
        self.done[deed.__name__] += 1
        deed()

    def child(self) -> int | None:
        children = [pid for crew in self.crews for pid in self.world.children(crew)]
        return self.dice.choice(children) if children else None

    def kill_child(self) -> None:
        self.signal(self.child(), signal.SIGKILL)

    def stop_child(self) -> None:
        pid = self.child()
        self.signal(pid, signal.SIGSTOP)
        wake = threading.Timer(self.dice.uniform(0.1, 4.0), self.signal, (pid, signal.SIGCONT))
        wake.daemon = True
        wake.start()

    def kill_crew(self) -> None:
        number = self.dice.randrange(2)
        crew = self.crews[number]
        for pid in [crew.pid, *self.world.children(crew)]:
            self.signal(pid, signal.SIGKILL)
        crew.wait()
        self.crews[number] = self.crew()

    def roll(self) -> None:
        self.signal(self.dice.choice(self.crews).pid, signal.SIGHUP)

    def kill_server(self) -> None:
        assert self.server is not None
        self.server.kill()
        self.world.db.close()
        time.sleep(self.dice.uniform(0, 1))
        self.server.start()

    @staticmethod
    def signal(pid: int | None, number: int) -> None:
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)


@pytest.fixture
def server(engine: str) -> Iterator[MariaDB | None]:
    """A server of our own where it is to be killed."""
    if engine == "sqlite" or not FULL:
        yield None
        return
    try:
        # what was committed must survive the kill, else the loss is the server's
        found = launch("--innodb-flush-log-at-trx-commit=1")
    except ServerMissing as missing:
        lacking(str(missing))
    yield found
    found.stop()


@pytest.fixture
def world(
    server: MariaDB | None, request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[World]:
    if server is None:
        yield from worlds(request.getfixturevalue("db_config"), tmp_path)
        return
    with Connection(server.config()) as conn:
        conn.statement("create database chaos collate utf8mb4_unicode_ci")
    with Connection(server.config("chaos")) as conn:
        install(conn)
    yield from worlds(server.config("chaos"), tmp_path)


def test_nothing_is_lost_and_transactional_effects_happen_once(
    world: World, server: MariaDB | None
) -> None:
    jobs: list[Job] = [(Books if n % 2 else Tracked)(str(n)) for n in range(JOBS)]
    begun = time.monotonic()
    chaos = Chaos(world, server)
    for start in range(0, JOBS, 100):
        world.queue.bulk(jobs[start : start + 100])
        if sum(chaos.done.values()) < EVENTS:
            time.sleep(chaos.dice.uniform(*PAUSE))
            chaos.harm()
    while sum(chaos.done.values()) < EVENTS and world.queue.size() > 0:
        time.sleep(chaos.dice.uniform(*PAUSE))
        chaos.harm()
        assert time.monotonic() - begun < PATIENCE
    deadline = time.monotonic() + PATIENCE
    while world.queue.size() > 0:
        assert time.monotonic() < deadline, world.log[-5000:]
        time.sleep(0.1)
    for crew in chaos.crews:
        world.stop(crew)
    report(world, chaos, time.monotonic() - begun)


def test_25_retrying_and_listing_many_failures_takes_bounded_memory(world: World) -> None:
    count = 300_000 if FULL else 3_000
    conn = world.db.connection()
    payload = '{"job": "tests.crash.queue_jobs.Plain", "data": {"mark": "x"}}'
    values = ", ".join(["(?, 'database', 'default', ?, 'E: x', ?)"] * 500)
    for start in range(0, count, 500):
        conn.run(
            "insert into failed_jobs (uuid, connection, queue, payload, exception, failed_at) "
            f"values {values}",
            [v for n in range(start, start + 500) for v in (f"u-{n}", payload, "2026-01-15")],
        )
    order = json.dumps(world.config)
    run = subprocess.run(
        [sys.executable, "-c", RETRY, order], cwd=ROOT, capture_output=True, text=True, timeout=1800
    )

    assert run.returncode == 0, run.stderr
    moved, megabytes = (int(part) for part in run.stdout.split())
    print(f"\n{world.queue.store.dialect}: {moved} failures put back within {megabytes} MB")
    assert moved == count == world.queue.size()
    assert megabytes < 128


RETRY = """
import json, re, sys
from pathlib import Path
from so.db.manager import Database
from so.systems.queue import Queue
queue = Queue(Database({"default": json.loads(sys.argv[1])}))
assert sum(1 for _ in queue.failed_jobs.each()) > 0
moved = queue.failed_jobs.retry_all().count
# Not ru_maxrss: it keeps the peak of the process that this one was forked from.
peak = re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())
print(moved, int(peak.group(1)) // 1024)
"""


def report(world: World, chaos: Chaos, seconds: float) -> None:
    plain: dict[str, list[str]] = {}
    booked: Counter[str] = Counter()
    for mark in world.effects():
        name, _, job_id = mark.partition(" ")
        if job_id:
            plain.setdefault(name, []).append(job_id)
        else:
            booked[name] += 1

    lost = [n for n in range(JOBS) if not (booked[str(n)] if n % 2 else plain.get(str(n)))]
    twice = [name for name, count in booked.items() if count != 1]
    repeated = {name: ids for name, ids in plain.items() if len(ids) > 1}
    explained = explained_ids(world.log)
    unexplained = {name: ids for name, ids in repeated.items() if ids[0] not in explained}
    print(
        f"\n{world.queue.store.dialect}: {JOBS} jobs in {seconds:.0f} s, {dict(chaos.done)}; "
        f"{len(lost)} lost, {len(twice)} transactional not once, "
        f"{len(repeated)} plain ones repeated, {len(unexplained)} of them unexplained"
    )
    assert lost == []
    assert twice == []
    assert world.queue.failed_jobs.count() == 0
    assert unexplained == {}


def explained_ids(log: str) -> set[str]:
    """Jobs that the log says were crashed, given back or taken over."""
    found = set(re.findall(r"crash: (?:the process of )?job (\d+)", log))
    found |= set(re.findall(r"^\S+ \S+ (\d+) .* RELEASED", log, re.MULTILINE))
    found |= set(re.findall(r"lease_lost: job (\d+)", log))
    for ids in re.findall(r"lease_lost: \d+ of the jobs ([\d, ]+)", log):
        found |= {part.strip() for part in ids.split(",")}
    return found


def test_the_log_explains_itself() -> None:
    lines: Any = (
        "x queue: crash: the process of job 1 (J) was killed by signal 9\n"
        "x queue: crash: job 2 runs again, 1 crash(es) so far\n"
        "2026-01-15 12:00:00 3 J default attempt 0 RELEASED its process was dismissed\n"
        "x queue: lease_lost: 1 of the jobs 4, 5 had been taken over by another worker\n"
    )

    assert explained_ids(lines) == {"1", "2", "3", "4", "5"}
