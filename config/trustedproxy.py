"""Whose X-Forwarded-… headers are believed. Nobody's, until this says so.

Every setting, with its variable and its default, stands in so/settings/trustedproxy.py.
"""

from so.config import env
from so.settings.trustedproxy import ProxySettings

config = env.settings(ProxySettings)
