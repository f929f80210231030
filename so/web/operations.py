"""The OpenAPI 3.1 document of an application's routes.

Paths and their parameters come from the templates, constraints and annotations; input from
`@rules` or from what the action validates in plain sight; answers from `@responds`, from what the
action returns, and from the middleware around it (401, 403, 429). Statuses are named one by one,
so that an answer nobody foresaw can be told from one that was.
"""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Iterable, Iterator, Mapping
from itertools import product
from typing import Any

from so.http.router import Router
from so.http.routing.route import Route
from so.http.routing.template import Parameter, Segment
from so.http.rules import declared_responses, declared_rules
from so.settings.openapi import OpenApiSettings
from so.settings.session import SessionSettings
from so.support.httpwords import phrase
from so.web.schemas import (
    Schema,
    field_schema,
    fields_of,
    has_files,
    is_required,
    object_schema,
    type_schema,
)
from so.web.sources import look_at

VERSION = "3.1.0"

WITH_BODY = ("POST", "PUT", "PATCH", "DELETE")

_ERROR: Schema = {
    "type": "object",
    "properties": {"message": {"type": "string"}, "status": {"type": "integer"}},
    "required": ["message"],
}
_INVALID: Schema = {
    "type": "object",
    "properties": {
        "message": {"type": "string"},
        "errors": {
            "type": "object",
            "additionalProperties": {"type": "array", "items": {"type": "string"}},
        },
    },
    "required": ["message", "errors"],
}
_BY_MIDDLEWARE = {
    "auth": (401, "Not logged in, or the token is not valid."),
    "can": (403, "Not allowed."),
    "throttle": (429, "Too many requests; Retry-After says when to come back."),
    "csrf": (419, "The CSRF token is missing or not valid."),
}


class OpenApi:
    """Draws the document for a router."""

    def __init__(
        self,
        router: Router,
        *,
        title: str = "API",
        version: str = OpenApiSettings.version,
        description: str = OpenApiSettings.description,
        servers: Iterable[str] = (),
        prefix: str = OpenApiSettings.prefix,
        cookie: str = SessionSettings.cookie,
    ) -> None:
        """Describe the routes of *router* whose path begins with *prefix* ("" for all of them).

        *cookie* is the session's, by which routes with the middleware `auth` know their user.
        """
        self.router = router
        self.info = {"title": title, "version": version}
        if description:
            self.info["description"] = description
        self.servers = [{"url": url} for url in servers]
        self.prefix = prefix.strip("/")
        self.cookie = cookie

    def document(self) -> dict[str, Any]:
        """The whole document, ready to be written as JSON."""
        paths: dict[str, dict[str, Any]] = {}
        ids: set[str] = set()
        for route in self.routes():
            for path, names in _paths(route):
                path, renamed = _shared(path, paths)
                for method in route.methods:
                    if method not in ("HEAD", "OPTIONS"):
                        operation = _Operation(self, route, method, names, renamed)
                        drawn = operation.draw(_unique(operation.id, ids))
                        paths.setdefault(path, {}).setdefault(method.lower(), drawn)
        document: dict[str, Any] = {"openapi": VERSION, "info": self.info}
        if self.servers:
            document["servers"] = self.servers
        return {**document, "paths": paths, "components": self._components()}

    def routes(self) -> list[Route]:
        """The routes described, in the order they were registered."""
        return [
            route
            for route in self.router.routes()
            if not route.is_fallback
            and (not self.prefix or f"{route.uri}/".startswith(f"{self.prefix}/"))
        ]

    def _components(self) -> dict[str, Any]:
        return {
            "schemas": {"Error": _ERROR, "ValidationError": _INVALID},
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "session": {"type": "apiKey", "in": "cookie", "name": self.cookie},
            },
        }


