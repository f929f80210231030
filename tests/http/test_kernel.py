"""The WSGI callable: scopes, results, streams, limits, and errors wherever they happen."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from so.errors import HttpException, NotFoundException
from so.http.errors import ErrorHandler
from so.http.kernel import Kernel
from so.http.request import Request
from so.http.response import JsonResponse, Response
from so.http.router import Router
from so.http.settings import HttpSettings
from so.support.markup import h
from so.support.scope import Scope, current_scope
from tests.http.wsgi import Answer, Client, send


def serve(action: Any, uri: str = "/", method: str = "GET", **kernel: Any) -> Answer:
    router = Router()
    router.any("/", action)
    return Client(router, **kernel).request(method, uri)


# --- what an action may return --------------------------------------------------------------------


@dataclass
class Point:
    x: int
    y: Decimal


class Shown:
    def to_response(self, request: Request) -> Any:
        return {"shown": request.path()}


class Saved:
    was_recently_created = True

    def to_dict(self) -> dict[str, int]:
        return {"id": 1}


class Old(Saved):
    was_recently_created = False


class Many:
    def to_list(self) -> list[int]:
        return [1, 2]


class Row(dict[str, Any]):
    pass


@pytest.mark.parametrize(
    ("result", "status", "kind", "body"),
    [
        (Response("x", 201), 201, "text/html; charset=utf-8", b"x"),
        ("<b>é</b>", 200, "text/html; charset=utf-8", "<b>é</b>".encode()),
        (h("b", "<"), 200, "text/html; charset=utf-8", b"<b>&lt;</b>"),
        (b"\x00\xff", 200, "application/octet-stream", b"\x00\xff"),
        ({"a": 1}, 200, "application/json", b'{"a":1}'),
        ([1, "é"], 200, "application/json", '[1,"é"]'.encode()),
        (Row(a=1), 200, "application/json", b'{"a":1}'),
        (Point(1, Decimal("1.50")), 200, "application/json", b'{"x":1,"y":"1.50"}'),
        (Saved(), 201, "application/json", b'{"id":1}'),
        (Old(), 200, "application/json", b'{"id":1}'),
        (Many(), 200, "application/json", b"[1,2]"),
        (date(2026, 1, 2), 200, "application/json", b'"2026-01-02"'),
        (7, 200, "application/json", b"7"),
        (None, 200, "text/html; charset=utf-8", b""),
        (("x", 404), 404, "text/html; charset=utf-8", b"x"),
        (({"a": 1}, 201, {"X-A": "b"}), 201, "application/json", b'{"a":1}'),
        ((1, 2, 3, 4), 200, "application/json", b"[1,2,3,4]"),
        (Shown(), 200, "application/json", b'{"shown":"/"}'),
        ((n for n in ["a", b"b", ""]), 200, "text/html; charset=utf-8", b"ab"),
    ],
)
def test_every_result_has_its_response(result: Any, status: int, kind: str, body: bytes) -> None:
    answer = serve(lambda: result)

    assert (answer.status, answer.header("Content-Type"), answer.body) == (status, kind, body)


def test_a_tuple_may_bring_headers() -> None:
    assert serve(lambda: ("x", 200, {"X-A": "b"})).header("X-A") == "b"


@pytest.mark.parametrize("result", [object(), Point, ("x", 99), ("x", 600)])
def test_a_result_without_a_form_is_an_error(result: Any, caplog: pytest.LogCaptureFixture) -> None:
    assert serve(lambda: result).status == 500
    assert "return a Response" in caplog.text or "200 to 599" in caplog.text


def test_a_body_has_its_length_and_some_statuses_have_none() -> None:
    assert serve(lambda: "é").header("Content-Length") == "2"
    for status in (204, 304):
        answer = serve(lambda status=status: ("body", status))
        assert (answer.body, answer.header("Content-Length")) == (b"", None)
        assert answer.header("Content-Type") is None
    assert serve(JsonResponse.no_content).body == b""


def test_a_body_that_middleware_assigned_as_text_goes_out_as_bytes() -> None:
    def louder(request: Request, next: Any) -> Any:
        response = next(request)
        response.body = "é!"
        return response

    router = Router()
    router.get("/", lambda: "x").middleware(louder)

    assert Client(router).get("/").body == "é!".encode()


# --- scope ----------------------------------------------------------------------------------------


def test_each_request_has_a_scope_that_ends_with_it() -> None:
    seen: list[Any] = []

    def action(request: Request) -> str:
        scope = current_scope()
        assert scope is not None
        assert scope.request is request
        assert scope.route is request.route()
        scope.on_exit(lambda: seen.append("closed"))
        seen.append(scope)
        return "x"

    serve(action)
    serve(action)

    assert current_scope() is None
    assert seen[1] == seen[3] == "closed"
    assert seen[0] is not seen[2]


def test_the_scope_may_come_from_elsewhere() -> None:
    class Mine(Scope):
        pass

    def action() -> list[str]:
        return [type(current_scope()).__name__]

    assert serve(action, make_scope=Mine).json() == ["Mine"]


def test_a_stream_runs_in_the_scope_which_ends_after_the_last_byte() -> None:
    seen: list[Any] = []

    def chunks() -> Iterator[str]:
        for n in range(3):
            scope = current_scope()
            assert scope is not None
            seen.append(scope.data["name"])
            yield str(n)

    def action() -> Any:
        scope = current_scope()
        assert scope is not None
        scope.data["name"] = "ann"
        scope.on_exit(lambda: seen.append("closed"))
        return chunks()

    router = Router()
    router.get("/", action)
    body = Kernel(router)(Request.create("/").environ, lambda status, headers: None)
    iterator = iter(body)
    first = next(iterator)
    assert current_scope() is None
    assert first == b"0"
    assert "closed" not in seen
    assert b"".join(iterator) == b"12"
    body.close()  # type: ignore[attr-defined]
    body.close()  # type: ignore[attr-defined]

    assert seen == ["ann", "ann", "ann", "closed"]


def test_a_client_that_goes_away_closes_the_stream_and_the_scope() -> None:
    ended: list[str] = []

    def chunks() -> Iterator[str]:
        try:
            while True:
                yield "more"
        finally:
            ended.append("stream")

    def action() -> Any:
        scope = current_scope()
        assert scope is not None
        scope.on_exit(lambda: ended.append("scope"))
        return chunks()

    router = Router()
    router.get("/", action)
    body = Kernel(router)(Request.create("/").environ, lambda status, headers: None)
    iterator = iter(body)
    next(iterator)
    next(iterator)
    body.close()  # type: ignore[attr-defined]

    assert ended == ["stream", "scope"]


def test_a_server_that_refuses_the_headers_still_ends_the_scope() -> None:
    ended: list[str] = []

    def action() -> Any:
        scope = current_scope()
        assert scope is not None
        scope.on_exit(lambda: ended.append("scope"))
        return iter(["x"])

    def refuse(status: str, headers: Any) -> None:
        raise OSError("no")

    router = Router()
    router.get("/", action)
    with pytest.raises(OSError, match="no"):
        Kernel(router)(Request.create("/").environ, refuse)

    assert ended == ["scope"]


def test_head_of_a_stream_sends_nothing_and_closes_it() -> None:
    ended: list[str] = []

    def chunks() -> Iterator[str]:
        try:
            yield "x"
        finally:
            ended.append("closed")

    source = chunks()
    next(source)

    answer = serve(lambda: Response.stream(source), method="HEAD")

    assert (answer.status, answer.body, ended) == (200, b"", ["closed"])


def test_a_stream_under_a_status_without_body_is_closed_unread() -> None:
    answer = serve(lambda: Response.stream(iter(["x"]), 204))

    assert (answer.status, answer.body) == (204, b"")


# --- errors ---------------------------------------------------------------------------------------


def test_an_error_in_an_action_is_reported_and_answered(caplog: pytest.LogCaptureFixture) -> None:
    def action() -> None:
        raise ValueError("a secret detail")

    answer = serve(action)

    assert (answer.status, answer.text) == (500, "Internal Server Error")
    assert "a secret detail" in caplog.text


def test_a_fault_of_the_client_is_answered_with_its_words_and_headers() -> None:
    def action() -> None:
        raise HttpException("slow down", 429, {"Retry-After": "5"})

    answer = serve(action)

    assert (answer.status, answer.text, answer.header("Retry-After")) == (429, "slow down", "5")


def test_an_impossible_status_of_an_exception_is_500() -> None:
    def action() -> None:
        raise HttpException("odd", 99)

    assert serve(action).status == 500


class FailingHandler:
    def report(self, exc: BaseException) -> None:
        raise RuntimeError("cannot report")

    def render(self, request: Any, exc: BaseException) -> Any:
        raise RuntimeError("cannot render")


class BadHandler:
    def report(self, exc: BaseException) -> None: ...

    def render(self, request: Any, exc: BaseException) -> Any:
        return object()


@pytest.mark.parametrize("handler", [FailingHandler(), BadHandler()])
def test_a_failing_error_handler_leaves_a_plain_answer(
    handler: Any, caplog: pytest.LogCaptureFixture
) -> None:
    answer = serve(lambda: 1 / 0, handle_error=handler)

    assert (answer.status, answer.text) == (500, "Internal Server Error")
    assert "the error handler failed" in caplog.text


def test_a_stream_that_fails_at_once_is_an_error_page() -> None:
    def chunks() -> Iterator[str]:
        raise NotFoundException("no such export")
        yield ""

    answer = serve(chunks)

    assert (answer.status, answer.text) == (404, "no such export")


def test_a_stream_that_fails_later_is_reported_and_the_connection_cut(
    caplog: pytest.LogCaptureFixture,
) -> None:
    cut: list[str] = []

    def chunks() -> Iterator[str]:
        yield "first"
        raise RuntimeError("disk gone")

    router = Router()
    router.get("/", chunks)
    kernel = Kernel(router)
    environ = Request.create("/").environ | {"so.abort": lambda: cut.append("cut")}

    answer = send(kernel, environ)

    assert (answer.status, answer.body, cut) == (200, b"first", ["cut"])
    assert "disk gone" in caplog.text
    failing = Kernel(router, FailingHandler())
    assert send(failing, Request.create("/").environ).body == b"first"


def test_a_stream_of_the_wrong_kind_is_an_error() -> None:
    assert serve(lambda: iter([{"a": 1}])).status == 500


def test_a_stream_that_fails_when_it_is_closed_harms_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Chunks:
        def __iter__(self) -> Iterator[str]:
            return iter(["x"])

        def close(self) -> None:
            raise RuntimeError("cannot close")

    answer = serve(lambda: Response.stream(Chunks()))

    assert answer.body == b"x"
    assert "a stream failed when it was closed" in caplog.text


def test_a_response_that_cannot_be_prepared_is_an_error() -> None:
    class Stubborn(Response):
        def prepare(self, request: Request) -> None:
            raise RuntimeError("not today")

    assert serve(lambda: Stubborn("x")).status == 500


def test_exceptions_that_end_programs_are_not_answered() -> None:
    def action() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        serve(action)
    assert current_scope() is None


def test_errors_are_json_for_programs_and_pages_for_people() -> None:
    router = Router()
    client = Client(router, handle_error=ErrorHandler())

    assert client.get("/x", headers={"Accept": "application/json"}).json()["status"] == 404
    assert "<!doctype html" in client.get("/x", headers={"Accept": "text/html"}).text.lower()


# --- limits ---------------------------------------------------------------------------------------


def limited(**limits: int) -> Client:
    router = Router()
    router.any("/{any?}", lambda request: request.all())
    return Client(router, settings=HttpSettings(**limits))


@pytest.mark.parametrize(
    ("limits", "uri", "options", "status", "name"),
    [
        ({"max_uri_bytes": 20}, "/" + "a" * 30, {}, 414, "max_uri_bytes"),
        ({"max_headers": 5}, "/", {"headers": {f"X-{n}": 1 for n in range(6)}}, 431, "max_headers"),
        ({"max_header_bytes": 50}, "/", {"headers": {"X": "y" * 60}}, 431, "max_header_bytes"),
        ({"max_body_bytes": 5}, "/", {"data": "123456"}, 413, "max_body_bytes"),
        ({"max_json_bytes": 5}, "/", {"json": {"a": 12345}}, 413, "max_json_bytes"),
        ({"max_json_depth": 2}, "/", {"json": {"a": [[1]]}}, 400, "max_json_depth"),
        ({"max_form_bytes": 5}, "/", {"data": {"a": "12345"}}, 413, "max_form_bytes"),
        ({"max_form_fields": 2}, "/", {"data": {"a": 1, "b": 2, "c": 3}}, 400, "max_form_fields"),
        ({"max_form_fields": 2}, "/?a&b&c", {}, 400, "max_form_fields"),
        ({"max_parts": 1}, "/", {"data": {"a": 1}, "files": {"f": b"x"}}, 400, "max_parts"),
        ({"max_part_bytes": 5}, "/", {"files": {"f": b"123456"}}, 413, "max_part_bytes"),
        ({"max_form_bytes": 5}, "/", {"data": {"a": "123456"}, "files": {"f": b"x"}}, 413, "form_"),
        ({"max_part_header_bytes": 20}, "/", {"files": {"f": b"x"}}, 400, "max_part_header_bytes"),
        ({"max_input_depth": 2}, "/?a[b][c]=1", {}, 400, "max_input_depth"),
    ],
)
def test_what_is_over_a_limit_is_answered_with_its_name(
    limits: dict[str, int], uri: str, options: dict[str, Any], status: int, name: str
) -> None:
    answer = limited(**limits).post(uri, **options)

    assert answer.status == status
    assert name in answer.text


def test_what_is_just_within_its_limit_passes() -> None:
    client = limited(max_json_bytes=7, max_json_depth=2, max_form_fields=2, max_parts=2)

    assert client.post("/", json={"a": 1}).status == 413
    assert client.post("/", json=[[1]]).status == 200
    assert client.post("/", data={"a": 1, "b": 2}).status == 200
    assert client.post("/", files={"a": b"1", "b": b"2"}).status == 200


def test_settings_come_from_configuration_and_a_misspelt_name_is_refused() -> None:
    from so.errors import ConfigError
    from so.settings.http import HttpLimits
    from so.settings.trustedproxy import ProxySettings

    limits = {"max_parts": 7, "disks": {"x": "a", "y": "/b"}, "upload_dir": "tmp"}
    found = HttpSettings.of(
        HttpLimits.from_config(limits),
        ProxySettings.from_config({"proxies": ["10.0.0.0/8"], "headers": ["for"]}),
        "/base",
        default_disk="x",
    )
    assert {name: found.disks[name] for name in "xy"} == {"x": Path("/base/a"), "y": Path("/b")}
    assert found.upload_dir == "/base/tmp"

    assert (found.max_parts, found.trusted_proxies, found.trusted_headers, found.default_disk) == (
        7,
        ("10.0.0.0/8",),
        ("for",),
        "x",
    )
    with pytest.raises(ConfigError, match="http.max_part is unknown"):
        HttpLimits.from_config({"max_part": 7})
    for wrong in (0, "x", -1):
        with pytest.raises(ConfigError, match="whole number, 1 or above"):
            HttpLimits.from_config({"max_parts": wrong})


# --- without a server -----------------------------------------------------------------------------


def test_a_request_can_be_handled_without_a_server() -> None:
    told: list[Any] = []

    class Late:
        def handle(self, request: Request, next: Any) -> Any:
            return next(request)

        def terminate(self, request: Request, response: Response) -> None:
            told.append(response.status)

    router = Router()
    router.get("/a", lambda: {"a": 1}).middleware(Late)
    kernel = Kernel(router)
    request = Request.create("/a")

    response = kernel.handle(request)

    assert (response.status, response.body, told) == (200, b'{"a":1}', [])
    assert response.headers["content-length"] == "7"
    kernel.terminate(request, response)
    kernel.terminate(request, response)
    assert told == [200]
    assert current_scope() is None


def test_a_kernel_needs_nothing_but_a_router() -> None:
    kernel = Kernel(logger=logging.getLogger("so.test"))
    kernel.router.get("/", lambda: "hi")
    kernel.boot()

    assert send(kernel, Request.create("/").environ).text == "hi"


def test_a_post_is_not_read_for_its_method_where_no_other_is_served() -> None:
    router = Router()
    router.post("/upload", lambda request: request.stream().read())
    router.put("/form", lambda: "put")
    router.post("/form", lambda: "post")
    client = Client(router)

    form = {"data": {"_method": "put"}, "files": {"f": b"x"}}
    assert b'name="_method"' in client.post("/upload", **form).body
    assert client.post("/form", **form).text == "put"
    assert client.post("/form", data={"_method": "GET"}).text == "post"
    header = {"X-HTTP-Method-Override": "PUT"}
    assert client.post("/form", headers=header).text == "put"
    assert client.get("/form", headers=header).status == 405


@pytest.mark.parametrize("word", ["PUT", "patch", "DELETE"])
@pytest.mark.parametrize("how", ["data", "headers"])
def test_a_post_that_means_another_method_is_no_post(how: str, word: str) -> None:
    router = Router()
    router.post("/users", lambda: "stored")
    name = "_method" if how == "data" else "X-HTTP-Method-Override"

    answer = Client(router).post("/users", **{how: {name: word}})

    assert (answer.status, answer.headers["Allow"]) == (405, "POST")


def test_an_action_streams_a_form_whatever_was_read_of_it_before() -> None:
    router = Router()
    router.post("/raw", lambda request: [request.method(), len(request.stream().read())])
    kind = {"Content-Type": "application/x-www-form-urlencoded"}

    for body in (b"a=1", b"&".join([b"a=1"] * 1001), b"[" * 9_000_000):
        answer = Client(router).post("/raw", data=body, headers=kind)
        assert answer.json() == ["POST", len(body)]


def test_the_raw_uri_of_a_mounted_application_is_understood() -> None:
    router = Router()
    router.get("/a/{x}", lambda x, request: [x, request.url()])
    environ = Request.create("/a/b%2Fc").environ | {
        "SCRIPT_NAME": "/erp",
        "REQUEST_URI": "/erp/a/b%2Fc?q=1",
    }

    assert send(Kernel(router), environ).json() == ["b/c", "http://localhost/erp/a/b%2Fc"]
    rewritten = environ | {"REQUEST_URI": "/other/a%20b"}
    assert send(Kernel(router), rewritten).status == 404


def test_input_that_never_ends_is_not_waited_for() -> None:
    class Silent(io.RawIOBase):
        def read(self, size: int = -1) -> bytes:
            raise AssertionError("nobody may read what was not announced")

    router = Router()
    router.post("/", lambda request: [request.all(), len(request.body())])
    environ = Request.create("/", "POST").environ
    del environ["CONTENT_LENGTH"]
    environ["CONTENT_TYPE"] = "application/x-www-form-urlencoded"
    environ["wsgi.input"] = Silent()

    assert send(Kernel(router), environ).json() == [{}, 0]


# --- what middleware assigned by hand -------------------------------------------------------------


def assigning(**values: Any) -> Answer:
    """The answer after a middleware assigned *values* to the response's attributes."""

    def assign(request: Request, next: Any) -> Response:
        response: Response = next(request)
        for name, value in values.items():
            setattr(response, name, value)
        return response

    router = Router()
    router.get("/", lambda: "x").middleware(assign)
    return Client(router).get("/")


