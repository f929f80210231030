"""The settings of an application: its own files, the framework's for the rest, and what was given.

The framework's are the files of `config/` beside a checkout; an installed package has them in
`so/skeleton/config`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from so.config import Config

_FRAMEWORK = Path(__file__).resolve().parent.parent
# Of the framework's own `app` topic these belong to an application that has the code for them.
_OF_AN_APPLICATION: dict[str, Any] = {"app": {"providers": [], "middleware": []}}


def settings_of(base: Path, dotenv: Mapping[str, str], given: Mapping[str, Any]) -> Config:
    """What `config/` in *base* says, *given* laid over it."""
    config = Config(base / "config", dotenv)
    shipped = framework_folder()
    if shipped is not None and shipped != base / "config":
        if not config.has("app"):
            given = _over(_OF_AN_APPLICATION, given)
        # Which databases there are is for an application to say.
        config.fall_back_on(shipped, leave_out=("database",))
    _make_way(config, given)
    config.merge(given)
    return config


def _make_way(config: Config, given: Mapping[str, Any]) -> None:
    """Forget a connection that is given with another driver: their settings do not mix."""
    connections = (given.get("database") or {}).get("connections") or {}
    for name, connection in connections.items():
        here = config.get(f"database.connections.{name}")
        if isinstance(here, Mapping) and isinstance(connection, Mapping):
            drivers = {one.get("driver", here.get("driver")) for one in (here, connection)}
            if len(drivers) > 1 and drivers != {"mysql", "mariadb"}:
                config.set(f"database.connections.{name}", None)


def framework_folder() -> Path | None:
    """The folder with the framework's own settings; None where only `so/` was copied."""
    for folder in (_FRAMEWORK / "skeleton" / "config", _FRAMEWORK.parent / "config"):
        if folder.is_dir():
            return folder
    return None


def _over(under: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    both = Config(under)
    both.merge(given)
    return both.all()
