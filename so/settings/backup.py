"""Backups: where they are written, and how many are kept."""

from __future__ import annotations

from dataclasses import dataclass

from so.support.settings import Settings, text, whole

ENDING = ".backup.tar.gz"


@dataclass(frozen=True)
class BackupSettings(Settings, topic="backup"):
    """`config/backup.py`."""

    path: str = text("storage/backups", "BACKUP_PATH", "folder; best on another disk")
    keep: int = whole(
        14, "BACKUP_KEEP", "files; older ones of that folder are deleted; 0: all stay"
    )
