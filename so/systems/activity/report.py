"""What a verification found: faults with names, and the exit code they amount to."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

CLEAN, TAMPERED, CANNOT_CHECK, STALE = 0, 1, 2, 3
MOST_LISTED = 100
"""Findings of each sort that are listed; beyond that they are only counted."""

ALWAYS = (
    "a row deleted between its commit and its seal",
    "changes that were never logged: raw SQL, without_activity()",
    "what was done by somebody who has the key, or runs code inside the application",
)
WITHOUT_ANCHOR = (
    "newest seals that were cut off with their rows, or a database that was set back: "
    "compare with --anchor or --head"
)
WITHOUT_SEALS = "rows that were deleted: activity.integrity is mac, so rows are signed, not sealed"


@dataclass(frozen=True)
class Fault:
    """One thing that is not as it was written; `seal` and `row` say where, if known."""

    kind: str
    text: str
    seal: Any = None
    row: int | None = None


@dataclass
class Report:
    """Counts and faults of one run; `limits` names what it cannot have seen."""

    seals: int = 0
    rows: int = 0
    pruned: int = 0
    erased: int = 0
    unsealed: int = 0
    last_seal: int = 0
    last_hash: str = ""
    fault_count: int = 0
    kinds: dict[str, int] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    unchecked: int = 0
    cannot_check: list[str] = field(default_factory=list)
    stale: list[str] = field(default_factory=list)
    limits: list[str] = field(default_factory=list)

    def fault(self, kind: str, text: str, *, seal: Any = None, row: int | None = None) -> None:
        """Count a fault, and list it while there are few."""
        self.fault_count += 1
        self.kinds[kind] = self.kinds.get(kind, 0) + 1
        if len(self.faults) < MOST_LISTED:
            self.faults.append(Fault(kind, text, seal, row))

    def unknown(self, text: str) -> None:
        """Count what cannot be checked, and list it while there is little."""
        self.unchecked += 1
        if len(self.cannot_check) < MOST_LISTED:
            self.cannot_check.append(text)

    @property
    def exit_code(self) -> int:
        """0 clean, 1 tampered, 2 cannot check, 3 unsealed backlog: the worst that is true."""
        if self.fault_count:
            return TAMPERED
        if self.unchecked:
            return CANNOT_CHECK
        return STALE if self.stale else CLEAN

    @property
    def is_clean(self) -> bool:
        """True if nothing at all is to be said."""
        return self.exit_code == CLEAN

    @property
    def summary(self) -> str:
        """The counts, in a line."""
        found = ", ".join(f"{count} {kind}" for kind, count in self.kinds.items())
        return (
            f"{self.rows} rows in {self.seals} seals, {self.unsealed} unsealed, "
            f"{self.pruned} pruned, {self.erased} erased"
            + (f"; {self.fault_count} findings: {found}" if found else "")
        )

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"exit_code": self.exit_code, **asdict(self)}
