"""What a verification found: faults with names, and the exit code they amount to."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

CLEAN, TAMPERED, CANNOT_CHECK, STALE = 0, 1, 2, 3


@dataclass(frozen=True)
class Fault:
    """One thing that is not as it was written; `seal` and `row` say where, if known."""

    kind: str
    text: str
    seal: int | None = None
    row: int | None = None


@dataclass
class Report:
    """Counts and faults of one run."""

    seals: int = 0
    rows: int = 0
    pruned: int = 0
    erased: int = 0
    unsealed: int = 0
    last_seal: int = 0
    last_hash: str = ""
    faults: list[Fault] = field(default_factory=list)
    cannot_check: list[str] = field(default_factory=list)
    stale: list[str] = field(default_factory=list)

    def fault(
        self, kind: str, text: str, *, seal: int | None = None, row: int | None = None
    ) -> None:
        """Note a fault."""
        self.faults.append(Fault(kind, text, seal, row))

    @property
    def exit_code(self) -> int:
        """0 clean, 1 tampered, 2 cannot check, 3 unsealed backlog: the worst that is true."""
        if self.faults:
            return TAMPERED
        if self.cannot_check:
            return CANNOT_CHECK
        return STALE if self.stale else CLEAN

    @property
    def is_clean(self) -> bool:
        """True if nothing at all is to be said."""
        return self.exit_code == CLEAN

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"exit_code": self.exit_code, **asdict(self)}
