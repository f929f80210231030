"""The queue, its workers, and what holds for jobs that say nothing of their own."""

from so.config import env

config = {
    "default": env("QUEUE_CONNECTION", "database"),  # database, or sync: run jobs at once
    "connection": env("QUEUE_DB_CONNECTION", None),  # of config/database.py; empty: the default one
    "queue": env("QUEUE_DEFAULT", "default"),  # where jobs without a queue of their own wait
    "after_commit": env.bool("QUEUE_AFTER_COMMIT", False),  # store only after the transaction
    "wake_path": env("QUEUE_WAKE_PATH", "storage/queue"),  # folder where workers can be rung
    # jobs
    "tries": env.int("QUEUE_TRIES", 3),  # attempts; 0: without end
    "timeout": env.float("QUEUE_TIMEOUT", 60),  # seconds until a run is killed; 0: no limit
    "backoff": env.float("QUEUE_BACKOFF", 0),  # seconds between two attempts
    "max_crashes": env.int("QUEUE_MAX_CRASHES", 3),  # deaths of its worker until a job has failed
    # workers
    "fair": env.bool("QUEUE_FAIR", False),  # take from several queues in turn, not by rank
    "lease_seconds": env.int("QUEUE_LEASE", 15),  # a dead worker's jobs are free after so long
    "kill_grace": env.float("QUEUE_KILL_GRACE", 2.0),  # seconds from the timeout to SIGKILL
    "stop_grace": env.float("QUEUE_STOP_GRACE", 30.0),  # seconds a running job has at the end
    "prefetch_seconds": env.float("QUEUE_PREFETCH", 0.02),  # work claimed ahead, in short jobs
    "prefetch_jobs": env.int("QUEUE_PREFETCH_JOBS", 64),  # and at most so many of them
    # housekeeping
    "prune_failed_hours": env.int("QUEUE_PRUNE_FAILED", 720),  # age of failed jobs; 0: keep all
    "prune_batches_hours": env.int("QUEUE_PRUNE_BATCHES", 720),  # age of batches; 0: keep all
    "schedule": env("QUEUE_SCHEDULE", "app.schedule"),  # module that says what recurs
    "timezone": env("QUEUE_TIMEZONE", "UTC"),  # of the schedule's times of day
}
