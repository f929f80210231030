"""The cache, its locks and its rate limits.

Every setting, with its variable and its default, stands in so/settings/cache.py.
"""

from so.config import env
from so.settings.cache import CacheSettings

config = env.settings(CacheSettings)
