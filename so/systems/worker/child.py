"""A crew's child: a Worker with an alarm, told by signals and by its crew when to end."""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import select
import signal
import time
from collections.abc import Callable
from typing import Any

from so.errors import QueueError
from so.support.lifeline import Lifeline
from so.systems.queue.payload import Payload
from so.systems.queue.queue import Queue
from so.systems.queue.run.run import JobOutcome, TimeUp
from so.systems.queue.tables.jobs import Reserved
from so.systems.queue.waking import Ear
from so.systems.worker.board import BUSY, IDLE, CrewSeat
from so.systems.worker.lines import to_stdout
from so.systems.worker.loop import Worker
from so.systems.worker.options import WorkerOptions

log = logging.getLogger("so.queue")


class CrewChild:
    """One process of a crew, from its fork to its end."""

    def __init__(
        self,
        lifeline: Lifeline,
        queue: Queue,
        options: WorkerOptions,
        seat: CrewSeat,
        ear: Ear | None,
        failure: Callable[[str], tuple[Payload, QueueError] | None],
    ) -> None:
        """Runs in the forked process. *ear* is the bell's, which all children share.

        *failure* gives payload and error of a job, by its uuid, whose own process is gone.
        """
        self._lifeline = lifeline
        self._options = options
        self._failure = failure
        self._ear = ear
        self._seat = seat
        self._is_leaving = False
        signal.signal(signal.SIGTERM, self._on_stop)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal's; the crew passes it on
        signal.signal(signal.SIGUSR2, signal.SIG_IGN)
        signal.signal(signal.SIGCONT, signal.SIG_DFL)
        # A signal that comes just before the worker sleeps must wake it all the same.
        self._wake_in, wake_out = os.pipe()
        os.set_blocking(self._wake_in, False)
        os.set_blocking(wake_out, False)
        signal.set_wakeup_fd(wake_out, warn_on_full_buffer=False)
        signal.signal(signal.SIGALRM, self._on_alarm)
        out = None if options.quiet else to_stdout
        self.worker = Worker(queue, options, out=out, keeps_leases=False)
        self.worker.on_job = self._begin
        self.worker.on_claim = self._seat.write_claim
        self.worker.on_return = self._check_descriptors
        self.worker.after_job = self._after
        self.worker.is_paused = lambda: self._seat.paused
        self.worker.wait = self._wait
        self.worker.on_look = self._listen
        lifeline.on_orphaned = self._keep_leases

    def run(self) -> int:
        """Work until told otherwise; the crew is told when that was by the options themselves."""
        gc.collect()
        if self._options.on_boot is not None:
            self._options.on_boot()
        self._lifeline.send({"name": self.worker.name})
        self.worker.run()
        self._lifeline.send({"end": "told to leave" if self._is_leaving else "done"})
        return 0

    # --- what it does, for the crew to see ---

    def _begin(self, row: Reserved, payload: Any, timeout: float | None) -> None:
        now = time.monotonic()
        self._seat.write_name(row.queue, payload.name)
        self._seat.write(
            row.id,
            row.attempts,
            BUSY,
            now,
            now + timeout if timeout else 0.0,
            self.worker.done,
            self.worker.failed,
        )

    def _after(self, outcome: JobOutcome) -> None:
        if not self.worker.waiting:
            self._seat.write(0, 0, IDLE, 0.0, 0.0, self.worker.done, self.worker.failed)
        else:
            self._seat.deadline = 0.0
        if outcome.torn:
            self._be_killed()
        elif self.worker.is_too_big():
            self._recycle()

    def _be_killed(self) -> None:
        """Leave what an alarm has torn apart: neither it nor what the job started is trusted."""
        self.worker.leave()
        self._lifeline.send({"kill": "timeout"})
        time.sleep(self._options.stop_grace_seconds)

    def _check_descriptors(self) -> None:
        if not self._lifeline.is_intact():
            log.error("queue: the job has closed what its worker works with: its process ends")
            # Not one statement more: what belongs to whom is anybody's guess.
            os._exit(1)

    def _keep_leases(self) -> None:
        """The crew is dead: until this process has ended, its job must not start elsewhere."""
        if self.worker.leftovers is not None:
            self.worker.leftovers.keeps_leases = True

    def _recycle(self) -> None:
        if not self._is_leaving:
            self._is_leaving = True  # asked for once only
            log.info("queue: process %s is over its memory limit and is replaced", os.getpid())
            self._lifeline.send({"replace": "memory"})

    def _on_alarm(self, *_: Any) -> None:
        deadline = self._seat.deadline
        # An alarm may arrive late: it is for the job that is over its time, not for the next one.
        if self.worker.runner.inside and deadline and time.monotonic() >= deadline:
            raise TimeUp

    def _on_stop(self, *_: Any) -> None:
        self._is_leaving = True
        self.worker.stop()

    # --- waiting ---

    def _wait(self) -> None:
        handles: list[Any] = [self._lifeline, self._wake_in]
        if self._ear is not None:
            handles.append(self._ear)
        options = self._options
        pause = min(options.sleep_seconds, 1.0) if options.max_seconds else options.sleep_seconds
        ready, _, _ = select.select(handles, [], [], pause)
        if self._wake_in in ready:
            with contextlib.suppress(BlockingIOError):
                os.read(self._wake_in, 4096)
        if self._ear is not None and self._ear in ready:
            self._ear.drain()
        self._listen()
        if not self._lifeline.parent_alive():
            self.worker.stop()

    def _listen(self) -> None:
        while (message := self._lifeline.receive()) is not None:
            if message.get("failed"):
                self._tell_failed(message["failed"])
                self._lifeline.send({"told": 1})

    def _tell_failed(self, uuid: str) -> None:
        """Call `failed()` of a job whose own process is gone, with an alarm as for a job."""
        found = self._failure(uuid)
        if found is None:
            return
        payload, error = found
        now, worker = time.monotonic(), self.worker
        deadline = now + worker.runner.failed_timeout(payload)
        self._seat.write_name("", payload.name)
        self._seat.write(0, 0, BUSY, now, deadline, worker.done, worker.failed)
        torn = worker.runner.tell_failed(payload, error)
        worker.queue.emit("failing", payload, None, None, error)
        self._seat.write(0, 0, IDLE, 0.0, 0.0, worker.done, worker.failed)
        if torn:
            self._be_killed()
