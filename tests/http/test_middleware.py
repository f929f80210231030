"""Middleware: names, groups, order, parameters, and what happens when one fails."""

from __future__ import annotations

from typing import Any

import pytest

from so.errors import NotFoundException, RouteDefinitionError
from so.http.request import Request
from so.http.response import Response
from so.http.router import Router
from tests.http.wsgi import Client

Trail = list[str]


def note(name: str, trail: Trail) -> Any:
    """A middleware that writes its name down on the way in and out."""

    def middleware(request: Request, next: Any, *params: str) -> Any:
        trail.append("".join([name, *params]))
        response = next(request)
        trail.append("/" + name)
        return response

    return middleware


@pytest.fixture
def trail() -> Trail:
    return []


@pytest.fixture
def router(trail: Trail) -> Router:
    router = Router()
    for name in "abcde":
        router.middleware_alias(name, note(name, trail))
    return router


def run(router: Router, uri: str = "/") -> Any:
    return Client(router).get(uri)


def test_global_group_and_route_middleware_run_outermost_first(
    router: Router, trail: Trail
) -> None:
    router.global_middleware(["e"])
    with router.group(middleware="a"), router.group(middleware=["b"]):
        router.get("/", lambda: trail.append("action")).middleware("c")

    assert run(router).status == 200
    assert trail == ["e", "a", "b", "c", "action", "/c", "/b", "/a", "/e"]


def test_global_middleware_sees_requests_that_no_route_serves(router: Router, trail: Trail) -> None:
    router.global_middleware(["a"])

    assert run(router, "/nowhere").status == 404
    assert trail == ["a", "/a"]


def test_parameters_come_after_the_colon_as_text(trail: Trail) -> None:
    seen: list[Any] = []

    class Throttle:
        def handle(self, request: Request, next: Any, *params: str) -> Any:
            seen.append(params)
            return next(request)

    router = Router()
    router.middleware_alias({"throttle": Throttle})
    router.get("/", lambda: "").middleware("throttle:5,1", "throttle:api")

    run(router)

    assert seen == [("5", "1"), ("api",)]


def test_a_middleware_may_be_a_class_an_object_a_function_or_a_path(trail: Trail) -> None:
    class Header:
        def __init__(self, name: str = "X-A") -> None:
            self.name = name

        def handle(self, request: Request, next: Any) -> Any:
            response: Response = next(request)
            return response.header(self.name, "1")

    router = Router()
    router.get("/", lambda: "").middleware(
        Header, Header("X-B"), note("f", trail), "tests.http.test_middleware.AddPath"
    )

    answer = run(router)

    assert [answer.header(f"X-{n}") for n in ("A", "B", "Path")] == ["1", "1", "1"]
    assert trail == ["f", "/f"]


class AddPath:
    def handle(self, request: Request, next: Any) -> Any:
        response: Response = next(request)
        return response.header("X-Path", "1")


def test_groups_nest_and_duplicates_keep_the_first(router: Router, trail: Trail) -> None:
    router.middleware_group("inner", ["b", "c"])
    router.middleware_group("web", ["a", "inner"])
    router.get("/", lambda: "").middleware("b", "web", "c", "a")

    run(router)

    assert [name for name in trail if name[0] != "/"] == ["b", "a", "c"]


def test_the_same_middleware_with_other_parameters_is_another(router: Router, trail: Trail) -> None:
    router.get("/", lambda: "").middleware("a:1", "a:2", "a:1")

    run(router)

    assert [name for name in trail if name[0] != "/"] == ["a1", "a2"]


def test_groups_can_be_changed(router: Router, trail: Trail) -> None:
    router.middleware_group("web", ["b"])
    router.push_middleware_to_group("web", "c", "b")
    router.prepend_middleware_to_group("web", "a", "c")
    router.push_middleware_to_group("new", "d")
    router.remove_middleware_from_group("web", "b")
    router.get("/", lambda: "").middleware("web", "new")

    run(router)

    assert [name for name in trail if name[0] != "/"] == ["a", "c", "d"]


def test_a_group_in_itself_is_refused_with_the_chain(router: Router) -> None:
    router.middleware_group("a1", ["b1"])
    router.middleware_group("b1", ["a1"])
    router.get("/", lambda: "").middleware("a1")

    with pytest.raises(RecursionError, match="a1 -> b1 -> a1"):
        router.check()
    assert run(router).status == 500


def test_an_unknown_name_is_refused_at_boot_with_the_nearest(router: Router) -> None:
    router.middleware_alias("throttle", note("t", []))
    router.get("/x", lambda: "").middleware("throtle:5")

    with pytest.raises(
        RouteDefinitionError,
        match="route 'x': unknown middleware 'throtle'; did you mean 'throttle'",
    ):
        Client(router).kernel.boot()
    with pytest.raises(RouteDefinitionError, match="'no.such.module'"):
        Router().registry.layers(["no.such.module"])
    with pytest.raises(RouteDefinitionError, match="'os.no_such_name'"):
        Router().registry.layers(["os.no_such_name"])


