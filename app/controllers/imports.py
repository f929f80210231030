"""Importing orders from CSV files."""

from __future__ import annotations

from app.importing import COLUMNS
from app.jobs import ImportOrders
from app.models import OrderImport
from app.pages import card, facts, link, page, table, tag
from so import Request, Response, UploadedFile, app, auth, dispatch, h, redirect
from so.web.forms import form

LARGEST_KB = 262_144  # kilobytes of one file
RULES = {"file": f"required|file|max:{LARGEST_KB}"}
UNFINISHED = ("waiting", "running")


def start(file: UploadedFile, user_id: int) -> OrderImport:
    """Keep the file and put its import on the queue."""
    path = file.move(app().storage_path("imports"), file.hash_name())
    job = OrderImport.create(
        user_id=user_id, file_name=file.client_name[:191], path=str(path), status="waiting"
    )
    dispatch(ImportOrders(job.id))
    return job


def index() -> Response:
    jobs = OrderImport.order_by_desc("id").limit(25).get()
    rows = [
        (link(j.file_name, f"/imports/{j.id}"), tag(j.status), j.total_lines, j.imported,
         j.repeated, j.rejected)
        for j in jobs
    ]  # fmt: skip
    heads = ["File", "Status", "Lines", "Imported", "Repeated", "Rejected"]
    f = form("/imports", rules=RULES)
    hint = f"The first line names the columns: {', '.join(COLUMNS)}."
    file = f.file("file", "CSV file", hint=hint, accept=".csv,text/csv")
    upload = f(file, send="Import")
    return page("Imports", card(upload), card(table(heads, rows, numbers=(2, 3, 4, 5))))


def store(request: Request) -> Response:
    given = request.validate(RULES)
    job = start(given["file"], auth().id())
    return redirect(f"/imports/{job.id}")


def show(job: OrderImport) -> Response:
    known = {
        "Status": tag(job.status), "Lines": job.total_lines, "Done": job.done_lines,
        "Imported": job.imported, "There already": job.repeated, "Rejected": job.rejected,
    }  # fmt: skip
    errors = job.related("errors").limit(200).get()
    rows = [(error.line_no, error.reason, error.content) for error in errors]
    return page(
        f"Import of {job.file_name}",
        card(h("progress", max=100, value=job.percent), facts(known)),
        card(table(["Line", "Reason", "Content"], rows), title="Rejected lines") if rows else None,
        refresh=2 if job.status in UNFINISHED else None,
    )
