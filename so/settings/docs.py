"""The guides at /docs."""

from __future__ import annotations

from dataclasses import dataclass

from so.support.settings import Settings, listed, switch, text

ORDER = (
    "getting-started",
    "demo",
    "tutorial",
    "coming-from-php",
    "configuration",
    "container",
    "routing",
    "requests-and-responses",
    "validation",
    "errors-and-logging",
    "database",
    "connections",
    "models",
    "migrations",
    "activity-logging",
    "queue-system",
    "notification-system",
    "cache-system",
    "session-system",
    "authentication",
    "console",
    "testing",
    "openapi",
    "architecture",
    "decisions",
    "deployment",
    "embedding",
    "backup-and-restore",
    "air-gap",
    "upgrading",
    "versions",
    "capacity",
    "benchmarks",
    "alerts",
    "security",
    "operations-console",
    "faq",
    "reference",
)


@dataclass(frozen=True)
class DocsSettings(Settings, topic="docs"):
    """`config/docs.py`."""

    enabled: bool = switch(True, "DOCS_ENABLED", "false: no page, no route")
    prefix: str = text("docs", "DOCS_PREFIX", "where the pages stand: /docs")
    folder: str = text("docs", "DOCS_FOLDER", "folder of the *.md files, from the project's folder")
    title: str | None = text(
        None, "DOCS_TITLE", "heading of the index; unset: the application's name"
    )
    middleware: tuple[str, ...] = listed(
        (), "DOCS_MIDDLEWARE", "such as auth, to show them to users only"
    )
    order: tuple[str, ...] = listed(
        ORDER, None, "slugs that come first, in reading order; the rest follows by name"
    )
