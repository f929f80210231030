"""Monthly reports."""

from __future__ import annotations

from app.jobs import GenerateMonthlyReport
from app.models import Report
from app.pages import card, facts, link, money, page, table, tag
from so import Request, Response, abort_unless, auth, dispatch, redirect
from so.web.forms import form

RULES = {"month": "required|date_format:Y-m|after:1999-12|before:2100-01"}


def start(month: str, user_id: int) -> Report:
    """Make the report's row and put the work on the queue."""
    report = Report.first_or_create({"month": month}, {"user_id": user_id})
    report.update(status="waiting")
    dispatch(GenerateMonthlyReport(month, user_id))
    return report


def index() -> Response:
    reports = Report.order_by_desc("month").limit(60).get()
    rows = [
        (link(r.month, f"/reports/{r.month}"), tag(r.status), r.orders, money(r.revenue))
        for r in reports
    ]
    f = form("/reports", rules=RULES)
    make = f(f.text("month", "Month", kind="month"), send="Generate")
    listing = table(["Month", "Status", "Orders", "Revenue"], rows, numbers=(2, 3))
    return page("Reports", card(make), card(listing))


def store(request: Request) -> Response:
    report = start(request.validate(RULES)["month"], auth().id())
    return redirect(f"/reports/{report.month}")


def show(report: Report) -> Response:
    known = {
        "Status": tag(report.status),
        "Orders": report.orders,
        "Revenue": money(report.revenue),
    }
    file = link("Download as CSV", f"/reports/{report.month}/csv") if report.path else None
    waiting = report.status == "waiting"
    return page(f"Report {report.month}", card(facts(known), file), refresh=2 if waiting else None)


def download(report: Report) -> Response:
    abort_unless(report.path is not None, 404)
    return Response.download(report.path, f"{report.month}.csv")
