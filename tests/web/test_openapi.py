"""The OpenAPI document: valid by the specification, and true to routes and rules."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from types import SimpleNamespace
from typing import Any, Optional
from uuid import UUID

import pytest
from jsonschema import Draft202012Validator

from so.errors import AuthorizationException, ServiceUnavailableException
from so.http.helpers import abort
from so.http.request import Request
from so.http.response import JsonResponse, Response
from so.http.router import Router
from so.http.rules import responds, rules
from so.http.validation import Rule, Validator
from so.web.openapi import OpenApi, OpenApiProvider
from so.web.schemas import object_schema, type_schema
from so.web.sources import look_at
from tests.support.needed import package


class Status(enum.Enum):
    OPEN = "open"
    PAID = "paid"


class Post:
    key_type = "int"

    @classmethod
    def resolve_route_binding(cls, value, field):
        return cls()


@dataclass
class Money:
    amount: Decimal
    currency: str


LIMIT = 5
SHARED = {"note": "nullable|string|max:500"}


@rules({"name": "required|string|max:100", "tags": "array|max:5", "tags.*": "string|distinct"})
@responds({409: "Taken.", 418: {"description": "I am a teapot."}})
def store(request: Request, data: dict) -> JsonResponse:
    """Store a thing.

    It is kept for ever.
    """
    return JsonResponse.created(data)


def update(request: Request, id: int) -> JsonResponse:
    local = "required"
    given = request.validate(
        {"price": f"required|integer|max:{LIMIT}", "local": local, **SHARED, "kind": ["in:a,b"]}
    )
    return JsonResponse.success(given, code=202)


def upload(request: Request) -> Response:
    request.validate({"file": "required|file|max:100"})
    return JsonResponse.no_content()


def index(request: Request) -> list[Money]:
    if request.filled("status"):
        abort(410)
    request.string("status")
    return query().paginate(request.integer("size"))


def query() -> Any:
    return None


def refuse(request: Request) -> dict[str, int]:
    if request.boolean("sure"):
        raise ServiceUnavailableException
    raise AuthorizationException("no")


def show(post: Post) -> Money | None:
    return None


def by_status(status: Status) -> str:
    return ""


def middleware(request, next_, *parameters):
    return next_(request)


@pytest.fixture
def router():
    router = Router()
    for name in ("auth", "can", "throttle", "csrf"):
        router.middleware_alias(name, middleware)
    with router.group(prefix="api/v1", middleware="throttle:60,1"):
        router.post("/things", store).name("things.store").middleware("auth:token", "can:keep")
        router.match(["PUT", "PATCH"], "/things/{id}", update).middleware("auth")
        router.get("/things/{thing}", by_status).where_in("thing", ["a", "b"])
        router.get("/things", index)
        router.post("/files", upload)
        router.delete("/refuse", refuse)
        router.get("/posts/{post:slug}/{page?}", show)
        router.get("/by/{status}.{format}", by_status)
        router.get("/lambda", lambda: None)
    router.get("/page", lambda: "")
    router.get("/api", lambda: "")
    router.get("/apiary", lambda: "")
    router.fallback(lambda: "")
    return router


@pytest.fixture
def document(router):
    return OpenApi(
        router, title="T", version="2", description="D", servers=["https://x"]
    ).document()


def test_the_document_is_valid_by_the_specification(document):
    spec = package("openapi_spec_validator")

    assert list(spec.OpenAPIV31SpecValidator(document).iter_errors()) == []


def test_it_tells_who_it_is_about(document):
    assert document["openapi"] == "3.1.0"
    assert document["info"] == {"title": "T", "version": "2", "description": "D"}
    assert document["servers"] == [{"url": "https://x"}]


def test_every_api_route_is_described_and_no_other(document, router):
    assert list(document["paths"]) == [
        "/api/v1/things",
        "/api/v1/things/{id}",
        "/api/v1/files",
        "/api/v1/refuse",
        "/api/v1/posts/{post}/{page}",
        "/api/v1/posts/{post}",
        "/api/v1/by/{status}.{format}",
        "/api/v1/lambda",
        "/api",
    ]
    everything = OpenApi(router, prefix="").document()
    assert {"/page", "/apiary"} < set(everything["paths"])
    assert "servers" not in everything


def test_operations_have_names_words_and_tags(document):
    operation = document["paths"]["/api/v1/things"]["post"]

    assert operation["operationId"] == "things.store"
    assert (operation["summary"], operation["description"]) == (
        "Store a thing.",
        "It is kept for ever.",
    )
    assert operation["tags"] == ["things"]
    assert document["paths"]["/api"]["get"]["tags"] == ["api"]
    ids = [o["operationId"] for path in document["paths"].values() for o in path.values()]
    assert len(ids) == len(set(ids))


def test_one_path_has_one_set_of_names(document):
    path = document["paths"]["/api/v1/things/{id}"]

    assert sorted(path) == ["get", "patch", "put"]
    [parameter] = path["get"]["parameters"]
    assert parameter["name"] == "id"
    assert parameter["schema"] == {"type": "string", "pattern": "^(?:a|b)$"}
    assert path["put"]["parameters"][0]["schema"] == {"type": "integer"}


def test_path_parameters_are_typed_by_annotation(document):
    [status, form] = document["paths"]["/api/v1/by/{status}.{format}"]["get"]["parameters"]

    assert status["schema"] == {"enum": ["open", "paid"]}
    assert (form["name"], form["schema"], form["required"]) == ("format", {"type": "string"}, True)


def test_a_model_is_named_by_its_key_or_by_the_column_of_the_route(router):
    router.get("/api/posts/{post}", show)
    paths = OpenApi(router).document()["paths"]

    assert paths["/api/posts/{post}"]["get"]["parameters"][0]["schema"] == {"type": "integer"}
    by_slug = paths["/api/v1/posts/{post}"]["get"]["parameters"][0]["schema"]
    assert by_slug == {"type": "string"}


def test_declared_rules_become_the_body(document):
    operation = document["paths"]["/api/v1/things"]["post"]

    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    assert schema == {
        "type": "object",
        "properties": {
            "name": {"type": "string", "maxLength": 100},
            "tags": {
                "type": "array",
                "items": {"type": "string"},
                "uniqueItems": True,
                "maxItems": 5,
            },
        },
        "required": ["name"],
    }
    assert operation["requestBody"]["required"] is True


def test_rules_in_plain_sight_become_the_body(document):
    schema = document["paths"]["/api/v1/things/{id}"]["put"]["requestBody"]["content"][
        "application/x-www-form-urlencoded"
    ]["schema"]

    assert schema["properties"] == {
        "price": {"type": "integer", "maximum": 5},
        "local": {},
        "note": {"type": ["string", "null"], "maxLength": 500},
        "kind": {"enum": ["a", "b"]},
    }


def test_files_are_multipart(document):
    body = document["paths"]["/api/v1/files"]["post"]["requestBody"]

    assert list(body["content"]) == ["multipart/form-data"]
    file = body["content"]["multipart/form-data"]["schema"]["properties"]["file"]
    assert file == {"type": "string", "format": "binary"}


def test_what_a_get_reads_are_query_parameters(document):
    found = document["paths"]["/api/v1/things"]["get"]["parameters"]

    assert {p["name"]: p["schema"] for p in found} == {
        "status": {"type": "string"},
        "size": {"type": "integer"},
        "page": {"type": "integer", "minimum": 1},
    }


def test_what_a_delete_reads_is_an_optional_body(document):
    body = document["paths"]["/api/v1/refuse"]["delete"]["requestBody"]

    assert body["required"] is False
    assert body["content"]["application/json"]["schema"]["properties"] == {
        "sure": {"type": "boolean"}
    }


def statuses(document: Any, path: str, method: str) -> list[str]:
    return list(document["paths"][path][method]["responses"])


def test_statuses_come_from_action_rules_and_middleware(document):
    assert statuses(document, "/api/v1/things", "post") == [
        "201", "400", "401", "403", "409", "413", "418", "422", "429",
    ]  # fmt: skip
    assert statuses(document, "/api/v1/things/{id}", "put")[0] == "202"
    assert statuses(document, "/api/v1/files", "post")[0] == "204"
    assert statuses(document, "/api/v1/things", "get") == ["200", "400", "410", "429"]
    assert "404" in statuses(document, "/api/v1/posts/{post}", "get")
    assert {"403", "503"} < set(statuses(document, "/api/v1/refuse", "delete"))


def test_declared_answers_are_taken_as_they_are(document):
    responses = document["paths"]["/api/v1/things"]["post"]["responses"]

    assert responses["409"]["description"] == "Taken."
    assert responses["418"] == {"description": "I am a teapot."}


def test_a_declared_success_replaces_the_one_that_was_seen():
    @responds({203: "Elsewhere."})
    def action() -> dict:
        return {}

    router = Router()
    router.get("/api/x", action)

    assert statuses(OpenApi(router).document(), "/api/x", "get") == ["203", "400"]


def test_answers_are_typed_by_the_return_annotation(document):
    money = {
        "type": "object",
        "properties": {
            "amount": {"type": "string", "format": "decimal"},
            "currency": {"type": "string"},
        },
        "required": ["amount", "currency"],
    }
    path = document["paths"]["/api/v1/things"]["get"]["responses"]["200"]
    assert path["content"]["application/json"]["schema"] == {"type": "array", "items": money}
    envelope = document["paths"]["/api/v1/things"]["post"]["responses"]["201"]
    assert "success" in envelope["content"]["application/json"]["schema"]["properties"]


def test_security_says_how_a_user_is_known(document):
    assert document["paths"]["/api/v1/things"]["post"]["security"] == [{"token": []}]
    assert document["paths"]["/api/v1/things/{id}"]["put"]["security"] == [{"session": []}]
    assert "security" not in document["paths"]["/api/v1/files"]["post"]
    assert document["components"]["securitySchemes"]["session"]["name"] == "so_session"


def test_rules_made_for_a_request_leave_the_body_open():
    @rules(lambda request: {"a": "required"})
    def action(data):
        return data

    router = Router()
    router.post("/api/x", action)

    operation = OpenApi(router).document()["paths"]["/api/x"]["post"]
    assert operation["requestBody"]["content"]["application/json"]["schema"]["properties"] == {}
    assert "422" in operation["responses"]


def test_query_parameters_may_have_rules():
    @rules({"q": "required|string", "ids": "array", "ids.*": "integer", "deep.er": "string"})
    def action():
        return ""

    router = Router()
    router.get("/api/x", action)

    found = OpenApi(router).document()["paths"]["/api/x"]["get"]["parameters"]
    assert [(p["name"], p["required"]) for p in found] == [("q", True), ("ids", False)]


# --- schemas --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rules_", "schema"),
    [
        ("string|min:2|max:5", {"type": "string", "minLength": 2, "maxLength": 5}),
        ("string|size:3", {"type": "string", "minLength": 3, "maxLength": 3}),
        ("integer|between:1,9", {"type": "integer", "minimum": 1, "maximum": 9}),
        ("integer|gt:0|lt:9", {"type": "integer", "exclusiveMinimum": 0, "exclusiveMaximum": 9}),
        ("numeric|gte:0.5|lte:9", {"type": ["number", "string"], "minimum": 0.5, "maximum": 9}),
        ("string|gt:other", {"type": "string"}),
        ("integer|multiple_of:5", {"type": "integer", "multipleOf": 5}),
        ("integer|multiple_of:0", {"type": "integer"}),
        ("array|min:1", {"type": ["array", "object"], "minItems": 1}),
        ("list|max:3", {"type": "array", "maxItems": 3}),
        ("boolean", {"type": "boolean"}),
        ("accepted", {"enum": ["yes", "on", "1", 1, True, "true"]}),
        ("email", {"type": "string", "format": "email"}),
        ("nullable|date", {"type": ["string", "null"], "format": "date"}),
        ("nullable|in:a,b", {"enum": ["a", "b", None]}),
        ("integer|in:1,2", {"type": "integer", "enum": [1, 2]}),
        ("list|in:a,b", {"type": "array", "items": {"enum": ["a", "b"]}}),
        ("digits:4", {"type": "string", "pattern": "^[0-9]{4}$"}),
        ("digits_between:2,4", {"type": "string", "pattern": "^[0-9]{2,4}$"}),
        ("integer|digits:4", {"type": "integer"}),
        ("alpha_num:ascii", {"type": "string", "pattern": "^[A-Za-z0-9]+$"}),
        ("alpha", {}),
        ("ulid", {"type": "string", "pattern": "^[0-7][0-9A-HJKMNP-TV-Za-hjkmnp-tv-z]{25}$"}),
        ("regex:/^[a-z]+$/", {"pattern": "^[a-z]+$"}),
        ("regex:/^[a-z]+$/i", {}),
        ("regex:/^(?P<x>a)$/", {}),
        ("exists:users,id", {}),
        ("array:a,b", {"type": "object", "properties": {"a": {}, "b": {}},
                       "additionalProperties": False}),
        ("array|required_array_keys:b,a", {"type": "object", "required": ["a", "b"]}),
        ("image|max:100", {"type": "string", "format": "binary"}),
        ([Rule.enum(Status).except_(Status.PAID)], {"enum": ["open"]}),
        (Rule.in_(Status), {"enum": ["open", "paid"]}),
        (["nullable", lambda value: None], {}),
    ],
)  # fmt: skip
def test_rules_become_a_schema(rules_, schema):
    assert object_schema({"f": rules_})["properties"]["f"] == schema


def test_a_confirmed_field_has_a_second_one():
    schema = object_schema({"password": "required|string|confirmed", "mail": "confirmed:again"})

    assert schema["properties"]["password_confirmation"] == {"type": "string"}
    assert schema["properties"]["again"] == {"type": "string"}
    assert schema["required"] == ["password", "password_confirmation"]


def test_nested_fields_are_required_through_their_parents():
    schema = object_schema(
        {"a.b": "required", "c": "array", "c.d": "required", "e.*.f": "required", "g": "sometimes"}
    )

    assert schema["required"] == ["a"]
    assert schema["properties"]["a"]["required"] == ["b"]
    assert schema["properties"]["e"]["items"]["required"] == ["f"]


VALID = {
    "name": "required|string|between:2,5",
    "n": "nullable|integer|min:1",
    "kind": "in:a,b",
    "items": "required|list|max:2",
    "items.*.sku": "required|string",
}


@pytest.mark.parametrize(
    "data",
    [
        {"name": "ab", "items": [{"sku": "x"}]},
        {"name": "ab", "n": None, "kind": "a", "items": [{"sku": "x"}, {"sku": "y"}]},
        {"name": "a", "items": [{"sku": "x"}]},
        {"name": "abcdef", "items": [{"sku": "x"}]},
        {"items": [{"sku": "x"}]},
        {"name": "ab", "n": 0, "items": [{"sku": "x"}]},
        {"name": "ab", "kind": "c", "items": [{"sku": "x"}]},
        {"name": "ab", "items": [{}]},
        {"name": "ab", "items": [{"sku": "x"}] * 3},
        {"name": "ab", "items": "x"},
        {"name": 5, "items": [{"sku": "x"}]},
    ],
)
def test_schema_and_rules_agree_on_what_is_valid(data):
    by_schema = Draft202012Validator(object_schema(VALID)).is_valid(data)

    assert by_schema == Validator(data, VALID).passes()


@pytest.mark.parametrize(
    ("annotation", "schema"),
    [
        (int, {"type": "integer"}),
        (datetime, {"type": "string", "format": "date-time"}),
        (date, {"type": "string", "format": "date"}),
        (time, {"type": "string", "format": "time"}),
        (UUID, {"type": "string", "format": "uuid"}),
        (Optional[int], {"anyOf": [{"type": "integer"}, {"type": "null"}]}),  # noqa: UP045
        (int | str, {"anyOf": [{"type": "integer"}, {"type": "string"}]}),
        (list, {"type": "array", "items": {}}),
        (list[str], {"type": "array", "items": {"type": "string"}}),
        (dict[str, float], {"type": "object", "additionalProperties": {"type": "number"}}),
        (dict, {"type": "object", "additionalProperties": {}}),
        (Status, {"enum": ["open", "paid"]}),
        (Response, {}),
        (None, {}),
    ],
)
def test_types_become_a_schema(annotation, schema):
    assert type_schema(annotation) == schema


# --- sources --------------------------------------------------------------------------------------


def test_an_action_without_source_tells_nothing():
    seen = look_at(len)

    assert (seen.rules, seen.reads, seen.success) == (None, {}, None)


def test_what_cannot_be_known_beforehand_is_left_out():
    def action(request, other):
        name = "x"
        request.validate(other)
        request.validate()
        request.string(name)
        request.validate({name: "required", "known": "required"})
        JsonResponse.success(1, code=int("5"))
        abort(other)
        raise other

    seen = look_at(action)

    assert seen.rules == {"known": "required"}
    assert (seen.reads, seen.success, seen.refusals) == ({}, 200, {})


# --- the provider ---------------------------------------------------------------------------------


def test_the_provider_binds_the_document_as_configured(router):
    given = {
        "openapi": {"prefix": "api/v1/files", "version": "3"},
        "app": {"name": "Acme"},
        "session": {"cookie": "acme"},
    }
    bound = {}
    app = SimpleNamespace(
        settings=lambda kind: kind.from_config(given[kind.topic]),
        bind=lambda name, make: bound.update({name: make}),
        make=lambda name: router,
    )

    OpenApiProvider(app).register()
    document = bound["openapi"](app).document()

    assert document["info"] == {"title": "Acme", "version": "3"}
    assert list(document["paths"]) == ["/api/v1/files"]
    assert document["components"]["securitySchemes"]["session"]["name"] == "acme"
