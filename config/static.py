"""Files that are served as they are."""

from so.config import env

config = {
    "enabled": env("STATIC_ENABLED", True),  # False: leave them to nginx
    "root": env("STATIC_ROOT", "public"),  # folder, from the project's folder
    "prefix": env("STATIC_PREFIX", "/static"),  # path they stand under
    "max_age": env.int("STATIC_MAX_AGE", 3600),  # seconds a browser keeps one without asking
}
