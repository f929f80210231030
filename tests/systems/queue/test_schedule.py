"""Recurring work: cron expressions, time zones, late runs, each due time once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from so.db.manager import Database
from so.errors import QueueError
from so.support.clock import Clock
from so.systems.queue import Job, Queue, Schedule, schedule
from so.systems.queue.cron import Cron
from so.systems.worker import Worker
from tests.systems.queue.jobs import DIARY, Note

BERLIN = ZoneInfo("Europe/Berlin")
LONDON = ZoneInfo("UTC")


def times(text: str, start: datetime, hours: float, zone: ZoneInfo = LONDON) -> list[str]:
    found = Cron.parse(text).between(start, start + timedelta(hours=hours), zone)
    return [f"{moment:%d %H:%M}" for moment in found]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0 * * * *", ["15 13:00", "15 14:00"]),
        ("*/40 12-13 * * *", ["15 12:40", "15 13:00", "15 13:40"]),
        ("5,50 13 * jan thu", ["15 13:05", "15 13:50"]),
        ("30/15 13 15 1 *", ["15 13:30", "15 13:45"]),
        ("0 13 1 * 4", ["15 13:00"]),
        ("0 13 15 * 1", ["15 13:00"]),
        ("0 13 * * 7", []),
        ("@hourly", ["15 13:00", "15 14:00"]),
    ],
)
def test_a_cron_expression_matches_its_minutes(text: str, expected: list[str]) -> None:
    assert times(text, datetime(2026, 1, 15, 12, tzinfo=UTC), 2) == expected


@pytest.mark.parametrize(
    "text", ["* * * *", "60 * * * *", "a * * * *", "*/0 * * * *", "5-1 * * * *", "* * * * 8"]
)
def test_a_bad_cron_expression_is_told(text: str) -> None:
    with pytest.raises(QueueError, match="cannot read the"):
        Cron.parse(text)


def test_the_hour_that_summer_time_leaves_out_is_made_up() -> None:
    start = datetime(2026, 3, 29, 0, 30, tzinfo=UTC)

    assert times("30 2 * * *", start, 2, BERLIN) == ["29 01:00"]
    assert times("30 * * * *", start - timedelta(minutes=1), 2, BERLIN) == ["29 00:30", "29 01:30"]


def test_the_hour_that_winter_time_repeats_counts_once() -> None:
    start = datetime(2026, 10, 24, 23, 0, tzinfo=UTC)

    assert times("30 2 * * *", start, 4, BERLIN) == ["25 00:30"]
    assert times("30 * * * *", start, 3, BERLIN) == ["24 23:30", "25 00:30", "25 01:30"]


def test_the_next_run_is_found_far_ahead_or_never() -> None:
    now = datetime(2026, 1, 15, 12, tzinfo=UTC)

    assert Cron.parse("0 0 29 2 *").next_after(now, LONDON) == datetime(2028, 2, 29, tzinfo=UTC)
    assert Cron.parse("0 0 31 2 *").next_after(now, LONDON) is None
    assert Cron.parse("0 2 * * *").next_after(now, BERLIN) == datetime(2026, 1, 16, 1, tzinfo=UTC)


def test_the_words_stand_for_expressions(queue: Queue) -> None:
    task = queue.schedule.job(Note("a"))
    found = [
        task.every_minute().cron_.text,
        task.every_minutes(5).cron_.text,
        task.hourly().cron_.text,
        task.daily().cron_.text,
        task.daily_at("02:30").cron_.text,
        task.daily_at("02:30").weekdays().cron_.text,
        task.daily_at("2").weekends().cron_.text,
        task.weekly().cron_.text,
        task.weekly_on("monday", "8:00").cron_.text,
        task.monthly().cron_.text,
        task.monthly_on(15, "6:15").cron_.text,
    ]

    assert found == [
        "* * * * *",
        "*/5 * * * *",
        "0 * * * *",
        "0 0 * * *",
        "30 2 * * *",
        "30 2 * * 1-5",
        "0 2 * * 0,6",
        "0 0 * * 0",
        "0 8 * * mon",
        "0 0 1 * *",
        "15 6 15 * *",
    ]


def test_a_due_job_is_queued_once_by_any_number_of_servers(
    queue: Queue, db: Database, clock: Clock
) -> None:
    servers = []
    for _ in range(3):
        server = Schedule(queue)
        server.job(Note("tick")).every_minute().on_queue("low")
        servers.append(server)

    started = []
    for minute in range(120):
        clock.travel(60)
        if minute not in (50, 51):
            started += [run.run_at for server in servers for run in server.run_due()]

    # the restart over two ticks is made up for by one run
    assert len(started) == len(set(started)) == 118
    assert queue.size("low") == 118


def test_32_missed_times_follow_the_policy_of_the_task(queue: Queue, clock: Clock) -> None:
    plan = queue.schedule
    plan.job(Note("skip")).hourly().name("skip").late("skip")
    plan.job(Note("once")).hourly().name("once").late("once", 7200)
    plan.job(Note("all")).hourly().name("all").late("all", 4 * 3600)
    plan.run_due()
    Worker(queue).run_all()
    DIARY.clear()

    clock.travel(3 * 3600 + 1800)
    plan.run_due()
    Worker(queue).run_all()
    assert sorted(DIARY) == ["all", "all", "all", "once"]

    DIARY.clear()
    clock.travel(1800)
    plan.run_due()
    Worker(queue).run_all()
    assert sorted(DIARY) == ["all", "once", "skip"]


def test_a_new_task_owes_nothing_but_the_present_minute(queue: Queue, clock: Clock) -> None:
    clock.travel(300)
    queue.schedule.job(Note("a")).hourly().late("all", 86_400)

    assert queue.schedule.run_due() == []


def test_a_server_that_is_behind_does_not_run_what_was_made_up_for(
    queue: Queue, clock: Clock
) -> None:
    task = queue.schedule.job(Note("a")).every_minute()
    now = clock.now()

    assert queue.schedule._win(task, now)
    assert not queue.schedule._win(task, now - timedelta(minutes=1))
    assert not queue.schedule._win(task, now)


def test_conditions_and_zones_are_honoured(queue: Queue, clock: Clock) -> None:
    plan = queue.schedule
    plan.job(Note("no")).every_minute().name("1").when(lambda: False)
    plan.job(Note("no")).every_minute().name("2").skip(lambda: True)
    plan.job(Note("berlin")).daily_at("13:00").timezone("Europe/Berlin")

    assert [run.task.label for run in plan.run_due()] == [Note.alias]
    with pytest.raises(QueueError, match="unknown time zone"):
        plan.job(Note("x")).timezone("Mars/Olympus")
    with pytest.raises(QueueError, match="unknown late policy"):
        plan.job(Note("x")).late("never")


def test_commands_and_functions_run_where_they_are_won(
    queue: Queue, caplog: pytest.LogCaptureFixture
) -> None:
    ran: list[list[str]] = []

    def breaks() -> None:
        raise ValueError("broken")

    def run_command(argv: list[str]) -> int:
        ran.append(argv)
        return 0

    plan = queue.schedule
    plan.command("activity:prune --days=365").every_minute()
    plan.call(lambda: ran.append(["called"])).every_minute()
    plan.call(breaks).every_minute()
    plan.run_command = run_command

    assert [run.ok for run in plan.run_due()] == [True, True, False]
    assert ran == [["activity:prune", "--days=365"], ["called"]]
    assert "broken" in caplog.text


def test_a_command_needs_a_console(queue: Queue, caplog: pytest.LogCaptureFixture) -> None:
    queue.schedule.command("cache:gc").every_minute()

    assert [run.ok for run in queue.schedule.run_due()] == [False]
    assert "schedule:run" in caplog.text


def test_a_job_may_be_made_afresh_each_time(queue: Queue, worker: Worker, clock: Clock) -> None:
    def make() -> Job:
        return Note(clock.now().minute)

    schedule().job(make).every_minute()
    for _ in range(2):
        queue.schedule.run_due()
        clock.travel(60)
    worker.run_all()

    assert DIARY == [0, 1]


def test_two_tasks_of_one_key_are_refused(queue: Queue) -> None:
    queue.schedule.job(Note("a")).hourly()
    queue.schedule.job(Note("b")).hourly()

    with pytest.raises(QueueError, match="two scheduled tasks have the key"):
        queue.schedule.run_due()


def test_old_runs_are_swept(queue: Queue, db: Database, clock: Clock) -> None:
    queue.schedule.job(Note("a")).every_minute()
    queue.schedule.run_due()
    clock.travel(timedelta(days=31))

    assert queue.schedule.sweep() == 1
    assert db.table("queue_schedule_runs").count() == 0
