"""The activity log."""

from so.config import env

config = {
    "enabled": env("ACTIVITY_LOG_ENABLED", True),  # false: nothing is logged, anywhere
    "default_log": env("ACTIVITY_DEFAULT_LOG", "default"),  # the log of entries that name none
    "prune_days": env.int("ACTIVITY_PRUNE_DAYS", 365),  # of activity:prune without --days
    "integrity": env("ACTIVITY_INTEGRITY"),  # off, mac or seal; unset: seal with a key, else off
    "key": env("AUDIT_KEY"),  # signs the trail; at least 16 bytes, kept outside the database
    "previous_keys": env.list("AUDIT_PREVIOUS_KEYS", []),  # still checked with after a change
    "seal_delay_seconds": env.float("ACTIVITY_SEAL_DELAY", 0.1),  # from a commit to its seal
    "rows_per_seal": 1000,  # the most rows that one seal covers
    "backlog_seconds": 300,  # activity:verify complains of rows that are unsealed for longer
    "heartbeat_seconds": 86_400,  # activity:seal seals nothing, to show life, after this
    "personal": [  # columns whose values activity:erase also looks for in rows the person caused
        "name", "email", "phone", "mobile", "fax", "address", "street", "city", "zip", "postal",
        "birth", "tax_id", "passport", "iban",
    ],
    "mask": [  # values under names that contain one of these are written as ***
        "password", "passwd", "passphrase", "secret", "token", "api_key", "apikey", "app_key",
        "private_key", "access_key", "card_number", "cvv", "cvc", "iban",
    ],
}  # fmt: skip
