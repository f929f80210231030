"""The guides at /docs.

Every setting, with its variable and its default, stands in so/settings/docs.py.
"""

from so.config import env
from so.settings.docs import DocsSettings

config = env.settings(DocsSettings)
