"""How classes, parameters and circles are named in the container's errors."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any

Abstract = Any  # a class or a string


def name_of(abstract: Abstract) -> str:
    """A class by its name, a name as it is."""
    return abstract.__name__ if isinstance(abstract, type) else str(abstract)


def chain(stack: Iterable[Abstract]) -> str:
    """Who asks for whom: `A -> B -> A`."""
    return " -> ".join(name_of(abstract) for abstract in stack)


def while_building(stack: tuple[Abstract, ...]) -> str:
    """What was being made, as the end of a sentence; empty for nothing."""
    return f" while building [{', '.join(map(name_of, stack))}]" if stack else ""


def shown(parameter: inspect.Parameter, hint: Any) -> str:
    """A parameter with its annotation."""
    if hint is parameter.empty:
        return parameter.name
    return f"{parameter.name}: {hint.__name__ if isinstance(hint, type) else hint}"


def described(context: Any) -> str:
    """Whose parameter it is: `class A`, or `f()`."""
    if isinstance(context, type):
        return f"class {context.__name__}"
    return f"{getattr(context, '__name__', context)}()"
