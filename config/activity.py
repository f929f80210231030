"""The activity log."""

from so.config import env

config = {
    "enabled": env("ACTIVITY_LOG_ENABLED", True),  # false: nothing is logged, anywhere
    "default_log": env("ACTIVITY_DEFAULT_LOG", "default"),  # the log of entries that name none
    "prune_days": env.int("ACTIVITY_PRUNE_DAYS", 365),  # of activity:prune without --days
    "mask": [  # values under names that contain one of these are written as ***
        "password", "passwd", "passphrase", "secret", "token", "api_key", "apikey", "app_key",
        "private_key", "access_key", "card_number", "cvv", "cvc", "iban",
    ],
}  # fmt: skip
