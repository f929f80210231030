"""What waits, runs and failed in the queue."""

from __future__ import annotations

from app.pages import card, page, table
from so import DB, Response


def index() -> Response:
    waiting = DB.table("jobs").select("queue").select_raw("count(*) as number").group_by("queue")
    failed = DB.table("failed_jobs").order_by_desc("id").limit(25).get()
    return page(
        "Queue",
        card(
            table(["Queue", "Jobs"], [(row.queue, row.number) for row in waiting.get()], (1,)),
            title="Waiting and running",
        ),
        card(
            table(
                ["When (UTC)", "Job", "Error"],
                [
                    (row.failed_at, row.job, row.exception.strip().split("\n")[-1][:200])
                    for row in failed
                ],
            ),
            title="Failed",
        ),
        refresh=5,
    )
