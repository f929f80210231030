"""The queue: jobs in database tables, run later by workers that lose nothing.

    class Report(Job):
        def __init__(self, month: str) -> None: ...
        def handle(self) -> None: ...

    queue = Queue(Connection("so.db"))
    queue.push(Report("2026-01"))

Dispatching, batches, chains, limits, failed jobs and the schedule live here; running jobs in
processes of their own is so.systems.worker.

Read in this order: job.py (what an application writes), queue.py (the door), intake.py (how a job
is stored), tables/jobs.py (how it is claimed), run/runner.py (how it runs), run/ending.py (how it
ends). Then pending.py and groups.py for dispatches, chains and batches; care/ for what has
failed.
"""

from __future__ import annotations

from typing import Any

from so.systems.queue.batches import Batch
from so.systems.queue.care.failed import FailedJob, FailedJobs, FailureGroup
from so.systems.queue.delays import Exponential, exponential
from so.systems.queue.fake import QueueFake
from so.systems.queue.groups import PendingBatch, PendingChain
from so.systems.queue.hooks import JobEvent
from so.systems.queue.job import JOBS, Job, callback
from so.systems.queue.pending import PendingDispatch
from so.systems.queue.queue import Queue, current_queue
from so.systems.queue.run.middleware import (
    RateLimited,
    Skip,
    ThrottlesExceptions,
    WithoutOverlapping,
)
from so.systems.queue.schedules.schedule import Schedule
from so.systems.queue.tables.metrics import QueueState
from so.systems.queue.tables.progress import Progress
from so.systems.queue.tables.workers import Control, WorkerRow

__all__ = [
    "JOBS",
    "Batch",
    "Control",
    "Exponential",
    "FailedJob",
    "FailedJobs",
    "FailureGroup",
    "Job",
    "JobEvent",
    "PendingBatch",
    "PendingChain",
    "PendingDispatch",
    "Progress",
    "Queue",
    "QueueFake",
    "QueueState",
    "RateLimited",
    "Schedule",
    "Skip",
    "ThrottlesExceptions",
    "WithoutOverlapping",
    "WorkerRow",
    "callback",
    "current_queue",
    "exponential",
    "queue_fake",
]


def queue_fake() -> Any:
    """Record what is dispatched in the block: `with queue_fake() as q: …`."""
    return current_queue().fake()
