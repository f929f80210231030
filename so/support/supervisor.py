"""Forks child processes, listens to them, and keeps as many running as were asked for.

A dead child is replaced, a stuck one is killed with everything it started, SIGTERM and SIGINT end
all in order, SIGHUP exchanges them one by one with the new child first. What the children do is the
caller's business: this room only knows processes, signals, messages and time.
"""

import contextlib
import logging
import math
import os
import selectors
import signal
import socket
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, NoReturn

from so.support import systemd
from so.support.children import Child, ChildExit
from so.support.lifeline import Lifeline, MessagePipe
from so.support.processes import fork

__all__ = ["Child", "ChildExit", "Lifeline", "Supervisor"]

log = logging.getLogger("so.supervisor")

TICK_SECONDS = 1.0


@dataclass
class _Slot:
    """One place to keep filled: when to fork next, and how often that went wrong of late."""

    generation: int = 0
    failures: int = 0
    fork_at: float = math.inf


@dataclass
class _Handover:
    """A child that leaves as soon as its successor is there."""

    old: Child
    new: Child | None = None
    not_before: float = 0.0


@dataclass
class _Installed:
    """Signal handlers as they were before `run()`."""

    handlers: dict[int, Any] = field(default_factory=dict)
    wakeup_fd: int = -1


