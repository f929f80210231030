"""Failed jobs by their kind: one line for each class, exception and place in the code."""

from __future__ import annotations

from typing import Any

from so.http.request import Request
from so.support.markup import Markup, h, join
from so.web.console.parts import link, moment, section, table

TITLE = "Failed jobs"


def data(app: Any, request: Request) -> dict[str, Any]:
    """The groups, the ones that failed last first."""
    failed = app.make("queue").failed_jobs
    return {"groups": [group.to_dict() for group in failed.groups(100)]}


def draw(data: dict[str, Any], view: Any) -> Markup:
    """Groups with what can be done to each."""
    groups = table(
        "Failed jobs by kind",
        [
            (
                "Job",
                lambda r: link(r["job"] or "?", view.url(f"/failed/{r['fingerprint'] or '-'}")),
            ),
            ("How many", "count"),
            ("Reason", "reason"),
            ("First", lambda r: moment(r["first_at"])),
            ("Last", lambda r: moment(r["last_at"])),
            (
                "Actions",
                lambda r: (
                    join(
                        [
                            view.button(
                                "Try all again", "retry-group", fingerprint=r["fingerprint"]
                            ),
                            " ",
                            view.button("Forget all", "forget-group", fingerprint=r["fingerprint"]),
                        ]
                    )
                    if r["fingerprint"]
                    else ""
                ),
            ),
        ],
        data["groups"],
    )
    everything = h("div", view.button("Try every failed job again", "retry-group"), class_="row")
    return section("By kind", groups, everything if data["groups"] else None, id="groups")
