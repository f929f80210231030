"""What `make run` finds on its first day: a year of work, made by the demo's own rules."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from app.models import Customer, Invoice, Order, OrderImport, Product, Report, User
from so import DB, Activity
from so.settings.console import ConsoleSettings
from so.web.console.history import History


@pytest.fixture(autouse=True)
def _in_it(year):
    with year:
        yield


def states(model):
    return {row.status for row in model.query().distinct().get(["status"])}


def test_documents_are_in_every_state():
    assert states(Invoice) == {"draft", "submitted", "approved", "rejected"}
    assert states(Order) == {"open", "shipped", "imported"}
    assert all(invoice.note for invoice in Invoice.where("status", "rejected").get())


def test_the_trail_tells_of_a_whole_year_by_name(year):
    moments = Activity.order_by("id").pluck("created_at")

    assert max(moments) - min(moments) > timedelta(days=350)
    assert max(moments) <= year.clock.now()
    placed = Activity.for_event("placed").first()
    assert placed.causer_label in ("Ben Okafor", "Marta Lindqvist")
    assert Activity.for_batch(placed.batch_uuid).count() > 1


def test_the_clock_of_the_application_is_its_own_again(year):
    assert not year.clock.is_frozen


def test_everybody_has_mail_and_some_of_it_is_new():
    assert [User.first_where("role", role).unread_count() > 0 for role in ("clerk", "manager")] == [
        True, True,
    ]  # fmt: skip
    assert DB.table("notifications").where_not_null("read_at").count() > 100


def test_one_import_is_done_one_has_bad_lines_and_one_failed_once():
    done, bad, failed = OrderImport.order_by("id").get()

    assert (done.status, done.rejected) == ("finished", 0)
    assert (bad.status, bad.rejected) == ("finished", 5)
    assert [error.content.split(",")[0][:4] for error in bad.errors] == ["X12-"] * 5
    assert failed.status == "failed"
    assert "use commas" in failed.problem
    assert DB.table("failed_jobs").get()[0].attempts == 1


def test_there_are_reports_a_schedule_low_stock_and_more_than_500_customers(year):
    assert [Path(report.path).is_file() for report in Report.get()] == [True] * 3
    assert len(year.make("schedule").keyed()) == 4
    assert Product.low().count() > 0
    assert Customer.count() > 500


def test_the_console_has_curves_of_a_day_that_workers_continue(year):
    history = History(year, year.settings(ConsoleSettings))

    history.write()

    day = history.day()
    lines = [day.rate("requests"), day.rate("done"), day.level("sessions")]
    lines += [day.share("cache_hits", "cache_misses"), day.quantile("wait", 0.95)]
    assert [len([v for v in line if v is not None]) > 140 for line in lines] == [True] * 5
    assert min(day.rate("requests")[2:-2]) > 0
    kept = DB.table("console_history").order_by("minute").pluck("figures")
    requests = [json.loads(one).get("requests", 0) for one in kept]
    assert requests == sorted(requests)


def test_nothing_happened_in_the_future(year):
    now = year.clock.now()

    for table in ("order_imports", "orders", "invoices", "notifications", "activity_log"):
        assert DB.table(table).where("created_at", ">", now).count() == 0, table
