"""Sessions: where they are kept, how long they last, how their cookies look."""

from __future__ import annotations

from dataclasses import dataclass

from so.support.settings import Settings, choice, listed, number, switch, text, whole


@dataclass(frozen=True)
class SessionSettings(Settings, topic="session"):
    """`config/session.py`."""

    driver: str = choice(
        "database",
        "SESSION_DRIVER",
        "database, or array: this process only, for tests",
        of=("database", "array"),
    )
    connection: str | None = text(
        None, "SESSION_CONNECTION", "of config/database.py; empty: that of the cache"
    )
    lifetime: float = number(
        120, "SESSION_LIFETIME", "minutes without a request until a session is over"
    )
    guest_lifetime: float = number(
        0, "SESSION_GUEST_LIFETIME", "the same where nobody is logged in; 0: as for users"
    )
    max_per_user: int = whole(
        0, "SESSION_MAX_PER_USER", "at once of one user, a login ends the oldest; 0: no limit"
    )
    expire_on_close: bool = switch(
        False, "SESSION_EXPIRE_ON_CLOSE", "true: the cookie ends with the browser"
    )
    absolute_lifetime: float = number(
        43_200, "SESSION_ABSOLUTE_LIFETIME", "minutes in all; 0: no limit"
    )
    touch_seconds: int = whole(60, "SESSION_TOUCH_SECONDS", "activity is noted this often at most")
    grace_seconds: int = whole(
        30, "SESSION_GRACE_SECONDS", "seconds an id that was replaced still works"
    )
    max_bytes: int = whole(1_048_576, "SESSION_MAX_BYTES", "bytes of values in one session")
    encrypt: bool = switch(False, "SESSION_ENCRYPT", "needs a cipher bound as `session.cipher`")
    # The cookies; over HTTPS, at path / and without a domain, __Host- comes before their names.
    cookie: str = text("so_session", "SESSION_COOKIE", "name of the cookie")
    remember_name: str = text("so_remember", "SESSION_REMEMBER_COOKIE", "of remembered devices")
    device_name: str = text(
        "so_device", "SESSION_DEVICE_COOKIE", "of devices logged in from before"
    )
    xsrf: str = text(
        "XSRF-TOKEN", "SESSION_XSRF_COOKIE", "the token for scripts; empty: not set", nothing=""
    )
    path: str = text("/", "SESSION_PATH", "below which the cookies are sent")
    domain: str | None = text(None, "SESSION_DOMAIN", "empty: this host only")
    secure: bool | None = switch(
        None, "SESSION_SECURE_COOKIE", "HTTPS only; empty: as each request came"
    )
    same_site: str = choice(
        "lax",
        "SESSION_SAME_SITE",
        "lax, strict or none",
        of=("lax", "strict", "none"),
        also={"null": "lax"},
    )
    minutes: float | None = number(
        None, None, "the browser keeps the cookies; 0: until it is closed; unset: the lifetime"
    )
    # Forms of other sites.
    csrf_except: tuple[str, ...] = listed(
        (), "CSRF_EXCEPT", "paths that check callers themselves: webhooks/*"
    )
    trusted_origins: tuple[str, ...] = listed(
        (), "CSRF_TRUSTED_ORIGINS", "other sites of yours: https://…"
    )

    @property
    def cookie_minutes(self) -> float:
        """How long the browser keeps the cookies; 0: until it is closed."""
        if self.minutes is None:
            return 0 if self.expire_on_close else self.lifetime
        return self.minutes
