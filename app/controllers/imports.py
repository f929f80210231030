"""Importing orders from CSV files."""

from __future__ import annotations

import io
from datetime import timedelta

from app.importing import COLUMNS, MOST_ERRORS
from app.jobs import ImportOrders
from app.models import OrderImport
from app.pages import (
    Column,
    Listing,
    card,
    facts,
    link,
    moment,
    number,
    of_query,
    page,
    pager,
    table,
    tag,
)
from app.seed import write_orders
from so import Request, Response, UploadedFile, app, auth, dispatch, h, redirect
from so.web.forms import form

LARGEST_KB = 262_144  # kilobytes of one file
RULES = {"file": f"required|file|max:{LARGEST_KB}"}
UNFINISHED = ("waiting", "running")
PER_PAGE = 100  # rejected lines
LIST = Listing(
    "/imports",
    (
        Column("File", lambda j: link(j.file_name, f"/imports/{j.id}"), "file_name"),
        Column("Sent", lambda j: moment(j.created_at), "created_at"),
        Column("Status", lambda j: tag(j.status), "status"),
        Column("Lines", lambda j: number(j.total_lines), "total_lines", number=True),
        Column("Imported", lambda j: number(j.imported), "imported", number=True),
        Column("There already", lambda j: number(j.repeated), "repeated", number=True),
        Column("Rejected", lambda j: number(j.rejected), "rejected", number=True),
    ),
    order="-created_at",
)


def start(file: UploadedFile, user_id: int) -> OrderImport:
    """Keep the file and put its import on the queue."""
    path = file.move(app().storage_path("imports"), file.hash_name())
    job = OrderImport.create(
        user_id=user_id, file_name=file.client_name[:191], path=str(path), status="waiting"
    )
    dispatch(ImportOrders(job.id))
    return job


def index() -> Response:
    f = form("/imports", rules=RULES)
    hint = [f"The first line names the columns: {', '.join(COLUMNS)}. ",
            link("An example to try", "/imports/example.csv"), "."]  # fmt: skip
    file = f.file("file", "CSV file", hint=hint, accept=".csv,text/csv")
    upload = f(file, send="Import")
    return page(
        "Imports",
        card(upload, title="Import orders"),
        LIST.draw(of_query(OrderImport.query())),
    )


def example() -> Response:
    """A file that can be imported; twice, and the second time nothing is new."""
    text = io.StringIO(newline="")
    write_orders(text, 40, seed=7, since=app("clock").now().date() - timedelta(days=150))
    answer = Response(text.getvalue()).header("Content-Type", "text/csv; charset=utf-8")
    return answer.header("Content-Disposition", 'attachment; filename="orders-example.csv"')


def store(request: Request) -> Response:
    given = request.validate(RULES)
    job = start(given["file"], auth().id())
    return redirect(f"/imports/{job.id}")


def show(job: OrderImport) -> Response:
    known = {
        "Status": tag(job.status), "Sent": moment(job.created_at),
        "Done": f"{number(job.done_lines)} of {number(job.total_lines)} lines",
        "Imported": number(job.imported), "There already": number(job.repeated),
        "Rejected": number(job.rejected), "Finished": moment(job.finished_at),
    }  # fmt: skip
    return page(
        job.file_name,
        h("p", job.problem, class_="note bad", role="alert") if job.problem else None,
        card(_progress(job), facts(known)),
        _rejected(job) if job.rejected else None,
        within=("Imports", "/imports"),
        refresh=2 if job.status in UNFINISHED else None,
    )


def _progress(job: OrderImport):
    if job.status not in UNFINISHED:
        return None
    return h("progress", max=100, value=job.percent, aria_label="How far the import is")


def _rejected(job: OrderImport):
    """The lines as they stand in the file, each with what is wrong with it."""
    found = job.related("errors").paginate(PER_PAGE)
    rows = [
        (number(error.line_no), error.reason, h("span", error.content, class_="code"))
        for error in found["data"]
    ]
    kept = f"Only the first {number(MOST_ERRORS)} are kept." if job.rejected > MOST_ERRORS else None
    hint = h(
        "p", "Mend these lines in the file and send it again: what is imported stays as it is."
    )
    listing = table(["Line", "What is wrong", "As it stands in the file"], rows)
    return card(hint, kept, listing, pager(found), title="Rejected lines")
