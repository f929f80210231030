"""The OpenAPI document that `sixorbit openapi` writes.

Every setting, with its variable and its default, stands in so/settings/openapi.py.
"""

from so.config import env
from so.settings.openapi import OpenApiSettings

config = env.settings(OpenApiSettings)
