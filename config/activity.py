"""The activity log.

Every setting, with its variable and its default, stands in so/settings/activity.py.
"""

from so.config import env
from so.settings.activity import ActivitySettings

config = env.settings(ActivitySettings)
