"""Who may do what: abilities and policies, and no for everything nobody has defined.

    gate.define("approve-invoice", lambda user, invoice: user.role == "controller")
    gate.policy(Order, OrderPolicy)          # OrderPolicy.update(self, user, order)
    gate.authorize("update", order)          # raises AuthorizationException (403)

Only True (or 1, as databases say it) allows; an exception in a check is an exception, never a
yes. A guest is refused unless the check says by its annotation that its user may be None.
"""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable
from typing import Any

from so.errors import AuthError, AuthorizationException


class Gate:
    """The abilities of one application, asked for one user."""

    def __init__(
        self,
        user: Callable[[], Any] | None = None,
        make: Callable[[type], Any] | None = None,
    ) -> None:
        """*user* gives who is asking; *make* builds policies (`cls()` without it)."""
        self._user = user or (lambda: None)
        self._make = make or (lambda cls: cls())
        self._abilities: dict[str, Callable[..., Any]] = {}
        self._policies: dict[type, type] = {}

    def define(self, ability: str, check: Callable[..., Any]) -> None:
        """Allow *ability* where `check(user, *arguments)` is True."""
        if not callable(check):
            raise AuthError(f"cannot define {ability!r}: {check!r} cannot be called")
        self._abilities[ability] = check

    def policy(self, model: type, policy: type) -> None:
        """Ask the methods of *policy* about *model* and its instances."""
        self._policies[model] = policy

    def models(self) -> list[type]:
        """The classes that have a policy."""
        return list(self._policies)

    def has(self, ability: str) -> bool:
        """True if *ability* is defined outside of policies."""
        return ability in self._abilities

    def for_user(self, user: Any) -> Gate:
        """The same abilities, asked for *user*."""
        gate = Gate(lambda: user, self._make)
        gate._abilities, gate._policies = self._abilities, self._policies
        return gate

    def allows(self, ability: str, *arguments: Any) -> bool:
        """True if the user may do *ability* to *arguments* (a model, or a class to create)."""
        check, arguments = self._check(ability, arguments)
        if check is None:
            return False
        user = self._user()
        if user is None and not _admits_guests(check):
            return False
        answer = check(user, *arguments)
        return isinstance(answer, int) and answer == 1

    def denies(self, ability: str, *arguments: Any) -> bool:
        """The opposite of `allows()`."""
        return not self.allows(ability, *arguments)

    def authorize(self, ability: str, *arguments: Any) -> None:
        """Raise AuthorizationException (403) unless `allows()`."""
        if self.denies(ability, *arguments):
            raise AuthorizationException()

    def _check(
        self, ability: str, arguments: tuple[Any, ...]
    ) -> tuple[Callable[..., Any] | None, tuple[Any, ...]]:
        """What decides, and what to ask it about."""
        policy = self._policy_for(arguments[0]) if arguments else None
        if policy is not None:
            name = ability.replace("-", "_")
            method = None if name.startswith("_") else getattr(policy, name, None)
            if callable(method):
                # A class says which policy is meant, and nothing more: create(user).
                rest = arguments[1:] if isinstance(arguments[0], type) else arguments
                return method, rest
        return self._abilities.get(ability), arguments

    def _policy_for(self, subject: Any) -> Any:
        kind = subject if isinstance(subject, type) else type(subject)
        for cls in kind.__mro__:
            if cls in self._policies:
                return self._make(self._policies[cls])
        return None


def _admits_guests(check: Callable[..., Any]) -> bool:
    """True if the first parameter may be None by its annotation or its default."""
    try:
        parameters = list(inspect.signature(check).parameters.values())
    except (TypeError, ValueError):
        return False
    if not parameters:
        return False
    first = parameters[0]
    if first.default is None:
        return True
    return _allows_none(_annotation(check, first.name, first.annotation))


def _annotation(check: Callable[..., Any], name: str, written: Any) -> Any:
    if not isinstance(written, str):
        return written
    try:
        return typing.get_type_hints(check).get(name, written)
    except (NameError, TypeError):
        return written


def _allows_none(annotation: Any) -> bool:
    if isinstance(annotation, str):
        return "None" in annotation.replace("|", " ").split() or annotation.startswith("Optional[")
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return type(None) in typing.get_args(annotation)
    return annotation in (None, type(None))