class _Operation:
    """One method of one path."""

    def __init__(
        self,
        api: OpenApi,
        route: Route,
        method: str,
        names: tuple[str, ...],
        renamed: Mapping[str, str],
    ) -> None:
        self.route = route
        self.method = method
        self.names = names
        self.renamed = renamed
        self.fn = route.handler.fn
        self.seen = look_at(self.fn)
        self.layers = [_layer_name(layer.name) for layer in api.router.layers(route)]
        self.guards = [layer.name for layer in api.router.layers(route)]
        self.rules = self._rules()
        words = re.sub(r"[^A-Za-z0-9]+", "_", route.uri).strip("_")
        self.id = route.route_name or f"{method.lower()}_{words}"

    def _rules(self) -> Mapping[str, Any] | None:
        declared = declared_rules(self.fn)
        if declared is None:
            return self.seen.rules
        return declared.rules if isinstance(declared.rules, Mapping) else {}

    def draw(self, id_: str) -> dict[str, Any]:
        operation: dict[str, Any] = {"operationId": id_, "tags": [self._tag()], **self._words()}
        parameters = [*self._path_parameters(), *self._query_parameters()]
        if parameters:
            operation["parameters"] = parameters
        body = self._body()
        if body is not None:
            operation["requestBody"] = body
        operation["responses"] = self._responses()
        security = self._security()
        return {**operation, "security": security} if security else operation

    # --- words ----------------------------------------------------------------------------------

    def _tag(self) -> str:
        """The first part of the path that is neither `api` nor a version."""
        parts = [part for part in self.route.uri.split("/") if not part.startswith("{")]
        plain = [p for p in parts if p != "api" and not re.fullmatch(r"v\d+", p)]
        return plain[0] if plain else "api"

    def _words(self) -> dict[str, str]:
        text = inspect.getdoc(self.fn)
        if not text:
            return {}
        first, _, rest = text.partition("\n\n")
        words = {"summary": " ".join(first.split())}
        return {**words, "description": rest} if rest else words

    # --- parameters -----------------------------------------------------------------------------

    def _path_parameters(self) -> Iterator[dict[str, Any]]:
        hints = _annotations(self.fn)
        for name in self.names:
            schema = self._path_schema(name, hints.get(name))
            shown = self.renamed.get(name, name)
            yield {"name": shown, "in": "path", "required": True, "schema": schema}

    def _path_schema(self, name: str, annotation: Any) -> Schema:
        if _is_numbered(annotation) and self.route.binding_field(name) is None:
            return {"type": "integer"}
        schema = type_schema(annotation) or {"type": "string"}
        pattern = self.route.wheres.get(name)
        if pattern is not None and schema.get("type") == "string":
            return {**schema, "pattern": f"^(?:{pattern})$"}
        return schema

    def _query_parameters(self) -> Iterator[dict[str, Any]]:
        if self.method in WITH_BODY:
            return
        for made in fields_of(self.rules or {}):
            if len(made.segments) == 1:
                yield _query(made.name, field_schema(made), is_required(made))
        for name, schema in self.seen.reads.items():
            if name not in (self.rules or {}):
                yield _query(name, schema)
        if self.seen.is_paged and "page" not in self.seen.reads:
            yield _query("page", {"type": "integer", "minimum": 1})

    # --- body -----------------------------------------------------------------------------------

    def _body(self) -> dict[str, Any] | None:
        if self.method not in WITH_BODY:
            return None
        if self.rules is None:
            return self._loose_body()
        schema = object_schema(self.rules)
        kinds = (
            ["multipart/form-data"]
            if has_files(self.rules)
            else ["application/json", "application/x-www-form-urlencoded"]
        )
        content = {kind: {"schema": schema} for kind in kinds}
        return {"content": content, "required": bool(schema.get("required"))}

    def _loose_body(self) -> dict[str, Any] | None:
        """For an action that reads single fields without rules."""
        if not self.seen.reads:
            return None
        schema = {"type": "object", "properties": dict(self.seen.reads)}
        return {"content": {"application/json": {"schema": schema}}, "required": False}

    # --- responses ------------------------------------------------------------------------------

    def _responses(self) -> dict[str, Any]:
        found: dict[int, Any] = {**self._successes(), **self._refusals()}
        for status, said in declared_responses(self.fn).items():
            found[status] = said if isinstance(said, Mapping) else _answer(status, str(said))
        return {str(status): found[status] for status in sorted(found)}

    def _successes(self) -> dict[int, Any]:
        if any(status < 400 for status in declared_responses(self.fn)):
            return {}
        status = self.seen.success or 200
        if status == 204:
            return {204: {"description": "Done; there is nothing to send."}}
        returned = _annotations(self.fn).get("return")
        schema = _envelope() if self.seen.has_envelope else type_schema(returned)
        content = {"application/json": {"schema": schema}}
        return {status: {"description": phrase(status), "content": content}}

    def _refusals(self) -> dict[int, Any]:
        found = {400: _answer(400, "The request cannot be understood.")}
        for name, (status, words) in _BY_MIDDLEWARE.items():
            if name in self.layers:
                found[status] = _answer(status, words)
        if self.names:
            found[404] = _answer(404, "There is no such thing.")
        if self.method in WITH_BODY:
            found[413] = _answer(413, "The request is too large.")
        if self.rules is not None:
            found[422] = _answer(422, "The data is not valid.", "ValidationError")
        for status, words in self.seen.refusals.items():
            found.setdefault(status, _answer(status, words or phrase(status)))
        return found

    def _security(self) -> list[dict[str, list[str]]]:
        if "auth" not in self.layers:
            return []
        by_token = any(name.startswith("auth:") for name in self.guards)
        return [{"token": []}] if by_token else [{"session": []}]


