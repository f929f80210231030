"""Notifications and their channels."""

from so.config import env

config = {
    "default": env.list("NOTIFICATION_CHANNEL", ["database"]),  # of notifications without via()
    "queue": env("QUEUE_NOTIFICATIONS", False),  # true: one job per recipient and channel
    "queue_name": env("NOTIFICATION_QUEUE", "default"),  # the queue of those jobs
    "prune_days": env.int("NOTIFICATION_PRUNE_DAYS", 30),  # of notification:cleanup without --days
    "max_bytes": env.int("NOTIFICATION_MAX_BYTES", 1_048_576),  # of the data of one notification
    "webhook_secret": env("NOTIFICATION_WEBHOOK_SECRET"),  # signs what is posted; unset: unsigned
    "webhook_timeout": env.float("NOTIFICATION_WEBHOOK_TIMEOUT", 10.0),  # seconds
}
