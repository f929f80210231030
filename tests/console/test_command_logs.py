"""What workers, schedules and commands have to say stands in the log that LOG_CHANNEL names."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from so.db.connection import Connection
from tests.conftest import install

ROOT = Path(__file__).resolve().parents[2]
START = "import sys; from so.console.main import main; sys.exit(main())"
JOBS = """
import logging, os, signal
from so import Job, logger

class Breaks(Job):
    tries = 1
    def handle(self):
        logger().warning("about to break")
        raise ValueError("no such customer")
    def failed(self, error):
        logging.getLogger("so.app").error("sorry for it")

class Dies(Job):
    tries = 1
    on_crash = "fail"
    def handle(self):
        os.kill(os.getpid(), signal.SIGKILL)
"""
COMMANDS = """
from so import command
from so.errors import CommandError, QueueError

@command("boom")
def boom(self):
    raise RuntimeError("bolts are missing")

@command("refuses")
def refuses(self):
    raise CommandError("not on a Sunday")

@command("send {kind}")
def send(self, kind: str):
    import app.jobs.bad as jobs
    job = getattr(jobs, kind)()
    self.app.make("queue").push(job)
"""
SCHEDULE = """
def define(plan):
    plan.command("boom").every_minute()
    plan.call(broken).every_minute().name("broken")

def broken():
    raise KeyError("no such key")
"""


class Project:
    """An application in a folder, with a log of the channel that a test names."""

    def __init__(self, folder: Path, channel: str) -> None:
        self.folder = folder
        self.channel = channel
        self.environ = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "SIXORBIT_BASE": str(folder),
            "APP_KEY": "k" * 40,
            "APP_ENV": "production",
            "LOG_CHANNEL": channel,
        }
        (folder / "config").mkdir()
        for name, text in (("jobs/bad", JOBS), ("commands/bad", COMMANDS), ("schedule", SCHEDULE)):
            file = folder / "app" / f"{name}.py"
            file.parent.mkdir(parents=True, exist_ok=True)
            (file.parent / "__init__.py").touch()
            file.write_text(text)
        (folder / "app" / "__init__.py").touch()
        (folder / "storage").mkdir()
        self.database = folder / "storage" / "database.sqlite"
        with Connection(str(self.database)) as connection:
            install(connection)
        self.stderr = ""

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-c", START, *words],
            env=self.environ,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=60,
        )
        self.stderr = done.stderr
        return done

    @property
    def log(self) -> str:
        """All that stands in the log; for the channels of standard error, what was said last."""
        if self.channel in ("file", "daily"):
            files = (self.folder / "storage" / "logs").glob("so*.log")
            return "".join(file.read_text() for file in sorted(files))
        return self.stderr


@pytest.fixture(scope="module")
def sent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a database for each job, in which it waits: sent once, copied by all."""
    folder = tmp_path_factory.mktemp("sent")
    for kind in ("Breaks", "Dies"):
        (folder / kind).mkdir()
        project = Project(folder / kind, "file")
        project.run("send", kind)
        shutil.copyfile(project.database, folder / f"{kind}.sqlite")
    return folder


@pytest.fixture(params=["file", "daily", "stderr", "json", "null"])
def project(request: pytest.FixtureRequest, tmp_path: Path) -> Project:
    return Project(tmp_path, request.param)


def in_it_once(project: Project, *texts: str) -> None:
    """Each of *texts* stands in the log once, and nowhere else on standard error."""
    for text in texts:
        if project.channel != "null":
            assert project.log.count(text) == 1, (text, project.log)
        if project.channel not in ("stderr", "json"):
            assert text not in project.stderr


@pytest.mark.parametrize("workers", [0, 1])
def test_a_job_that_fails_stands_in_the_log_with_its_ids_and_traceback(
    project: Project, workers: int, sent: Path
) -> None:
    shutil.copyfile(sent / "Breaks.sqlite", project.database)
    project.run("queue:work", f"--workers={workers}", "--stop-when-empty")

    in_it_once(project, "about to break", "sorry for it", "app.jobs.bad.Breaks) failed")
    if project.channel == "null":
        assert project.stderr == ""
        return
    assert "raise ValueError(" in project.log
    lines = [line for line in project.log.splitlines() if '"job_id": 1' in line]
    assert len(lines) == 3
    with Connection(str(project.database)) as connection:
        uuid = connection.scalar("select uuid from failed_jobs")
    assert all(uuid in line for line in lines)


@pytest.mark.parametrize("project", ["file", "json"], indirect=True)
def test_a_process_that_dies_of_its_job_stands_in_the_log_with_the_ids_of_the_job(
    project: Project, sent: Path
) -> None:
    shutil.copyfile(sent / "Dies.sqlite", project.database)
    project.run("queue:work", "--workers=1", "--stop-when-empty")

    lines = [line for line in project.log.splitlines() if "killed by signal 9" in line]
    assert any('"job_id": 1' in line and '"uuid": "' in line for line in lines), project.log


def test_a_command_that_breaks_stands_in_the_log_with_its_traceback(project: Project) -> None:
    done = project.run("boom")

    assert done.returncode == 1
    if project.channel in ("stderr", "json"):
        in_it_once(project, "raise RuntimeError")
    else:
        assert "RuntimeError: bolts are missing" in done.stderr
        assert "Traceback" not in done.stderr
    if project.channel != "null":
        assert "Traceback" in project.log
        assert "RuntimeError: bolts are missing" in project.log
    project.run("refuses")
    assert project.stderr.count("not on a Sunday") == 1
    if project.channel == "file":
        assert "CommandError: not on a Sunday" in project.log


@pytest.mark.parametrize("project", ["file", "json", "null"], indirect=True)
def test_what_a_schedule_cannot_do_stands_in_the_log(project: Project) -> None:
    done = project.run("schedule:run")

    assert done.returncode == 1
    if project.channel == "null":
        assert "KeyError" not in done.stderr
        return
    for text in ("bolts are missing", "no such key", "'boom' ended with 1"):
        assert text in project.log


@pytest.mark.parametrize("project", ["file"], indirect=True)
def test_an_outage_stands_in_the_log_of_the_process_that_suffers_it(project: Project) -> None:
    project.database.unlink()
    project.database.mkdir()  # which is no database

    done = project.run("queue:work", "--workers=1", "--stop-when-empty")

    assert done.returncode == 1
    assert "LostConnectionError" in project.log


@pytest.fixture
def syslog(tmp_path: Path) -> Iterator[socket.socket]:
    """A socket that takes what is sent to syslog or journald."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "log.sock"))
        listener.settimeout(5)
        yield listener


def test_syslog_gets_what_a_worker_has_to_say(
    tmp_path: Path, syslog: socket.socket, sent: Path
) -> None:
    folder = tmp_path / "erp"
    folder.mkdir()
    project = Project(folder, "syslog")
    project.environ["LOG_SYSLOG_ADDRESS"] = str(tmp_path / "log.sock")
    shutil.copyfile(sent / "Breaks.sqlite", project.database)
    project.run("queue:work", "--workers=1", "--stop-when-empty")

    heard = ""
    while "Breaks) failed" not in heard:
        heard = syslog.recv(100_000).decode()
    assert '"job_id": 1' in heard
    assert "no such customer" in heard
    assert "no such customer" not in project.stderr
