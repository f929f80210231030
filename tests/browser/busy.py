"""A busy day in the demo, for looking at its console: `python busy.py` in the demo's folder."""

import json
import sys
from datetime import timedelta

sys.path.insert(0, ".")

from so import Job, activity, cache, dispatch, queue
from so.application import Application
from so.systems.worker import Worker

LONG = "of-a-very-long-name-that-nobody-thought-of-when-the-table-was-drawn-" * 3


class SendReminder(Job):
    """Fails as long as the post is away."""

    tries = 1

    def __init__(self, customer: str, password: str = "secret-of-the-post") -> None:
        self.customer, self.password = customer, password

    def handle(self) -> None:
        """Never returns well."""
        raise ConnectionError(f"the post does not answer for {self.customer} {LONG}")

    def tags(self) -> list[str]:
        """For finding it."""
        return ["reminder", self.customer]


class Sync(SendReminder):
    """Fails for another reason."""

    def handle(self) -> None:
        """Never returns well."""
        raise ValueError("<script>document.title='broken'</script>")


class Import(Job):
    """Tells how far it is."""

    def handle(self) -> None:
        """Half of it."""
        self.progress(400, 900, "Reading lines")


def main() -> None:
    """All of it."""
    with Application(".") as app:
        from app.models import Customer

        now = int(app.clock.time())
        Customer.find(1).update(city=LONG[:100])
        queue().push(Import())
        for number in range(5):
            queue().push(SendReminder(f"customer {number}"))
        queue().push(Sync("<b>bold</b>"))
        Worker(queue()).run_all()
        for number in range(9):
            queue().push(SendReminder(f"customer {number}"), "reminders")
        dispatch(Import()).delay(timedelta(hours=3)).on_queue("nightly").send()
        cache().lock("stock-take").acquire()
        cache().lock(f"lock-{LONG[:90]}", 600).acquire()
        cache().put("rates:today", {"EUR": "1.00", "api_key": "sk-hidden"}, 3600)
        cache().put("<img src=x onerror=alert(1)>", LONG)
        activity("orders").event("shipped").log(f"Order 7 shipped {LONG}")
        figures = {"done": 0, "failed": 0, "requests": 0, "request_ms": 0, "errors": 0}
        rows = []
        for minute in range(1440, 0, -5):
            figures = {k: v + (minute * 7 + len(k) * 13) % 40 for k, v in figures.items()}
            more = {"sessions": 20 + minute % 17, "cache_hits": minute, "wait_3": 1441 - minute}
            rows.append({"minute": now // 60 - minute, "figures": json.dumps(figures | more)})
        app.db.table("console_history").insert(rows)
        worker = {
            "id": "erp1-77", "host": "erp1.example.internal", "pid": 77, "queues": "default,mails",
            "processes": 4, "state": "running", "started_at": now - 9000, "beat_at": now + 3600,
            "current": json.dumps(
                [{"id": 80, "job": "app.jobs.Import", "queue": "default", "seconds": 95}]
            ),
        }  # fmt: skip
        app.db.table("queue_workers").insert(
            [worker, {**worker, "id": "erp2-9", "pid": 9, "beat_at": now - 90}]
        )
        app.db.table("console_requests").insert(
            {
                "at": now - 60, "method": "GET", "route": "/orders/{order}", "status": 500,
                "ms": 1234, "statements": 14, "user_id": "1", "request_id": "abc",
                "exception": f"ValueError: {LONG}",
            }
        )  # fmt: skip
        queue().batch([Import(), Import()]).name("Month end").dispatch()


main()
