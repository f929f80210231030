"""All tables of one queue together, with its clock: what the storeys above are given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from so.support.clock import Clock
from so.systems.queue.tables.batches import Batches
from so.systems.queue.tables.jobs import JobStore
from so.systems.queue.tables.locks import QueueLocks
from so.systems.queue.tables.metrics import Metrics
from so.systems.queue.tables.progress import ProgressTable
from so.systems.queue.tables.workers import Control


@dataclass(frozen=True)
class Tables:
    """The statements for one engine; *source* gives the connection of whoever asks."""

    source: Any
    clock: Clock
    jobs: JobStore
    locks: QueueLocks
    batches: Batches
    progress: ProgressTable
    workers: Control
    metrics: Metrics

    @classmethod
    def of(cls, source: Any, clock: Clock) -> Tables:
        """Those for the engine behind *source*, which is asked for a connection once."""
        dialect = source.connection().dialect.name
        workers = Control(source, clock, dialect)
        return cls(
            source,
            clock,
            JobStore(dialect),
            QueueLocks(dialect),
            Batches(dialect),
            ProgressTable(dialect),
            workers,
            Metrics(source, clock, workers, dialect),
        )