def _annotations(fn: Any) -> dict[str, Any]:
    """The annotations of *fn*; none where one of them is for type checkers only."""
    try:
        return typing.get_type_hints(inspect.unwrap(fn))
    except Exception:
        return {}


def _is_numbered(annotation: Any) -> bool:
    """True for a model, known by its shape, whose key is a whole number."""
    is_model = callable(getattr(annotation, "resolve_route_binding", None))
    return is_model and getattr(annotation, "key_type", None) in (int, "int")


def _query(name: str, schema: Schema, required: bool = False) -> dict[str, Any]:
    is_list = schema.get("type") == "array"
    shown = f"{name}[]" if is_list else name
    return {"name": shown, "in": "query", "required": required, "schema": schema}


def _answer(status: int, words: str, schema: str = "Error") -> dict[str, Any]:
    if status < 400:
        return {"description": words or phrase(status)}
    ref = {"$ref": f"#/components/schemas/{schema}"}
    return {"description": words, "content": {"application/json": {"schema": ref}}}


def _envelope() -> Schema:
    return {
        "type": "object",
        "properties": {"success": {"const": True}, "message": {"type": "string"}, "data": {}},
        "required": ["success", "message", "data"],
    }


def _layer_name(name: str) -> str:
    return name.partition(":")[0]


# --- paths ------------------------------------------------------------------------------------


def _paths(route: Route) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Each way to write the route's path, with its parameters: an optional one may be missing."""
    choices = [(True, False) if segment.is_optional else (True,) for segment in route.segments]
    for taken in product(*choices):
        kept = [s for s, is_there in zip(route.segments, taken, strict=True) if is_there]
        names = tuple(p.name for segment in kept for p in segment.parameters)
        yield "/" + "/".join(map(_written, kept)), names


def _written(segment: Segment) -> str:
    return "".join(
        f"{{{part.name}}}" if isinstance(part, Parameter) else part for part in segment.parts
    )


def _shared(path: str, paths: Mapping[str, Any]) -> tuple[str, dict[str, str]]:
    """*path* under the names it has already: `/a/{id}` and `/a/{user}` are one path."""
    shape = re.sub(r"\{[^}]+\}", "{}", path)
    for known in paths:
        if re.sub(r"\{[^}]+\}", "{}", known) == shape:
            pairs = zip(
                re.findall(r"\{([^}]+)\}", path), re.findall(r"\{([^}]+)\}", known), strict=True
            )
            return known, dict(pairs)
    return path, {}


def _unique(wanted: str, taken: set[str]) -> str:
    number, found = 1, wanted
    while found in taken:
        number += 1
        found = f"{wanted}_{number}"
    taken.add(found)
    return found
