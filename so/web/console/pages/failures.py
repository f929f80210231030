"""The failures of one kind: whole tracebacks, one or several of them tried again."""

from __future__ import annotations

from typing import Any

from so.http.request import Request
from so.support.markup import Markup, h, join
from so.web.console.parts import link, moment, older, section, table
from so.web.console.reading import before, keyset

TITLE = "Failed jobs"
COLUMNS = ("id", "uuid", "queue", "job", "exception", "failed_at", "attempts", "fingerprint")


def data(app: Any, request: Request) -> dict[str, Any]:
    """A page of them, newest first."""
    fingerprint = str(request.route("fingerprint")).replace("-", "")
    rows = app.make("queue").source.connection().table("failed_jobs")
    rows = rows.where("fingerprint", fingerprint).select(*COLUMNS)
    found, next_ = keyset(rows, before(request), dict)
    return {"fingerprint": fingerprint, "failures": found, "next": next_}


def title(data: dict[str, Any]) -> str:
    """The class of them."""
    jobs = data["failures"]
    return f"Failures of {jobs[0]['job']}" if jobs else TITLE


def draw(data: dict[str, Any], view: Any) -> Markup:
    """The newest traceback, and a selection."""
    failures = data["failures"]
    if not failures:
        return section("Failures", h("p", "None is left.", class_="soft"))
    rows = table(
        "Failures",
        [
            (
                "Choose",
                lambda r: (
                    h(
                        "input",
                        type="checkbox",
                        name="uuid[]",
                        value=r["uuid"],
                        aria_label=f"Choose job {r['uuid']}",
                    )
                    if view.may_operate
                    else ""
                ),
            ),
            ("Job", lambda r: link(r["uuid"][:8], view.url(f"/jobs/{r['uuid']}"))),
            ("Queue", "queue"),
            ("Attempts", "attempts"),
            (
                "Failed",
                lambda r: (
                    moment(r["failed_at"])
                    if not isinstance(r["failed_at"], str)
                    else r["failed_at"]
                ),
            ),
            ("Reason", lambda r: r["exception"].strip().splitlines()[-1][:200]),
        ],
        failures,
    )
    chosen = (
        h(
            "div",
            [
                h("button", "Try the chosen again", formaction=view.act("retry")),
                " ",
                h("button", "Forget the chosen", formaction=view.act("forget"), class_="danger"),
            ],
            class_="row",
        )
        if view.may_operate
        else None
    )
    form = h("form", view.hidden(), rows, chosen, method="post", action=view.act("retry"))
    kind = data["fingerprint"]
    everything = h(
        "div",
        [
            view.button("Try all again", "retry-group", fingerprint=kind),
            view.button("Forget all", "forget-group", fingerprint=kind),
        ],
        class_="row",
    )
    newest = section("The newest traceback", h("pre", failures[0]["exception"], tabindex="0"))
    page = older(view.url(f"/failed/{kind}"), data["next"], view.query)
    return join([section("Failures", everything, form, page), newest])
