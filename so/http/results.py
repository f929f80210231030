"""What an action may return, and the response each of it becomes."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

from so.http.response import BYTES, HTML, JsonResponse, Response, checked_status

if TYPE_CHECKING:
    from so.http.request import Request

_JSON = (dict, list)


def to_response(value: Any, request: Request) -> Response:
    """*value* as a response; TypeError says what an action may return."""
    kind = type(value)
    if kind in _JSON:
        return JsonResponse(value)
    if isinstance(value, Response):
        return value
    if isinstance(value, str) or value is None:
        return Response(value)
    if isinstance(value, (bytes, bytearray)):
        return Response(value, 200, {"Content-Type": BYTES})
    if isinstance(value, tuple) and len(value) in (2, 3) and _is_status(value[1]):
        return _with_status(value, request)
    return _from_object(value, request)


def _is_status(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _with_status(value: tuple[Any, ...], request: Request) -> Response:
    response = to_response(value[0], request)
    response.status = checked_status(value[1])
    if len(value) == 3 and value[2]:
        response.with_headers(value[2])
    return response


def _from_object(value: Any, request: Request) -> Response:
    own = getattr(value, "to_response", None)
    if callable(own):
        return to_response(own(request), request)
    if callable(getattr(value, "__html__", None)):
        return Response(value, 200, {"Content-Type": HTML})
    if isinstance(value, Iterator):
        return Response.stream(value)
    if _has_json_form(value):
        is_new = getattr(value, "was_recently_created", False) is True
        return JsonResponse(value, 201 if is_new else 200)
    raise TypeError(
        f"an action returned {type(value).__name__}: return a Response, text, bytes, a dict, a "
        "list, a model, (body, status) or a generator"
    )


def _has_json_form(value: Any) -> bool:
    if isinstance(value, type):
        return False
    if isinstance(value, (Mapping, list, tuple, set, frozenset, int, float, Decimal, date, UUID)):
        return True
    if dataclasses.is_dataclass(value):
        return True
    return any(callable(getattr(value, name, None)) for name in ("to_dict", "to_list"))
