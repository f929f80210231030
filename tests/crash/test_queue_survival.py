"""Jobs and surroundings that would take a worker with them: closed descriptors, forks, no crew."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from so.systems.worker import WorkerOptions
from so.systems.worker.crew import Crew
from tests.crash.queue_jobs import (
    ClosesEverything,
    Forks,
    HangsInFailed,
    Leaves,
    LeavesChild,
    Plain,
)
from tests.crash.queue_world import PATIENCE, ROOT, World, worlds
from tests.crash.test_queue_processes import gone


@pytest.fixture
def world(db_config: dict[str, Any], tmp_path: Path) -> Iterator[World]:
    yield from worlds(db_config, tmp_path)


@pytest.fixture
def sqlite_world(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[World]:
    """For what has nothing to do with the engine."""
    import shutil

    path = tmp_path / "queue.sqlite"
    shutil.copyfile(request.getfixturevalue("_sqlite_template"), path)
    yield from worlds({"driver": "sqlite", "database": str(path)}, tmp_path)


def test_a_job_whose_crew_was_killed_runs_on_and_does_not_start_again(world: World) -> None:
    world.queue.push(Leaves("orphan", 5.0))
    process = world.start(processes=1)
    world.until(lambda: world.effects("start%"))
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    world.start(processes=1)

    world.until_empty()

    assert world.effects() == ["start orphan", "end orphan"]


@pytest.mark.parametrize("processes", [0, 1])
def test_a_failed_that_hangs_holds_up_nobody_for_ever(world: World, processes: int) -> None:
    world.queue.push(HangsInFailed("x"))
    world.queue.push(Plain("next"))
    process = world.start(processes=processes)
    if processes == 0:  # there the guard ends the worker, and systemd starts another
        process.wait(PATIENCE)
        world.start(processes=0)

    world.until(lambda: world.effects("next"), "for the next job")

    assert world.queue.failed_jobs.count() == 1
    assert world.effects("failed%") == ["failed x"]


def test_a_failed_that_hangs_after_a_crash_holds_up_nobody_either(sqlite_world: World) -> None:
    world = sqlite_world
    world.queue.push(HangsInFailed("crash"))
    process = world.start(processes=1)

    world.until(lambda: "took its process down" in world.log)
    world.queue.push(Plain("next"))
    world.until(lambda: world.effects("next"), "for the next job")

    assert world.effects("failed%") == ["failed crash"]
    assert world.stop(process) == 0


@pytest.mark.parametrize("processes", [0, 2])
def test_the_process_that_forks_the_workers_has_no_threads(
    sqlite_world: World, processes: int
) -> None:
    world = sqlite_world
    world.queue.push(Plain("first"))
    process = world.start(processes=processes)
    world.until(lambda: world.effects("first"))

    assert len(os.listdir(f"/proc/{process.pid}/task")) == 1
    assert world.stop(process) == 0


@pytest.mark.parametrize("how", ["returns", "raises", "exits"])
def test_a_process_that_a_job_forks_is_no_second_worker(sqlite_world: World, how: str) -> None:
    world = sqlite_world
    world.queue.push(Forks(how))
    for number in range(20):
        world.queue.push(Plain(f"job {number}"))
    process = world.start(processes=1)

    world.until_empty()
    world.until(lambda: len(world.effects("job%")) == 20)

    rows = world.db.connection().select_tuples("select distinct pid from effects")
    assert len(rows) == 1
    assert world.queue.failed_jobs.count() == 0
    assert world.stop(process) == 0


@pytest.mark.parametrize("processes", [0, 1])
def test_18_nothing_that_a_late_job_started_survives_in_a_session_of_its_own(
    sqlite_world: World, processes: int
) -> None:
    world = sqlite_world
    world.queue.push(LeavesChild("x"))
    world.start(processes=processes)
    (child,) = world.until(lambda: world.effects("child%"))

    world.until(lambda: gone(int(child.split()[1])), "for the end of the job's child")

    world.until(lambda: world.queue.failed_jobs.count() == 1)
    assert world.effects("child%") == [child]


def test_a_job_that_closes_every_descriptor_costs_its_process_only(world: World) -> None:
    world.queue.push(ClosesEverything("x"))
    world.queue.push(Plain("next"))
    process = world.start(processes=1)

    world.until_empty()

    assert world.effects("next") == ["next"]
    assert "WorkerLost" in world.queue.failed()[0].reason
    assert world.stop(process) == 0


@pytest.mark.parametrize(
    "payload",
    [
        '{"uuid": "u-1", "job": "x", "chained": 5}',
        '{"uuid": "u-1", "job": "x", "maxTries": 1e999}',
        '{"uuid": "\\ud800", "job": "x"}',
        '{"uuid": "u-1", "job": "x", "displayName": "\\ud800"}',
    ],
)
def test_12_a_crew_outlives_what_a_hand_has_written(sqlite_world: World, payload: str) -> None:
    world = sqlite_world
    now = int(time.time())
    row = {"queue": "default", "payload": payload, "available_at": now, "created_at": now}
    world.db.table("jobs").insert(row)
    world.queue.push(Plain("next"))
    process = world.start(processes=1)

    world.until_empty()

    assert world.effects() == ["next"]
    assert world.queue.failed_jobs.count() == 1
    assert " died " not in world.log
    assert world.stop(process) == 0


def test_12_a_crew_writes_down_what_a_dead_process_held_whatever_it_is(
    sqlite_world: World,
) -> None:
    world = sqlite_world
    crew = Crew(world.queue, WorkerOptions())
    conn, now = world.db.connection(), int(time.time())
    for payload in ('{"uuid": "\\ud800", "job": "x"}', "nonsense", '{"job": "x", "chained": 5}'):
        row = {"queue": "default", "payload": payload, "available_at": now, "created_at": now}
        world.db.table("jobs").insert(row)
    rows = world.queue.store.claim(conn, "default", 3, "dead/1/", now, 15)

    for row_held in rows:
        row_held.crashes = 5
        crew._settle(conn, row_held, "crashed", "killed by a test")

    assert [failed.uuid for failed in world.queue.failed()] == ["job-3", "job-2", "job-1"]
    assert world.queue.size() == 0
    crew._finish_up()
    for link in (crew.supervisor._wake_in, crew.supervisor._wake_out, crew.supervisor._selector):
        link.close()


@pytest.mark.parametrize("stdout", ["closed pipe", "full disk", "closed"])
@pytest.mark.parametrize("processes", [0, 2])
def test_jobs_run_though_nobody_reads_what_the_worker_prints(
    sqlite_world: World, stdout: str, processes: int
) -> None:
    world = sqlite_world
    for number in range(5):
        world.queue.push(Plain(str(number)))
    order = {
        "database": world.config,
        "wake_folder": str(world.folder / "bells"),
        "options": {"processes": processes, "stop_when_empty": True},
    }
    command = [sys.executable, "-m", "tests.crash.queue_process", json.dumps(order), "silent"]
    if stdout == "closed":
        command = ["sh", "-c", 'exec "$@" >&-', "sh", *command]
    reader, writer = os.pipe()
    os.close(reader)
    with open("/dev/full", "wb") as full, open(world.folder / "log", "ab") as log:
        where = full if stdout == "full disk" else writer
        code = subprocess.run(
            command, cwd=ROOT, stdout=where, stderr=log, check=False, timeout=PATIENCE
        ).returncode
    os.close(writer)

    assert sorted(world.effects()) == list("01234"), world.log
    assert world.queue.failed_jobs.count() == 0
    assert "what the worker prints is lost" in world.log
    assert " died " not in world.log
    assert code == 0


def test_a_job_that_kills_its_process_while_it_is_made_is_a_crash(sqlite_world: World) -> None:
    world = sqlite_world
    payload = '{"uuid": "u-1", "job": "tests.crash.queue_jobs.DiesAtOnce", "data": {}}'
    now = int(time.time())
    row = {"queue": "default", "payload": payload, "available_at": now, "created_at": now}
    world.db.table("jobs").insert(row)
    process = world.start(processes=1)

    world.until_empty()

    assert "killed by signal 9" in world.queue.failed()[0].reason
    assert world.stop(process) == 0
