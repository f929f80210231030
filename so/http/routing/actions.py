"""What a route runs: every form an action may be written in, brought to one.

Forms: a function, `UserController.show`, `[UserController, 'show']`, `'UserController@show'`, an
invokable class or object, a partial. A form that cannot run is refused when the route is
registered. How its arguments are found is decided in invocation.py.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from types import FrameType
from typing import Any

from so.errors import RouteActionError
from so.support.near import nearest
from so.support.places import full_name, place_of


@dataclass(frozen=True, slots=True)
class RouteAction:
    """Either a callable, or a class to make and the method of it to call."""

    fn: Callable[..., Any]
    owner: type | None
    method: str

    @property
    def label(self) -> str:
        """How lists and errors name it, as a reader finds it in the code.

        `app.controllers.orders.OrderController@show`, `app.orders.show`, the class of what is
        invoked; where there is no name, or one inside a function, file and line.
        """
        if self.owner is not None:
            name = full_name(self.owner)
            return name if self.method == "__call__" else f"{name}@{self.method}"
        return place_of(self.fn)


def resolve(
    action: object, controller: object = None, namespaces: Sequence[str] = ()
) -> RouteAction:
    """*action* in its one form; RouteActionError says what is wrong and what to write instead.

    *controller* is the group's; *namespaces* are packages in which a bare class name of
    `'UserController@show'` is looked for after the module that registers the route.
    """
    if isinstance(action, RouteAction):
        return action
    found = _resolved(action, controller, namespaces)
    if inspect.iscoroutinefunction(found.fn) or inspect.isasyncgenfunction(found.fn):
        raise RouteActionError(
            f"{found.label} is async, and nothing here would await it: make it a plain function, "
            "with asyncio.run(…) around what is to be awaited"
        )
    return found


def _resolved(action: object, controller: object, namespaces: Sequence[str]) -> RouteAction:
    if isinstance(action, str):
        return _from_text(action, controller, namespaces)
    if isinstance(action, (list, tuple)):
        return _from_pair(action, namespaces)
    if isinstance(action, type):
        return method_of(action, "__call__")
    if not callable(action):
        raise RouteActionError(
            f"{action!r} is not an action: give a function, [Controller, 'method'], "
            "'Controller@method' or a class with __call__"
        )
    return _from_callable(action)


def method_of(cls: type, name: str) -> RouteAction:
    """The method *name* of *cls*, to be called on an instance made for each request."""
    # Not getattr: every class has __call__ from its metaclass; an invokable one defines its own.
    found = next((base.__dict__[name] for base in cls.__mro__ if name in base.__dict__), None)
    if found is None or not callable(getattr(cls, name)):
        if name == "__call__":
            raise RouteActionError(
                f"the class {cls.__name__} is not invokable: give it __call__, or write "
                f"[{cls.__name__}, 'method']"
            )
        raise RouteActionError(
            f"{cls.__name__} has no method {name!r}{_nearest(name, dir(cls))}: add it, or correct "
            "the action"
        )
    if isinstance(found, (staticmethod, classmethod)):
        return RouteAction(getattr(cls, name), None, name)
    return RouteAction(getattr(cls, name), cls, name)


def _from_pair(pair: Sequence[object], namespaces: Sequence[str]) -> RouteAction:
    if len(pair) != 2 or not isinstance(pair[1], str):
        raise RouteActionError(f"{pair!r} is not an action: write [Controller, 'method']")
    owner, name = pair[0], pair[1]
    if isinstance(owner, str):
        owner = find_class(owner, namespaces)
    if isinstance(owner, type):
        return method_of(owner, name)
    bound = getattr(owner, name, None)
    if not callable(bound):
        raise RouteActionError(
            f"{type(owner).__name__} has no method {name!r}{_nearest(name, dir(owner))}: add it, "
            "or correct the action"
        )
    return RouteAction(bound, None, name)


def _from_text(text: str, controller: object, namespaces: Sequence[str]) -> RouteAction:
    name, at, method = text.partition("@")
    if at:
        return method_of(find_class(name, namespaces), method)
    if controller is not None and "." not in text:
        return _from_pair([controller, text], namespaces)
    found = _imported(text) if "." in text else find_class(text, namespaces)
    return resolve(found)


def _from_callable(action: Callable[..., Any]) -> RouteAction:
    owner = _owner_of(action)
    if owner is None:
        return RouteAction(action, None, getattr(action, "__name__", "__call__"))
    return method_of(owner, action.__name__)


def _owner_of(fn: Callable[..., Any]) -> type | None:
    """The class that *fn* was taken from, as in `UserController.show`; None if from none."""
    if not inspect.isfunction(fn):
        return None
    path, _, name = fn.__qualname__.rpartition(".")
    if not path or path.endswith("<locals>"):
        return None
    found = _walk(sys.modules.get(fn.__module__), path.split("."))
    if not isinstance(found, type):
        # A class made inside a function has no address; its users see it under its name.
        found = seen_by_caller(path.rpartition(".")[2])
    if isinstance(found, type) and name in found.__dict__:
        return found
    raise RouteActionError(
        f"cannot tell which class {fn.__qualname__} belongs to: write [Controller, {name!r}]"
    )


def find_class(name: str, namespaces: Sequence[str] = ()) -> type:
    """The class called *name*: by its import path, or a bare name where it is to be expected."""
    found = _imported(name) if "." in name else seen_by_caller(name)
    for namespace in namespaces if found is None else ():
        found = _in_namespace(namespace, name)
        if found is not None:
            break
    if isinstance(found, type):
        return found
    raise RouteActionError(
        f"cannot find the controller {name!r}: write its import path, as in "
        f"'app.controllers.orders.{name}@show', or give the class itself"
    )


def seen_by_caller(name: str) -> object:
    """What *name* means to the nearest caller outside the framework; None if nothing."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if not str(frame.f_globals.get("__name__", "")).startswith("so."):
            for names in (frame.f_locals, frame.f_globals):
                if name in names:
                    found: object = names[name]
                    return found
        frame = frame.f_back
    return None


def _in_namespace(namespace: str, name: str) -> object:
    """*name* in the package itself or in the module of its snake_case name."""
    snake = "".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_")
    for module in (namespace, f"{namespace}.{snake}"):
        try:
            found: object = getattr(importlib.import_module(module), name, None)
        except ModuleNotFoundError as error:
            if error.name is None or not module.startswith(error.name):
                raise
            continue
        if found is not None:
            return found
    return None


def _imported(path: str) -> object:
    module, _, name = path.rpartition(".")
    try:
        home = importlib.import_module(module)
    except ImportError as error:
        raise RouteActionError(f"cannot import {path!r}: {error}") from error
    if not hasattr(home, name):
        raise RouteActionError(f"{module} has no {name!r}{_nearest(name, dir(home))}")
    found: object = getattr(home, name)
    return found


def _walk(start: object, names: Iterable[str]) -> object:
    found = start
    for name in names:
        found = getattr(found, name, None)
    return found


def _nearest(name: str, names: Iterable[str]) -> str:
    close = nearest(name, [n for n in names if not n.startswith("__")])
    return f" (did you mean {close!r}?)" if close else ""
