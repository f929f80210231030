"""What is wrong is red on the overview, with words that say what to do."""

from __future__ import annotations

import json
import re
import shutil
from collections import namedtuple

import pytest

from so import Job, activity, cache, dispatch, queue
from so.settings.console import ConsoleSettings
from so.systems.worker import Worker
from so.web.console.history import DAY, STEP, Day, History
from tests.web.console.conftest import seal


class Breaks(Job):
    tries = 1

    def handle(self) -> None:
        raise ValueError("no such customer")


class Fine(Job):
    def handle(self) -> None:
        pass


def light(viewer, name):
    lights = viewer.get("/console?format=json").json()["lights"]
    (found,) = [one for one in lights if one["name"] == name]
    return found["state"], found["text"]


def worker_row(now, beat_at):
    return {
        "id": "w1",
        "host": "erp1",
        "pid": 77,
        "queues": "default",
        "processes": 2,
        "state": "running",
        "started_at": now - 100,
        "beat_at": beat_at,
        "current": "[]",
    }


def test_a_killed_worker_is_red(erp, viewer):
    now = int(erp.clock.time())
    erp.db.table("queue_workers").insert(worker_row(now, now - 20))

    state, text = light(viewer, "Workers")

    assert state == "bad"
    assert "worker erp1:77 was killed or hangs" in text
    assert "journalctl" in text


def test_a_living_worker_is_green(erp, viewer):
    now = int(erp.clock.time())
    erp.db.table("queue_workers").insert(worker_row(now, now - 2))

    assert light(viewer, "Workers")[0] == "ok"


def test_jobs_without_any_worker_are_red(erp, viewer):
    dispatch(Fine()).send()

    state, text = light(viewer, "Workers")

    assert (state, "start `bin/sixorbit queue:work`" in text) == ("bad", True)


def test_a_stuck_queue_is_red_and_named(erp, viewer):
    dispatch(Fine()).on_queue("mails").send()
    erp.db.table("jobs").update({"available_at": int(erp.clock.time()) - 600})

    state, text = light(viewer, "Queue")

    assert state == "bad"
    assert "no worker takes the jobs of mails" in text
    assert "--queue=mails" in text


def test_a_paused_queue_is_said_but_not_red(erp, viewer):
    dispatch(Fine()).send()
    erp.db.table("jobs").update({"available_at": int(erp.clock.time()) - 600})
    queue().control.pause("default")

    assert light(viewer, "Queue")[0] == "warn"


def test_a_failed_job_is_red(erp, viewer):
    dispatch(Breaks()).send()
    Worker(queue()).run_all()

    state, text = light(viewer, "Failed jobs")

    assert (state, "Breaks failed" in text) == ("bad", True)


def test_a_lock_left_without_an_end_is_red_with_its_owner_and_its_age(erp, viewer):
    cache().lock("stock", owner="import-7").acquire()
    token = int((erp.clock.time() - 20) * 1_000_000)
    assert light(viewer, "Cache")[0] == "ok"  # who has just taken it is at work

    erp.db.table("cache_locks").update({"token": token})

    state, text = light(viewer, "Cache")
    assert state == "bad"
    assert re.search(r"lock stock is held without an end, for \d+ s by import-7", text)
    (lock,) = viewer.get("/console/cache?format=json").json()["locks"]
    assert (lock["owner"], lock["endless"]) == ("import-7", True)
    assert 15 < lock["held_seconds"] < 60


def test_an_edited_row_of_the_trail_is_red(erp, viewer):
    activity().log("paid 100")
    seal(erp)
    erp.db.table("activity_log").where("description", "paid 100").update({"description": "paid 1"})

    state, text = light(viewer, "Audit")

    assert state == "bad"
    assert "activity:verify" in text


def test_a_whole_trail_is_green(erp, viewer):
    activity().log("paid 100")
    seal(erp)

    assert light(viewer, "Audit")[0] == "ok", light(viewer, "Audit")


def test_a_full_disk_is_red(erp, viewer, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda place: usage(1000**4, 1000**4, 1000**3))

    state, text = light(viewer, "Disk")

    assert (state, "make room" in text) == ("bad", True)


def test_the_worst_light_is_the_state_of_all(erp, viewer):
    dispatch(Breaks()).send()
    Worker(queue()).run_all()

    assert viewer.get("/console?format=json").json()["state"] == "bad"


# --- history --------------------------------------------------------------------------------------


def test_a_minute_is_written_once_whoever_comes(erp):
    histories = [History(erp, erp.settings(ConsoleSettings)) for _ in range(3)]

    assert [history.write() for history in histories] == [True, False, False]


def test_history_is_bounded(make_erp):
    app = make_erp(console={"keep_minutes": 60})
    now = int(app.clock.time()) // 60
    rows = [{"minute": now - age, "figures": "{}"} for age in range(1, 200)]
    app.db.table("console_history").insert(rows)

    History(app, app.settings(ConsoleSettings)).write()

    assert app.db.table("console_history").min("minute") == now - 60


def test_a_worker_looks_through_old_seals_in_turn_and_an_edit_is_red(erp, viewer):
    for number in range(5):
        activity().log(f"paid {number}")
        seal(erp)
    erp.db.table("activity_log").where("description", "paid 0").update({"description": "paid 9"})

    History(erp, erp.settings(ConsoleSettings)).write()

    assert erp.db.table("activity_log").where("event", "tampered").exists()
    assert light(viewer, "Audit")[0] == "bad"


def test_a_worker_that_runs_anyway_writes_it(erp):
    Worker(queue()).run_one()
    queue().loop()

    (row,) = erp.db.table("console_history").get()
    assert "sessions" in json.loads(row.figures)


def test_rates_are_differences_and_gaps_stay_gaps():
    day = Day([{"done": 10}, {"done": 30}, None, {"done": 70}, {"done": 5}])

    assert day.rate("done") == [None, 2.0, None, 4.0, 0.0]


def test_a_quantile_is_the_edge_of_its_bucket():
    day = Day([{}, {"wait_0": 90, "wait_3": 9, "wait_5": 1}])

    assert day.quantile("wait", 0.5)[1] == 0.005
    assert day.quantile("wait", 0.95)[1] == 0.5
    assert day.quantile("wait", 1.0)[1] == 5.0


def test_a_share_of_nothing_is_unknown():
    assert Day([{}, {"hits": 0}]).share("hits", "misses") == [None, None]


@pytest.mark.parametrize("age", [0, STEP, DAY])
def test_the_day_reaches_from_now_to_a_day_ago(erp, age):
    now = int(erp.clock.time()) // 60
    erp.db.table("console_history").insert({"minute": now - age, "figures": '{"sessions": 7}'})

    level = History(erp, erp.settings(ConsoleSettings)).day().level("sessions")

    assert len(level) == DAY // STEP + 1
    assert [value for value in level if value is not None] == [7]
