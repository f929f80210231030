"""Where the application's log lines go. Read by the application for its own logger, `so`."""

from so.config import env

config = {
    "default": env(
        "LOG_CHANNEL", "stderr"
    ),  # the channel that is written to; a stack joins several
    "level": env("LOG_LEVEL", "info"),  # lowest level written: debug info warning error critical
    "channels": {
        "stack": {
            "driver": "stack",
            "channels": env.list("LOG_STACK", ["stderr", "daily"]),  # every one gets each line
        },
        "stderr": {"driver": "stderr", "format": env("LOG_FORMAT", "line")},  # line or json
        "json": {"driver": "stderr", "format": "json"},  # one JSON object a line
        "file": {
            "driver": "file",
            "path": env("LOG_PATH", "storage/logs/so.log"),  # relative to the project folder
            "format": env("LOG_FORMAT", "line"),
        },
        "daily": {
            "driver": "daily",
            "path": env("LOG_PATH", "storage/logs/so.log"),  # the date is put before the suffix
            "days": env.int("LOG_DAYS", 14),  # files kept; 0 keeps all
            "format": env("LOG_FORMAT", "line"),
        },
        "syslog": {
            "driver": "syslog",
            "address": env("LOG_SYSLOG_ADDRESS", "/dev/log"),  # socket path, or host:port (UDP)
            "facility": env("LOG_SYSLOG_FACILITY", "user"),  # user, daemon, local0 … local7
            "ident": env("LOG_IDENT", "so"),  # the name in front of each line
        },
        "journald": {"driver": "journald", "ident": env("LOG_IDENT", "so")},
        "null": {"driver": "null"},  # writes nothing
    },
}
