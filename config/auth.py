"""Logging in: whose passwords, how strong, how often, how long remembered.

Every setting, with its variable and its default, stands in so/settings/auth.py.
"""

from so.config import env
from so.settings.auth import AuthSettings

config = env.settings(AuthSettings)
