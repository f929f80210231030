"""Notifications and their channels."""

from __future__ import annotations

from dataclasses import dataclass

from so.support.settings import Settings, listed, number, switch, text, whole, words

CHANNELS = ("database", "mail", "webhook", "log")


@dataclass(frozen=True)
class NotificationSettings(Settings, topic="notifications"):
    """`config/notifications.py`."""

    default: tuple[str, ...] = words(
        ("database",), "NOTIFICATION_CHANNEL", "of notifications without via()", of=CHANNELS
    )
    queue: bool = switch(False, "QUEUE_NOTIFICATIONS", "true: one job per recipient and channel")
    queue_name: str = text("default", "NOTIFICATION_QUEUE", "the queue of those jobs")
    prune_days: int = whole(
        30, "NOTIFICATION_PRUNE_DAYS", "days; of notification:cleanup without --days"
    )
    max_bytes: int = whole(
        1_048_576, "NOTIFICATION_MAX_BYTES", "bytes of the data of one notification"
    )
    quiet_hours: str | None = text(
        None, "NOTIFICATION_QUIET_HOURS", "as 22:00-07:00, on each reader's clock; unset: none"
    )
    digest_at: str = text(
        "08:00", "NOTIFICATION_DIGEST_AT", "when daily and weekly (on Monday) digests are due"
    )
    inbox_path: str = text(
        "/notifications", "NOTIFICATION_INBOX_PATH", "where InboxProvider serves the inbox"
    )
    inbox_middleware: tuple[str, ...] = listed(
        ("web", "auth"), "NOTIFICATION_INBOX_MIDDLEWARE", "around it; somebody must be logged in"
    )
    stream_seconds: float = number(
        120.0, "NOTIFICATION_STREAM_SECONDS", "then a live inbox is asked again who is logged in"
    )
    poll_seconds: float = number(
        5.0, "NOTIFICATION_POLL_SECONDS", "between two looks where a server holds no stream"
    )
    webhook_secret: str | None = text(
        None, "NOTIFICATION_WEBHOOK_SECRET", "signs what is posted; unset: unsigned", secret=True
    )
    webhook_timeout: float = number(10.0, "NOTIFICATION_WEBHOOK_TIMEOUT", "seconds")
    webhook_private: bool = switch(
        True, "NOTIFICATION_WEBHOOK_PRIVATE", "false: refuse addresses of this machine and network"
    )
