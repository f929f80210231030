"""The guides at /docs."""

from so.config import env

config = {
    "enabled": env("DOCS_ENABLED", True),  # False: no page, no route
    "prefix": env("DOCS_PREFIX", "docs"),  # where the pages stand: /docs
    "folder": env("DOCS_FOLDER", "docs"),  # folder of the *.md files, from the project's folder
    "title": env("DOCS_TITLE", None),  # heading of the index; None: the application's name
    "middleware": env.list("DOCS_MIDDLEWARE", []),  # such as auth, to show them to users only
    "order": [  # slugs that come first, in reading order; the rest follows by name
        "getting-started",
        "coming-from-php",
        "configuration",
        "container",
        "routing",
        "requests-and-responses",
        "validation",
        "errors-and-logging",
        "database",
        "connections",
        "models",
        "migrations",
        "activity-logging",
        "queue-system",
        "notification-system",
        "cache-system",
        "session-system",
        "authentication",
        "console",
        "testing",
        "openapi",
        "deployment",
        "reference",
    ],
}
