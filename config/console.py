"""The operations console: where it stands, who sees it, and how much history it keeps.

Every setting, with its variable and its default, stands in so/settings/console.py.
"""

from so.config import env
from so.settings.console import ConsoleSettings

config = env.settings(ConsoleSettings)
