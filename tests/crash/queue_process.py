"""A worker as a process of its own: `python -m tests.crash.queue_process '{"database": …}'`."""

from __future__ import annotations

import json
import logging
import os
import sys

from so.db.manager import Database
from so.support.current import provide
from so.systems.queue import Queue
from so.systems.queue.run.runner import JobLimits
from so.systems.worker import WorkerOptions, work
from tests.crash import queue_jobs


def main() -> int:
    """Run the worker that the first argument describes."""
    order = json.loads(sys.argv[1])
    logging.basicConfig(
        level=logging.INFO,
        stream=sys.stderr,
        format="%(asctime)s %(process)d %(levelname)s %(name)s %(message)s",
    )
    database = Database({"default": order["database"]})
    queue = Queue(database, wake_folder=order["wake_folder"])
    provide("queue", lambda: queue)
    assert queue_jobs.Leaves.alias
    options = order.get("options", {})
    limits = JobLimits(**options.pop("limits", {}))
    code = work(queue, WorkerOptions(**options, limits=limits))
    if sys.argv[2:] != ["silent"]:
        print("ended", os.getpid(), code, flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
