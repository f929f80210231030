"""Notifications and their channels.

Every setting, with its variable and its default, stands in so/settings/notifications.py.
"""

from so.config import env
from so.settings.notifications import NotificationSettings

config = env.settings(NotificationSettings)