@pytest.mark.parametrize(
    ("values", "status", "text"),
    [
        ({"body": "täxt"}, 200, "täxt"),
        ({"body": None, "status": 202}, 202, ""),
        ({"status": "404"}, 404, "x"),
        ({"status": 299}, 299, "x"),
        ({"status": 100}, 500, "Internal Server Error"),
        ({"status": 42}, 500, "Internal Server Error"),
        ({"status": None}, 500, "Internal Server Error"),
        ({"body": object()}, 500, "Internal Server Error"),
    ],
)
def test_what_cannot_be_sent_is_an_error_page(values: Any, status: int, text: str) -> None:
    answer = assigning(**values)

    assert (answer.status, answer.text) == (status, text)


@pytest.mark.parametrize("streams", [False, True])
def test_a_response_without_a_type_is_bytes(streams: bool) -> None:
    made = Response.stream(iter(["x"])) if streams else Response("x")

    answer = serve(lambda: made.without_header("Content-Type"))

    assert (answer.header("Content-Type"), answer.body) == ("application/octet-stream", b"x")


class Unclosable:
    """A body that fails when it is let go."""

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def close(self) -> None:
        raise ValueError("cannot close")


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_stream_that_cannot_be_closed_ends_well_formed(method: str) -> None:
    answer = serve(lambda: Response.stream(Unclosable()), method=method)

    assert answer.status == (200 if method == "GET" else 500)


