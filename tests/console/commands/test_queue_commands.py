"""queue:* and schedule:*, as they are typed, in a small application on both engines."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from so.application import Application
from so.console.command import Command
from so.console.kernel import Kernel
from so.db.connection import Connection
from so.systems.queue import Queue
from tests.systems.queue.jobs import DIARY, Fails, Note, NoteAttempt

ROOT = Path(__file__).resolve().parents[3]
START = "import sys; from so.console.main import main; sys.exit(main())"
JOBS = """
from so import Job


class Touch(Job):
    def __init__(self, path: str) -> None:
        self.path = path

    def handle(self) -> None:
        open(self.path, "a").write("x")
"""
PLAN = """
from app.jobs import Touch


def define(schedule):
    schedule.job(Touch("recurring")).every_minute()
    schedule.command("queue:flush").daily_at("02:00").timezone("Europe/Berlin")
"""


@pytest.fixture
def app(tmp_path: Path, db_config: dict[str, Any]) -> Iterator[Application]:
    """An application with one module of jobs and a schedule."""
    DIARY.clear()
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "__init__.py").write_text("")
    (tmp_path / "app" / "jobs.py").write_text(JOBS)
    (tmp_path / "app" / "schedule.py").write_text(PLAN)
    settings = {
        "app": {"key": "k" * 40, "env": "testing", "providers": []},
        "database": {"default": "main", "connections": {"main": db_config}},
        "queue": {"wake_path": "bells", "tries": 1},
    }
    before, path = dict(sys.modules), list(sys.path)
    with Application(tmp_path, settings) as found:
        yield found
    sys.path[:] = path
    for name in set(sys.modules) - set(before):
        if name == "app" or name.startswith("app."):
            del sys.modules[name]


@pytest.fixture
def queue(app: Application) -> Queue:
    found: Queue = app.make("queue")
    return found


@pytest.fixture
def kernel(app: Application) -> Kernel:
    return Kernel(app)


def run(kernel: Kernel, line: str, code: int = 0) -> str:
    assert kernel.call(line) == code, kernel.output()
    return kernel.output()


def wait_until(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in a minute"
        time.sleep(0.05)


def test_queue_work_as_the_feature_list_prints_it(queue: Queue, kernel: Kernel) -> None:
    Note.dispatch("a")

    text = run(kernel, "queue:work --sleep=3 --tries=3 --once")

    assert DIARY == ["a"]
    assert "Note default attempt 1 RUNNING" in text
    assert "DONE" in text
    run(kernel, "queue:work --queue=high-priority --once")
    run(kernel, "queue:work --stop-when-empty --workers=0 --json")


def test_queue_work_serves_queues_by_rank_and_takes_limits(queue: Queue, kernel: Kernel) -> None:
    for name in ("low", "high", "other"):
        queue.push(Note(name), name)
    queue.push(Fails(), "high")

    run(
        kernel,
        "queue:work --queue=high,low --workers=0 --stop-when-empty --tries=1 --timeout=0 "
        "--backoff=1,2 --memory=0 --max-time=60 --max-jobs=9 --rest=0 -q",
    )

    assert DIARY[0] == "high"
    assert "other" not in DIARY
    assert "low" in DIARY


@pytest.mark.parametrize(
    "options",
    ["--workers=many", "--sleep=-1", "--backoff=soon", "--timeout=x", "--sleep=nan", "--rest=inf"],
)
def test_queue_work_refuses_what_is_no_number(kernel: Kernel, options: str) -> None:
    assert re.search("is no (whole )?number", run(kernel, f"queue:work --once {options}", 2))


def test_queue_work_says_what_does_not_fit(app: Application, kernel: Kernel) -> None:
    app.config.set("queue.lease_seconds", 1)

    assert "lease_seconds is 1" in run(kernel, "queue:work --once", 1)


def test_failed_jobs_are_listed_retried_forgotten_flushed(queue: Queue, kernel: Kernel) -> None:
    assert "No failed jobs" in run(kernel, "queue:failed")
    for text in ("a", "b", "c"):
        job = Fails(text)
        job.tries = 1
        queue.push(job)
    run(kernel, "queue:work --workers=0 --memory=0 --stop-when-empty")

    assert "ValueError: c" in run(kernel, "queue:failed")
    listed = json.loads(run(kernel, "queue:failed --json --queue=default"))
    assert [item["reason"] for item in listed] == [
        "ValueError: c",
        "ValueError: b",
        "ValueError: a",
    ]
    (group,) = json.loads(run(kernel, "queue:failed --groups --json"))
    assert group["count"] == 3
    assert group["fingerprint"] in run(kernel, "queue:failed --groups")

    assert "1 failed job(s) put back" in run(kernel, f"queue:retry {listed[0]['uuid']}")
    assert "1 failed job(s) put back" in run(
        kernel, f"queue:retry --range={listed[1]['id']}-{listed[1]['id']}"
    )
    assert "deleted" in run(kernel, f"queue:forget {listed[2]['id']}")
    run(kernel, "queue:forget unknown", 1)
    run(kernel, "queue:retry unknown", 1)
    run(kernel, "queue:retry", 2)
    run(kernel, "queue:retry --range=x", 2)
    run(kernel, "queue:work --workers=0 --memory=0 --stop-when-empty --tries=1")
    assert "2 failed job(s) put back" in run(kernel, "queue:retry all")
    run(kernel, "queue:work --workers=0 --memory=0 --stop-when-empty")
    assert "0 failed job(s) deleted" in run(kernel, "queue:flush --hours=1")
    assert "0 failed job(s) deleted" in run(kernel, "queue:prune-failed --hours=1")
    assert "2 failed job(s) put back" in run(kernel, "queue:retry --queue=default")
    assert "0 failed job(s) put back" in run(kernel, f"queue:retry --group={group['fingerprint']}")
    assert "0 failed job(s) deleted" in run(kernel, "queue:flush")


def failing(name: str, queue: str = "default") -> Fails:
    job = Fails(name)
    job.tries, job.queue = 1, queue
    return job


def work_off(kernel: Kernel) -> None:
    run(kernel, "queue:work --workers=0 --memory=0 --stop-when-empty --queue=default,low,high")


def test_all_is_narrowed_by_the_options_beside_it(queue: Queue, kernel: Kernel) -> None:
    for name in ("low", "high", "low", "high", "high"):
        queue.push(failing(name, name))
    work_off(kernel)
    ids = [failed.id for failed in queue.failed()]

    run(kernel, f"queue:retry all {ids[0]}", 2)
    run(kernel, f"queue:retry {ids[0]} --queue=low", 2)
    run(kernel, "queue:retry all --queue=low --range=x", 2)
    assert queue.failed_jobs.count() == 5

    assert "0 failed" in run(kernel, "queue:retry all --queue=other")
    assert "2 failed" in run(kernel, "queue:retry all --queue=low")
    assert queue.size("high") == 0
    assert "1 failed" in run(kernel, f"queue:retry --queue=high --range=1-{ids[2]}")
    assert "2 failed" in run(kernel, "queue:retry all")


def test_the_json_of_failed_jobs_holds_all_there_is_of_each(
    queue: Queue, kernel: Kernel, db_config: dict[str, Any]
) -> None:
    assert json.loads(run(kernel, "queue:failed --json")) == []
    queue.source.connection().run(
        "insert into jobs (queue, payload, available_at, created_at) values (?, ?, 0, 0)",
        ("default", "{no json"),
    )
    queue.bulk([failing(str(number)) for number in range(60)])
    work_off(kernel)

    found = json.loads(run(kernel, "queue:failed --json"))
    assert len(found) == 61
    (unreadable,) = [item for item in found if isinstance(item["payload"], str)]
    assert unreadable["payload"] == "{no json"
    (last,) = [i for i in found if i is not unreadable and i["payload"]["data"]["text"] == "59"]
    assert "Traceback" in last["exception"]
    assert "ValueError: 59" in last["exception"]
    assert [item["id"] for item in found] == sorted((i["id"] for i in found), reverse=True)
    assert len(json.loads(run(kernel, "queue:failed --json --limit=21"))) == 21
    assert len(json.loads(run(kernel, "queue:failed --json --queue=low"))) == 0
    assert run(kernel, "queue:failed").count("ValueError") == 50


@pytest.mark.parametrize("hours", ["-1", "1.5", "x", "", "inf"])
@pytest.mark.parametrize("command", ["queue:flush", "queue:prune-failed", "queue:prune-batches"])
def test_hours_that_are_no_whole_number_delete_nothing(
    queue: Queue, kernel: Kernel, command: str, hours: str
) -> None:
    queue.batch([failing("a")]).allow_failures().dispatch()
    work_off(kernel)

    assert "--hours=" in run(kernel, f"{command} --hours={hours}", 2)
    assert queue.failed_jobs.count() == 1
    assert queue.source.table("job_batches").count() == 1


def test_no_hours_at_all_are_every_failure_and_every_finished_batch(
    app: Application, queue: Queue, kernel: Kernel
) -> None:
    queue.batch([failing("a")]).allow_failures().dispatch()
    queue.batch([Note("b")]).dispatch()
    queue.batch([failing("c", "later")]).dispatch()
    work_off(kernel)
    app.config.set("queue.prune_failed_hours", 0)
    app.config.set("queue.prune_batches_hours", 0)

    assert "are kept" in run(kernel, "queue:prune-failed")
    assert "0 batch(es)" in run(kernel, "queue:prune-batches")
    assert "0 failed" in run(kernel, "queue:prune-failed --hours=99999999999")
    assert "1 failed job(s) deleted" in run(kernel, "queue:prune-failed --hours=0")
    assert "2 batch(es) deleted" in run(kernel, "queue:prune-batches --hours=0")
    assert "1 batch(es) deleted" in run(kernel, "queue:prune-batches --unfinished=0")


def test_a_connection_is_known_or_refused(queue: Queue, kernel: Kernel) -> None:
    queue.push(Note("a"))
    queue.push(Note("b"))

    for line in ("queue:work redis --once", "queue:clear redis --force", "queue:clear sync"):
        text = run(kernel, line, 2)
        assert "there is no queue connection" in text
        assert "give database" in text
    assert queue.size() == 2
    run(kernel, "queue:work database --once --workers=0")
    assert DIARY == ["a"]
    assert "1 job(s)" in run(kernel, "queue:clear database --force")


def test_a_list_without_a_name_is_no_list(queue: Queue, kernel: Kernel) -> None:
    queue.push(Note("a"))

    for line in (
        "queue:clear --queue= --force",
        "queue:clear --queue=, --force",
        "queue:monitor ,",
    ):
        assert "names no queue" in run(kernel, line, 2)
    run(kernel, "queue:clear --queue=low,, --force")
    assert queue.size() == 1


def test_batches_are_retried_and_pruned(app: Application, queue: Queue, kernel: Kernel) -> None:
    job = Fails()
    job.tries = 1
    found = queue.batch([job]).name("Import").dispatch()
    run(kernel, "queue:work --workers=0 --memory=0 --stop-when-empty")

    assert "1 failed job(s) of batch" in run(kernel, f"queue:retry-batch {found.id}")
    assert "There is no batch x" in run(kernel, "queue:retry-batch x", 1)
    run(kernel, "queue:work --workers=0 --memory=0 --stop-when-empty")
    app.clock.travel(7200)
    assert "1 batch(es) deleted" in run(kernel, "queue:prune-batches --hours=1 --unfinished=1")


def test_waiting_jobs_are_cleared_and_cancelled(queue: Queue, kernel: Kernel) -> None:
    queue.push(Note("a"))
    queue.push(Note("b"), "low")
    job_id = queue.push(Note("c"), "other")

    text = run(kernel, "queue:clear --queue=default,low --force")
    assert "1 job(s) of the queue 'default'" in text
    assert "1 job(s) of the queue 'low'" in text
    assert "was waiting and is removed" in run(kernel, f"queue:cancel {job_id}")
    assert "There is no job" in run(kernel, "queue:cancel 4711 x", 1)


def test_a_running_job_is_asked_to_stop(queue: Queue, kernel: Kernel) -> None:
    from so.systems.worker import Worker

    job_id = queue.push(Note("a"))
    Worker(queue)._claim(1)

    assert "has been asked to stop" in run(kernel, f"queue:cancel {job_id}")


def test_the_monitor_alerts_above_its_maximum(queue: Queue, kernel: Kernel) -> None:
    queue.bulk([Note("a"), Note("b")])

    assert "OK" in run(kernel, "queue:monitor default,low --max=2")
    assert "ALERT" in run(kernel, "queue:monitor default --max=1", 1)
    (found,) = json.loads(run(kernel, "queue:monitor default --max=1 --json", 1))
    assert found == {"queue": "default", "size": 2, "ok": False}


def test_the_status_shows_queues_workers_and_progress(
    app: Application, queue: Queue, kernel: Kernel
) -> None:
    from so.systems.queue import Job

    class Posts(Job):
        def handle(self) -> None:
            self.progress(1, 4, "Posting")
            DIARY.append((run(kernel, "queue:status"), run(kernel, "queue:status --json")))

    queue.control.beat(
        queue.source.connection(),
        {
            "id": "w1",
            "host": "erp1",
            "pid": 7,
            "queues": ["default"],
            "processes": 2,
            "state": "running",
            "generation": 0,
            "done": 0,
            "failed": 0,
            "started_at": int(app.clock.time()),
            "current": [{"id": 1, "job": "Posts", "queue": "default", "seconds": 2}],
        },
    )
    queue.push(Posts())
    run(kernel, "queue:work --workers=0 --once")

    text, plain = DIARY[0]
    status = json.loads(plain)
    assert "25 % Posting" in text
    assert "erp1" in text
    assert status["queues"][0]["name"] == "default"
    assert status["workers"][0]["id"] == "w1"
    assert status["progress"][0]["percent"] == 25
    assert status["failed"] == 0
    assert "so_queue_pending" in run(kernel, "queue:metrics")


def test_the_doctor_speaks_plainly(queue: Queue, kernel: Kernel) -> None:
    assert "good health" in run(kernel, "queue:doctor")
    queue.push(NoteAttempt())

    assert "unserved" in run(kernel, "queue:doctor", 1)
    (finding,) = json.loads(run(kernel, "queue:doctor --json", 1))
    assert finding["name"] == "unserved"


def test_pause_resume_and_restart(queue: Queue, kernel: Kernel) -> None:
    queue.push(Note("a"))
    assert "Paused: default" in run(kernel, "queue:pause default --for=60")
    assert "Paused: all queues" in run(kernel, "queue:pause")
    run(kernel, "queue:work --once --workers=0")
    assert DIARY == []
    run(kernel, "queue:pause --for=0", 2)
    assert "Going on: default" in run(kernel, "queue:resume default,low")
    assert "Going on: all queues" in run(kernel, "queue:resume")
    assert "nothing was paused" in run(kernel, "queue:resume")
    run(kernel, "queue:work --once --workers=0")
    assert DIARY == ["a"]
    assert "ends after its job" in run(kernel, "queue:restart")


def test_the_schedule_is_listed_and_run(app: Application, queue: Queue, kernel: Kernel) -> None:
    assert "0 2 * * *" in run(kernel, "schedule:list")
    rows = json.loads(run(kernel, "schedule:list --json"))
    assert [row["kind"] for row in rows] == ["job", "command"]

    assert "queued app.jobs.Touch" in run(kernel, "schedule:run")
    assert queue.size() == 1
    run(kernel, "schedule:run")
    assert queue.size() == 1


def test_schedule_is_the_one_of_the_application(
    app: Application, queue: Queue, kernel: Kernel
) -> None:
    from so import schedule

    task = schedule().job(Note("a")).daily_at("02:00")

    assert schedule() is app.make("queue").schedule
    assert task.next_run(datetime(2026, 1, 15, 12, tzinfo=UTC)) == datetime(
        2026, 1, 16, 2, tzinfo=UTC
    )
    # What a provider has said stands beside what app/schedule.py says.
    rows = json.loads(run(kernel, "schedule:list --json"))
    assert [row["task"] for row in rows] == [Note.alias, "app.jobs.Touch", "queue:flush"]
    run(kernel, "schedule:list")
    assert len(schedule().tasks) == 3


def test_the_schedule_keeps_the_configured_time_zone(app: Application) -> None:
    from so import schedule

    app.config.set("queue.timezone", "Europe/Berlin")

    assert schedule().zone.key == "Europe/Berlin"


def test_a_schedule_with_a_broken_task_says_which_and_runs_the_rest(
    app: Application, queue: Queue, kernel: Kernel, caplog: pytest.LogCaptureFixture
) -> None:
    def broken_factory() -> None:
        raise ValueError("no month yet")

    queue.schedule.job(broken_factory).every_minute()  # type: ignore[arg-type]
    queue.schedule.job(Note("a")).cron("0 0 31 2 *")

    text = run(kernel, "schedule:run", 1)
    assert re.search(r"broken_factory \(.+:\d+\): FAILED", text)  # it has no name of its own
    assert "queued app.jobs.Touch" in text
    assert "no month yet" in caplog.text
    assert "never" in run(kernel, "schedule:list")


def test_a_scheduled_command_runs_and_a_failing_one_is_told(
    app: Application, queue: Queue, kernel: Kernel
) -> None:
    schedule = queue.schedule
    schedule.command("queue:flush").every_minute()
    schedule.command("queue:forget nothing").every_minute()

    text = run(kernel, "schedule:run", 1)
    assert "ran queue:flush" in text
    assert "queue:forget nothing: FAILED" in text


@pytest.mark.parametrize(
    "line",
    [
        "queue:work", "queue:work --once", "queue:pause", "queue:restart", "queue:status",
        "queue:doctor",
    ],
)  # fmt: skip
def test_what_lacks_the_tables_says_how_to_make_them(
    queue: Queue, kernel: Kernel, line: str
) -> None:
    conn = queue.source.connection()
    conn.statement("alter table queue_control rename to away")
    try:
        text = run(kernel, line, 1)
    finally:
        conn.statement("alter table away rename to queue_control")

    assert "queue_control" in text
    assert "run `bin/sixorbit db:install`" in text.lower()


def test_a_table_of_the_application_is_not_said_to_be_the_frameworks(
    app: Application, kernel: Kernel
) -> None:
    class Sums(Command):
        signature = "sums"

        def handle(self) -> None:
            self.app.make("db").select("select * from invoices")

    kernel.register(Sums)
    text = run(kernel, "sums", 1)
    assert "invoices" in text
    assert "db:install" not in text


def test_a_schedule_without_its_tables_says_how_to_make_them(queue: Queue, kernel: Kernel) -> None:
    conn = queue.source.connection()
    conn.statement("alter table queue_schedule_runs rename to away")
    try:
        for line in ("schedule:run", "schedule:work"):
            assert "Run `bin/sixorbit db:install`" in run(kernel, line, 1)
    finally:
        conn.statement("alter table away rename to queue_schedule_runs")


@pytest.mark.parametrize("workers", [0, 1])
def test_a_worker_whose_sqlite_file_was_replaced_says_so_and_ends(
    tmp_path: Path, workers: int
) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "app.py").write_text(f"config = {{'key': '{'k' * 40}'}}")
    (tmp_path / "config" / "queue.py").write_text("config = {'wake_path': 'bells'}")
    file = tmp_path / "erp.sqlite"
    (tmp_path / "config" / "database.py").write_text(
        "config = {'default': 'main', 'connections': "
        f"{{'main': {{'driver': 'sqlite', 'database': {str(file)!r}}}}}}}"
    )
    command = [sys.executable, "-c", START]
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "SIXORBIT_BASE": str(tmp_path)}
    subprocess.run([*command, "db:install"], env=environ, check=True, capture_output=True)
    process = subprocess.Popen(
        [*command, "queue:work", f"--workers={workers}"],
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        with Connection(str(file)) as conn:
            wait_until(lambda: conn.select("select 1 from queue_workers"))
        for part in tmp_path.glob("erp.sqlite*"):
            part.unlink()
        subprocess.run([*command, "db:install"], env=environ, check=True, capture_output=True)
        text = process.communicate(timeout=30)[0].decode()
    finally:
        process.kill()

    assert process.returncode == 0, text
    assert f"{file} was replaced by another file" in text


def test_the_doctor_knows_the_frameworks_own_jobs(app: Application) -> None:
    """In a process of its own, as the class is in the register of this one."""
    script = """
