"""Logging in, staying remembered, being allowed: users, passwords, tokens and abilities.

`Authentication` is made once; `Authentication.open(session)` gives a request its `Auth`. Cookies,
headers and middleware are in so/edge, sessions in so/systems/sessions.
"""

from so.systems.auth.gate import Gate
from so.systems.auth.guard import Auth, Authentication, LoginSession
from so.systems.auth.passwords import Hash, PasswordHasher, legacy_sha1
from so.systems.auth.remember import RememberTokens
from so.systems.auth.throttle import (
    LocalLimiter,
    LoginThrottle,
    RateLimiter,
    SteadyLimiter,
    account_of,
)
from so.systems.auth.tokens import AccessToken, AccessTokens, HasApiTokens, NewToken
from so.systems.auth.users import ModelUsers, Users

__all__ = [
    "AccessToken",
    "AccessTokens",
    "Auth",
    "Authentication",
    "Gate",
    "HasApiTokens",
    "Hash",
    "LocalLimiter",
    "LoginSession",
    "LoginThrottle",
    "ModelUsers",
    "NewToken",
    "PasswordHasher",
    "RateLimiter",
    "RememberTokens",
    "SteadyLimiter",
    "Users",
    "account_of",
    "legacy_sha1",
]
