"""The application itself.

Every setting, with its variable and its default, stands in so/settings/app.py.
"""

from so.config import env
from so.settings.app import AppSettings

config = env.settings(
    AppSettings,
    {
        "providers": [  # registered in this order, then booted
            "so.web.docs.DocsProvider",  # the guides at /docs
            "so.web.openapi.OpenApiProvider",  # what `sixorbit openapi` asks
            "so.web.inbox.InboxProvider",  # the live inbox at /notifications/stream
            "so.web.console.ConsoleProvider",  # the operations console at /console
            "app.providers.AppProvider",
        ],
    },
)
