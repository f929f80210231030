"""Sessions: where they are kept, how long they last, how their cookies look."""

from so.config import env

_lifetime = env.int("SESSION_LIFETIME", 120)
_ends_with_browser = env.bool("SESSION_EXPIRE_ON_CLOSE", False)

config = {
    "driver": env("SESSION_DRIVER", "database"),  # database, or array: this process only, for tests
    "connection": env("SESSION_CONNECTION"),  # of config/database.py; empty: the default one
    "lifetime": _lifetime,  # minutes without a request until a session is over
    "absolute_lifetime": env.int("SESSION_ABSOLUTE_LIFETIME", 43200),  # minutes in all; 0: no limit
    "touch_seconds": env.int("SESSION_TOUCH_SECONDS", 60),  # activity is noted this often at most
    "grace_seconds": env.int("SESSION_GRACE_SECONDS", 30),  # an id changed without need still works
    "max_bytes": env.int("SESSION_MAX_BYTES", 1_048_576),  # bytes of values in one session
    "encrypt": env.bool("SESSION_ENCRYPT", False),  # needs a cipher bound as `session.cipher`
    # The cookies; over HTTPS, at path / and without a domain, __Host- comes before their names.
    "cookie": env("SESSION_COOKIE", "so_session"),
    "remember_name": env("SESSION_REMEMBER_COOKIE", "so_remember"),  # of remembered devices
    "device_name": env("SESSION_DEVICE_COOKIE", "so_device"),  # of devices logged in from before
    "xsrf": env("SESSION_XSRF_COOKIE", "XSRF-TOKEN"),  # the token for scripts; empty: not set
    "minutes": 0 if _ends_with_browser else _lifetime,  # of the cookie; 0: with the browser
    "path": env("SESSION_PATH", "/"),  # below which the cookie is sent
    "domain": env("SESSION_DOMAIN"),  # empty: this host only
    "secure": env.bool("SESSION_SECURE_COOKIE"),  # HTTPS only; empty: as each request came
    "same_site": env("SESSION_SAME_SITE", "lax"),  # lax, strict or none
    # Forms of other sites.
    "csrf_except": env.list("CSRF_EXCEPT", []),  # paths that check callers themselves: webhooks/*
    "trusted_origins": env.list("CSRF_TRUSTED_ORIGINS", []),  # other sites of yours: https://…
}
