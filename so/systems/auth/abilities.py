"""Names of abilities, in parts: `orders.read`; `orders.*` is all of orders, `*` is everything."""

from __future__ import annotations

from collections.abc import Iterable

EVERYTHING = "*"
ALL = [EVERYTHING]  # what a token may do that nothing is said of


def grants(held: Iterable[str], ability: str) -> bool:
    """True if one of the names *held* is *ability*, or a wildcard for it.

    A `*` stands for one part, and as the last one for all parts that follow.
    """
    return any(one == ability or _covers(one, ability) for one in held)


def _covers(pattern: str, ability: str) -> bool:
    if EVERYTHING not in pattern:
        return False
    parts, asked = pattern.split("."), ability.split(".")
    if parts[-1] == EVERYTHING and len(asked) >= len(parts):
        parts, asked = parts[:-1], asked[: len(parts) - 1]
    return len(parts) == len(asked) and all(
        part in (EVERYTHING, one) for part, one in zip(parts, asked, strict=True)
    )


def checked_abilities(given: object) -> list[str]:
    """*given* as a list of names; TypeError for anything but a list of texts."""
    # A text is a sequence of texts as well: its letters, and one of them might be `*`.
    if not isinstance(given, list) or not all(map(_is_name, given)):
        raise TypeError(
            "abilities must be a list of names such as ['orders.read', 'orders.*'], without space "
            f"at their ends, not {given!r}"
        )
    return list(given)


def _is_name(given: object) -> bool:
    return isinstance(given, str) and given != "" and given == given.strip()
