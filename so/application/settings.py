"""The settings of an application: its own files, what was given, the variables, the defaults.

What neither a file of `config/` nor the caller says is what the setting's variable says in the
environment or in `.env`, and else its default in so/settings.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from so.config import Config, env
from so.settings import TOPICS, settings_class


def settings_of(base: Path, dotenv: Mapping[str, str], given: Mapping[str, Any]) -> Config:
    """What `config/` in *base* says, *given* laid over it, the rest from variables and defaults."""
    config = Config(base / "config", dotenv)
    _make_way(config, given)
    config.merge(given)
    config.settle({topic: partial(_whole, topic) for topic in TOPICS})
    return config


def _whole(topic: str, given: Any) -> dict[str, Any]:
    found: dict[str, Any] = env.settings(settings_class(topic), given)
    return found


def _make_way(config: Config, given: Mapping[str, Any]) -> None:
    """Forget a connection that is given with another driver: their settings do not mix."""
    connections = (given.get("database") or {}).get("connections") or {}
    for name, connection in connections.items():
        here = config.get(f"database.connections.{name}")
        if isinstance(here, Mapping) and isinstance(connection, Mapping):
            drivers = {one.get("driver", here.get("driver")) for one in (here, connection)}
            if len(drivers) > 1 and drivers != {"mysql", "mariadb"}:
                config.set(f"database.connections.{name}", None)
