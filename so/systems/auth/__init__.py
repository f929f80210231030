"""Logging in, staying remembered, being allowed: users, passwords, tokens and abilities.

`Authentication` is made once; `Authentication.open(session)` gives a request its `Auth`. What is
done to accounts beside logins is in `Accounts`. Cookies, headers and middleware are in so/edge,
sessions in so/systems/sessions.

Read in this order: logins.py (what all share), guard.py (one login) with visit.py (its request),
authentication.py (the door), users.py, passwords.py, remember.py, throttle.py, gate.py and
roles.py (what is allowed), accounts.py (what is done to accounts).
"""

from so.systems.auth.accounts import Accounts, AccountTerms, MustVerifyEmail
from so.systems.auth.authentication import Authentication
from so.systems.auth.events import AuthEvent, AuthEvents
from so.systems.auth.gate import Decision, Gate
from so.systems.auth.guard import Auth
from so.systems.auth.guards import Guard, Guards, read_guards
from so.systems.auth.logins import Terms
from so.systems.auth.passwords import Hash, PasswordHasher, legacy_sha1
from so.systems.auth.remember import RememberTokens
from so.systems.auth.roles import HasRoles, Role, Roles
from so.systems.auth.rules import Password, PasswordRule
from so.systems.auth.security import Security, SecurityRows
from so.systems.auth.throttle import GuessCounter, LoginThrottle, account_of
from so.systems.auth.tokens import AccessToken, AccessTokens, HasApiTokens, NewToken
from so.systems.auth.two_factor import TwoFactor, TwoFactors
from so.systems.auth.users import Directory, DirectoryUsers, ModelUsers, Users
from so.systems.auth.visit import LoginSession

__all__ = [
    "AccessToken",
    "AccessTokens",
    "AccountTerms",
    "Accounts",
    "Auth",
    "AuthEvent",
    "AuthEvents",
    "Authentication",
    "Decision",
    "Directory",
    "DirectoryUsers",
    "Gate",
    "Guard",
    "Guards",
    "HasApiTokens",
    "HasRoles",
    "Hash",
    "LoginSession",
    "LoginThrottle",
    "ModelUsers",
    "MustVerifyEmail",
    "NewToken",
    "Password",
    "PasswordHasher",
    "PasswordRule",
    "GuessCounter",
    "RememberTokens",
    "Role",
    "Roles",
    "Security",
    "SecurityRows",
    "Terms",
    "TwoFactor",
    "TwoFactors",
    "Users",
    "account_of",
    "legacy_sha1",
    "read_guards",
]
