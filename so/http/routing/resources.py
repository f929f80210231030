"""Resources (seven routes for one controller) and redirecting routes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from so.errors import RouteActionError, RouteDefinitionError
from so.http.locations import header_text, onsite, origin
from so.http.request import Request
from so.http.response import RedirectResponse
from so.http.routing.template import PLACEHOLDER
from so.http.urltext import encode
from so.support.listed import flat
from so.support.near import nearest

_WITH_SLASH = re.compile(f"(/?){PLACEHOLDER.pattern}")

# name of the action: (methods, what follows the collection's URI; {} is the item)
ACTIONS: dict[str, tuple[tuple[str, ...], str]] = {
    "index": (("GET",), ""),
    "create": (("GET",), "/create"),
    "store": (("POST",), ""),
    "show": (("GET",), "/{}"),
    "edit": (("GET",), "/{}/edit"),
    "update": (("PUT", "PATCH"), "/{}"),
    "destroy": (("DELETE",), "/{}"),
}

PAGES = ("create", "edit")  # the forms, which a resource for programs lacks


class Planned(NamedTuple):
    """One route of a resource."""

    methods: tuple[str, ...]
    uri: str
    action: list[Any]
    name: str


def planned(
    name: str,
    controller: Any,
    actions: Iterable[str],
    names: str | Mapping[str, str] | None,
    parameters: str | Mapping[str, str] | None,
) -> list[Planned]:
    """The routes of resource *name*; `Verbs.resource` describes the options."""
    collection, item = _uris(name, parameters)
    actions = list(actions)
    _check(name, controller, actions)
    return [
        Planned(
            ACTIONS[action][0],
            collection + ACTIONS[action][1].replace("{}", f"{{{item}}}"),
            [controller, action],
            _route_name(name, action, names),
        )
        for action in actions
    ]


def _check(name: str, controller: Any, actions: list[str]) -> None:
    """RouteActionError that says all that *controller* lacks, before any route of it is known."""
    lacking = [each for each in actions if not callable(getattr(controller, each, None))]
    if not lacking:
        return
    there = [each for each in actions if each not in lacking]
    mend = f"only={there!r}" if there else "the right class"
    if there and set(lacking) <= set(PAGES):
        mend = f"Router.api_resource({name!r}, …), a resource without pages, or {mend}"
    elif there and set(lacking) >= set(PAGES):
        mend = f"{mend}, here or with Router.api_resource({name!r}, …), a resource without pages"
    listed = " and no ".join(_with_hint(each, controller) for each in lacking)
    raise RouteActionError(
        f"{_told(controller)} has no method {listed}, which Router.resource({name!r}) serves: "
        f"write {mend}, or add what is missing"
    )


def _told(controller: Any) -> str:
    named = controller if hasattr(controller, "__name__") else type(controller)
    return str(named.__name__)


def _with_hint(action: str, controller: Any) -> str:
    close = nearest(action, [name for name in dir(controller) if name not in ACTIONS])
    return f"{action!r} (did you mean {close!r}?)" if close else f"{action!r}"


def _uris(name: str, parameters: str | Mapping[str, str] | None) -> tuple[str, str]:
    """The collection's URI and the item's parameter: `posts.comments` is nested in `{post}`."""
    *parents, last = name.strip("/").replace(".", "/.").split("/.")
    renamed = {last.rpartition("/")[2]: parameters} if isinstance(parameters, str) else parameters
    renamed = renamed or {}
    outer = "".join(f"{p}/{{{renamed.get(p, _singular(p))}}}/" for p in parents)
    return outer + last, renamed.get(last.rpartition("/")[2], "id")


def _singular(noun: str) -> str:
    word = noun.rpartition("/")[2].replace("-", "_")
    if word.endswith("ies"):
        return word[:-3] + "y"
    return word[:-1] if word.endswith("s") and not word.endswith("ss") else word


def chosen(only: str | Iterable[str] | None, except_: str | Iterable[str] | None) -> list[str]:
    """The actions meant by *only* and *except_*; RouteDefinitionError for one there is not."""
    wanted = list(ACTIONS) if only is None else flat([only])
    left_out = flat([except_ or ()])
    for name in [*wanted, *left_out]:
        if name not in ACTIONS:
            close = nearest(name, ACTIONS)
            hint = f"did you mean {close!r}?" if close else f"it has {', '.join(ACTIONS)}"
            raise RouteDefinitionError(f"a resource has no action {name!r}; {hint}")
    return [name for name in ACTIONS if name in wanted and name not in left_out]


def _route_name(resource: str, action: str, names: str | Mapping[str, str] | None) -> str:
    if isinstance(names, str):
        return f"{names}.{action}"
    if names is not None and action in names:
        return names[action]
    return f"{resource.strip('/').replace('/', '.')}.{action}"


def redirection(to: str, status: int) -> Callable[..., RedirectResponse]:
    """An action that redirects to *to*, with its `{names}` replaced by the path's values.

    The values lead to no site but the one that *to* itself names, or this one.
    """
    home = origin(header_text(to))

    def redirect(request: Request) -> RedirectResponse:
        def value(match: re.Match[str]) -> str:
            name = match[2].rstrip("?").partition(":")[0]
            text = encode(str(request.route_parameters.get(name, "")))
            return match[1] + text if text else ""

        target = header_text(_WITH_SLASH.sub(value, to))
        is_chosen = home is not None and origin(target) == home
        return RedirectResponse(target if is_chosen else onsite(target), status)

    redirect.told_as = f"redirect to {to} ({status})"  # type: ignore[attr-defined]
    return redirect
