"""Where the application's log lines go, from its own logger, `so`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from so.errors import ConfigError
from so.support.near import nearest
from so.support.settings import Settings, choice, listed, table, text, whole, word

LEVELS = ("debug", "info", "notice", "warning", "error", "critical", "alert", "emergency")
DRIVERS = ("stderr", "file", "daily", "syslog", "journald", "null", "stack")


@dataclass(frozen=True)
class LogSettings(Settings, topic="logging"):
    """`config/logging.py`."""

    default: str = word(
        "stderr",
        "LOG_CHANNEL",
        "the channel that is written to; a stack joins several",
        of=("stack", "stderr", "json", "file", "daily", "syslog", "journald", "null"),
        nothing="null",
    )
    level: str = choice(
        "info",
        "LOG_LEVEL",
        "lowest level written: debug info warning error critical",
        of=LEVELS,
        also={"warn": "warning", "err": "error", "fatal": "critical"},
    )
    stack: tuple[str, ...] = listed(
        ("stderr", "daily"), "LOG_STACK", "the channels of a stack; every one gets each line"
    )
    format: str = choice("line", "LOG_FORMAT", "line or json", of=("line", "json"))
    path: str = text("storage/logs/so.log", "LOG_PATH", "relative to the project folder")
    days: int = whole(14, "LOG_DAYS", "files kept; 0 keeps all")
    address: str = text("/dev/log", "LOG_SYSLOG_ADDRESS", "socket path, or host:port for UDP")
    facility: str = text("user", "LOG_SYSLOG_FACILITY", "user, daemon, local0 to local7")
    ident: str = text("so", "LOG_IDENT", "the name in front of each line")
    channels: dict[str, Any] = table(
        {}, None, "more channels by name, or what differs in one: driver, level, format, path …"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        known = self._standard()
        given = {
            name: {**known.get(name, {}), **_checked(name, one)}
            for name, one in self.channels.items()
        }
        object.__setattr__(self, "channels", {**known, **given})
        object.__setattr__(self, "default", self._channel(self.default))
        for channel in self.channels.values():
            for name in channel.get("channels", ()):
                self._channel(name)

    def _channel(self, name: str) -> str:
        """The channel that *name* means; a driver is one as well."""
        known = {each.lower(): each for each in (*DRIVERS, *self.channels)}
        if name.lower() not in known:
            near = nearest(name, known)
            hint = f"; did you mean {near!r}?" if near else ""
            raise ConfigError(
                f"LOG_CHANNEL (config logging.default) names the log channel {name!r}, which is "
                f"unknown: use one of {', '.join(sorted(known.values()))}{hint}"
            )
        return known[name.lower()]

    def _standard(self) -> dict[str, dict[str, Any]]:
        """The channels that there are without a word, with the settings above."""
        file = {"path": self.path, "format": self.format}
        return {
            "stack": {"driver": "stack", "channels": list(self.stack)},
            "stderr": {"driver": "stderr", "format": self.format},
            "json": {"driver": "stderr", "format": "json"},
            "file": {"driver": "file", **file},
            "daily": {"driver": "daily", "days": self.days, **file},
            "syslog": {
                "driver": "syslog",
                "address": self.address,
                "facility": self.facility,
                "ident": self.ident,
            },
            "journald": {"driver": "journald", "ident": self.ident},
            "null": {"driver": "null"},
        }


def _checked(name: str, channel: Any) -> dict[str, Any]:
    if not isinstance(channel, Mapping):
        raise ConfigError(f"config logging.channels.{name} must be a dict, not {channel!r}")
    if "driver" in channel:
        channel = {**channel, "driver": _driver(name, channel["driver"])}
    known = ("level", "format", "path", "days", "address", "facility", "ident")
    right = {key: LogSettings.checked(key, channel[key]) for key in known if key in channel}
    return {**channel, **right}


def _driver(channel: str, driver: Any) -> str:
    word = str(driver).strip().lower()
    if word not in DRIVERS:
        raise ConfigError(
            f"log channel {channel!r} has the unknown driver {driver!r}: "
            f"use one of {', '.join(DRIVERS)}"
        )
    return word
