"""Time zones by their names, of which UTC needs no data: a bare machine has none."""

from __future__ import annotations

from datetime import UTC, tzinfo

from so.errors import ConfigError


def zone_named(name: str) -> tzinfo:
    """The time zone *name*, as `Europe/Berlin`; ConfigError for one that this machine lacks."""
    if name == "UTC":
        return UTC
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError  # a megabyte that few processes need

    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"there is no time zone {name!r}: give one like Europe/Berlin, and install the "
            "system's package tzdata (on Windows Python's) if it is missing"
        ) from error