class Supervisor:
    """Keeps *workers* children running `run(lifeline)` until it is told to stop.

    A child silent for *heartbeat_timeout* seconds is killed and replaced. One that fails is
    replaced at once; if it lived for less than ``restart_delay[1]`` seconds, after
    ``restart_delay[0]`` seconds, doubled with each such failure up to ``restart_delay[1]``.
    After *max_restarts* of these in a row in one place, `run()` gives up with 1.
    *on_exit* may return False: then that place stays empty, and when all are, `run()` ends.
    *on_tick* returns the seconds until it wants to be called again (None: one second).
    *forward_signals* are passed on to every child. *on_start* is called before the first
    fork, when signals are heard already; what it raises ends `run()`. *on_stop* is called as
    the end begins.
    A child counts as started when it has spoken, or lived for *settle_seconds*.
    """

    _watchdog_seconds: float | None = None
    _watchdog_at = math.inf
    _announced = False
    _stopping = False
    _stop_asked = False
    _exit_code = 0

    def __init__(
        self,
        run: Callable[[Lifeline], int],
        *,
        workers: int,
        name: str,
        grace_seconds: float = 30.0,
        heartbeat_timeout: float | None = None,
        restart_delay: tuple[float, float] = (0.05, 5.0),
        on_message: Callable[[Child, Any], None] | None = None,
        on_exit: Callable[[ChildExit], bool | None] | None = None,
        on_tick: Callable[[], float | None] | None = None,
        on_reload: Callable[[], None] | None = None,
        on_start: Callable[[], None] | None = None,
        on_stop: Callable[[], None] | None = None,
        notify: systemd.Notifier | None = None,
        stop_signals: Iterable[int] = (signal.SIGTERM, signal.SIGINT),
        forward_signals: Iterable[int] = (),
        max_restarts: int | None = None,
        settle_seconds: float = 1.0,
    ) -> None:
        if workers < 1:
            raise ValueError(f"{name}: workers must be at least 1, not {workers}")
        self.name, self.grace_seconds = name, grace_seconds
        self.heartbeat_timeout = heartbeat_timeout
        self.restart_delay, self.max_restarts = restart_delay, max_restarts
        self.settle_seconds = settle_seconds
        self._run_child = run
        self._on_message, self._on_exit = on_message, on_exit
        self._on_tick, self._on_reload = on_tick, on_reload
        self._on_start, self._on_stop = on_start, on_stop
        self._notify = notify or systemd.Notifier("")
        self._stop_signals = frozenset(stop_signals)
        self._forward_signals = frozenset(forward_signals)
        self._slots = [_Slot() for _ in range(workers)]
        self._children: dict[int, Child] = {}
        self._handovers: deque[_Handover] = deque()
        self._tick_at = 0.0 if on_tick else math.inf
        self._wake_in, self._wake_out = socket.socketpair()
        self._selector = selectors.DefaultSelector()

    @property
    def children(self) -> list[Child]:
        """The living children by slot; two share one while they are being exchanged."""
        return sorted(self._children.values(), key=lambda child: (child.slot, child.generation))

    @property
    def is_stopping(self) -> bool:
        """True once the end has begun."""
        return self._stopping

    # --- what the owner may ask for ------------------------------------------------------------

    def stop(self) -> None:
        """End all children in order, then return from `run()`."""
        self._stop_asked = True
        with contextlib.suppress(OSError):
            self._wake_out.send(b"\0")

    def kill(self, child: Child, *, group: bool = True) -> None:
        """Kill *child* now, with what it started; a new one takes its place without a delay."""
        child.killed = True
        child.kill(signal.SIGKILL, group)

    def replace(self, child: Child) -> None:
        """Start a successor of *child*, then ask *child* to leave."""
        gone = child.leaving or child.pid not in self._children
        if not gone and all(handover.old is not child for handover in self._handovers):
            self._handovers.append(_Handover(child))

    def rolling_restart(self) -> None:
        """Replace every child, one after the other."""
        self._announced = False
        self._notify.reloading()
        for handover in self._handovers:
            if handover.new is None:
                # What failed before may work now.
                handover.not_before = 0.0
        for child in self.children:
            self.replace(child)

    # --- the loop ------------------------------------------------------------------------------

    def run(self) -> int:
        """Fork the children and look after them until they are told to stop; main thread only.

        Returns 0 when all ended by themselves, 1 when some had to be killed at the end of the
        grace or *max_restarts* was reached, 128 + n when a second signal n cut the wait short.
        """
        installed = self._install_signals()
        try:
            if self._on_start:
                self._on_start()
            self._begin()
            while self._children or (self._slots_pending() and not self._stopping):
                self._turn()
            return self._exit_code
        finally:
            for child in self.children:
                child.kill()
                self._forget(child)
            self._restore_signals(installed)
            self._selector.close()
            self._wake_in.close()
            self._wake_out.close()

    def _begin(self) -> None:
        now = time.monotonic()
        self._selector.register(self._wake_in, selectors.EVENT_READ, None)
        self._watchdog_seconds = systemd.watchdog_interval()
        if self._watchdog_seconds:
            self._watchdog_at = now
        for slot in self._slots:
            slot.fork_at = now
        self._fork_due(now)

    def _turn(self) -> None:
        """One round: wait for something, hear it, then do all that is due."""
        seconds = self._seconds_to_wait()
        due = math.inf if seconds is None else time.monotonic() + seconds
        for key, _ in self._selector.select(seconds):
            if key.data is None:
                self._read_signals()
            else:
                self._hear(key.data)
        self._reap()
        now = time.monotonic()
        if self._stop_asked and not self._stopping:
            self._begin_stop(now)
        self._forgive_silence(now, now - due)
        self._kill_overdue(now)
        if not self._stopping:
            self._fork_due(now)
            self._exchange(now)
            self._announce(now)
        self._tick(now)
        self._watch_outgoing()

    def _slots_pending(self) -> bool:
        return any(slot.fork_at < math.inf for slot in self._slots)

    def _seconds_to_wait(self) -> float | None:
        now = time.monotonic()
        due = [self._tick_at, self._watchdog_at]
        due += [child.kill_at for child in self._children.values()]
        if self.heartbeat_timeout is not None:
            due += [child.last_heard + self.heartbeat_timeout for child in self._children.values()]
        if not self._stopping:
            due += [slot.fork_at for slot in self._slots]
            if self._handovers:
                due.append(self._handovers[0].not_before)
            if self._handovers or not self._announced:
                due += self._settling_times(now)
        nearest = min(due)
        return None if nearest == math.inf else max(0.0, nearest - now)

    def _settling_times(self, now: float) -> list[float]:
        children = self._children.values()
        waiting = [child for child in children if not self.is_settled(child, now)]
        return [child.started_at + self.settle_seconds for child in waiting]

    def is_settled(self, child: Child, now: float) -> bool:
        """Whether *child* may be taken for started."""
        return child.heard or now - child.started_at >= self.settle_seconds

    def _tick(self, now: float) -> None:
        if now >= self._tick_at:
            wanted = self._call(self._on_tick)
            self._tick_at = now + (TICK_SECONDS if wanted is None else max(0.0, float(wanted)))
        if now >= self._watchdog_at and self._watchdog_seconds:
            self._watchdog_at = now + self._watchdog_seconds
            # Silent while no child works: then the service manager may try its own remedy.
            if any(self.is_settled(child, now) for child in self._children.values()):
                self._notify.watchdog()

    def _call(self, callback: Callable[..., Any] | None, *arguments: Any) -> Any:
        """Run the owner's *callback*; its failure is logged, and must not orphan the children."""
        if callback is None:
            return None
        try:
            return callback(*arguments)
        except Exception:
            log.exception("%s: a callback of the supervisor failed", self.name)
            return None

    # --- signals -------------------------------------------------------------------------------

    def _install_signals(self) -> _Installed:
        self._wake_in.setblocking(False)
        self._wake_out.setblocking(False)
        installed = _Installed()
        wanted = self._stop_signals | self._forward_signals | {signal.SIGCHLD, signal.SIGHUP}
        for signum in wanted:
            # The handler does nothing: what counts is the byte in the wake-up socket.
            installed.handlers[signum] = signal.signal(signum, lambda *_: None)
        installed.wakeup_fd = signal.set_wakeup_fd(
            self._wake_out.fileno(), warn_on_full_buffer=False
        )
        return installed

    def _restore_signals(self, installed: _Installed) -> None:
        signal.set_wakeup_fd(installed.wakeup_fd)
        for signum, handler in installed.handlers.items():
            signal.signal(signum, signal.SIG_DFL if handler is None else handler)

    def _read_signals(self) -> None:
        for signum in self._wake_in.recv(4096):
            if signum in self._stop_signals:
                self._stop_signal(signum)
            elif signum == signal.SIGHUP:
                self._reload()
            elif signum in self._forward_signals:
                for child in self.children:
                    child.kill(signum, group=False)

    def _stop_signal(self, signum: int) -> None:
        if not self._stop_asked:
            self._stop_asked = True
            return
        log.warning("%s: second signal, stopping at once", self.name)
        self._exit_code = 128 + signum
        for child in self.children:
            child.kill()

    def _reload(self) -> None:
        if self._stop_asked:
            return
        log.info("%s: reloading", self.name)
        self._call(self._on_reload)
        self.rolling_restart()

    def _begin_stop(self, now: float) -> None:
        self._stopping = True
        self._notify.stopping()
        self._call(self._on_stop)
        self._handovers.clear()
        for child in self.children:
            self._ask_to_leave(child, now)

    def _ask_to_leave(self, child: Child, now: float) -> None:
        if not child.leaving:
            child.leaving = True
            child.kill_at = now + self.grace_seconds
            child.kill(signal.SIGTERM, group=False)

    # --- children ------------------------------------------------------------------------------

    def _fork_due(self, now: float) -> None:
        for number, slot in enumerate(self._slots):
            if slot.fork_at <= now:
                made = self._fork(number)
                slot.fork_at = math.inf if made else now + self._back_off(slot)

    def _fork(self, number: int) -> Child | None:
        """A new child in the place *number*, or None when the system refuses."""
        slot = self._slots[number]
        ours, theirs = socket.socketpair()
        _flush_output()
        # Held back until the child has its own dispositions: a SIGTERM in between would run
        # our handler in it, and be lost.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            pid = fork()
            if pid == 0:
                ours.close()
                self._live_as_child(theirs, number, before)
        except OSError as error:
            log.error("%s: cannot fork: %s", self.name, error)
            ours.close()
            return None
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            theirs.close()
        slot.generation += 1
        child = Child(pid, number, slot.generation, MessagePipe(ours), time.monotonic())
        self._children[pid] = child
        self._selector.register(ours, selectors.EVENT_READ, child)
        return child

    def _live_as_child(self, link: socket.socket, number: int, mask: Iterable[int]) -> NoReturn:
        """Everything a child does; never returns into the supervisor's loop."""
        code = 1
        try:
            os.setsid()
            self._drop_inheritance()
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            lifeline = Lifeline(link, number, self.grace_seconds)
            lifeline.watch_parent()
            code = self._run_child(lifeline)
        except SystemExit as ending:
            code = ending.code if isinstance(ending.code, int) else int(ending.code is not None)
        except KeyboardInterrupt:
            code = 128 + signal.SIGINT
        except BaseException:
            log.exception("%s: child %s failed", self.name, os.getpid())
        finally:
            _flush_output()
            # Not sys.exit(): the exit handlers registered before the fork are the parent's.
            os._exit(code or 0)

    def _drop_inheritance(self) -> None:
        signal.set_wakeup_fd(-1)
        # The others still do nothing: a reload or a forwarded signal that comes too early, or to
        # a child by mistake, must not end it.
        for signum in self._stop_signals | {signal.SIGCHLD}:
            signal.signal(signum, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        # An end kept open here would hide the supervisor's death from the other children.
        for child in self._children.values():
            child.channel.close()
        self._selector.close()
        self._wake_in.close()
        self._wake_out.close()

    def _hear(self, child: Child) -> None:
        child.channel.flush()
        if child.channel.pump():
            child.heard = True
            child.last_heard = time.monotonic()
        if not child.channel.is_open:
            self._unwatch(child)
        while child.channel.arrived:
            self._call(self._on_message, child, child.channel.arrived.popleft())

    def _watch_outgoing(self) -> None:
        for child in self._children.values():
            if child.channel.is_open:
                wanted = selectors.EVENT_READ
                if child.channel.outgoing:
                    wanted |= selectors.EVENT_WRITE
                if self._selector.get_key(child.channel.link).events != wanted:
                    self._selector.modify(child.channel.link, wanted, child)

    def _unwatch(self, child: Child) -> None:
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(child.channel.link)

    def _forgive_silence(self, now: float, late: float) -> None:
        """Blame no child when this process stood still itself, maybe with the whole machine."""
        if self.heartbeat_timeout is not None and late > self.heartbeat_timeout / 2:
            for child in self._children.values():
                child.last_heard = now

    def _kill_overdue(self, now: float) -> None:
        for child in self.children:
            silent = now - child.last_heard
            if self.heartbeat_timeout is not None and silent >= self.heartbeat_timeout:
                log.error("%s: child %s gave no sign for %.1f s", self.name, child.pid, silent)
                child.hung = True
                child.last_heard = now
                child.kill()
            elif now >= child.kill_at:
                log.warning("%s: child %s outlasted the grace, killed", self.name, child.pid)
                child.kill_at = math.inf
                if self._stopping:
                    self._exit_code = self._exit_code or 1
                child.kill()

    # --- deaths --------------------------------------------------------------------------------

    def _reap(self) -> None:
        for child in self.children:
            with contextlib.suppress(ChildProcessError):
                # Looked at first and reaped after: until then its number can't be given to
                # another process, so the rest of its group is safe to kill.
                found = os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
                if found is None:
                    continue
                if found.si_code != os.CLD_EXITED:
                    child.kill()
            self._bury(child)
        if os.getpid() == 1:
            self._reap_strangers()

    def _reap_strangers(self) -> None:
        """As the first process of a container, adopt and reap what nobody else will."""
        with contextlib.suppress(ChildProcessError):
            while True:
                found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
                if found is None or found.si_pid in self._children:
                    return
                os.waitpid(found.si_pid, os.WNOHANG)

    def _bury(self, child: Child) -> None:
        code: int | None = None
        signum: int | None = None
        with contextlib.suppress(ChildProcessError):
            _, status = os.waitpid(child.pid, 0)
            code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else None
            signum = os.WTERMSIG(status) if os.WIFSIGNALED(status) else None
        self._hear(child)
        self._forget(child)
        if not child.leaving and (signum is not None or code):
            log.warning(
                "%s: child %s died (code %s, signal %s)", self.name, child.pid, code, signum
            )
        wanted = self._call(self._on_exit, ChildExit(child, code, signum, child.hung))
        if not self._stopping:
            self._succeed(child, failed=code != 0, wanted=wanted is not False)

    def _forget(self, child: Child) -> None:
        self._unwatch(child)
        child.channel.close()
        self._children.pop(child.pid, None)

    def _succeed(self, child: Child, *, failed: bool, wanted: bool) -> None:
        """Decide what becomes of the place that *child* has left."""
        now = time.monotonic()
        slot = self._slots[child.slot]
        for handover in list(self._handovers):
            if handover.old is child:
                self._handovers.remove(handover)
                if handover.new is not None:
                    return
        # A second reload may have asked for the successor of a successor: both are answered here.
        for handover in self._handovers:
            if handover.new is child:
                handover.new = None
                handover.not_before = now + self._delay_after(child, failed, now)
                return
        if child.leaving or not wanted:
            return
        slot.fork_at = now + self._delay_after(child, failed, now)

    def _delay_after(self, child: Child, failed: bool, now: float) -> float:
        slot = self._slots[child.slot]
        if failed and not child.killed and now - child.started_at < self.restart_delay[1]:
            return self._back_off(slot)
        slot.failures = 0
        # A short pause keeps children that end at once, though in order, from spinning.
        return 0.0 if failed else self.restart_delay[0]

    def _back_off(self, slot: _Slot) -> float:
        first, longest = self.restart_delay
        slot.failures += 1
        if self.max_restarts is not None and slot.failures > self.max_restarts:
            log.error("%s: %s failures in a row, giving up", self.name, slot.failures)
            self._exit_code = 1
            self._stop_asked = True
        return min(longest, first * 2.0 ** min(slot.failures - 1, 30))

    # --- exchange ------------------------------------------------------------------------------

    def _exchange(self, now: float) -> None:
        """Take the foremost handover as far as it goes: fork the new child, dismiss the old."""
        if not self._handovers:
            return
        handover = self._handovers[0]
        if handover.new is None:
            if handover.not_before <= now:
                handover.new = self._fork(handover.old.slot)
                pause = math.inf if handover.new else self._back_off(self._slots[handover.old.slot])
                handover.not_before = now + pause
        elif self.is_settled(handover.new, now):
            self._handovers.popleft()
            self._ask_to_leave(handover.old, now)

    def _announce(self, now: float) -> None:
        """Report readiness once every place is filled by a child that has started."""
        if self._announced or self._handovers or len(self._children) < len(self._slots):
            return
        if all(self.is_settled(child, now) for child in self._children.values()):
            self._announced = True
            self._notify.ready(f"{self.name}: {len(self._slots)} running")


def _flush_output() -> None:
    """Write out what is buffered, so that a fork does not write it twice."""
    with contextlib.suppress(Exception):
        sys.stdout.flush()
        sys.stderr.flush()
