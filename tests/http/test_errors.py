"""Errors as a client, a developer and a log see them."""

from __future__ import annotations

import json
import logging
import re
from types import SimpleNamespace

import pytest

from so.errors import (
    AuthenticationException,
    AuthorizationException,
    BadRequestException,
    HttpException,
    LockoutException,
    RecordNotFoundError,
    ValidationException,
)
from so.http.errors import ErrorHandler, expects_json, status_of
from so.http.kernel import Kernel
from so.http.request import Request
from so.http.response import JsonResponse, Response
from so.http.router import Router
from so.support.scope import Scope, entered
from so.testing import Client

JSON = {"Accept": "application/json"}
HTML = {"Accept": "text/html"}


@pytest.fixture
def log(caplog):
    caplog.set_level(logging.INFO, logger="so.test_errors")
    return caplog


@pytest.fixture
def handler(tmp_path):
    return ErrorHandler(
        emergency_log=tmp_path / "logs/emergency.log", logger=logging.getLogger("so.test_errors")
    )


@pytest.fixture
def debugging(handler):
    handler.debug = True
    return handler


def client(handler: ErrorHandler, raise_: object, method: str = "any") -> Client:
    """A client of an application whose one page raises."""

    def action():
        raise raise_

    router = Router()
    getattr(router, method)("/page", action)
    router.any("/api/page", action)
    return Client(Kernel(router, handler), headers=HTML)


# --- what a program gets ------------------------------------------------------------


@pytest.mark.parametrize(
    ("exception", "status", "body"),
    [
        (BadRequestException("No such field."), 400, {"message": "No such field.", "status": 400}),
        (AuthenticationException(), 401, {"message": "Unauthenticated."}),
        (AuthorizationException(), 403, {"message": "This action is unauthorized."}),
        (RecordNotFoundError("No users with id 5"), 404, {"message": "Not Found", "status": 404}),
        (HttpException("", 419), 419, {"message": "Page Expired", "status": 419}),
        (HttpException("", 499), 499, {"message": "Error", "status": 499}),
        (HttpException("Back at nine.", 503), 503, {"message": "Back at nine.", "status": 503}),
        (
            ValidationException({"email": "Bad."}),
            422,
            {"message": "The given data was invalid.", "errors": {"email": ["Bad."]}},
        ),
        (ValueError("secret"), 500, {"message": "Internal Server Error", "status": 500}),
    ],
)
def test_a_program_gets_json(handler, exception, status, body):
    result = client(handler, exception).get("/page", headers=JSON)

    result.assert_status(status).assert_exact_json(body)
    assert result.headers.get("Content-Type") == "application/json"


def test_what_is_under_api_is_json_without_asking(handler):
    client(handler, ValueError()).get("/api/page").assert_status(500).assert_json({"status": 500})


def test_headers_of_the_exception_are_sent(handler):
    result = client(handler, LockoutException(33)).get("/page", headers=JSON)

    result.assert_status(429).assert_header("Retry-After", "33")


def test_debug_tells_a_program_where_it_happened(debugging):
    result = client(debugging, ValueError("it broke")).get("/page", headers=JSON)

    body = result.json()
    assert (body["message"], body["exception"]) == ("it broke", "builtins.ValueError")
    assert body["file"] == __file__
    assert body["trace"][0]["function"] == "action"
    assert body["trace"][0]["code"] == "raise raise_"


def test_debug_adds_nothing_where_somebody_is_refused(debugging):
    result = client(debugging, AuthorizationException()).get("/page", headers=JSON)

    assert result.json() == {"message": "This action is unauthorized."}


# --- what a person gets ------------------------------------------------------------


def test_a_person_gets_a_page_without_a_word_of_what_happened(handler):
    result = client(handler, ValueError("the password is hunter2")).get("/page")

    result.assert_status(500).assert_see("Internal Server Error").assert_dont_see("hunter2")
    result.assert_dont_see("Traceback").assert_dont_see("ValueError")
    result.assert_see(result.headers.get("X-Request-Id"))
    result.assert_header("Cache-Control", "no-store")


def test_the_message_of_an_http_exception_is_shown_escaped(handler):
    result = client(handler, BadRequestException("No <b>such</b> thing")).get("/page")

    result.assert_status(400).assert_see("No &lt;b&gt;such&lt;/b&gt; thing")


def test_a_missing_route_is_a_page_with_its_status(handler):
    result = Client(Kernel(Router(), handler), headers=HTML).get("/nowhere")

    result.assert_not_found().assert_see("<!doctype html>")


def test_the_pages_load_nothing_from_elsewhere(debugging):
    result = client(debugging, ValueError()).get("/page")

    assert re.findall(r"(?:src|href)=|https?://(?!localhost)|<script", result.text) == []
    assert "default-src 'none'" in result.headers.get("Content-Security-Policy")