import sys
from pathlib import Path
from so import Application
from so.console.kernel import Kernel
settings = eval(sys.argv[2])
with Application(Path(sys.argv[1]), settings) as app:
    conn = app.make("db").connection()
    job = '{"job": "so.edge.delivery.DeliverNotification", "uuid": "u", "data": {}}'
    conn.run(
        "insert into jobs (queue, payload, available_at, created_at) "
        "values ('default', ?, 4000000000, 0)",
        (job,),
    )
    kernel = Kernel(app)
    kernel.call("queue:doctor")
    print(kernel.output())
"""
    settings = {key: app.config.get(key) for key in ("app", "database", "queue")}
    done = subprocess.run(
        [sys.executable, "-c", script, str(app.base_path("")), repr(settings)],
        capture_output=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert b"good health" in done.stdout, done


def test_a_whole_worker_runs_the_jobs_of_the_application(
    app: Application, queue: Queue, kernel: Kernel, tmp_path: Path, db_config: dict[str, Any]
) -> None:
    """`queue:work` and `schedule:work` as processes, in an application of their own."""
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "database.py").write_text(
        f"config = {{'default': 'main', 'connections': {{'main': {db_config!r}}}}}"
    )
    (tmp_path / "config" / "queue.py").write_text("config = {'wake_path': 'bells'}")
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "SIXORBIT_BASE": str(tmp_path)}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", START, *words],
            cwd=tmp_path,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        for words in (["queue:work", "--sleep=3", "--tries=3"], ["schedule:work"])
    ]
    try:
        wait_until((tmp_path / "recurring").exists)
        assert "good health" in run(kernel, "queue:doctor")
    finally:
        texts = []
        for process in processes:
            process.send_signal(signal.SIGTERM)
            texts.append(process.communicate(timeout=60)[0].decode())
    assert [process.returncode for process in processes] == [0, 0], texts
    assert "app.jobs.Touch default attempt 1 DONE" in texts[0]
