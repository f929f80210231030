"""Logging in: whose passwords, how strong, how often, how long remembered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from so.support.settings import Settings, anything, number, part, text, whole


@dataclass(frozen=True)
class ScryptSettings(Settings, topic="auth.scrypt"):
    """How hard a password is to guess; OWASP accepts ln/r/p of 17/8/1, 16/8/2 and 15/8/3."""

    ln: int = whole(15, "HASH_LN", "memory is 128 · r · 2^ln bytes", least=1)
    r: int = whole(8, "HASH_R", "size of a block", least=1)
    p: int = whole(3, "HASH_P", "passes", least=1)
    max_concurrent: int = whole(
        2, "HASH_MAX_CONCURRENT", "at once in a process; others wait", least=1
    )
    wait_seconds: float = number(10.0, "HASH_WAIT_SECONDS", "for a turn, then 503")


@dataclass(frozen=True)
class AuthSettings(Settings, topic="auth"):
    """`config/auth.py`."""

    model: Any = anything("app.models.User", "AUTH_MODEL", "a class with find() and first_where()")
    password: str = text("password", "AUTH_PASSWORD_COLUMN", "the column that holds the hash")
    login: str = text("/login", "AUTH_LOGIN_URL", "where guests are sent")
    home: str = text("/", "AUTH_HOME_URL", "where those go who are logged in already")
    scrypt: ScryptSettings = part(ScryptSettings)
    attempts_per_account: int = whole(5, "AUTH_ATTEMPTS_PER_ACCOUNT", "in a window; 0: no limit")
    attempts_per_address: int = whole(
        5, "AUTH_ATTEMPTS_PER_ADDRESS", "failed ones, in a window; 0: no limit"
    )
    attempt_window_seconds: int = whole(
        60, "AUTH_WINDOW_SECONDS", "of the attempts; begins with the first", least=1
    )
    remember_days: int = whole(
        30, "AUTH_REMEMBER_DAYS", "days a device is remembered after its password was given"
    )
    remember_grace_seconds: int = whole(
        10, "AUTH_REMEMBER_GRACE_SECONDS", "seconds a replaced cookie still counts"
    )
    legacy_salt: str | None = text(
        None, "AUTH_LEGACY_SALT", "lets in sha1(md5(salt).password) hashes, once each", secret=True
    )
