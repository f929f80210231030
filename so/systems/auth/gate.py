"""Who may do what: abilities and policies, and no for everything nobody has defined.

    gate.define("approve-invoice", lambda user, invoice: user.role == "controller")
    gate.policy(Order, OrderPolicy)          # OrderPolicy.update(self, user, order)
    gate.authorize("update", order)          # raises AuthorizationException (403)

Only True (or 1, as databases say it) allows; an exception in a check is an exception, never a
yes. A guest is refused unless the check says by its annotation that its user may be None. A check
may also give a `Decision`, which says why. What nobody has defined is for the user's roles to
say, where the user has some (`has_permission`).
"""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from so.errors import AuthError, AuthorizationException
from so.support.plain import plain


@dataclass(frozen=True, slots=True)
class Decision:
    """Yes or no, and why: `return Decision.deny("The period is closed.")` in a check."""

    allowed: bool
    reason: str | None = None

    @classmethod
    def allow(cls, reason: str | None = None) -> Decision:
        """Yes."""
        return cls(True, reason)

    @classmethod
    def deny(cls, reason: str | None = None) -> Decision:
        """No."""
        return cls(False, reason)

    @property
    def denied(self) -> bool:
        """True for a no."""
        return not self.allowed

    @property
    def message(self) -> str | None:
        """The reason."""
        return self.reason

    def __bool__(self) -> bool:
        return self.allowed


DENIED = Decision(False)


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
        self._before: list[Callable[..., Any]] = []
        self._after: list[Callable[..., Any]] = []

    def define(self, ability: str, fn: Callable[..., Any]) -> None:
        """Allow *ability* where `fn(user, *arguments)` is True."""
        if not callable(fn):
            raise AuthError(f"cannot define {ability!r}: {fn!r} cannot be called")
        self._abilities[ability] = plain(fn, f"the ability {ability!r}:")

    def policy(self, model: type, policy: type) -> None:
        """Ask the methods of *policy* about *model* and its instances."""
        self._policies[model] = policy

    def before(self, fn: Callable[..., Any]) -> Callable[..., Any]:
        """Ask `fn(user, ability, *arguments)` first: True or False decides, None goes on."""
        self._before.append(plain(fn, "before's function"))
        return fn

    def after(self, fn: Callable[..., Any]) -> Callable[..., Any]:
        """Ask `fn(user, ability, decision, *arguments)` last.

        True or False decides where nothing else did; otherwise it only hears of the decision.
        """
        self._after.append(plain(fn, "after's function"))
        return fn

    def abilities(self) -> list[str]:
        """What is defined outside of policies."""
        return list(self._abilities)

    def takes(self, ability: str, count: int) -> bool:
        """True if the check of *ability* can be called with *count* arguments, the user first."""
        try:
            inspect.signature(self._abilities[ability]).bind(*range(count))
        except (KeyError, TypeError, ValueError):
            return False
        return True

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
        gate._before, gate._after = self._before, self._after
        return gate

    def allows(self, ability: str, *arguments: Any) -> bool:
        """True if the user may do *ability* to *arguments* (a model, or a class to create)."""
        return self.inspect(ability, *arguments).allowed

    def denies(self, ability: str, *arguments: Any) -> bool:
        """The opposite of `allows()`."""
        return not self.allows(ability, *arguments)

    def any(self, abilities: str | Iterable[str], *arguments: Any) -> bool:
        """True if the user may do one of *abilities*."""
        names = [abilities] if isinstance(abilities, str) else abilities
        return any(self.allows(name, *arguments) for name in names)

    def none(self, abilities: str | Iterable[str], *arguments: Any) -> bool:
        """True if the user may do none of *abilities*."""
        return not self.any(abilities, *arguments)

    def authorize(self, ability: str, *arguments: Any) -> Decision:
        """Raise AuthorizationException (403), with the reason, unless `allows()`."""
        found = self.inspect(ability, *arguments)
        if not found.allowed:
            raise AuthorizationException(found.reason or AuthorizationException.default_message)
        return found

    def inspect(self, ability: str, *arguments: Any) -> Decision:
        """The decision about *ability*, with its reason if the check gave one."""
        user = self._user()
        found: Decision | None = None
        for ask in self._before:
            if found is None and (user is not None or _admits_guests(ask)):
                found = _decision(ask(user, ability, *arguments))
        if found is None:
            found = self._decided(user, ability, arguments)
        for hear in self._after:
            if user is not None or _admits_guests(hear):
                so_far = DENIED if found is None else found
                said = _decision(hear(user, ability, so_far, *arguments))
                found = said if found is None else found
        return DENIED if found is None else found

    def _decided(self, user: Any, ability: str, arguments: tuple[Any, ...]) -> Decision | None:
        """What the check of *ability* says, or the user's roles; None where nothing is said."""
        check, arguments = self._check(ability, arguments)
        if check is None:
            held = getattr(user, "has_permission", None)
            return Decision(True) if callable(held) and held(ability) else None
        if user is None and not _admits_guests(check):
            return DENIED
        found = _decision(check(user, *arguments))
        return DENIED if found is None else found

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


def _decision(answer: Any) -> Decision | None:
    """Only True and 1 are a yes; None says nothing."""
    if answer is None or isinstance(answer, Decision):
        return answer
    return Decision(isinstance(answer, int) and answer == 1)


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
