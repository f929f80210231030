"""The middleware `auth`, `auth:token`, `guest` and `can`: who may pass.

One mechanism a request: where a session was started, `auth` looks there and nowhere else; where
none was (the group `api`), and with `auth:token` always, it looks for an access token.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from so.edge.session import auth_here
from so.errors import AuthenticationException, AuthorizationException, NotFoundException
from so.http.redirects import chosen
from so.http.request import Request
from so.http.response import RedirectResponse, Response
from so.support.scope import current_scope
from so.systems.auth import AccessToken, AccessTokens, Auth, Authentication, Gate
from so.systems.auth.tokens import SCOPE_KEY

Next = Callable[[Request], Response]


@dataclass(frozen=True, slots=True)
class Doors:
    """Where people are sent: *login* for those who must log in, *home* for those who have."""

    login: str = "/login"
    home: str = "/"


class Authenticate:
    """`auth`, `auth:session`, `auth:token`, `auth:token,orders.read`: 401 for anybody else."""

    def __init__(self, authentication: Authentication, tokens: AccessTokens, doors: Doors) -> None:
        self._authentication, self._tokens, self._doors = authentication, tokens, doors

    def handle(
        self, request: Request, next: Next, guard: str | None = None, *abilities: str
    ) -> Response:
        """*abilities* are what an access token must have been made for (403 without)."""
        auth = auth_here(self._authentication)
        by_token = guard == "token" or (guard is None and not _has_session() and auth.guest())
        if by_token:
            self._admit_by_token(request, auth, abilities)
        elif auth.guest():
            raise AuthenticationException(redirect_to=self._doors.login)
        return next(request)

    def _admit_by_token(self, request: Request, auth: Auth, abilities: tuple[str, ...]) -> None:
        token = self._tokens.find(request.bearer_token())
        owner = None if token is None else self._owner(token)
        if token is None or owner is None:
            raise AuthenticationException(
                redirect_to=self._doors.login, headers={"WWW-Authenticate": "Bearer"}
            )
        if not all(token.can(ability) for ability in abilities):
            raise AuthorizationException()
        auth.use_once(owner, token)
        scope = current_scope()
        if scope is not None:
            scope.data[SCOPE_KEY] = token
        self._tokens.used(token)

    def _owner(self, token: AccessToken) -> Any:
        """The user whom *token* belongs to, if he still exists and may sign in."""
        owner = self._tokens.owner(token)
        if owner is None or not self._authentication.users.may_sign_in(owner):
            return None
        return owner


class RedirectIfAuthenticated:
    """`guest`: those who are logged in go home; 403 for a program."""

    def __init__(self, authentication: Authentication, doors: Doors) -> None:
        self._authentication, self._doors = authentication, doors

    def handle(self, request: Request, next: Next) -> Response:
        """Pass only guests."""
        if auth_here(self._authentication).guest():
            return next(request)
        if request.expects_json():
            raise AuthorizationException("You are logged in already.")
        return RedirectResponse(chosen(self._doors.home))


class Authorize:
    """`can:ability,param…`: asks the gate about the models that the route's parameters name.

    A parameter may also be the name of a class that has a policy: `can:create,Order`.
    """

    def __init__(self, gate: Gate, authentication: Authentication, doors: Doors) -> None:
        self._gate, self._authentication, self._doors = gate, authentication, doors

    def handle(self, request: Request, next: Next, ability: str, *params: str) -> Response:
        """403 unless the user may; 401 if nobody is logged in who could be asked about."""
        auth = auth_here(self._authentication)
        user, token = auth.user(), auth.token()
        arguments = [self._subject(request, name, user) for name in params]
        # A token narrows what its owner may do; it never widens it.
        is_within_token = token is None or token.can(ability)
        if is_within_token and self._gate.for_user(user).allows(ability, *arguments):
            return next(request)
        if user is None:
            raise AuthenticationException(redirect_to=self._doors.login)
        raise AuthorizationException()

    def _subject(self, request: Request, name: str, user: Any) -> Any:
        value = request.route(name)
        kind = self._kind(name)
        if value is None:
            return kind if kind is not None else name
        if isinstance(value, str) and kind is not None:
            # The action takes the bare key; the policy needs what it stands for.
            found = kind.resolve_route_binding(value, None)
            if found is None and user is not None:
                raise NotFoundException()
            return found
        return value

    def _kind(self, name: str) -> Any:
        for model in self._gate.models():
            if model.__name__.lower() == name.lower():
                return model
        return None


def _has_session() -> bool:
    scope = current_scope()
    return scope is not None and scope.session is not None
