"""Monthly reports."""

from __future__ import annotations

from app.jobs import GenerateMonthlyReport
from app.models import Report
from app.pages import (
    Column,
    Listing,
    card,
    facts,
    link,
    moment,
    money,
    number,
    of_query,
    page,
    tag,
)
from so import Request, Response, abort_unless, auth, dispatch, redirect
from so.web.forms import form

RULES = {"month": "required|date_format:Y-m|after:1999-12|before:2100-01"}

LIST = Listing(
    "/reports",
    (
        Column("Month", lambda r: link(r.month, f"/reports/{r.month}"), "month"),
        Column("Status", lambda r: tag(r.status), "status"),
        Column("Orders", lambda r: number(r.orders), "orders", number=True),
        Column("Revenue", lambda r: money(r.revenue), "revenue", number=True),
    ),
    order="-month",
)


def start(month: str, user_id: int) -> Report:
    """Make the report's row and put the work on the queue."""
    report = Report.first_or_create({"month": month}, {"user_id": user_id})
    report.update(status="waiting")
    dispatch(GenerateMonthlyReport(month, user_id))
    return report


def index() -> Response:
    f = form("/reports", rules=RULES)
    make = f(f.text("month", "Month", kind="month"), send="Generate")
    return page("Reports", card(make, title="Make a report"), LIST.draw(of_query(Report.query())))


def store(request: Request) -> Response:
    report = start(request.validate(RULES)["month"], auth().id())
    return redirect(f"/reports/{report.month}")


def show(report: Report) -> Response:
    known = {
        "Status": tag(report.status), "Orders": number(report.orders),
        "Revenue": money(report.revenue), "Made": moment(report.updated_at),
    }  # fmt: skip
    file = (
        link("Download as CSV", f"/reports/{report.month}/csv", "button") if report.path else None
    )
    waiting = report.status == "waiting"
    return page(
        f"Report {report.month}",
        card(facts(known)),
        actions=[file],
        within=("Reports", "/reports"),
        refresh=2 if waiting else None,
    )


def download(report: Report) -> Response:
    abort_unless(report.path is not None, 404)
    return Response.download(report.path, f"{report.month}.csv")
