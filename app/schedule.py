"""What recurs; `bin/sixorbit schedule:work` runs it, and so does `make run`."""

from __future__ import annotations

from datetime import timedelta

from app.jobs import GenerateMonthlyReport
from so import app
from so.systems.queue import Schedule


def define(schedule: Schedule) -> None:
    """The month's figures on the morning after it, and housekeeping at night."""
    schedule.job(report_of_last_month).name("Report of last month").monthly_on(1, "06:00")
    schedule.command("session:cleanup").daily_at("02:30")
    schedule.command("notification:cleanup").daily_at("02:45")
    schedule.command("cache:gc").hourly()


def report_of_last_month() -> GenerateMonthlyReport:
    """The report of the month that has just ended."""
    last = app("clock").now().replace(day=1) - timedelta(days=1)
    return GenerateMonthlyReport(f"{last:%Y-%m}")