def test_the_request_id_is_the_one_in_the_log(handler, log):
    result = client(handler, ValueError("broken")).get("/page")

    [record] = log.records
    assert record.request_id == result.headers.get("X-Request-Id")
    assert "ValueError: broken" in record.getMessage()
    assert record.exc_info


def test_every_error_has_a_request_id(handler):
    for exception in (ValueError(), BadRequestException(), ValidationException({"a": "b"})):
        result = client(handler, exception).post("/page")
        assert re.fullmatch(r"[0-9a-f]{12}", result.headers.get("X-Request-Id"))


# --- the debug page ------------------------------------------------------------


def test_the_debug_page_shows_code_request_and_causes(debugging):
    def action():
        try:
            {}["missing"]
        except KeyError as error:
            raise ValueError("cannot <go> on") from error

    router = Router()
    router.get("/orders/{id}", action).name("orders.show")
    result = Client(Kernel(router, debugging), headers=HTML).get("/orders/7?colour=red")

    result.assert_status(500)
    causes = ("cannot &lt;go&gt; on", "builtins.ValueError", "builtins.KeyError")
    request = ("orders.show", "colour", "red")
    for shown in (*causes, "{}[&quot;missing&quot;]", *request, "test_errors.py"):
        result.assert_see(shown)


def test_the_debug_page_masks_secrets_by_name_and_by_value(debugging):
    debugging.secrets = ("app-key-0123456789",)
    hidden = ["pass-word-1", "token-abcdef-123456", "cookie-value-77", "app-key-0123456789"]

    def action():
        password = "literal-secret"  # noqa: F841
        raise ValueError(f"failed for {' '.join(hidden)}")

    router = Router()
    router.post("/login", action)
    page = Client(Kernel(router, debugging), headers=HTML).post(
        "/login",
        {"user": "ann", "credentials": {"password": hidden[0]}},
        headers={"Authorization": f"Bearer {hidden[1]}"},
        cookies={"so_session": hidden[2]},
    )

    page.assert_status(500).assert_see("ann").assert_see("***")
    for secret in (*hidden, "literal-secret"):
        page.assert_dont_see(secret)


def test_a_short_token_is_masked_in_a_message_as_well(debugging):
    result = client(debugging, ValueError("no such token tok-12")).get(
        "/page", headers={"Authorization": "Bearer tok-12"}
    )

    assert result.status == 500
    assert "tok-12" not in result.text


def test_debug_json_masks_secrets_as_well(debugging):
    result = client(debugging, ValueError("no hunter22 here")).post(
        "/page", json={"password": "hunter22"}
    )

    assert result.json("message") == "no *** here"


def test_the_debug_page_lists_queries_with_masked_bindings(debugging):
    debugging.queries = lambda: [
        SimpleNamespace(sql="select * from users where id = ?", bindings=[7], time_ms=1.234),
        {"query": "update users set password = ?", "bindings": ["scrypt$1"], "time": 2},
    ]

    page = client(debugging, ValueError()).get("/page")

    page.assert_see("Queries (2)").assert_see("1.23 ms").assert_see("[7]").assert_see("2.00 ms")
    page.assert_dont_see("scrypt$1")
    debugging.queries = lambda: 1 / 0
    client(debugging, ValueError()).get("/page").assert_see("ValueError").assert_dont_see("Queries")


def test_the_debug_page_tells_our_code_from_others(debugging, tmp_path):
    debugging.base_path = __file__.rpartition("/")[0]

    page = client(debugging, ValueError()).get("/page")

    page.assert_see('class="ours" open').assert_see('class="theirs"').assert_see("test_errors.py:")


def test_notes_long_messages_and_deep_recursion_fit_on_a_page(debugging):
    def deeper(n):
        deeper(n + 1)

    try:
        deeper(0)
    except RecursionError as error:
        error.add_note("a note about it")
        deep = error

    page = client(debugging, deep).get("/page")

    page.assert_see("a note about it")
    assert len(page.text) < 500_000
    long = client(debugging, ValueError("x" * 9000)).get("/page")
    long.assert_see("(9000 in all)")


class Unreadable(Exception):
    def __str__(self):
        raise RuntimeError("no text")


def test_an_exception_without_a_readable_text_is_shown_all_the_same(debugging, log):
    client(debugging, Unreadable()).get("/page").assert_status(500).assert_see("Unreadable")


def test_a_circle_of_causes_ends(debugging):
    one, two = ValueError("one"), ValueError("two")
    one.__cause__, two.__cause__ = two, one

    client(debugging, one).get("/page").assert_see("one").assert_see("two")


