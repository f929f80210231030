"""Every setting of the framework: one module a topic, one field a setting.

A field says the setting's variable, meaning, default and known values, and nothing else does:
`config/` reads the variables by it, the systems take their defaults from it, and .env.example and
docs/reference.md are kept to it by tests. How a field is written: so/support/settings.py.

Read in this order: ../support/settings.py (how a field is written), then the topic in question.
"""

from __future__ import annotations

from importlib import import_module

from so.support.settings import Settings

TOPICS = {
    "activity": "ActivitySettings",
    "app": "AppSettings",
    "auth": "AuthSettings",
    "backup": "BackupSettings",
    "cache": "CacheSettings",
    "console": "ConsoleSettings",
    "database": "DatabaseSettings",
    "docs": "DocsSettings",
    "http": "HttpLimits",
    "logging": "LogSettings",
    "mail": "MailSettings",
    "notifications": "NotificationSettings",
    "openapi": "OpenApiSettings",
    "queue": "QueueSettings",
    "server": "ServerSettings",
    "session": "SessionSettings",
    "static": "StaticSettings",
    "trustedproxy": "ProxySettings",
}


def settings_class(topic: str) -> type[Settings]:
    """The class of the settings under *topic* of `config/`."""
    found: type[Settings] = getattr(import_module(f"so.settings.{topic}"), TOPICS[topic])
    return found
