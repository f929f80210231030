"""The known name that a mistyped one may have meant, for the mend of an error."""

from __future__ import annotations

from collections.abc import Iterable


def nearest(name: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The one of *known* most like *name*, at least by *cutoff* (1.0 is equal); else None."""
    from difflib import get_close_matches  # seldom needed, and slow to import

    found = get_close_matches(name, list(known), 1, cutoff)
    return found[0] if found else None
