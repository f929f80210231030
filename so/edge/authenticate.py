"""The middleware `auth`, `guest`, `can`, `confirm`, `verified` and `two_factor`: who may pass.

One mechanism a request: where a session was started, `auth` looks there and nowhere else; where
none was (the group `api`), and by a guard of tokens always, it looks for an access token.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from so.edge.session import AUTH, auth_here
from so.errors import (
    AuthenticationException,
    AuthorizationException,
    HttpException,
    NotFoundException,
    RouteDefinitionError,
)
from so.http.flash import INTENDED, keep_interrupted
from so.http.locations import chosen
from so.http.request import Request
from so.http.response import RedirectResponse, Response
from so.settings.auth import AuthSettings
from so.support import numbers
from so.support.near import nearest
from so.support.scope import current_scope
from so.systems.auth import Auth, Authentication, Gate
from so.systems.auth.guards import SESSION, TOKEN

Next = Callable[[Request], Response]
Make = Callable[[Any], Any]
BUILT_IN = {SESSION: SESSION, TOKEN: TOKEN}


@dataclass(frozen=True, slots=True)
class Doors:
    """Where people are sent: *login* for those who must log in, *home* for those who have;
    *confirm*, *verify*, *code* and *enrol* for those who owe their password, the confirmation of
    their address, a code of their second factor, or a second factor.

    *drivers* are the guards that routes may name; *factor_roles* demand a second factor.
    """

    login: str = AuthSettings.login
    home: str = AuthSettings.home
    confirm: str = AuthSettings.confirm
    verify: str = AuthSettings.verify
    code: str = "/two-factor-challenge"
    enrol: str = AuthSettings.enrol
    drivers: Mapping[str, str] = field(default_factory=lambda: BUILT_IN)
    factor_roles: tuple[str, ...] = ()


class _Doorkeeper:
    """What asks who somebody is, and sends him to one of the doors."""

    def __init__(self, authentication: Authentication, doors: Doors) -> None:
        self._authentication, self._doors = authentication, doors


class Authenticate(_Doorkeeper):
    """`auth`, `auth:staff`, `auth:token`, `auth:token,orders.read`: 401 for anybody else."""

    @staticmethod
    def check(make: Make, guard: str | None = None, *abilities: str) -> None:
        """RouteDefinitionError for a guard there is not, and for abilities that mean nothing."""
        if guard is None:
            return
        doors: Doors = make(Doors)
        driver = doors.drivers.get(guard)
        if driver is None:
            known = ", ".join(sorted(doors.drivers))
            close = nearest(guard, doors.drivers)
            hint = f"did you mean {close!r}? " if close else ""
            raise RouteDefinitionError(
                f"`auth:{guard}`: there is no guard {guard!r}; {hint}known: {known} (auth.guards)"
            )
        if abilities and driver != TOKEN:
            raise RouteDefinitionError(
                f"`auth:{','.join((guard, *abilities))}`: abilities are for guards of tokens; use "
                f"`auth:{guard}` and `can:{abilities[0]}`"
            )
        if not all(ability.strip() for ability in abilities):
            raise RouteDefinitionError(f"`auth:{guard},…` names an ability that is empty")

    def handle(
        self, request: Request, next: Next, guard: str | None = None, *abilities: str
    ) -> Response:
        """*abilities* are what an access token must have been made for (403 without)."""
        auth = auth_here(self._authentication).guard(guard)
        if guard is None and auth.guest() and not _has_session():
            auth = auth.guard(TOKEN)
        if auth.guest():
            raise self._unknown(auth.driver)
        token = auth.token()
        if token is not None and not all(token.can(ability) for ability in abilities):
            raise AuthorizationException()
        _stand_for(auth)
        return next(request)

    def _unknown(self, driver: str) -> AuthenticationException:
        if driver == TOKEN:  # programs, for whom no page to log in is of use
            return AuthenticationException("", None, {"WWW-Authenticate": "Bearer"})
        return AuthenticationException(redirect_to=self._doors.login)


class RedirectIfAuthenticated(_Doorkeeper):
    """`guest`: those who are logged in go home; 403 for a program."""

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


class Confirm(_Doorkeeper):
    """`confirm`, `confirm:5`: the password must have been given again within so many minutes."""

    @staticmethod
    def check(make: Make, minutes: str = "1") -> None:
        """RouteDefinitionError for minutes that are no number above 0."""
        try:
            number = numbers.amount(minutes)
        except ValueError:
            number = 0
        if not 0 < number < float("inf"):
            raise RouteDefinitionError(
                f"`confirm:{minutes}` needs a number of minutes above 0, such as `confirm:5`"
            )

    def handle(self, request: Request, next: Next, minutes: str | None = None) -> Response:
        """423, or the page that asks for the password."""
        auth = _known(self._authentication, self._doors)
        if auth.confirmed(None if minutes is None else float(minutes)):
            return next(request)
        return _sent(request, self._doors.confirm, 423, "Password confirmation required.")


class Verified(_Doorkeeper):
    """`verified`: users whose e-mail address is confirmed."""

    def handle(self, request: Request, next: Next) -> Response:
        """403, or the page that says so; users that need no confirmation pass."""
        user = _known(self._authentication, self._doors).user()
        ask = getattr(user, "has_verified_email", None)
        if not callable(ask) or ask():
            return next(request)
        return _sent(request, self._doors.verify, 403, "Your email address is not verified.")


class TwoFactorDemanded(_Doorkeeper):
    """`two_factor`, `two_factor:admin,controller`: the second factor must have been given.

    Asked of users who have one, and of those with a role that demands one: a role named here or
    in `auth.two_factor.roles`, or marked so in the table `roles`. Access tokens pass: whoever
    made them had logged in.
    """

    def handle(self, request: Request, next: Next, *roles: str) -> Response:
        """423 and the page that asks for a code; 403 and the page that sets one up."""
        auth = _known(self._authentication, self._doors)
        if auth.token() is not None or auth.passed_two_factor():
            return next(request)
        if auth.security().two_factor_on_at is not None:
            return _sent(
                request, self._doors.code, 423, "A code of your second factor is required."
            )
        demands = getattr(auth.user(), "demands_two_factor", None)
        if callable(demands) and demands(*self._doors.factor_roles, *roles):
            return _sent(request, self._doors.enrol, 403, "Your role demands a second factor.")
        return next(request)


def _known(authentication: Authentication, doors: Doors) -> Auth:
    """The login of this request; AuthenticationException for a guest."""
    auth = auth_here(authentication)
    if auth.guest():
        raise AuthenticationException(redirect_to=doors.login)
    return auth


def _sent(request: Request, page: str, status: int, message: str) -> Response:
    """A program gets *status*; a person is sent to *page*, and back when that is done."""
    scope = current_scope()
    if request.expects_json() or scope is None or scope.session is None:
        raise HttpException(message, status)
    if request.method() == "GET":
        back = request.full_url()
    else:
        back = keep_interrupted(request, scope.session) or scope.session.previous_url()
    if back is not None:
        scope.session.put(INTENDED, back)
    return RedirectResponse(chosen(page))


def _stand_for(auth: Auth) -> None:
    """Let `auth()` mean *auth* from here on."""
    scope = current_scope()
    if scope is not None:
        scope.data[AUTH] = auth
        auth.stand()


def _has_session() -> bool:
    scope = current_scope()
    return scope is not None and scope.session is not None
