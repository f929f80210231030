"""`@rules({...})` on an action: its input is validated before it runs, and the API's document
knows what it takes. `@responds({...})` says what else it may answer.

    @rules({"name": "required|string|max:100"})
    def store(self, data: dict) -> JsonResponse: ...

The validated data arrives as the parameter `data`, if the action has one.
"""

from __future__ import annotations

import functools
import inspect
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from so.errors import RouteActionError
from so.support.scope import current_scope

Fn = TypeVar("Fn", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Declared:
    """The rules of an action, as they were written."""

    rules: Mapping[str, Any] | Callable[..., Mapping[str, Any]]
    messages: Mapping[str, Any] | None
    attributes: Mapping[str, str] | None


def rules(
    rules: Mapping[str, Any] | Callable[..., Mapping[str, Any]],
    messages: Mapping[str, Any] | None = None,
    attributes: Mapping[str, str] | None = None,
    *,
    into: str = "data",
) -> Callable[[Fn], Fn]:
    """Validate the request by *rules* and hand the validated data over as the parameter *into*.

    *rules* may be a function of the request, where they depend on it.
    """
    declared = Declared(rules, messages, attributes)

    def decorate(fn: Fn) -> Fn:
        """*fn* behind the rules; its own signature but *into*, which routes must not fill."""
        whole = inspect.signature(fn)
        wants = into in whole.parameters
        if wants and whole.parameters[into].kind is inspect.Parameter.POSITIONAL_ONLY:
            raise RouteActionError(f"the parameter {into!r} of {fn.__qualname__} needs a name")
        kept = [p for name, p in whole.parameters.items() if name != into]
        seen = whole.replace(parameters=kept)

        @functools.wraps(fn)
        def validated(*args: Any, **kwargs: Any) -> Any:
            data = _validated(declared)
            if not wants:
                return fn(*args, **kwargs)
            given = {**seen.bind(*args, **kwargs).arguments, into: data}
            call = _in_order(whole, given)
            return fn(*call.args, **call.kwargs)

        validated.__signature__ = seen  # type: ignore[attr-defined]  # what the router shall fill
        validated.declared_rules = declared  # type: ignore[attr-defined]
        return validated  # type: ignore[return-value]  # the same but for *into*

    return decorate


def responds(answers: Mapping[int, Any]) -> Callable[[Fn], Fn]:
    """Say what an action answers: status → a sentence, or a response object of OpenAPI.

    Changes nothing in what it does. A status below 400 replaces the one found by looking.
    """

    def decorate(fn: Fn) -> Fn:
        fn.declared_responses = dict(answers)  # type: ignore[attr-defined]
        return fn

    return decorate


def _in_order(signature: inspect.Signature, given: Mapping[str, Any]) -> inspect.BoundArguments:
    """*given* by name as a call of *signature*, which may take some by position only."""
    ordered = OrderedDict((name, given[name]) for name in signature.parameters if name in given)
    return inspect.BoundArguments(signature, ordered)


def declared_rules(fn: Any) -> Declared | None:
    """The rules that `@rules` put on *fn*."""
    found = getattr(fn, "declared_rules", None)
    return found if isinstance(found, Declared) else None


def declared_responses(fn: Any) -> dict[int, Any]:
    """The answers that `@responds` put on *fn*."""
    found: dict[int, Any] = getattr(fn, "declared_responses", {})
    return found


def _validated(declared: Declared) -> dict[str, Any]:
    scope = current_scope()
    if scope is None or scope.request is None:
        raise RuntimeError("an action with @rules runs within a request only: call it by its route")
    written = declared.rules
    if callable(written):
        written = written(scope.request)
    found: dict[str, Any] = scope.request.validate(written, declared.messages, declared.attributes)
    return found