def test_debug_shows_errors_of_the_client_on_the_plain_page(debugging):
    page = client(debugging, BadRequestException("Bad field.")).get("/page")

    page.assert_status(400).assert_see("Bad field.").assert_dont_see("test_errors.py")


# --- validation and login ------------------------------------------------------------


class FakeSession(dict):
    """The little of a session that error answers use."""

    def put(self, key, value):
        self[key] = value

    def flash(self, key, value):
        self[key] = value

    def previous_url(self):
        return self.get("previous")


def with_session(handler: ErrorHandler, raise_: Exception, session: FakeSession) -> Client:
    def action():
        raise raise_

    def remember(request, next_):
        from so.support.scope import current_scope

        current_scope().session = session
        return next_(request)

    router = Router()
    router.any("/form", action)
    return Client(Kernel(router, handler, middleware=[remember]), headers=HTML)


def test_a_form_that_failed_goes_back_with_errors_and_input(handler):
    session = FakeSession()
    browser = with_session(handler, ValidationException({"email": "Bad."}), session)

    result = browser.post(
        "/form",
        {"email": "x", "password": "hunter2"},
        headers={"Referer": "http://localhost/sign-up"},
    )

    result.assert_redirect("/sign-up").assert_status(302)
    assert session["errors"] == {"default": {"email": ["Bad."]}}
    assert session["_old_input"] == {"email": "x"}


def test_a_foreign_referer_does_not_steer_the_redirect(handler):
    result = client(handler, ValidationException({"a": "b"})).post(
        "/page", {}, headers={"Referer": "https://evil.example/"}
    )

    result.assert_redirect("/")


def test_a_get_that_fails_validation_is_not_sent_back_to_itself(handler):
    page = client(handler, ValidationException({"q": "Too short."})).get(
        "/page?q=a", headers={"Referer": "http://localhost/page?q=a"}
    )

    page.assert_status(422).assert_see("Too short.").assert_see("The given data was invalid.")


def test_a_guest_is_sent_to_the_login_and_his_way_is_remembered(handler):
    session = FakeSession()
    browser = with_session(handler, AuthenticationException(), session)

    browser.get("/form?step=2").assert_redirect("/login")

    assert session["url.intended"] == "http://localhost/form?step=2"


def test_what_a_guest_posted_to_is_not_a_way_to_go(handler):
    session = FakeSession()
    exception = AuthenticationException(redirect_to="/sign-in")

    with_session(handler, exception, session).post("/form").assert_redirect("/sign-in")

    assert session == {}


# --- one's own answers and reports ------------------------------------------------------------


class OutOfStock(Exception):
    def render(self, request):
        return JsonResponse({"out_of": "stock"}, 409) if request.expects_json() else None

    def context(self):
        return {"sku": "A-1", "api_key": "k"}


def test_an_exception_may_answer_for_itself(handler):
    browser = client(handler, OutOfStock())

    browser.get("/page", headers=JSON).assert_status(409).assert_json({"out_of": "stock"})
    browser.get("/page").assert_status(500)


def test_its_context_stands_in_the_log(handler, log):
    handler.report(OutOfStock("gone"))

    assert log.records[0].context == {"sku": "A-1", "api_key": "k"}


def test_renderers_answer_for_classes_the_last_one_first(handler):
    handler.renderable(ArithmeticError, lambda error, request: f"general {request.path()}")
    handler.renderable(ZeroDivisionError, lambda error: {"special": str(error)})
    handler.renderable(ZeroDivisionError, lambda error: None)

    special = client(handler, ZeroDivisionError("x")).get("/page")
    general = client(handler, OverflowError()).get("/page")

    special.assert_status(500).assert_exact_json({"special": "x"})
    general.assert_status(500).assert_see("general page")


def test_a_renderer_may_choose_the_status(handler):
    handler.renderable(ValueError, lambda error: ("gone", 410))
    handler.renderable(KeyError, lambda error: Response("teapot", 418))

    client(handler, ValueError()).get("/page").assert_status(410)
    client(handler, KeyError()).get("/page").assert_status(418)


def test_reporters_are_told_and_may_end_the_report(handler, log):
    told = []
    handler.reportable(ValueError, told.append)
    handler.reportable(KeyError, lambda error: False)

    handler.report(ValueError("a"))
    handler.report(KeyError("b"))

    assert [str(error) for error in told] == ["a"]
    assert [record.getMessage() for record in log.records] == ["ValueError: a"]


class ReportsItself(Exception):
    told = 0

    def report(self):
        type(self).told += 1
        return self.args[0]


def test_an_exception_may_report_itself(handler, log):
    handler.report(ReportsItself(None))
    assert not log.records

    handler.report(ReportsItself(False))
    assert (ReportsItself.told, len(log.records)) == (2, 1)


