"""Where the application's log lines go. Read by the application for its own logger, `so`.

Every setting, with its variable and its default, stands in so/settings/logging.py.
"""

from so.config import env
from so.settings.logging import LogSettings

config = env.settings(LogSettings)