def test_what_cannot_handle_is_no_middleware() -> None:
    class Nothing:
        pass

    for wrong in (Nothing, Nothing(), 5):
        with pytest.raises(RouteDefinitionError, match="is not a middleware"):
            Router().registry.layers([wrong])


def test_an_alias_may_stand_for_another(router: Router, trail: Trail) -> None:
    router.middleware_alias("x", "y")
    router.middleware_alias("y", "a")
    router.get("/", lambda: "").middleware("x")

    run(router)

    assert trail == ["a", "/a"]


def test_the_priority_orders_what_it_names_and_moves_nothing_else(
    router: Router, trail: Trail
) -> None:
    router.middleware_priority(["b", "d"])
    router.get("/", lambda: "").middleware("a", "d", "c", "b")

    run(router)

    assert [name for name in trail if name[0] != "/"] == ["a", "b", "c", "d"]


def test_a_route_can_leave_middleware_out(router: Router, trail: Trail) -> None:
    router.middleware_group("web", ["a", "b"])
    with router.group(middleware=["web", "c", "d:1"]):
        router.get("/one", lambda: "").without_middleware("b", "c")
        router.get("/all", lambda: "").without_middleware("web", "d")
        router.without("web", "c").get("/short", lambda: "").without("d")

    run(router, "/one")
    run(router, "/all")
    run(router, "/short")

    assert [name for name in trail if name[0] != "/"] == ["a", "d1", "c"]


def test_a_middleware_may_answer_itself() -> None:
    router = Router()
    router.get("/", lambda: "never").middleware(lambda request, next: ("stop", 403))

    answer = run(router)

    assert (answer.status, answer.text) == (403, "stop")


def test_a_middleware_that_returns_nothing_gives_an_empty_answer() -> None:
    router = Router()
    router.get("/", lambda: "never").middleware(lambda request, next: None)

    answer = run(router)

    assert (answer.status, answer.body) == (200, b"")


def test_an_exception_inside_is_a_response_to_the_middleware_outside() -> None:
    seen: list[int] = []

    def outer(request: Request, next: Any) -> Any:
        response = next(request)
        seen.append(response.status)
        return response.header("X-Outer", "1")

    def failing(request: Request, next: Any) -> Any:
        raise NotFoundException("gone")

    def broken() -> None:
        raise RuntimeError("broken")

    router = Router()
    router.global_middleware([outer])
    router.get("/action", broken)
    router.get("/middleware", lambda: "").middleware(failing)

    for uri, status in (("/action", 500), ("/middleware", 404), ("/none", 404)):
        answer = run(router, uri)
        assert (answer.status, answer.header("X-Outer")) == (status, "1")
    assert seen == [500, 404, 404]


def test_a_middleware_that_asks_for_something_is_made_for_each_request_others_once() -> None:
    made: list[str] = []

    class Asking:
        def __init__(self, clock: str) -> None:
            self.clock = clock

        def handle(self, request: Request, next: Any) -> Any:
            return next(request)

    class Plain:
        def handle(self, request: Request, next: Any) -> Any:
            return next(request)

    def make(cls: Any) -> Any:
        made.append(cls.__name__)
        return cls("x") if cls is Asking else cls()

    router = Router()
    router.get("/", lambda: "").middleware(Asking, Plain)
    client = Client(router, make=make)
    for _ in range(3):
        client.get("/")

    assert sorted(made) == ["Asking", "Asking", "Asking", "Plain"]


def test_terminate_runs_after_the_last_byte_outermost_first_and_its_errors_are_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    told: list[Any] = []

    class Everywhere:
        def handle(self, request: Request, next: Any) -> Any:
            return next(request)

        def terminate(self, request: Request, response: Response) -> None:
            told.append(("everywhere", request.path(), response.status))

    class Here(Everywhere):
        def __init__(self, name: str) -> None:
            self.name = name

        def terminate(self, request: Request, response: Response) -> None:
            told.append(self.name)
            raise RuntimeError("too late to matter")

    router = Router()
    router.global_middleware([Everywhere])
    router.get("/x", lambda: told.append("action") or "body").middleware(Here)
    client = Client(router, make=lambda cls: cls("here") if cls is Here else cls())

    answer = client.get("/x")

    assert answer.text == "body"
    assert told == ["action", ("everywhere", "x", 200), "here"]
    assert "Here failed" in caplog.text
    told.clear()
    assert client.get("/none").status == 404
    assert told == [("everywhere", "none", 404)]


def test_middleware_changed_after_the_first_request_counts(router: Router, trail: Trail) -> None:
    router.middleware_group("web", ["a"])
    route = router.get("/", lambda: "").middleware("web")
    client = Client(router)
    client.get("/")
    router.push_middleware_to_group("web", "b")
    client.get("/")
    route.middleware("c")
    router.global_middleware(["d"])
    client.get("/")

    assert [name for name in trail if name[0] != "/"] == ["a", "a", "b", "d", "a", "b", "c"]
