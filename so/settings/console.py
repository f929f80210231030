"""The operations console: where it stands, who sees it, and how much history it keeps."""

from __future__ import annotations

from dataclasses import dataclass

from so.support.settings import Settings, listed, switch, text, whole


@dataclass(frozen=True)
class ConsoleSettings(Settings, topic="console"):
    """`config/console.py`."""

    enabled: bool = switch(True, "CONSOLE_ENABLED", "false: no page, no route, nothing is kept")
    path: str = text("/console", "CONSOLE_PATH", "where the pages stand")
    read_only: bool = switch(False, "CONSOLE_READ_ONLY", "true: everything is shown, nothing done")
    middleware: tuple[str, ...] = listed(
        ("web",), "CONSOLE_MIDDLEWARE", "around every page; abilities are asked for besides"
    )
    keep_minutes: int = whole(
        1440, "CONSOLE_KEEP_MINUTES", "minutes of history; one small row each"
    )
    requests: bool = switch(True, "CONSOLE_REQUESTS", "keep the last slow and failing requests")
    keep_requests: int = whole(200, "CONSOLE_KEEP_REQUESTS", "of them at most")
    statements: bool = switch(
        True, "CONSOLE_STATEMENTS", "count statements, keep slow ones; some microseconds each"
    )
    slow_statement_ms: int = whole(
        250, "CONSOLE_SLOW_STATEMENT_MS", "milliseconds from which a statement is slow"
    )
    slow_ms: int = whole(1000, "CONSOLE_SLOW_MS", "milliseconds from which a request is slow")
    refresh_seconds: int = whole(
        5, "CONSOLE_REFRESH_SECONDS", "between two looks of an open page; 0: only by hand"
    )
