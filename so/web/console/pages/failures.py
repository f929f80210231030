"""The failures of one kind: whole tracebacks, one or several of them tried again."""

from __future__ import annotations

from typing import Any

from so.http.request import Request
from so.support.markup import Markup, h, join
from so.web.console.parts import link, moment, older, row, section, table
from so.web.console.reading import page

TITLE = "Failed jobs"
COLUMNS = ("id", "uuid", "queue", "job", "exception", "failed_at", "attempts", "fingerprint")


def data(app: Any, request: Request) -> dict[str, Any]:
    """A page of them, newest first."""
    fingerprint = str(request.route("fingerprint")).replace("-", "")
    rows = app.make("queue").source.connection().table("failed_jobs")
    rows = rows.where("fingerprint", fingerprint).select(*COLUMNS)
    found, next_ = page(rows, request, dict)
    return {"fingerprint": fingerprint, "failures": found, "next": next_}


def title(data: dict[str, Any]) -> str:
    """The class of them."""
    jobs = data["failures"]
    return f"Failures of {jobs[0]['job']}" if jobs else TITLE


def draw(data: dict[str, Any], view: Any) -> Markup:
    """A selection, and the newest traceback."""
    failures, kind = data["failures"], data["fingerprint"]
    if not failures:
        return section("Failures", h("p", "None is left.", class_="soft"))
    everything = row(
        view.button("Try all again", "retry-group", fingerprint=kind),
        view.button("Forget all", "forget-group", fingerprint=kind),
    )
    more = older(view.url(f"/failed/{kind or '-'}"), data["next"], view.query)
    newest = section("The newest traceback", h("pre", failures[0]["exception"], tabindex="0"))
    return join([section("Failures", everything, _selection(failures, view), more), newest])


def _selection(failures: list[dict[str, Any]], view: Any) -> Markup:
    """The table as a form, for those who may choose from it."""
    columns: list[Any] = [
        ("Job", lambda r: link(r["uuid"][:8], view.url(f"/jobs/{r['uuid']}"))),
        ("Queue", "queue"),
        ("Attempts", "attempts"),
        ("Failed", lambda r: moment(r["failed_at"])),
        ("Reason", lambda r: (r["exception"].strip().splitlines() or [""])[-1][:200]),
    ]
    if not view.may_operate:
        return table("Failures", columns, failures)
    return h(
        "form",
        view.hidden(),
        table("Failures", [("Choose", _choice), *columns], failures),
        row(
            h("button", "Try the chosen again", formaction=view.act("retry")),
            h("button", "Forget the chosen", formaction=view.act("forget"), class_="danger"),
        ),
        method="post",
        action=view.act("retry"),
    )


def _choice(row: Any) -> Markup:
    name = f"Choose job {row['uuid']}"
    return h("input", type="checkbox", name="uuid[]", value=row["uuid"], aria_label=name)