class Rendered(ErrorHandler):
    """Renders every error by what it was given."""

    def __init__(self, answer: Any) -> None:
        super().__init__(logger=logging.getLogger("silent"))
        self.answer = answer

    def render(self, request: Any, exc: BaseException) -> Response:
        response: Response = self.answer()
        return response


def unsendable() -> Response:
    response = Response("x", 503)
    response.body = object()  # type: ignore[assignment]
    return response


def breaks() -> Iterator[str]:
    raise ValueError("at once")
    yield ""


@pytest.mark.parametrize("action", [lambda: 1 / 0, breaks])
@pytest.mark.parametrize(
    ("render", "status", "text"),
    [
        (lambda: Response.stream(iter(["so", "rry"]), 503), 503, "sorry"),
        (lambda: Response.stream(breaks(), 503), 500, "Internal Server Error"),
        (unsendable, 500, "Internal Server Error"),
    ],
)
def test_an_error_handler_that_answers_oddly_still_ends_well_formed(
    action: Any, render: Any, status: int, text: str
) -> None:
    answer = serve(action, handle_error=Rendered(render))

    assert (answer.status, answer.text) == (status, text)


def test_the_middleware_of_every_request_is_made_at_boot() -> None:
    made: list[object] = []

    class Counted:
        def __init__(self) -> None:
            made.append(self)

        def handle(self, request: Any, next: Any) -> Any:
            return next(request)

    kernel = Kernel(middleware=[Counted])
    kernel.router.get("/", lambda: "hi")
    kernel.boot()
    assert len(made) == 1

    assert send(kernel, Request.create("/").environ).text == "hi"
    assert len(made) == 1


