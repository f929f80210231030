"""Workers as they are in production: processes that are killed, stopped, hung, replaced.

The numbers in the names are the rows of the table of what breaks in other queues.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.crash.queue_jobs import (
    Books,
    Cancellable,
    Dies,
    Hangs,
    Leaks,
    Leaves,
    Plain,
    Refuses,
    ShowsSockets,
    leave_error,
)
from tests.crash.queue_world import World, worlds


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


def gone(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return True
    return state == "Z"


def test_01_a_job_longer_than_its_lease_starts_and_ends_once(world: World) -> None:
    world.queue.push(Leaves("long", 4.5))
    world.start(processes=4)

    world.until_empty()

    assert world.effects() == ["start long", "end long"]


def test_03_a_stopped_worker_that_wakes_after_its_lease_changes_nothing(world: World) -> None:
    batch = world.queue.batch([Leaves("job", 1.0)]).dispatch()
    stopped = world.start(processes=0)
    world.until(lambda: world.effects("start%"))
    os.kill(stopped.pid, signal.SIGSTOP)
    world.start(processes=1)
    world.until_empty()
    os.kill(stopped.pid, signal.SIGCONT)
    world.until(lambda: "lease_lost" in world.log, "for the lost lease")

    after = batch.fresh()
    assert after is not None
    assert (after.pending_jobs, after.failed_jobs) == (0, 0)
    assert world.queue.size() == world.queue.failed_jobs.count() == 0


def test_04_many_workers_and_jobs_lose_nothing_and_run_nothing_twice(world: World) -> None:
    count = 10_000 if os.environ.get("SIXORBIT_CHAOS") == "1" else 600
    world.queue.bulk(Plain(str(n)) for n in range(count))
    world.start(processes=8, quiet=True)
    world.start(processes=8, quiet=True) if count > 600 else None
    world.queue.bulk(Plain(str(n)) for n in range(count, count + 100))

    world.until_empty()

    world.until(lambda: len(world.effects()) == count + 100)
    assert sorted(world.effects(), key=int) == [str(n) for n in range(count + 100)]
    assert world.queue.failed_jobs.count() == 0


def test_13_a_job_that_kills_its_process_fails_with_the_cause(world: World) -> None:
    world.queue.push(Dies("x"))
    world.queue.push(Leaves("next"))
    process = world.start(processes=1)

    world.until_empty()
    world.until(lambda: world.effects("failed%"))

    (failed,) = world.queue.failed()
    assert "killed by signal 9" in failed.reason
    assert world.effects("start dies") == ["start dies"] * 3
    assert world.effects("failed%") == ["failed x WorkerLost"]
    assert "end next" in world.effects()
    assert world.stop(process) == 0


def test_15_the_job_of_a_machine_that_died_runs_again_within_its_lease(world: World) -> None:
    world.queue.push(Leaves("job", 1.0))
    process = world.start(processes=1)
    world.until(lambda: world.effects("start%"))
    for pid in [process.pid, *world.children(process)]:
        os.kill(pid, signal.SIGKILL)
    process.wait()
    started = time.monotonic()
    world.start(processes=1)
    world.until(lambda: world.effects("end%"))

    assert time.monotonic() - started < 15
    assert world.effects("start%") == ["start job"] * 2
    assert world.queue.failed_jobs.count() == 0


def test_17_killed_children_are_replaced_and_delayed_jobs_still_start(world: World) -> None:
    process = world.start(processes=2)
    before = world.until(lambda: len(found := world.children(process)) == 2 and found)
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    world.queue.later(1, Leaves("late"))

    world.until(lambda: world.effects("end late"))
    assert len(world.until(lambda: len(f := world.children(process)) == 2 and f)) == 2
    assert world.stop(process) == 0


KINDS = ["sleep", "loop", "regex", "c_loop", "catching", "child", "socket"]


def test_18_nothing_that_hangs_survives_its_time(world: World, engine: str) -> None:
    kinds = [*KINDS, "lock"] if engine == "mysql" else KINDS
    for kind in kinds:
        world.queue.push(Hangs(kind))
    for number in range(4):
        world.queue.push(Leaves(f"next {number}"))
    process = world.start(processes=4)

    world.until(lambda: world.queue.failed_jobs.count() == len(kinds))
    world.until_empty()
    world.until(lambda: len(world.effects("failed%")) == len(kinds))

    failures = world.queue.failed()
    assert all(failed.reason.startswith("TimeoutExceeded") for failed in failures)
    assert sum("in by_" in f.exception or "by_" in f.exception for f in failures) >= len(kinds) - 1
    assert Counter(world.effects("failed%")) == Counter(
        f"failed {kind} TimeoutExceeded" for kind in kinds
    )
    assert len(world.effects("end next%")) == 4
    (child,) = world.effects("child%")
    assert world.until(lambda: gone(int(child.split()[1])))
    assert world.stop(process) == 0


@pytest.mark.parametrize("kind", ["loop", "c_loop", "catching"])
def test_18_nothing_that_hangs_survives_in_a_single_process_either(
    sqlite_world: World, kind: str
) -> None:
    world = sqlite_world
    world.queue.push(Hangs(kind))
    world.start(processes=0, once=True).wait(60)

    world.until(lambda: world.queue.failed_jobs.count() == 1)
    (failed,) = world.queue.failed()
    assert failed.reason.startswith("TimeoutExceeded")
    assert f"by_{kind}" in failed.exception
    world.until(lambda: world.effects("failed%"))


def test_19_no_alarm_reaches_the_next_job(sqlite_world: World) -> None:
    world = sqlite_world
    world.queue.bulk(Plain(str(n)) for n in range(1000))
    process = world.start(processes=2, quiet=True, stop_when_empty=True)
    world.until(world.effects)
    # As one does that was sent for the job before: while any of the others is running.
    deadline = time.monotonic() + 20
    while process.poll() is None and time.monotonic() < deadline:
        for (child,) in world.db.connection().select_tuples("select distinct pid from effects"):
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGALRM)

    assert sorted(map(int, world.effects())) == list(range(1000))
    assert world.queue.size() == world.queue.failed_jobs.count() == 0
    assert "TimeoutExceeded" not in world.log


def test_22_a_batch_is_exact_while_its_workers_are_killed(world: World) -> None:
    batch = (
        world.queue.batch([Books(str(n)) for n in range(300)])
        .then(Plain("then"))
        .finally_(Plain("finally"))
        .dispatch()
    )
    process = world.start(processes=4, quiet=True)
    for _ in range(6):
        children = world.until(lambda: len(f := world.children(process)) >= 3 and f)
        os.kill(children[0], signal.SIGKILL)
        time.sleep(0.05)
    world.until_empty()

    after = batch.fresh()
    assert after is not None
    assert (after.pending_jobs, after.failed_jobs, after.finished) == (0, 0, True)
    marks = Counter(world.effects())
    assert all(marks[str(n)] == 1 for n in range(300))
    assert (marks["then"], marks["finally"]) == (1, 1)


def test_a_function_beside_jobs_is_called_in_another_process(world: World) -> None:
    world.queue.chain([Refuses("no")]).catch(leave_error).dispatch()
    world.start(processes=1, stop_when_empty=True).wait(60)

    assert world.effects() == ["caught ValueError: no"]


def test_27_a_restart_ends_every_worker_after_its_job(world: World) -> None:
    processes = [world.start(processes=1), world.start(processes=0)]
    world.until(lambda: len(world.queue.control.workers()) == 2, "for two workers")
    world.queue.push(Leaves("job", 1.5))
    world.until(lambda: world.effects("start%"))
    world.queue.control.restart()

    assert [process.wait(60) for process in processes] == [0, 0]
    assert world.effects() == ["start job", "end job"]
    assert world.queue.control.workers() == []


def test_29_a_process_over_its_memory_is_replaced_and_loses_nothing(sqlite_world: World) -> None:
    world = sqlite_world
    for number in range(24):
        world.queue.push(Leaks(f"leak {number}"))
    process = world.start(processes=1, memory_mb=90)
    world.until_empty()

    rows = world.db.connection().select_tuples("select mark, pid from effects")
    assert len({mark for mark, _ in rows}) == len(rows) == 24
    assert len({pid for _, pid in rows}) > 1
    assert world.stop(process) == 0


def test_30_children_share_no_socket_of_the_database(world: World) -> None:
    for number in range(8):
        world.queue.push(ShowsSockets(f"job {number}"))
    process = world.start(processes=3, prefetch_jobs=1)
    world.until_empty()

    owners: dict[str, set[int]] = {}
    for mark, pid in world.db.connection().select_tuples("select mark, pid from effects"):
        owners.setdefault(str(mark).split(" ", 2)[2], set()).add(int(pid))
    port = str(world.config.get("port", ""))
    database_sockets = _sockets_to(port) if port else set()
    assert all(len(owners[name]) == 1 for name in owners if name in database_sockets)
    assert world.stop(process) == 0


def _sockets_to(port: str) -> set[str]:
    """Inodes of the TCP connections to a port of this machine."""
    wanted = f":{int(port):04X}"
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {f"socket:[{row[9]}]" for row in rows if row[2].endswith(wanted)}


def test_31_writers_and_workers_on_one_sqlite_file_do_not_lock_each_other_out(
    sqlite_world: World,
) -> None:
    world = sqlite_world
    world.start(processes=4, quiet=True)
    pids = []
    for number in range(4):
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                for n in range(100):
                    world.queue.push(Plain(f"{number}-{n}"))
                code = 0
            finally:
                os._exit(code)
        pids.append(pid)
    codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]

    assert codes == [0, 0, 0, 0]
    world.until(lambda: len(world.effects()) >= 400)
    world.until_empty()
    assert len(set(world.effects())) == len(world.effects()) == 400
    assert "locked" not in world.log


# --- signals --------------------------------------------------------------------------------------


@pytest.mark.parametrize("processes", [0, 2])
def test_a_stop_lets_the_running_job_end_and_takes_no_more(
    sqlite_world: World, processes: int
) -> None:
    world = sqlite_world
    for number in range(4):
        world.queue.push(Leaves(str(number), 1.0))
    process = world.start(processes=processes)
    world.until(lambda: len(world.effects("start%")) == max(1, processes))

    assert world.stop(process) == 0
    assert len(world.effects("end%")) == len(world.effects("start%")) == max(1, processes)
    rows = world.db.connection().select_tuples("select attempts, reserved_at from jobs")
    assert all(row == (0, None) for row in rows)


@pytest.mark.parametrize("processes", [0, 1])
def test_a_second_signal_gives_the_job_back(sqlite_world: World, processes: int) -> None:
    world = sqlite_world
    world.queue.push(Leaves("job", 30))
    process = world.start(processes=processes, stop_grace_seconds=60)
    world.until(lambda: world.effects("start%"))
    while process.poll() is None:
        process.send_signal(signal.SIGTERM)
        time.sleep(0.3)

    rows = world.db.connection().select_tuples("select attempts, reserved_at, crashes from jobs")
    assert rows == [(0, None, 0)]


def test_the_end_of_the_grace_gives_the_job_back(sqlite_world: World) -> None:
    world = sqlite_world
    world.queue.push(Leaves("job", 30))
    process = world.start(processes=1, stop_grace_seconds=0.3)
    world.until(lambda: world.effects("start%"))
    world.stop(process)

    rows = world.db.connection().select_tuples("select attempts, reserved_at, crashes from jobs")
    assert rows == [(0, None, 0)]


@pytest.mark.parametrize("processes", [0, 1])
def test_usr2_pauses_and_cont_continues(sqlite_world: World, processes: int) -> None:
    world = sqlite_world
    process = world.start(processes=processes, sleep_seconds=0.2)
    world.queue.push(Leaves("first"))
    world.until(lambda: world.effects("end first"))
    process.send_signal(signal.SIGUSR2)
    world.until(lambda: "paused by a signal" in world.log)
    world.queue.push(Leaves("second"))
    time.sleep(0.7)
    assert world.effects("%second") == []
    process.send_signal(signal.SIGCONT)

    world.until(lambda: world.effects("end second"))
    assert world.stop(process) == 0


def test_usr1_writes_the_stacks_of_running_jobs_to_the_log(sqlite_world: World) -> None:
    world = sqlite_world
    world.queue.push(Leaves("job", 2.0))
    process = world.start(processes=1)
    world.until(lambda: world.effects("start%"))
    process.send_signal(signal.SIGUSR1)

    world.until(lambda: "queue_jobs.py" in world.log, "for the stack")
    world.until(lambda: world.effects("end%"))
    assert world.stop(process) == 0


def test_hup_exchanges_the_children_and_loses_nothing(world: World) -> None:
    process = world.start(processes=2, quiet=True)
    before = world.until(lambda: len(found := world.children(process)) == 2 and found)
    for number in range(200):
        world.queue.push(Books(str(number)))
        if number in (50, 120):
            process.send_signal(signal.SIGHUP)
    world.until_empty()
    world.until(lambda: not set(before) & set(world.children(process)), "for new children")

    assert Counter(world.effects()) == Counter(str(n) for n in range(200))
    assert world.queue.failed_jobs.count() == 0
    assert world.stop(process) == 0


def test_a_running_job_is_cancelled_from_outside(world: World) -> None:
    job_id = world.queue.push(Cancellable("job"))
    process = world.start(processes=1)
    assert job_id is not None
    world.until(lambda: (p := world.queue.progress(job_id)) and p.done > 0, "for progress")
    assert world.queue.cancel(job_id) == "asked"
    world.until_empty()

    found = world.queue.progress(job_id)
    assert found is not None
    assert found.state == "cancelled"
    assert world.queue.failed_jobs.count() == 0
    assert world.stop(process) == 0


def test_workers_end_when_told_so_by_their_options(sqlite_world: World) -> None:
    world = sqlite_world
    world.queue.bulk(Leaves(str(n)) for n in range(6))

    assert world.start(processes=1, max_jobs=2).wait(60) == 0
    assert len(world.effects("end%")) == 2
    assert world.start(processes=0, once=True).wait(60) == 0
    assert len(world.effects("end%")) == 3
    assert world.start(processes=2, stop_when_empty=True).wait(60) == 0
    assert len(world.effects("end%")) == 6
    assert world.start(processes=1, max_seconds=0.5).wait(60) == 0
    assert world.start(processes=0, once=True).wait(60) == 0


def test_a_paused_queue_rests_until_it_is_resumed(sqlite_world: World) -> None:
    world = sqlite_world
    world.queue.control.pause("default")
    process = world.start(processes=1)
    world.queue.push(Leaves("job"))
    world.until(lambda: world.queue.control.workers())
    assert world.effects() == []
    world.queue.control.resume("default")

    world.until(lambda: world.effects("end%"))
    assert world.stop(process) == 0


@pytest.mark.parametrize("processes", [1, 0])
def test_a_job_that_is_under_way_for_long_shows_where_it_is(
    sqlite_world: World, processes: int
) -> None:
    world = sqlite_world
    job = Hangs("sleep")
    job.timeout = 60
    world.queue.push(job)
    world.start(processes=processes, stuck_seconds=0.2)

    def stack() -> Any:
        workers = world.queue.tables.workers.workers()
        return [one for worker in workers for one in worker.current if one.get("stack")]

    (doing,) = world.until(stack, "for a stack")
    assert "in by_sleep" in doing["stack"]
    (worker,) = world.queue.tables.workers.workers()
    assert (worker.memory_mb or 0) > 5
    assert (doing["job"], doing["queue"]) == ("tests.crash.queue_jobs.Hangs", "default")


@pytest.mark.parametrize("processes", [1, 0])
def test_a_worker_within_a_long_job_is_not_taken_for_dead(
    sqlite_world: World, processes: int
) -> None:
    world = sqlite_world
    job = Hangs("sleep")
    job.timeout = 60
    world.queue.push(job)
    world.start(processes=processes, stuck_seconds=0.2)
    (first,) = world.until(lambda: world.queue.control.workers(), "for a heartbeat")
    world.queue.source.connection().run("update queue_workers set beat_at = 1")

    world.until(lambda: world.queue.control.workers()[0].alive, "for another one")
    (same,) = world.queue.control.workers()
    assert same.id == first.id
