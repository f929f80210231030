"""Backups: where they are written, and how many are kept.

Every setting, with its variable and its default, stands in so/settings/backup.py.
"""

from so.config import env
from so.settings.backup import BackupSettings

config = env.settings(BackupSettings)
