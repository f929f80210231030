"""Files that are served as they are."""

from __future__ import annotations

from dataclasses import dataclass

from so.support.settings import Settings, switch, text, whole


@dataclass(frozen=True)
class StaticSettings(Settings, topic="static"):
    """`config/static.py`."""

    enabled: bool = switch(True, "STATIC_ENABLED", "false: leave them to nginx")
    root: str = text("public", "STATIC_ROOT", "folder, from the project's folder")
    prefix: str = text("/static", "STATIC_PREFIX", "path they stand under")
    max_age: int = whole(3600, "STATIC_MAX_AGE", "seconds a browser keeps one without asking")