def test_the_clients_mistakes_are_not_logged(handler, log):
    for exception in (BadRequestException(), RecordNotFoundError(), AuthenticationException()):
        handler.report(exception)

    assert not log.records
    handler.report(HttpException("down", 503))
    assert len(log.records) == 1


def test_classes_can_be_kept_out_of_the_log(handler, log):
    handler.dont_report(ValueError, KeyError)

    handler.report(UnicodeError())
    handler.report(TypeError())

    assert [record.getMessage() for record in log.records] == ["TypeError: "]


# --- when the handler itself fails ------------------------------------------------------------


def test_a_renderer_that_fails_ends_in_a_plain_500_and_the_emergency_log(handler):
    def broken(error, request):
        raise RuntimeError("the renderer broke")

    handler.renderable(ValueError, broken)

    result = client(handler, ValueError("the first")).get("/page")

    assert (result.status, result.text) == (500, "Internal Server Error")
    assert result.headers.get("Content-Type").startswith("text/plain")
    written = handler.emergency_log.read_text()
    assert f"request={result.headers.get('X-Request-Id')}" in written
    assert "RuntimeError: the renderer broke" in written
    assert "ValueError: the first" in written


def test_a_reporter_that_fails_stops_nothing(handler):
    def broken(error):
        raise RuntimeError("no disk")

    handler.reportable(ValueError, broken)

    client(handler, ValueError()).get("/page").assert_status(500).assert_see("Internal")
    assert "no disk" in handler.emergency_log.read_text()


def test_without_a_place_for_it_the_emergency_goes_to_standard_error(capsys, tmp_path):
    in_the_way = tmp_path / "file"
    in_the_way.write_text("")

    for place in (None, in_the_way / "emergency.log"):
        handler = ErrorHandler(emergency_log=place)
        handler.reportable(Exception, lambda error: 1 / 0)
        handler.report(Unreadable())

        assert "ZeroDivisionError" in capsys.readouterr().err


def test_what_a_broken_traceback_cannot_tell_is_left_out(capsys):
    handler = ErrorHandler()
    handler.renderable(ValueError, lambda error: 1 / 0)

    class Worse(ValueError):
        @property
        def __notes__(self):
            raise RuntimeError

        def __str__(self):
            raise RuntimeError

    response = handler.render(Request.create("/"), Worse())

    assert response.status == 500
    assert "Worse" in capsys.readouterr().err


# --- odd requests ------------------------------------------------------------


def test_a_request_that_cannot_be_read_still_gets_its_answer(debugging):
    browser = client(debugging, ValueError("x"))

    page = browser.post(
        "/page",
        b"{broken",
        headers={**HTML, "Content-Type": "application/x-www-form-urlencoded", "Cookie": "=;;=\x01"},
    )

    page.assert_status(500)


def test_without_a_request_there_is_a_page(debugging):
    response = debugging.render(None, ValueError("x"))

    assert response.status == 500
    assert "ValueError" in response.content


class HalfRequest:
    environ = {"HTTP_ACCEPT": "application/json"}

    def expects_json(self):
        raise RuntimeError


def test_whether_json_is_expected_is_judged_by_accept_where_nothing_else_works(handler):
    assert expects_json(HalfRequest())
    assert not expects_json(None)
    assert json.loads(handler.render(HalfRequest(), ValueError()).body)["status"] == 500


def test_a_status_of_somebody_elses_exception_is_not_ours():
    class Theirs(Exception):
        status = 404

    class Odd(HttpException):
        pass

    assert status_of(Theirs()) == 500
    assert status_of(Odd("x", 42)) == 500


def test_the_id_of_a_job_or_command_is_used_where_there_is_no_request(handler, log):
    with entered(Scope("job", request_id="job-77")):
        handler.report(ValueError())

    assert log.records[0].request_id == "job-77"
    handler.report(ValueError())
    assert log.records[1].request_id


def test_a_renderer_that_cannot_be_inspected_gets_both(handler):
    handler.renderable(ValueError, max)  # type: ignore[arg-type]

    assert handler.render(None, ValueError()).status == 500


@pytest.mark.parametrize("wrong", ["ValueError", 5, None, dict, ValueError("x")], ids=repr)
def test_what_is_no_class_of_exceptions_is_refused_when_it_is_registered(wrong):
    """While an error is told is too late: nothing of it would be in the log."""
    errors = ErrorHandler()

    for register in (
        lambda: errors.renderable(wrong, print),
        lambda: errors.reportable(wrong, print),
        lambda: errors.dont_report(KeyError, wrong),
    ):
        with pytest.raises(TypeError, match="is no class of exceptions"):
            register()
    with pytest.raises(TypeError, match="5 cannot be called with a ValueError"):
        errors.renderable(ValueError, 5)

    assert errors.should_report(KeyError())
