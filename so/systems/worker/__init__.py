"""Workers: the processes that run queued jobs.

`Worker` runs jobs in this process, `Crew` keeps several such processes alive, renews their leases
and kills what hangs. Both stand on so.systems.queue.
"""

from __future__ import annotations

from so.systems.worker.loop import Worker
from so.systems.worker.options import WorkerOptions

__all__ = ["Worker", "WorkerOptions"]