@pytest.mark.parametrize(
    ("method", "path", "environ", "is_refused"),
    [
        ("POST", "/up", {}, False),
        ("POST", "/nowhere", {}, True),
        ("POST", "/get", {}, True),
        ("POST", "/put", {}, True),
        ("POST", "/put", {"CONTENT_TYPE": "application/x-www-form-urlencoded"}, False),
        ("POST", "/put", {"HTTP_X_HTTP_METHOD_OVERRIDE": "put"}, False),
        ("POST", "/put", {"HTTP_X_HTTP_METHOD_OVERRIDE": "DELETE"}, True),
        ("POST", "/up", {"HTTP_X_HTTP_METHOD_OVERRIDE": "DELETE"}, True),
        ("POST", "/up", {"HTTP_X_HTTP_METHOD_OVERRIDE": "GET"}, False),
        ("PUT", "/put", {"CONTENT_TYPE": "application/x-www-form-urlencoded"}, False),
        ("POST", "/up", {"CONTENT_LENGTH": "11"}, True),
        ("POST", "/up", {"CONTENT_LENGTH": "1" * 5000}, True),
        ("POST", "/up", {"CONTENT_LENGTH": "x"}, True),
        ("POST", "/\xff", {}, True),
    ],
)
def test_a_server_learns_what_is_refused_whatever_the_body_says(
    method: str, path: str, environ: dict[str, str], is_refused: bool
) -> None:
    router = Router()
    router.post("/up", lambda: "")
    router.get("/get", lambda: "")
    router.put("/put", lambda: "")
    kernel = Kernel(router, settings=HttpSettings(max_body_bytes=10))
    given = Request.create("/", method).environ | {
        "PATH_INFO": path,
        "REQUEST_URI": path,
        **environ,
    }

    assert kernel.refuses_unread(given) is is_refused


def test_where_a_fallback_serves_every_path_only_a_method_is_refused_unread() -> None:
    router = Router()
    router.get("/get", lambda: "")
    router.fallback(lambda: "")
    kernel = Kernel(router)

    assert not kernel.refuses_unread(Request.create("/nowhere", "POST").environ)
    assert kernel.refuses_unread(Request.create("/get", "POST").environ)


def test_a_form_for_no_route_is_not_read() -> None:
    router = Router()
    body = io.BytesIO(b"_method=PUT")
    kind = "application/x-www-form-urlencoded"
    environ = {"wsgi.input": body, "CONTENT_LENGTH": "11", "CONTENT_TYPE": kind}

    answer = Client(router).request("POST", "/nowhere", environ=environ)

    assert (answer.status, body.tell()) == (404, 0)
