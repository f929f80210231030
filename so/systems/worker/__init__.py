"""Workers: the processes that run queued jobs.

`Worker` runs jobs one by one, `Single` does so in this process with signals and timeouts, `Crew`
keeps several such processes alive, renews their leases and kills what hangs. They stand on
so.systems.queue.

Read in this order: loop.py (one worker), in_hand.py (what it holds), crew.py and
child.py (several), board.py (what they see of each other), single.py and guard.py (one alone).
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from so.errors import QueueError
from so.systems.queue.queue import Queue
from so.systems.worker.lines import to_stdout
from so.systems.worker.loop import Worker
from so.systems.worker.options import WorkerOptions

if TYPE_CHECKING or hasattr(os, "fork"):
    from so.systems.worker.crew import Crew
    from so.systems.worker.single import Single

__all__ = ["Crew", "Single", "Worker", "WorkerOptions", "work"]


def work(queue: Queue, options: WorkerOptions, out: Callable[[str], Any] | None = to_stdout) -> int:
    """Run jobs of *queue* as *options* say, until there is a reason to end; the exit code."""
    if not hasattr(os, "fork"):
        return _alone(queue, options, out)
    if options.processes < 1 or options.once:
        return Single(queue, options, out).run()
    return Crew(queue, options).run()


def _alone(queue: Queue, options: WorkerOptions, out: Callable[[str], Any] | None) -> int:
    """One worker in this process where nobody can fork, as on Windows: without time limits.

    QueueError for more of them.
    """
    if options.processes > 1:
        raise QueueError(
            f"{options.processes} workers in one command need a system that can fork; here start "
            "`queue:work` several times"
        )
    worker = Worker(queue, options, out=None if options.quiet else out)
    before = {
        number: signal.signal(number, lambda *_: worker.stop())
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        return worker.run()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
