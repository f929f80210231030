"""What goes wrong in earnest is red on the overview within half a minute, and says what to do."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from datetime import timedelta
from pathlib import Path

import pytest

from so import Job, activity, dispatch, queue
from so.settings.cache import CacheSettings
from so.systems.worker import Worker
from so.testing import Client
from so.web.console import health
from tests.crash.queue_world import World
from tests.web.console.conftest import seal

SOON = timedelta(seconds=25)


@pytest.fixture(autouse=True)
def _time_goes_on_again(erp):
    yield
    erp.clock.unfreeze()
    health.forget(erp)


def settings_of(app):
    return dict(app.config.get("database")["connections"]["main"])


@pytest.fixture
def world(erp, tmp_path):
    """Real worker processes beside the application."""
    found = World(settings_of(erp), tmp_path)
    yield found
    found.close()


def light(viewer, name):
    lights = viewer.get("/console?format=json").json()["lights"]
    (found,) = [one for one in lights if one["name"] == name]
    return found["state"], found["text"]


class Breaks(Job):
    tries = 1

    def handle(self) -> None:
        raise ValueError("no such customer")


def test_a_worker_that_was_killed(erp, viewer, world):
    process = world.start(processes=1)
    world.until(lambda: erp.db.table("queue_workers").exists(), "for a heartbeat")
    assert light(viewer, "Workers")[0] == "ok"

    for pid in [process.pid, *world.children(process)]:
        os.kill(pid, signal.SIGKILL)
    process.wait()
    erp.clock.travel(SOON)

    state, text = light(viewer, "Workers")
    assert state == "bad"
    assert f":{process.pid} was killed or hangs" in text
    assert "see the log of its service" in text


def test_a_queue_that_nobody_works_on(erp, viewer, world):
    world.start(processes=1)
    world.until(lambda: erp.db.table("queue_workers").exists(), "for a heartbeat")
    dispatch(Breaks()).on_queue("mails").send()
    erp.db.table("queue_workers").update({"beat_at": int(erp.clock.time()) + 25})
    erp.clock.travel(SOON)

    state, text = light(viewer, "Queue")

    assert state == "bad"
    assert "no worker takes the jobs of mails" in text
    assert "`bin/sixorbit queue:work --queue=mails`" in text


def test_a_job_that_fails(erp, viewer):
    dispatch(Breaks()).send()
    Worker(queue()).run_all()
    erp.clock.travel(SOON)

    state, text = light(viewer, "Failed jobs")

    assert state == "bad"
    assert "Breaks failed" in text
    assert "read why, mend it, try it again" in text


def test_a_lock_whose_holder_is_gone(erp, viewer, tmp_path):
    holder = """
        import os, sys
        from so.db.manager import Database
        from so.systems.cache.locks import DatabaseLocks
        import json
        config, prefix = json.loads(sys.argv[1]), sys.argv[2]
        locks = DatabaseLocks(Database({"default": config}))
        assert locks.acquire(f"{prefix}:stock-take", "import-7", 2**40)
        os.kill(os.getpid(), 9)
    """
    config = json.dumps(settings_of(erp))
    prefix = erp.settings(CacheSettings).prefix
    code = textwrap.dedent(holder)
    done = subprocess.run([sys.executable, "-c", code, config, prefix])
    assert done.returncode == -signal.SIGKILL
    erp.clock.travel(SOON)

    state, text = light(viewer, "Cache")

    assert state == "bad"
    assert "lock stock-take is held without an end" in text
    assert "by import-7" in text
    assert "release it" in text


def test_an_edited_row_of_the_trail(erp, viewer):
    for number in range(30):
        activity().log(f"paid {number}")
        seal(erp)
    assert light(viewer, "Audit")[0] == "ok"
    erp.db.table("activity_log").where("description", "paid 29").update({"description": "paid 1"})

    erp.clock.travel(SOON)

    state, text = light(viewer, "Audit")
    assert state == "bad"
    assert "run `bin/sixorbit activity:verify`" in text


def test_a_row_that_was_edited_before_it_was_sealed(erp, viewer):
    activity().log("paid 100")
    seal(erp)
    erp.db.table("activity_log").where("description", "paid 100").update({"seal_no": 0})

    state, text = light(viewer, "Audit")

    assert state == "bad"
    assert "may not be sealed" in text


@pytest.fixture
def tiny(tmp_path):
    """A disk of a megabyte."""
    place = tmp_path / "tiny"
    place.mkdir()
    mount = shutil.which("mount")
    made = mount and subprocess.run(
        [mount, "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)], capture_output=True
    )
    if not made or made.returncode:
        pytest.skip("NO DISK of our own can be made here: it takes the right to mount one")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_disk_that_is_full(tiny, make_erp):
    app = make_erp("local", abilities=False, app={
        "key": "k" * 40, "env": "local", "storage": str(tiny), "routes": [],
        "providers": ["so.web.console.ConsoleProvider"],
    })  # fmt: skip
    client = Client(app)
    assert light(client, "Disk")[0] == "ok"

    with pytest.raises(OSError, match="No space left"):
        (tiny / "log").write_bytes(b"x" * 2_000_000)

    state, text = light(client, "Disk")
    assert state == "bad"
    assert str(Path(tiny)) in text
    assert "make room, or writing stops" in text
