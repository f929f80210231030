"""What an action says about itself in its own source: what it validates, reads and answers.

Most actions call `request.validate({...})` and return `JsonResponse.created(…)` in plain sight.
Reading that saves declaring it a second time; what cannot be read (names known only while the
action runs) is left out. Nothing is executed but the expressions of rules, which are data.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from so.errors import HttpException

READERS: dict[str, Any] = {
    "string": {"type": "string"},
    "integer": {"type": "integer"},
    "float": {"type": "number"},
    "decimal": {"type": ["number", "string"]},
    "boolean": {"type": "boolean"},
    "date": {"type": "string", "format": "date"},
    "query": {"type": "string"},
    "input": {},
    "filled": {},
}
"""Methods of the request that read one field, and what kind of value they read."""

_SUCCESS = {"created": 201, "no_content": 204, "success": 200}


@dataclass
class Seen:
    """What was found in an action's source."""

    rules: dict[str, Any] | None = None
    reads: dict[str, Any] = field(default_factory=dict)
    success: int | None = None
    has_envelope: bool = False
    refusals: dict[int, str] = field(default_factory=dict)
    is_paged: bool = False


def look_at(fn: Callable[..., Any]) -> Seen:
    """What the source of *fn* tells; nothing at all where there is none."""
    seen = Seen()
    names = getattr(inspect.unwrap(fn), "__globals__", {})
    for node in _nodes(inspect.unwrap(fn)):
        if isinstance(node, ast.Call):
            _look_at_call(node, names, seen)
        elif isinstance(node, ast.Raise):
            _look_at_raise(node, names, seen)
    return seen


def _nodes(fn: Callable[..., Any]) -> Iterator[ast.AST]:
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(fn)))
    except (OSError, TypeError, SyntaxError):
        return iter(())
    return ast.walk(tree)


def _look_at_call(call: ast.Call, names: dict[str, Any], seen: Seen) -> None:
    if isinstance(call.func, ast.Name) and call.func.id in ("abort", "abort_if", "abort_unless"):
        _look_at_abort(call, seen)
    if not isinstance(call.func, ast.Attribute):
        return
    owner = call.func.value.id if isinstance(call.func.value, ast.Name) else ""
    method = call.func.attr
    if method == "paginate":
        seen.is_paged = True
    if owner == "request":
        _look_at_request(method, call, names, seen)
    elif owner in ("JsonResponse", "Response") and method in _SUCCESS:
        seen.success = _code(call) or _SUCCESS[method]
        seen.has_envelope = owner == "JsonResponse" and method != "no_content"


def _look_at_request(method: str, call: ast.Call, names: dict[str, Any], seen: Seen) -> None:
    if not call.args:
        return
    if method == "validate":
        seen.rules = {**(seen.rules or {}), **_rules(call.args[0], names)}
    elif method in READERS and isinstance(call.args[0], ast.Constant):
        name = str(call.args[0].value)
        seen.reads[name] = READERS[method] or seen.reads.get(name, {})


def _rules(node: ast.expr, names: dict[str, Any]) -> dict[str, Any]:
    """The rules written at *node*: a dict in place or by name; what is not yet known, is `""`."""
    if not isinstance(node, ast.Dict):
        found = _value(node, names)
        return found if isinstance(found, dict) else {}
    rules: dict[str, Any] = {}
    for key, value in zip(node.keys, node.values, strict=True):
        if key is None:
            rules |= _rules(value, names)
        elif isinstance(key, ast.Constant):
            known = _value(value, names)
            rules[str(key.value)] = "" if known is None else known
    return rules


def _value(node: ast.expr, names: dict[str, Any]) -> Any:
    """What the expression is worth in its module; None if it needs more than that."""
    code = compile(ast.Expression(node), "<rules>", "eval")
    try:
        return eval(code, names)  # noqa: S307  # the application's own source, no input
    except Exception:
        return None


def _look_at_abort(call: ast.Call, seen: Seen) -> None:
    for argument in call.args[:2]:
        if isinstance(argument, ast.Constant) and type(argument.value) is int:
            seen.refusals.setdefault(argument.value, "")


def _look_at_raise(node: ast.Raise, names: dict[str, Any], seen: Seen) -> None:
    raised = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
    found = names.get(raised.id) if isinstance(raised, ast.Name) else None
    if isinstance(found, type) and issubclass(found, HttpException):
        words = (found.__doc__ or "").strip().splitlines()
        seen.refusals.setdefault(found.default_status, words[0] if words else "")


def _code(call: ast.Call) -> int | None:
    for keyword in call.keywords:
        if keyword.arg == "code" and isinstance(keyword.value, ast.Constant):
            given = keyword.value.value
            return given if isinstance(given, int) else None
    return None
