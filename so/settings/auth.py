"""Logging in: whose passwords, how strong, how often, how long remembered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from so.support.settings import (
    Settings,
    Variables,
    anything,
    listed,
    number,
    part,
    switch,
    table,
    text,
    whole,
)


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
class PasswordSettings(Settings, topic="auth.password"):
    """What a new password must be, for `Password.default()`."""

    column: str = text("password", "AUTH_PASSWORD_COLUMN", "the column that holds the hash")
    min: int = whole(12, "AUTH_PASSWORD_MIN", "characters at least", least=1)
    letters: bool = switch(False, "AUTH_PASSWORD_LETTERS", "at least one letter")
    mixed_case: bool = switch(False, "AUTH_PASSWORD_MIXED_CASE", "a small letter and a capital")
    numbers: bool = switch(False, "AUTH_PASSWORD_NUMBERS", "at least one digit")
    symbols: bool = switch(False, "AUTH_PASSWORD_SYMBOLS", "at least one sign")
    not_common: bool = switch(True, "AUTH_PASSWORD_NOT_COMMON", "none that guessers try first")
    list: str | None = text(
        None, "AUTH_PASSWORD_LIST", "a file with more of those, one a line; empty: none"
    )
    unlike: tuple[str, ...] = listed(
        ("name", "email"), "AUTH_PASSWORD_UNLIKE", "columns whose words it must not contain"
    )
    not_used: int = whole(
        0, "AUTH_PASSWORD_NOT_USED", "so many last ones must not come again; 0: they may"
    )
    history: int = whole(10, "AUTH_PASSWORD_HISTORY", "hashes of last passwords kept for a user")

    @classmethod
    def from_config(
        cls, given: Mapping[str, Any] | str | None = None, variables: Variables | None = None
    ) -> Self:
        """As of any settings; a text is the name of the column."""
        return super().from_config(
            {"column": given} if isinstance(given, str) else given, variables
        )


@dataclass(frozen=True)
class AuthSettings(Settings, topic="auth"):
    """`config/auth.py`."""

    model: Any = anything("app.models.User", "AUTH_MODEL", "the model of the users")
    users: Any = anything(
        None, "AUTH_USERS", "a class that finds and checks users elsewhere, such as LDAP"
    )
    email: str = text("email", "AUTH_EMAIL_COLUMN", "the column that holds the address")
    password: PasswordSettings = part(PasswordSettings)
    guards: Mapping[str, Any] = table({}, None, "further ways in, by name: driver and model")
    login: str = text("/login", "AUTH_LOGIN_URL", "where guests are sent")
    home: str = text("/", "AUTH_HOME_URL", "where those go who are logged in already")
    confirm: str = text(
        "/confirm-password", "AUTH_CONFIRM_URL", "where the password is asked for once more"
    )
    verify: str = text(
        "/verify-email", "AUTH_VERIFY_URL", "where those go whose address is not confirmed"
    )
    verify_link: str = text(
        "/verify-email/{token}", "AUTH_VERIFY_LINK", "the page that confirms an address"
    )
    reset_link: str = text(
        "/reset-password/{token}", "AUTH_RESET_LINK", "the page for a new password"
    )
    challenge: str = text(
        "/two-factor-challenge", "AUTH_CHALLENGE_URL", "where the second factor is asked for"
    )
    enrol: str = text(
        "/two-factor", "AUTH_ENROL_URL", "where those go whose role demands a second factor"
    )
    confirm_minutes: float = number(
        15, "AUTH_CONFIRM_MINUTES", "minutes a password that was given again counts"
    )
    reset_minutes: float = number(
        60, "AUTH_RESET_MINUTES", "minutes a link for a new password is good"
    )
    verify_minutes: float = number(
        1440, "AUTH_VERIFY_MINUTES", "minutes a link that confirms an address is good"
    )
    two_factor_minutes: float = number(
        10, "AUTH_TWO_FACTOR_MINUTES", "minutes the second factor is waited for"
    )
    two_factor_roles: tuple[str, ...] = listed(
        (), "AUTH_TWO_FACTOR_ROLES", "roles that demand a second factor"
    )
    impersonate: str = text(
        "impersonate", "AUTH_IMPERSONATE", "the ability that acting as another user needs"
    )
    log_events: bool = switch(True, "AUTH_LOG_EVENTS", "write logins into the activity log `auth`")
    new_device: bool = switch(
        True, "AUTH_NEW_DEVICE", "tell users of a login from a device not seen before"
    )
    keep_tokens: bool = switch(False, "AUTH_KEEP_TOKENS", "access tokens outlast a new password")
    token_prefix: str = text(
        "", "AUTH_TOKEN_PREFIX", "begins access tokens, for scanners of leaked secrets"
    )
    token_days: float = number(
        0, "AUTH_TOKEN_DAYS", "days an access token lives unless told; 0: for ever"
    )
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
