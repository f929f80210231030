"""What a worker is told: which queues, when to end, and what holds for jobs that say nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from so.settings.queue import QueueSettings
from so.systems.queue.run.runner import JobLimits


@dataclass
class WorkerOptions:
    """The options of `queue:work`, and the limits of config/queue.py behind them."""

    queues: list[str] = field(default_factory=lambda: [QueueSettings.queue])
    """In the order of their rank: while the first has work, the second waits."""
    fair: bool = QueueSettings.fair
    """Take from the queues in turn instead, so that none of them waits for another to be empty."""
    processes: int = 1
    """Child processes; 0 runs jobs in this one."""
    once: bool = False
    """End after one job, or at once when there is none."""
    stop_when_empty: bool = False
    sleep_seconds: float = 3.0
    """The longest pause of an idle worker between two looks."""
    rest_seconds: float = 0.0
    """A pause after each job."""
    max_jobs: int = 0
    """End after so many jobs per process; 0 is never."""
    max_seconds: float = 0.0
    """End after so long; 0 is never."""
    memory_mb: int = 128
    """Replace a process that has grown beyond it; 0 is never."""
    limits: JobLimits = field(default_factory=JobLimits)
    lease_seconds: int = QueueSettings.lease_seconds
    """How long a job stays reserved without a sign of its worker."""
    kill_grace_seconds: float = QueueSettings.kill_grace
    """Between the polite end of a job that is over its time and SIGKILL."""
    stop_grace_seconds: float = QueueSettings.stop_grace
    """What running jobs get to end by themselves when the worker is stopped."""
    stuck_seconds: float = 60.0
    """A job under way for longer shows its stack, once in so many seconds."""
    prefetch_seconds: float = QueueSettings.prefetch_seconds
    """The work a process may claim ahead; only jobs shorter than this are claimed in groups."""
    prefetch_jobs: int = QueueSettings.prefetch_jobs
    prune_failed_hours: float = QueueSettings.prune_failed_hours
    """Failed jobs older than this are deleted now and then; 0 keeps them."""
    as_json: bool = False
    quiet: bool = False
    on_boot: Any = None
    """Called in each process before it takes its first job."""

    def faults(self) -> list[str]:
        """What does not fit together, in words."""
        found = []
        if self.lease_seconds < 3:
            found.append(
                f"lease_seconds is {self.lease_seconds}: leases are renewed every third of it, "
                "give at least 3"
            )
        if not self.queues:
            found.append("no queue was named: give --queue=default")
        return found
