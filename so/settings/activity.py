"""The activity log."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from so.support.settings import Settings, choice, listed, number, switch, table, text, whole


@dataclass(frozen=True)
class ActivitySettings(Settings, topic="activity"):
    """`config/activity.py`."""

    enabled: bool = switch(True, "ACTIVITY_LOG_ENABLED", "false: nothing is logged, anywhere")
    default_log: str = text("default", "ACTIVITY_DEFAULT_LOG", "the log of entries that name none")
    prune_days: int = whole(365, "ACTIVITY_PRUNE_DAYS", "days; of activity:prune without --days")
    retention: Mapping[str, int] = table(
        {}, None, "days by log, such as {'api': 30}: of activity:prune without --days and --log"
    )
    integrity: str | None = choice(
        None,
        "ACTIVITY_INTEGRITY",
        "off, mac or seal; unset: seal with a key, else off",
        of=("off", "mac", "seal"),
    )
    key: str | None = text(
        None,
        "AUDIT_KEY",
        "signs the trail; at least 16 bytes, kept outside the database",
        secret=True,
    )
    previous_keys: tuple[str, ...] = listed(
        (), "AUDIT_PREVIOUS_KEYS", "still checked with after a change", secret=True
    )
    seal_delay_seconds: float | None = number(
        0.1,
        "ACTIVITY_SEAL_DELAY",
        "seconds from a commit to its seal; null: left to activity:seal",
        nothing=None,
    )
    rows_per_seal: int = whole(1000, None, "the most rows that one seal covers", least=1)
    backlog_seconds: int = whole(
        300, None, "activity:verify complains of rows that are unsealed for longer"
    )
    heartbeat_seconds: int = whole(
        86_400, None, "activity:seal seals nothing, to show life, after this"
    )
    personal: tuple[str, ...] = listed(
        ("name", "email", "phone", "mobile", "fax", "tax_id", "passport", "iban"),
        None,
        "words in the names of columns that say who somebody is: activity:erase takes such values "
        "of a person out of rows about others as well",
    )
    mask: tuple[str, ...] = listed(
        (),
        None,
        "words besides the usual ones (password, token, …): values under names that contain one "
        "are written as ***",
    )
    failure: str = choice(
        "exception",
        "ACTIVITY_FAILURE",
        "when a change cannot be logged: exception stops it, log and silent let it pass",
        of=("exception", "log", "silent"),
    )
    alert: tuple[str, ...] = listed(
        (), "ACTIVITY_ALERT", "mail addresses told when activity:verify finds something"
    )
