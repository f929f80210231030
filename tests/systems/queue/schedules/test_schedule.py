"""Recurring work: cron expressions, time zones, late runs, each due time once."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from so import schedule
from so.db.manager import Database
from so.errors import QueueError
from so.support.clock import Clock
from so.systems.queue import Job, Queue, Schedule
from so.systems.queue.schedules.cron import Cron
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
        ("0 13 * * sat-sun", []),
        ("0 13 * * wed-sun", ["15 13:00"]),
        ("0 13 * * sun-thu", ["15 13:00"]),
        ("@hourly", ["15 13:00", "15 14:00"]),
    ],
)
def test_a_cron_expression_matches_its_minutes(text: str, expected: list[str]) -> None:
    assert times(text, datetime(2026, 1, 15, 12, tzinfo=UTC), 2) == expected


@pytest.mark.parametrize(
    "text",
    [
        "* * * *",
        "60 * * * *",
        "a * * * *",
        "*/0 * * * *",
        "5-1 * * * *",
        "* * * * 8",
        "* * * * sat-8",
        "* * * * monkey",
        "* * * marching *",
    ],
)
def test_a_bad_cron_expression_is_told(text: str) -> None:
    with pytest.raises(QueueError, match="cannot read the"):
        Cron.parse(text)


@pytest.mark.parametrize(
    ("field", "days"),
    [
        ("0", "su"),
        ("7", "su"),
        ("0,7", "su"),
        ("7-7", "su"),
        ("7-1", "su mo"),
        ("0-7", "su mo tu we th fr sa"),
        ("0-7/7", "su"),
        ("*/7", "su"),
        ("*/2", "su tu th sa"),
        ("1-7/2", "su mo we fr"),
        ("0/2", "su tu th sa"),
        ("7/2", "su tu th sa"),
        ("1/3", "mo th"),
        ("5/2", "fr"),
        ("6/2", "sa"),
        ("2/5", "tu"),
        ("fri-mon", "su mo fr sa"),
        ("fri-mon/2", "su fr"),
        ("sat-sun", "su sa"),
        ("mon-sun", "su mo tu we th fr sa"),
        ("sunday,Wed", "su we"),
    ],
)
def test_a_weekday_field_means_the_days_it_names_and_no_other(field: str, days: str) -> None:
    names = "su mo tu we th fr sa".split()

    found = Cron.parse(f"0 0 * * {field}").weekdays

    assert " ".join(names[day] for day in sorted(found)) == days


@pytest.mark.parametrize(
    ("field", "hint"),
    [
        ("L", "last_day_of_month"),
        ("15W", "last_day_of_month"),
        ("5#2", "last_day_of_month"),
        ("?", "write \\*"),
        ("2_0", "give 1 to 31"),
        ("+5", "give 1 to 31"),
        ("1-", "give 1 to 31"),
        ("*-5", "give 1 to 31"),
        ("*/", "give 1 to 31"),
        ("5/", "give 1 to 31"),
        ("1-2-3", "give 1 to 31"),
        ("1,,2", "give 1 to 31"),
        ("٣", "give 1 to 31"),
        ("40/2", "give 1 to 31"),
        ("0", "give 1 to 31"),
    ],
)
def test_what_is_no_cron_is_refused_with_what_to_write_instead(field: str, hint: str) -> None:
    with pytest.raises(QueueError, match=hint):
        Cron.parse(f"0 0 {field} * *")


def by_hand(text: str, wall: datetime) -> bool:
    """What the manual of cron says, read letter by letter, without any of our own reader."""
    minute, hour, day, month, weekday = text.split()

    def named(field: str, value: int, low: int, high: int) -> bool:
        for part in field.split(","):
            span, _, step = part.partition("/")
            first, _, last = span.partition("-")
            start = low if first == "*" else int(first)
            end = high if first == "*" or (step and not last) else int(last or first)
            if value in range(start, end + 1) and (value - start) % int(step or 1) == 0:
                return True
        return False

    on_day = named(day, wall.day, 1, 31)
    on_weekday = any(named(weekday, n, 0, 6) for n in {wall.isoweekday(), wall.isoweekday() % 7})
    both = on_day or on_weekday
    if day.startswith("*") or weekday.startswith("*"):
        both = on_day and on_weekday
    in_time = named(minute, wall.minute, 0, 59) and named(hour, wall.hour, 0, 23)
    return both and in_time and named(month, wall.month, 1, 12)


@pytest.mark.parametrize(
    "text",
    [
        "0 12 13 * 5",
        "0 12 */10 * 1",
        "0 12 1,15 * */2",
        "0 12 31 * *",
        "0 12 29 2 *",
        "0 12 * 1-6/2 1-5",
        "0 12 5/10 * *",
        "0 12 * 5/4 0",
        "0 12 1-7 * 0",
        "0 12 * * 7",
        "0 12 28-31 * 1-5/2",
    ],
)
def test_through_a_year_the_days_are_those_that_a_plain_reading_gives(text: str) -> None:
    day, cron = datetime(2028, 1, 1, 12, tzinfo=UTC), Cron.parse(text)
    while day.year == 2028:
        assert cron.matches(day) is by_hand(text, day), day
        day += timedelta(days=1)


# Where the clock is put on and back in 2026, each within the nine days from here.
CHANGES = {
    "Europe/Berlin": ((3, 25), (10, 21)),
    "Australia/Lord_Howe": ((4, 1), (9, 30)),
    "America/Santiago": ((4, 1), (9, 2)),
}


@pytest.mark.parametrize("zone", CHANGES)
@pytest.mark.parametrize("text", ["30 2 * * *", "0 0 * * *", "15 1 * * 0"])
def test_a_daily_time_comes_once_each_day_whatever_summer_time_does(text: str, zone: str) -> None:
    cron, place = Cron.parse(text), ZoneInfo(zone)
    minute = timedelta(minutes=1)
    for month, first in CHANGES[zone]:
        day = datetime(2026, month, first, tzinfo=place)  # whose sums are those of the wall
        assert day.utcoffset() != (day + timedelta(days=9)).utcoffset()
        expected = [
            wall.date()
            for wall in (day + timedelta(days=n, hours=min(cron.hours)) for n in range(9))
            if by_hand(text, wall.replace(minute=min(cron.minutes)))
        ]
        start = day.astimezone(UTC) - minute
        end = (day + timedelta(days=9)).astimezone(UTC) - minute

        found = cron.between(start, end, place)

        assert [moment.astimezone(place).date() for moment in found] == expected
        assert cron.next_after(start, place) == found[0]


def test_words_for_the_ends_of_months_quarters_and_years(queue: Queue) -> None:
    def runs(task: Any, count: int = 5) -> list[str]:
        found, moment = [], datetime(2027, 12, 30, tzinfo=UTC)
        for _ in range(count):
            moment = task.next_run(moment)
            found.append(f"{moment:%y-%m-%d %H:%M}")
        return found

    plan = queue.schedule
    new = lambda: plan.job(Note("a"))  # noqa: E731

    assert runs(new().last_day_of_month("18:30"), 3) == [
        "27-12-31 18:30",
        "28-01-31 18:30",
        "28-02-29 18:30",
    ]
    assert runs(new().weekdays().last_day_of_month(), 3) == [
        "27-12-31 00:00",
        "28-01-31 00:00",
        "28-02-29 00:00",
    ]
    assert runs(new().monthly_on(31), 3) == ["27-12-31 00:00", "28-01-31 00:00", "28-03-31 00:00"]
    assert runs(new().quarterly(), 2) == ["28-01-01 00:00", "28-04-01 00:00"]
    assert runs(new().quarterly_on(15, "6:00"), 2) == ["28-01-15 06:00", "28-04-15 06:00"]
    assert runs(new().yearly(), 2) == ["28-01-01 00:00", "29-01-01 00:00"]
    assert runs(new().yearly_on("feb", 29), 2) == ["28-02-29 00:00", "32-02-29 00:00"]
    assert new().last_day_of_month().daily().cron_.text == "0 0 * * *"


def test_a_task_may_keep_to_some_hours_of_the_day_or_out_of_them(queue: Queue) -> None:
    plan, noon = queue.schedule, datetime(2026, 1, 15, 12, tzinfo=UTC)
    office = plan.job(Note("a")).hourly().between("8:00", "17:00")
    night = plan.job(Note("a")).between("22:00", "6:00").hourly()
    backup = plan.job(Note("a")).hourly().unless_between("12:30", time(14))

    def hours(task: Any) -> list[int]:
        end = noon + timedelta(hours=24)
        return sorted(m.hour for m in task.cron_.between(noon, end, LONDON))

    assert hours(office) == list(range(8, 18))
    assert hours(night) == [0, 1, 2, 3, 4, 5, 6, 22, 23]
    assert sorted(set(range(24)) - set(hours(backup))) == [13, 14]
    assert office.cron_.text == "0 * * * *, 08:00-17:00"
    with pytest.raises(QueueError, match="time of day"):
        plan.job(Note("a")).between("8am", "17:00")
    with pytest.raises(QueueError, match="said twice"):
        office.unless_between("1:00", "2:00")


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
        task.every_hours(6).cron_.text,
        task.daily_at("2").cron_.text,
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
        "0 */6 * * *",
        "0 2 * * *",
        "0 0 * * 0",
        "0 8 * * mon",
        "0 0 1 * *",
        "15 6 15 * *",
    ]


def test_the_order_of_the_words_is_free(queue: Queue, clock: Clock) -> None:
    plan, friday = queue.schedule, datetime(2026, 1, 16, 12, tzinfo=UTC)
    first = plan.job(Note("a")).weekdays().timezone("Europe/Berlin").daily_at("09:00")
    second = plan.job(Note("a")).daily_at("09:00").timezone("Europe/Berlin").weekdays()
    weekend = plan.job(Note("a")).weekends().every_minutes(30)
    monthly = plan.job(Note("a")).weekdays().monthly_on(1, "6:00")

    assert first.cron_ == second.cron_ == Cron.parse("0 9 * * *").on("1-5")
    assert first.next_run(friday) == datetime(2026, 1, 19, 8, tzinfo=UTC)
    assert weekend.next_run(friday) == datetime(2026, 1, 17, tzinfo=UTC)
    # The first of February and of March 2026 are Sundays.
    assert monthly.next_run(friday) == datetime(2026, 4, 1, 6, tzinfo=UTC)
    assert plan.job(Note("a")).cron("@daily").weekdays().cron_.text == "0 0 * * 1-5"
    with pytest.raises(QueueError, match="leave no day"):
        weekend.weekdays()


def test_times_zones_and_days_are_taken_in_every_usual_form(queue: Queue) -> None:
    task = queue.schedule.job(Note("a"))

    assert task.daily_at(time(2)).cron_.text == "0 2 * * *"
    assert task.weekly_on([1, 3]).cron_.text == "0 0 * * 1,3"
    assert task.weekly_on(("monday", "Thu"), time(8, 5)).cron_.text == "5 8 * * mon,thu"
    assert task.timezone(BERLIN).zone is BERLIN


@pytest.mark.parametrize("at", ["25:00", "2:60", "noon", "02:00:30", "", 2, time(2, 0, 30), None])
def test_what_is_no_time_of_day_is_told(queue: Queue, at: Any) -> None:
    with pytest.raises(QueueError, match="cannot read the time of day .*02:00"):
        queue.schedule.job(Note("a")).daily_at(at)


@pytest.mark.parametrize("days", ["someday", 8, [], [1, "x"]])
def test_what_is_no_weekday_is_told(queue: Queue, days: Any) -> None:
    with pytest.raises(QueueError, match="cannot read the weekday"):
        queue.schedule.job(Note("a")).weekly_on(days)


@pytest.mark.parametrize("count", [90, 45, 7, 0, -5])
def test_minutes_that_do_not_divide_an_hour_are_refused(queue: Queue, count: int) -> None:
    with pytest.raises(QueueError, match=rf"every_minutes\({count}\).*every_hours.*cron"):
        queue.schedule.job(Note("a")).every_minutes(count)
    with pytest.raises(QueueError, match=rf"every_hours\({count}\).*cron"):
        queue.schedule.job(Note("a")).every_hours(count)


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


def test_a_new_task_is_owed_what_it_misses_from_then_on(queue: Queue, clock: Clock) -> None:
    clock.travel(timedelta(minutes=58))
    queue.schedule.job(Note("a")).hourly()
    queue.schedule.run_due()

    clock.travel(300)  # down at its very first minute
    assert [run.run_at.hour for run in queue.schedule.run_due()] == [13]


def test_a_monthly_task_is_made_up_for_after_thirty_days_of_sweeping(
    queue: Queue, db: Database, clock: Clock
) -> None:
    queue.schedule.job(Note("a")).monthly_on(1, "06:00").late("once", 7200)
    clock.freeze(datetime(2026, 5, 1, 6, tzinfo=UTC))
    assert len(queue.schedule.run_due()) == 1
    clock.freeze(datetime(2026, 6, 1, 5, 58, tzinfo=UTC))
    queue.schedule.sweep()

    clock.travel(300)
    assert len(queue.schedule.run_due()) == 1
    clock.travel(timedelta(days=500))
    queue.schedule.sweep()
    assert db.table("queue_schedule_runs").count() == 0


def test_a_condition_is_asked_at_the_due_time_and_not_again(queue: Queue, clock: Clock) -> None:
    answers = [False, True]
    queue.schedule.job(Note("a")).hourly().when(lambda: answers.pop(0))

    assert queue.schedule.run_due() == []
    for _ in range(59):
        clock.travel(60)
        assert queue.schedule.run_due() == []
    clock.travel(60)
    assert len(queue.schedule.run_due()) == 1
    assert answers == []


def test_an_error_in_one_task_holds_up_no_other(
    queue: Queue, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    faults = ["no month yet", "no answer"]

    def make() -> Job:
        if faults:
            raise ValueError(faults.pop())
        return Note("made")

    plan = queue.schedule
    plan.job(make).hourly()
    plan.job(Note("b")).hourly().when(lambda: 1 / 0)
    plan.job(Note("c")).hourly()

    assert [(run.task.work is make, run.ok) for run in plan.run_due()] == [
        (True, False),
        (False, False),
        (False, True),
    ]
    assert "make" in caplog.text
    assert "no answer" in caplog.text
    assert "division by zero" in caplog.text
    clock.travel(60)
    assert [run.ok for run in plan.run_due()] == [False, False]
    clock.travel(60)
    # What could not be begun is still owed.
    assert [(run.ok, run.run_at.minute) for run in plan.run_due()][0] == (True, 0)


def test_a_server_that_is_behind_does_not_run_what_was_made_up_for(
    queue: Queue, clock: Clock
) -> None:
    plan, now = queue.schedule, clock.now()
    task = plan.job(Note("a")).every_minute()

    assert plan._win("a", task, now)
    assert not plan._win("a", task, now - timedelta(minutes=1))
    assert not plan._win("a", task, now)


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


def test_tasks_that_differ_in_anything_have_keys_of_their_own(queue: Queue) -> None:
    plan = queue.schedule
    plan.run_command = lambda argv: 0
    for name in ("a", "b"):
        plan.job(Note(name)).hourly()
        plan.call(lambda name=name: DIARY.append(name)).hourly()
    plan.job(Note("a")).daily()
    plan.job(Note("a")).daily().timezone(BERLIN)
    plan.job(lambda: Note("c")).hourly()
    plan.command("report --name=Köln").hourly()
    plan.command("report --text=" + "x" * 200 + "1").hourly()
    plan.command("report --text=" + "x" * 200 + "2").hourly()

    assert [run.ok for run in plan.run_due()][:4] == [True] * 4
    assert DIARY == ["a", "b"]
    keys = list(plan.keyed())
    assert len(keys) == len(plan.tasks)
    assert all(key.isascii() and len(key) <= 120 for key in keys)
    assert keys[0] == 'tests.systems.queue.jobs.Note["a"] @ 0 * * * * UTC'
    plan.call(print).hourly()
    plan.call(print).hourly()
    assert list(plan.keyed())[-1] == "builtins.print @ 0 * * * * UTC #2"


def test_two_tasks_that_are_the_same_are_refused(queue: Queue) -> None:
    queue.schedule.job(Note("a")).hourly()
    queue.schedule.job(Note("a")).hourly()

    with pytest.raises(QueueError, match=r"two scheduled tasks have the key .*name\("):
        queue.schedule.run_due()
    queue.schedule.tasks[1].name("a second time")
    assert len(queue.schedule.run_due()) == 2


def test_keys_are_the_same_in_every_process() -> None:
    script = """
