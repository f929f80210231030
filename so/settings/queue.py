"""The queue, its workers, and what holds for jobs that say nothing of their own."""

from __future__ import annotations

from dataclasses import dataclass

from so.support.settings import Settings, choice, number, switch, text, whole, zone


@dataclass(frozen=True)
class QueueSettings(Settings, topic="queue"):
    """`config/queue.py`."""

    default: str = choice(
        "database",
        "QUEUE_CONNECTION",
        "database, or sync: run jobs at once",
        of=("database", "sync"),
    )
    connection: str | None = text(
        None, "QUEUE_DB_CONNECTION", "of config/database.py; empty: the default one"
    )
    queue: str = text("default", "QUEUE_DEFAULT", "where jobs without a queue of their own wait")
    after_commit: bool = switch(False, "QUEUE_AFTER_COMMIT", "store only after the transaction")
    wake_path: str = text("storage/queue", "QUEUE_WAKE_PATH", "folder where workers can be rung")
    # jobs
    tries: int = whole(3, "QUEUE_TRIES", "attempts; 0: without end")
    timeout: float = number(60, "QUEUE_TIMEOUT", "seconds until a run is killed; 0: no limit")
    backoff: float = number(0, "QUEUE_BACKOFF", "seconds between two attempts")
    max_crashes: int = whole(3, "QUEUE_MAX_CRASHES", "deaths of its worker until a job has failed")
    # workers
    fair: bool = switch(False, "QUEUE_FAIR", "take from several queues in turn, not by rank")
    lease_seconds: int = whole(15, "QUEUE_LEASE", "seconds until a dead worker's jobs are free")
    kill_grace: float = number(2.0, "QUEUE_KILL_GRACE", "seconds from the timeout to SIGKILL")
    stop_grace: float = number(
        30.0, "QUEUE_STOP_GRACE", "seconds a running job has when its worker is stopped"
    )
    prefetch_seconds: float = number(
        0.02, "QUEUE_PREFETCH", "seconds of work claimed ahead, in short jobs"
    )
    prefetch_jobs: int = whole(64, "QUEUE_PREFETCH_JOBS", "and at most so many of them")
    # housekeeping
    prune_failed_hours: float = number(
        720, "QUEUE_PRUNE_FAILED", "hours failed jobs are kept; 0: for ever"
    )
    prune_batches_hours: float = number(
        720, "QUEUE_PRUNE_BATCHES", "hours batches are kept; 0: for ever"
    )
    schedule: str = text("app.schedule", "QUEUE_SCHEDULE", "module that says what recurs")
    timezone: str = zone("UTC", "QUEUE_TIMEZONE", "of the schedule's times of day")
