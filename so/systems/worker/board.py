"""Memory that a crew shares with its children: what each of them does at this moment.

A child writes its record with one store per job, without a system call; the crew reads it to renew
leases and to see what is over its time. Records are claimed by process id, because while children
are exchanged two of them share a slot.
"""

from __future__ import annotations

import mmap
import os
import struct
from dataclasses import dataclass

_HEADER = 64
_FIXED = struct.Struct("=QQIIddQQ")
_NAME_BYTES = 160
_CLAIM = _FIXED.size + _NAME_BYTES
_RECORD = 256
_PER_SLOT = 4
IDLE, BUSY = 1, 2


@dataclass(frozen=True)
class Doing:
    """What one child does; times are of the monotonic clock."""

    pid: int
    job_id: int
    attempts: int
    is_busy: bool
    started: float
    deadline: float
    """0.0 is none."""
    done: int
    failed: int
    queue: str
    name: str
    claim: int = 0
    """The number of the group of jobs it has claimed, and has not ended yet; 0 is none."""

    def is_same_run(self, other: Doing | None) -> bool:
        """Whether both are of the same run of the same job."""
        return other is not None and (self.job_id, self.attempts, self.started) == (
            other.job_id,
            other.attempts,
            other.started,
        )


class CrewBoard:
    """One record for each child of *slots* places."""

    def __init__(self, slots: int) -> None:
        """Made by the crew, before it forks."""
        self._slots = slots
        self._memory = mmap.mmap(-1, _HEADER + slots * _PER_SLOT * _RECORD)

    # --- the crew's side ---

    @property
    def paused(self) -> bool:
        """Whether children shall take no jobs (SIGUSR2)."""
        return self._memory[0] == 1

    @paused.setter
    def paused(self, value: bool) -> None:
        self._memory[0] = int(value)

    def of(self, slot: int, pid: int) -> Doing | None:
        """What the child *pid* in *slot* does; None before it has said anything."""
        place = self._find(slot, pid)
        if place is None:
            return None
        for _ in range(3):
            before = self._memory[place : place + _RECORD]
            # The child may be writing: what reads the same twice is whole.
            if before == self._memory[place : place + _RECORD]:
                break
        pid, job_id, attempts, state, started, deadline, done, failed = _FIXED.unpack_from(before)
        text = before[_FIXED.size : _FIXED.size + _NAME_BYTES].split(b"\0", 1)[0]
        queue, _, name = text.decode("utf-8", "replace").partition("\t")
        return Doing(
            pid,
            job_id,
            attempts,
            state == BUSY,
            started,
            deadline,
            done,
            failed,
            queue,
            name,
            int.from_bytes(before[_CLAIM : _CLAIM + 8], "little"),
        )

    def clear(self, slot: int, pid: int) -> None:
        """Free the record of a child that is gone."""
        place = self._find(slot, pid)
        if place is not None:
            self._memory[place : place + _RECORD] = bytes(_RECORD)

    # --- a child's side ---

    def enter(self, slot: int) -> CrewSeat:
        """Take a record of *slot* for this process."""
        place = self._find(slot, 0)
        if place is None:
            place = self._place(slot, 0)
        return CrewSeat(self._memory, place)

    def _find(self, slot: int, pid: int) -> int | None:
        for index in range(_PER_SLOT):
            place = self._place(slot, index)
            if int.from_bytes(self._memory[place : place + 8], "little") == pid:
                return place
        return None

    @staticmethod
    def _place(slot: int, index: int) -> int:
        return _HEADER + (slot * _PER_SLOT + index) * _RECORD


class CrewSeat:
    """One child's own record."""

    def __init__(self, memory: mmap.mmap, place: int) -> None:
        self._memory = memory
        self._place = place
        self._pid = os.getpid()
        self._name = ("", "")
        self.deadline = 0.0
        self.write(0, 0, IDLE, 0.0, 0.0, 0, 0)

    @property
    def paused(self) -> bool:
        """Whether this child shall take no jobs."""
        return self._memory[0] == 1

    def write(
        self,
        job_id: int,
        attempts: int,
        state: int,
        started: float,
        deadline: float,
        done: int,
        failed: int,
    ) -> None:
        """Say what this child does from now on."""
        self.deadline = deadline
        _FIXED.pack_into(
            self._memory,
            self._place,
            self._pid,
            job_id,
            attempts,
            state,
            started,
            deadline,
            done,
            failed,
        )

    def write_claim(self, number: int) -> None:
        """Say which group of jobs this child holds, whatever it does with them; 0 is none."""
        start = self._place + _CLAIM
        self._memory[start : start + 8] = number.to_bytes(8, "little")

    def write_name(self, queue: str, name: str) -> None:
        """Say which class of job it is, and of which queue."""
        if (queue, name) != self._name:
            self._name = queue, name
            raw = f"{queue}\t{name}".encode()[: _NAME_BYTES - 1]
            start = self._place + _FIXED.size
            self._memory[start : start + _NAME_BYTES] = raw.ljust(_NAME_BYTES, b"\0")