from functools import partial
from so.db.connection import Connection
from so.systems.queue import Queue
from tests.systems.queue.jobs import Note
plan = Queue(Connection(":memory:")).schedule
plan.job(Note("a")).hourly()
plan.call(lambda: None).daily()
plan.call(lambda: None).daily()
plan.call(partial(print, "x")).daily()
plan.command("queue:flush --hours=" + "9" * 200)
print(list(plan.keyed()))
"""
    texts = [
        subprocess.run(
            [sys.executable, "-c", script],
            capture_output=True,
            check=True,
            env={"PYTHONHASHSEED": n},
        ).stdout
        for n in ("1", "2")
    ]

    assert texts[0] == texts[1] != b""


@pytest.mark.parametrize("nonsense", ["app:report", None, 7])
def test_what_cannot_be_scheduled_is_told(queue: Queue, nonsense: Any) -> None:
    with pytest.raises(QueueError, match="cannot schedule"):
        queue.schedule.job(nonsense)
    with pytest.raises(QueueError, match="cannot schedule"):
        queue.schedule.call(nonsense)
    with pytest.raises(QueueError, match="cannot schedule a command without a name"):
        queue.schedule.command("  ")


def test_old_runs_are_swept(queue: Queue, db: Database, clock: Clock) -> None:
    queue.schedule.job(Note("a")).every_minute()
    queue.schedule.run_due()
    clock.travel(60)
    queue.schedule.run_due()
    clock.travel(timedelta(days=31))

    assert queue.schedule.sweep() == 2
    assert db.table("queue_schedule_runs").count() == 1


def test_a_task_without_a_name_is_listed_by_file_and_line(queue: Queue) -> None:
    plan = Schedule(queue)
    task = plan.call(lambda: None)

    line = task.work.__code__.co_firstlineno
    assert task.place == f"tests/systems/queue/schedules/test_schedule.py:{line}"
    assert str(line) not in task.identity
    assert plan.call(times).place.endswith(".test_schedule.times")
