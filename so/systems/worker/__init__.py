"""Workers: the processes that run queued jobs.

`Worker` runs jobs one by one, `Single` does so in this process with signals and timeouts, `Crew`
keeps several such processes alive, renews their leases and kills what hangs. They stand on
so.systems.queue.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from so.systems.queue.queue import Queue
from so.systems.worker.crew import Crew
from so.systems.worker.lines import to_stdout
from so.systems.worker.loop import Worker
from so.systems.worker.options import WorkerOptions
from so.systems.worker.single import Single

__all__ = ["Crew", "Single", "Worker", "WorkerOptions", "work"]


def work(queue: Queue, options: WorkerOptions, out: Callable[[str], Any] | None = to_stdout) -> int:
    """Run jobs of *queue* as *options* say, until there is a reason to end; the exit code."""
    if options.processes < 1 or options.once:
        return Single(queue, options, out).run()
    return Crew(queue, options).run()
