"""`Crew`: several worker processes, looked after by one that never runs a job.

It renews their leases, rings them when there is work, kills what is over its time and writes that
down at once, gives back what a dead or dismissed process held, and listens for restarts. Forking
and replacing processes is so.support.supervisor's; what a process does is child.py's.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import signal
import socket
import time
from typing import Any

from so.errors import (
    DatabaseError,
    InvalidPayloadError,
    LockTimeoutError,
    QueueError,
    TimeoutExceeded,
    UnavailableError,
    WorkerLost,
)
from so.support import systemd
from so.support.ids import short_id
from so.support.lifeline import Lifeline
from so.support.scope import entered
from so.support.supervisor import Child as Process
from so.support.supervisor import ChildExit, Supervisor
from so.systems.queue.payload import Payload
from so.systems.queue.queue import Queue
from so.systems.queue.run.failure_text import one_line
from so.systems.queue.run.run import JobOutcome
from so.systems.queue.run.runner import FAILED_SECONDS, JobRunner, scope_of
from so.systems.queue.tables.jobs import Reserved
from so.systems.queue.tables.sql import Retry
from so.systems.queue.tables.workers import BEAT_SECONDS
from so.systems.queue.waking import Watch
from so.systems.worker.board import CrewBoard, Doing
from so.systems.worker.child import CrewChild
from so.systems.worker.lines import JobLines, to_stdout
from so.systems.worker.loop import LOOK_SECONDS, keep_time, memory_mb
from so.systems.worker.opened import OpenedFile
from so.systems.worker.options import WorkerOptions
from so.systems.worker.stacks import LONGEST, StackFile

log = logging.getLogger("so.queue")
ALARM_SECONDS = 0.2
LONGEST_TICK = 0.25
PATIENCE = 2.0
STACKS = 40_000  # characters of all that a row holds


class Crew:
    """Runs `options.processes` workers until they are told to end."""

    def __init__(
        self, queue: Queue, options: WorkerOptions, *, notify: systemd.Notifier | None = None
    ) -> None:
        """Nothing is forked and no connection opened before `run()`."""
        self.queue = queue
        self.options = options
        self.board = CrewBoard(options.processes)
        self.ear = None if queue.bell.folder is None else queue.bell.listen()
        self.stacks = [StackFile() for _ in range(options.processes)]
        self.name = f"{socket.gethostname()[:20]}-{os.getpid()}-{short_id()}"
        self.supervisor = self._supervisor(notify or systemd.Notifier())
        self._conn: Any = None
        self._opened: OpenedFile
        self._watch: Watch | None = None
        self._runner: JobRunner | None = None
        self._retry = Retry(patience=PATIENCE)
        self._lines = JobLines(
            queue.clock, as_json=options.as_json, out=None if options.quiet else to_stdout
        )
        self._generation = 0
        self._paused: dict[str, int] = {}
        self._unfinished: list[tuple[str, Doing | None, str, str]] = []
        self._untold: list[str] = []
        self._done = 0
        self._failed = 0
        self._beat_at = 0.0
        self._looked_at = 0.0
        self._renewed_at = time.monotonic()
        self._watched_at = 0.0
        self._silenced_until = 0.0
        self._started_at = int(queue.clock.time())

    def _supervisor(self, notify: systemd.Notifier) -> Supervisor:
        return Supervisor(
            self._live,
            workers=self.options.processes,
            name="queue:work",
            grace_seconds=self.options.stop_grace_seconds,
            on_start=self._before_forks,
            on_message=self._on_message,
            on_exit=self._on_exit,
            on_tick=self._on_tick,
            notify=notify,
        )

    def run(self) -> int:
        """Work until SIGTERM, `queue:restart` or an end of the options; the exit code."""
        handlers = {
            signal.SIGUSR2: lambda *_: self._set_paused(True),
            signal.SIGCONT: lambda *_: self._set_paused(False),
            signal.SIGUSR1: lambda *_: self._log_stacks(),
        }
        before = {number: signal.signal(number, fn) for number, fn in handlers.items()}
        gc.freeze()
        try:
            return self.supervisor.run()
        finally:
            gc.unfreeze()
            self._finish_up()
            for number, handler in before.items():
                signal.signal(number, handler or signal.SIG_DFL)

    def _before_forks(self) -> None:
        conn = self.queue.source.connection()
        self._generation = self.queue.control.generation(conn)
        self._opened = OpenedFile(conn)
        self._leave_connections()

    def _leave_connections(self) -> None:
        """Open nothing that children would inherit: the crew's own connection comes later."""
        close = getattr(self.queue.source, "close", None)
        if close is not None:
            close()

    def _live(self, lifeline: Lifeline) -> int:
        self._conn = self._watch = None
        try:
            seat = self.board.enter(lifeline.slot)
            self.stacks[lifeline.slot].register()
            return CrewChild(lifeline, self.queue, self.options, seat, self.ear, self.failure).run()
        except DatabaseError as error:
            # One line and not a traceback: the crew tries again for as long as it takes.
            log.error("queue: a worker process ends for want of its database: %s", error)
            return 1

    def _finish_up(self) -> None:
        with contextlib.suppress(DatabaseError):
            self._settle_unfinished()
            self._tell_the_last_failures()
            self.queue.metrics.flush(self._connection())
            self.queue.control.leave(self._connection(), self.name)
        self._lines.flush()
        for opened in (self._conn, self._watch):
            if opened is not None:
                opened.close()
        if self.ear is not None:
            self.ear.close()
        for file in self.stacks:
            file.close()

    def _connection(self) -> Any:
        if self._conn is None:
            self._conn = self.queue.worker_connection(quick=True)
        return self._conn

    # --- what children and signals say ---

    def _on_message(self, process: Process, message: Any) -> None:
        if "name" in message:
            process.data["name"] = message["name"]
        elif "told" in message:
            process.data["telling"] = None
        elif "end" in message:
            process.data["end"] = message["end"]
        elif "kill" in message:
            # With what its job had started, which is the point.
            self.supervisor.kill(process)
        elif "replace" in message:
            self.supervisor.replace(process)

    def _set_paused(self, paused: bool) -> None:
        self.board.paused = paused
        log.info("queue: %s by a signal", "paused" if paused else "continued")

    def _log_stacks(self) -> None:
        for process in self.supervisor.children:
            log.warning("queue: process %s:\n%s", process.pid, self._stack_of(process))

    # --- the regular round ---

    def _on_tick(self) -> float:
        deadlines = self._kill_overdue()
        now = time.monotonic()
        if not self.supervisor.is_stopping and self._opened.is_replaced():
            self.supervisor.stop()  # nothing can be asked of a file that is gone
        # While the database is away everything else waits, except killing what is over its time.
        if now >= self._silenced_until:
            try:
                self._talk_to_database(now)
            except LockTimeoutError:
                # A job's own long transaction, on SQLite: nobody else can claim anything either.
                self._silenced_until = time.monotonic() + LONGEST_TICK
            except DatabaseError as error:
                self._silenced_until = time.monotonic() + 1.0
                log.warning("queue: the crew cannot reach its database: %s", error)
                self._drop_connection()
        self._lines.flush()
        nearest = min([LONGEST_TICK, *(d - time.monotonic() for d in deadlines)])
        return max(0.005, min(nearest, self._watched_at - time.monotonic()))

    def _drop_connection(self) -> None:
        if self._conn is not None:
            with contextlib.suppress(DatabaseError):
                self._conn.close()

    def _talk_to_database(self, now: float) -> None:
        if now - self._renewed_at >= self.options.lease_seconds / 3:
            self._renew_leases()
            self._renewed_at = time.monotonic()
        self._settle_unfinished()
        self._pass_on_failures()
        if now - self._looked_at >= LOOK_SECONDS:
            self._looked_at = now
            self._look()
        if now >= self._watched_at:
            self._ring_if_due()
        if now - self._beat_at >= BEAT_SECONDS:
            self._beat_at = now
            self._beat()

    def _look(self) -> None:
        conn = self._connection()
        self._paused = self.queue.control.paused(conn)
        generation = self.queue.control.generation(conn)
        if generation != self._generation:
            log.info("queue: restart was asked for")
            self._generation = generation
            self.supervisor.stop()

    def _ring_if_due(self) -> None:
        if self._watch is None:
            self._watch = Watch(
                self.queue.store,
                self.queue.worker_connection(quick=True),
                self.queue.clock,
                self.options.sleep_seconds,
                has_bell=self.ear is not None,
            )
        idle = any(not doing.is_busy for doing in self._doings())
        if idle and not self.board.paused:
            queues = [] if "*" in self._paused else self.options.queues
            if self._watch.look([q for q in queues if q not in self._paused]):
                self._ring()
        self._watched_at = time.monotonic() + self._watch.pause()

    def _ring(self) -> None:
        if self.ear is not None:
            self.ear.pass_on()
        else:
            for process in self.supervisor.children:
                process.send({"look": 1})

    def _doings(self) -> list[Doing]:
        found = [self.board.of(p.slot, p.pid) for p in self.supervisor.children]
        return [doing for doing in found if doing is not None]

    # --- leases and the list of workers ---

    def _renew_leases(self) -> None:
        now, lease = int(self.queue.clock.time()), self.options.lease_seconds
        conn, store = self._connection(), self.queue.store
        for process in self.supervisor.children:
            name = process.data.get("name")
            if name is None or process.killed:
                continue
            doing = self.board.of(process.slot, process.pid)
            if doing is None:
                continue
            # Only what the child says it has: a row that came back with a failover is nobody's,
            # and the job under way counts even if its lease ran out while the database was away.
            ids = {doing.job_id} if doing.is_busy and doing.job_id else set()
            if doing.claim:
                claim = f"{name}/{doing.claim}/"
                held = store.held_by(conn, self.options.queues, claim, now, lease)
                ids.update(row.id for row in held)
            if ids:
                store.extend(conn, sorted(ids), f"{name}/", now + lease)

    def _beat(self) -> None:
        conn = self._connection()
        keep_time(self.queue, conn)
        self.queue.metrics.flush(conn)
        doings = self._doings()
        now = time.monotonic()
        self.queue.control.beat(
            conn,
            {
                "id": self.name,
                "host": socket.gethostname()[:255],
                "pid": os.getpid(),
                "queues": self.options.queues,
                "processes": len(self.supervisor.children),
                "state": self._state(),
                "generation": self._generation,
                "done": self._done + sum(d.done for d in doings),
                "failed": self._failed + sum(d.failed for d in doings),
                "started_at": self._started_at,
                "memory_mb": round(memory_mb() + sum(map(memory_mb, self._pids()))),
                "current": [
                    {
                        "id": d.job_id,
                        "job": d.name,
                        "queue": d.queue,
                        "seconds": round(now - d.started, 1),
                        "pid": d.pid,
                        **self._told_of(d, now),
                    }
                    for d in doings
                    if d.is_busy
                ],
            },
        )

    def _pids(self) -> list[int]:
        return [process.pid for process in self.supervisor.children]

    def _told_of(self, doing: Doing, now: float) -> dict[str, Any]:
        """Where a job hangs that has been under way for long, asked once a minute."""
        patience = self.options.stuck_seconds
        if now - doing.started < patience:
            return {}
        process = next((p for p in self.supervisor.children if p.pid == doing.pid), None)
        if process is None:
            return {}
        before, at, stack = process.data.get("stack", (None, 0.0, ""))
        if not doing.is_same_run(before) or now - at >= patience:
            stack = self._stack_of(process)[: min(LONGEST, STACKS // self.options.processes)]
            process.data["stack"] = (doing, now, stack)
        return {"stack": stack}

    def _state(self) -> str:
        if self.supervisor.is_stopping:
            return "stopping"
        return "paused" if self.board.paused or self._paused.keys() & {"*"} else "running"

    # --- what is over its time ---

    def _kill_overdue(self) -> list[float]:
        """Alarm and then kill what is late; the moments at which the next thing is to be done."""
        moments = []
        for process in self.supervisor.children:
            doing = self.board.of(process.slot, process.pid)
            if doing is not None and doing.is_busy and doing.deadline and not process.killed:
                moments.append(self._hurry(process, doing))
        return moments

    def _hurry(self, process: Process, doing: Doing) -> float:
        now = time.monotonic()
        if now < doing.deadline:
            return doing.deadline
        if now < doing.deadline + self.options.kill_grace_seconds:
            # Again and again: the job may catch what the first alarm raises.
            process.kill(signal.SIGALRM, group=False)
            return min(now + ALARM_SECONDS, doing.deadline + self.options.kill_grace_seconds)
        stack = self._stack_of(process)
        if doing.is_same_run(self.board.of(process.slot, process.pid)):
            process.data["late"] = (doing, stack)
            log.error("queue: job %s (%s) is over its time, killed", doing.job_id, doing.name)
            self.supervisor.kill(process)
        return now + ALARM_SECONDS

    def _stack_of(self, process: Process) -> str:
        return self.stacks[process.slot].ask(process.pid)

    # --- what a dead process leaves behind ---

    def _on_exit(self, ended: ChildExit) -> bool | None:
        process = ended.child
        doing = self.board.of(process.slot, process.pid)
        self.board.clear(process.slot, process.pid)
        if doing is not None:
            self._done += doing.done
            self._failed += doing.failed
        self._take_back(process.data.get("telling"), doing)
        name = process.data.get("name")
        how = process.data.get("end")
        if name is not None and how is None:
            self._note_unfinished(ended, doing, str(name))
        # It has done what the options ask for (--max-jobs, …): its place stays empty.
        return how != "done"

    def _take_back(self, uuid: str | None, doing: Doing | None) -> None:
        """Let another process call `failed()`, unless this one has died of it: once is enough."""
        if uuid is None:
            return
        if doing is not None and doing.is_busy and doing.job_id == 0:
            log.error("queue: failed() of the job %s (%s) took its process down", uuid, doing.name)
        else:
            self._untold.append(uuid)

    def _note_unfinished(self, ended: ChildExit, doing: Doing | None, name: str) -> None:
        late = ended.child.data.get("late")
        if late is not None:
            self._unfinished.append((name, late[0], "late", late[1]))
        elif ended.child.leaving or self.supervisor.is_stopping:
            self._unfinished.append((name, doing, "dismissed", ""))
        else:
            why = (
                f"killed by signal {ended.signal} ({_signal_name(ended.signal)})"
                if ended.signal is not None
                else f"ended with exit code {ended.code}"
            )
            self._unfinished.append((name, doing, "crashed", why))
        with contextlib.suppress(DatabaseError):
            self._settle_unfinished()

    def _settle_unfinished(self) -> None:
        """Write down what became of the jobs of processes that are gone."""
        while self._unfinished:
            name, doing, what, text = self._unfinished[0]
            conn, now = self._connection(), int(self.queue.clock.time())
            held = self.queue.store.held_by(
                conn, self.options.queues, f"{name}/", now, self.options.lease_seconds
            )
            for row in held:
                ran = doing is not None and doing.is_busy and doing.job_id == row.id
                try:
                    self._settle(conn, row, what if ran else "dismissed", text)
                except Exception as error:
                    if isinstance(error, UnavailableError):
                        raise
                    # Its lease ends by itself; the others must not wait for that.
                    log.exception("queue: cannot write down what became of job %s", row.id)
            self._unfinished.pop(0)
            if held:
                self._ring()

    def _settle(self, conn: Any, row: Reserved, what: str, text: str) -> None:
        try:
            payload = Payload.read(row.payload)
        except Exception:
            payload = Payload(row.payload, {"job": "(unreadable)"})
        with entered(scope_of(row, payload)):
            self._end(conn, row, payload, what, text)

    def _end(self, conn: Any, row: Reserved, payload: Payload, what: str, text: str) -> None:
        runner = self._runner_on(conn)
        if what == "late":
            outcome = self._too_late(runner, row, payload, text)
        elif what == "crashed":
            outcome = self._after_crash(runner, row, payload, text)
        else:
            outcome = JobOutcome("released", cost="nothing", reason="its process was dismissed")
        outcome.payload = payload
        if not self.queue.settler.settle(conn, row, outcome, self._retry):
            return
        self._tell(row, payload, outcome, what)
        if outcome.kind == "failed":
            self._untold.append(self.queue.settler.uuid_of(row, payload))

    def _runner_on(self, conn: Any) -> JobRunner:
        if self._runner is None or self._runner.conn is not conn:
            self._runner = JobRunner(self.queue.workshop, conn, self.options.limits)
        return self._runner

    def _too_late(
        self, runner: JobRunner, row: Reserved, payload: Payload, stack: str
    ) -> JobOutcome:
        seconds = runner.timeout(payload) or 0
        error = TimeoutExceeded(
            f"{payload.name} ran for longer than {seconds:g} seconds and was killed"
        )
        error.stack = stack  # type: ignore[attr-defined]  # read when the trace is written
        self.queue.metrics.count(row.queue, "timeouts")
        return runner.verdict(row, payload, error)

    def _after_crash(
        self, runner: JobRunner, row: Reserved, payload: Payload, why: str
    ) -> JobOutcome:
        self.queue.metrics.count(row.queue, "crashes")
        log.warning("queue: crash: the process of job %s (%s) was %s", row.id, payload.name, why)
        if row.crashes + 1 >= runner.max_crashes(payload):
            error = WorkerLost(f"the process running {payload.name} was {why}")
            return JobOutcome("failed", exception=error)
        return JobOutcome("released", cost="crashes", reason=f"its process was {why}")

    def _tell(self, row: Reserved, payload: Payload, outcome: JobOutcome, what: str) -> None:
        word = {"failed": "FAIL", "retry": "RETRY"}.get(outcome.kind, "RELEASED")
        note = one_line(outcome.exception, 300) if outcome.exception else outcome.reason
        self._lines.tell(row, payload.name, word, None, note)
        if outcome.kind == "failed":
            log.error("queue: job %s (%s) failed: %s", row.id, payload.name, note)
            self.queue.metrics.count(row.queue, "failed")
        elif what == "late":
            self.queue.metrics.count(row.queue, "retried")

    # --- failed() of jobs whose process is gone runs in another one ---

    def _pass_on_failures(self) -> None:
        for process in self.supervisor.children:
            if self._untold and self._may_tell(process):
                # One at a time: should it hang or die in there, the others are told elsewhere.
                process.data["telling"] = self._untold.pop(0)
                process.send({"failed": process.data["telling"]})

    def _may_tell(self, process: Process) -> bool:
        """Whether a process is free to be asked; one that hangs would not answer."""
        doing = self.board.of(process.slot, process.pid)
        busy = doing is None or doing.is_busy
        return not (busy or process.leaving or process.killed or process.data.get("telling"))

    def _tell_the_last_failures(self) -> None:
        """Once all workers are gone: one more process, for this alone."""
        if self._untold:
            Supervisor(
                self._last_words,
                workers=1,
                name="queue:work",
                on_exit=lambda _: False,
                heartbeat_timeout=self.options.limits.timeout or FAILED_SECONDS,
            ).run()

    def _last_words(self, lifeline: Lifeline) -> int:
        runner = JobRunner(self.queue.workshop, None, self.options.limits)
        for uuid in self._untold:
            found = self.failure(uuid)
            if found is not None:
                runner.tell_failed(*found)
                self.queue.emit("failing", found[0], None, None, found[1])
            lifeline.beat()
        return 0

    def failure(self, uuid: str) -> tuple[Payload, QueueError] | None:
        """In a child: payload and error of the job *uuid*, which failed with its process."""
        failed = self.queue.failed_jobs.find(uuid)
        if failed is None:
            return None
        kind = TimeoutExceeded if "TimeoutExceeded" in failed.reason else WorkerLost
        try:
            return Payload.read(failed.payload), kind(failed.reason.partition(": ")[2])
        except InvalidPayloadError:
            return None


def _signal_name(number: int | None) -> str:
    try:
        return signal.Signals(number or 0).name
    except ValueError:
        return "unknown"
