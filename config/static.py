"""Files that are served as they are.

Every setting, with its variable and its default, stands in so/settings/static.py.
"""

from so.config import env
from so.settings.static import StaticSettings

config = env.settings(StaticSettings)
