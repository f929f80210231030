"""The tools for tests, tested: the client, the database that is put back, the moved clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from so import DB, Application, Job, Router, dispatch
from so.http.kernel import Kernel
from so.http.response import JsonResponse, RedirectResponse, Response
from so.http.router import Router as PlainRouter
from so.support import current
from so.support.clock import Clock
from so.support.scope import current_scope
from so.testing import Client, RefreshDatabase, Result, fake, freeze_time, travel, travel_back


@pytest.fixture
def router():
    return PlainRouter()


@pytest.fixture
def client(router):
    return Client(Kernel(router))


def echo(request):
    files = {name: file.read().decode() for name, file in request.files().items()}
    return {
        "method": request.method(),
        "query": request.query(),
        "input": request.input(),
        "files": files,
        "token": request.bearer_token(),
        "agent": request.header("User-Agent"),
        "cookies": request.cookies,
    }


# --- requests -------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["get", "post", "put", "patch", "delete", "options"])
def test_the_client_sends_every_method(router, client, method):
    router.match(method.upper(), "/echo", echo)

    assert getattr(client, method)("/echo").json("method") == method.upper()


def test_head_gets_headers_only(router, client):
    router.get("/echo", echo)

    result = client.head("/echo")

    assert (result.status, result.body) == (200, b"")


def test_data_goes_into_the_query_of_a_get_and_the_form_of_a_post(router, client):
    router.any("/echo", echo)

    assert client.get("/echo?a=1", {"b": 2}).json("query") == {"a": "1", "b": "2"}
    assert client.post("/echo", {"list": [1, 2], "o": {"k": "ü"}}).json("input") == {
        "list": ["1", "2"],
        "o": {"k": "ü"},
    }


def test_json_files_and_headers_are_sent(router, client):
    router.any("/echo", echo)

    assert client.post("/echo", json={"a": [1, None]}).json("input") == {"a": [1, None]}
    sent = client.post("/echo", {"a": "1"}, files={"doc": ("a.txt", b"hello")}).json()
    assert (sent["files"], sent["input"]["a"]) == ({"doc": "hello"}, "1")
    assert client.get("/echo", headers={"User-Agent": "t"}).json("agent") == "t"


def test_headers_and_a_token_may_be_kept(router, client):
    router.get("/echo", echo)
    client.with_header("User-Agent", "me").with_token("abc")

    sent = client.get("/echo").json()

    assert (sent["agent"], sent["token"]) == ("me", "abc")


def test_the_answer_has_status_headers_text_and_body(router, client):
    router.get("/x", lambda: Response("grüße", 203, {"X-A": "b"}))

    result = client.get("/x")

    assert (result.status, result.text, result.body) == (203, "grüße", "grüße".encode())
    assert result.headers.get("x-a") == "b"
    assert repr(result) == "<Result 203 http://localhost/x>"


def test_a_response_that_breaks_the_wsgi_rules_fails_the_test():
    def broken(environ, start_response):
        start_response("200 OK", [("Bad Name", "x")])
        return [b""]

    with pytest.raises(AssertionError):
        Client(broken).get("/")


def test_each_request_runs_in_a_context_of_its_own(router, client):
    router.get("/x", lambda: "")

    client.get("/x")

    assert current_scope() is None


def test_another_address_may_be_used(router):
    router.get("/x", lambda request: request.full_url())
    client = Client(Kernel(router), base_url="https://erp.example:8443")

    assert client.get("/x").text == "https://erp.example:8443/x"
    assert client.get("http://other.example/x").text == "http://other.example/x"


# --- cookies --------------------------------------------------------------------------------------


def test_cookies_are_kept_and_sent_until_they_are_deleted(router, client):
    router.get("/in", lambda: Response("").cookie("so", "a b;c", 60))
    router.get("/out", lambda: Response("").without_cookie("so"))
    router.get("/echo", echo)

    assert client.get("/in").cookies == {"so": "a b;c"}
    assert client.cookies == {"so": "a b;c"}
    assert client.get("/echo").json("cookies") == {"so": "a b;c"}
    client.get("/out")
    assert client.get("/echo").json("cookies") == {}


def test_cookies_go_where_they_belong(router, client):
    router.get("/in", lambda: Response("").cookie("a", "1", path="/admin").cookie("b", "2"))
    router.get("/secure", lambda: Response("").cookie("c", "3", secure=True))
    router.get("/admin/echo", echo)
    router.get("/echo", echo)
    client.get("/in")
    client.get("/secure")

    assert client.get("/admin/echo").json("cookies") == {"a": "1", "b": "2"}
    assert client.get("/echo").json("cookies") == {"b": "2"}
    assert client.get("https://localhost/echo").json("cookies") == {"b": "2", "c": "3"}


def test_cookies_can_be_given_for_once_set_and_forgotten(router, client):
    router.get("/echo", echo)

    assert client.get("/echo", cookies={"x": "1"}).json("cookies") == {"x": "1"}
    assert client.set_cookie("y", "ü").get("/echo").json("cookies") == {"y": "ü"}
    assert client.forget_cookies().get("/echo").json("cookies") == {}


# --- redirects ------------------------------------------------------------------------------------


def test_redirects_are_followed_when_asked(router, client):
    router.post("/a", lambda: RedirectResponse("/b"))
    router.get("/b", lambda: RedirectResponse("c", 301))
    router.get("/c", echo)

    client.post("/a", {"x": 1}).assert_redirect("/b")
    result = client.post("/a", {"x": 1}, follow_redirects=True)

    assert result.json("method") == "GET"
    assert result.redirects == ["http://localhost/a", "http://localhost/b"]


def test_a_307_repeats_the_method(router):
    router.post("/a", lambda: RedirectResponse("/b", 307))
    router.post("/b", echo)
    client = Client(Kernel(router), follow_redirects=True)

    assert client.post("/a").json("method") == "POST"


def test_a_circle_of_redirects_is_noticed(router, client):
    router.get("/a", lambda: RedirectResponse("/a"))

    with pytest.raises(AssertionError, match="redirected in a circle"):
        client.get("/a", follow_redirects=True)


# --- assertions -----------------------------------------------------------------------------------


@pytest.fixture
def answer(router, client):
    data = {"id": 5, "tags": [{"name": "a", "n": 1}], "total": "1.50"}
    router.get("/json", lambda: JsonResponse(data, 201).cookie("c", "v").header("X-A", "b"))
    return client.get("/json")


def test_assertions_that_hold_can_be_chained(answer):
    (
        answer.assert_status(201)
        .assert_created()
        .assert_header("X-A")
        .assert_header("X-A", "b")
        .assert_cookie("c", "v")
        .assert_see("total")
        .assert_dont_see("secret")
        .assert_json({"tags": [{"name": "a"}]})
        .assert_json_path("tags.0.n", 1)
        .assert_exact_json({"id": 5, "tags": [{"name": "a", "n": 1}], "total": "1.50"})
    )


@pytest.mark.parametrize(
    ("claim", "told"),
    [
        (lambda r: r.assert_ok(), "expected status 200; http://localhost/json answered 201"),
        (lambda r: r.assert_not_found(), "expected status 404"),
        (lambda r: r.assert_forbidden(), "expected status 403"),
        (lambda r: r.assert_unauthorized(), "expected status 401"),
        (lambda r: r.assert_redirect(), "expected a redirect"),
        (lambda r: r.assert_header("X-B"), "expected a header X-B"),
        (lambda r: r.assert_header("X-A", "c"), "expected X-A: c, not b"),
        (lambda r: r.assert_cookie("d"), "expected a cookie d"),
        (lambda r: r.assert_cookie("c", "w"), "expected cookie c=w, not v"),
        (lambda r: r.assert_see("nothing"), "expected to see 'nothing'"),
        (lambda r: r.assert_dont_see("total"), "expected not to see 'total'"),
        (lambda r: r.assert_json({"id": 6}), "expected JSON that holds"),
        (lambda r: r.assert_json({"tags": []}), "expected JSON that holds"),
        (lambda r: r.assert_json({"tags": {"name": "a"}}), "expected JSON that holds"),
        (lambda r: r.assert_json({"gone": None}), "expected JSON that holds"),
        (lambda r: r.assert_exact_json({"id": 5}), "expected exactly"),
        (lambda r: r.assert_json_path("id", 6), "expected 6 at id, not 5"),
        (lambda r: r.assert_invalid("id"), "expected status 422"),
    ],
)
def test_assertions_that_fail_tell_what_came_instead(answer, claim, told):
    with pytest.raises(AssertionError) as caught:
        claim(answer)

    assert told in str(caught.value)
    assert "answered 201" in str(caught.value)


def test_refused_input_is_asserted_by_field(router, client):
    router.get("/x", lambda: JsonResponse({"errors": {"email": ["Bad."]}}, 422))

    client.get("/x").assert_invalid("email")
    with pytest.raises(AssertionError, match=r"expected errors for \['name'\], got \['email'\]"):
        client.get("/x").assert_invalid("name")


def test_a_page_is_no_json(router, client):
    router.get("/x", lambda: "<p>")

    with pytest.raises(AssertionError, match="expected JSON"):
        client.get("/x").assert_json({})


def test_a_redirect_elsewhere_is_told(router, client):
    router.get("/x", lambda: RedirectResponse("https://other.example/y"))

    client.get("/x").assert_redirect("https://other.example/y")
    with pytest.raises(AssertionError, match="expected a redirect to /y, not https://other"):
        client.get("/x").assert_redirect("/y")


def test_a_cookie_that_cannot_be_read_is_left_out():
    from so.http.headers import Headers

    headers = Headers([("Set-Cookie", "a=b; bad name=1"), ("Set-Cookie", 'x="')])

    assert set(Result(200, headers, b"", "http://x/", []).cookies) <= {"a", "x"}


# --- the database ---------------------------------------------------------------------------------


@pytest.fixture
def people(empty_db):
    empty_db.unprepared("create table people (id integer primary key, name varchar(20))")
    empty_db.table("people").insert({"id": 1, "name": "Ann"})
    return empty_db


def names(db):
    return list(db.table("people").order_by("id").pluck("name"))


def test_what_a_test_writes_is_rolled_back(people):
    with RefreshDatabase(people):
        people.table("people").insert({"id": 2, "name": "Bob"})
        people.transaction(lambda: people.table("people").where("id", 1).delete())
        assert names(people) == ["Bob"]

    assert names(people) == ["Ann"]
    assert people.transaction_level() == 0


def test_a_test_that_fails_is_rolled_back_as_well(people):
    @RefreshDatabase(people)
    def failing():
        people.table("people").delete()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        failing()
    assert names(people) == ["Ann"]


def test_what_waits_for_a_commit_runs_within_the_test(people):
    ran = []
    with RefreshDatabase(people):
        people.after_commit(lambda: ran.append("at once"))
        with people.transaction():
            people.after_commit(lambda: ran.append("after commit"))
            assert ran == ["at once"]
        assert ran == ["at once", "after commit"]
        people.begin_transaction()
        people.after_commit(lambda: ran.append("never"))
        people.roll_back()
        with people.transaction(), people.transaction():
            people.after_commit(lambda: ran.append("after both"))

    assert ran == ["at once", "after commit", "after both"]


def test_afterwards_the_connection_is_as_it_was(people):
    with RefreshDatabase(people):
        pass
    ran = []

    with people.transaction():
        people.after_commit(lambda: ran.append(1))
        assert ran == []

    assert ran == [1]


# --- time -----------------------------------------------------------------------------------------

NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "at",
    [
        NEW_YEAR,
        NEW_YEAR.replace(tzinfo=None),
        NEW_YEAR.timestamp(),
        "2026-01-01T00:00:00+00:00",
        "2026-01-01",
    ],
)
def test_time_stands_still_in_the_block_and_runs_after_it(at):
    clock = Clock()

    with freeze_time(at, clock=clock) as frozen:
        assert clock.now() == NEW_YEAR
        frozen.travel(timedelta(days=1))
        assert clock.now() == NEW_YEAR + timedelta(days=1)

    assert not clock.is_frozen


def test_a_clock_that_stood_still_before_stands_there_again():
    clock = Clock(NEW_YEAR)

    with travel(90, clock=clock):
        assert clock.now() == NEW_YEAR + timedelta(seconds=90)

    assert clock.now() == NEW_YEAR


def test_time_may_be_moved_without_a_block():
    clock = Clock()

    freeze_time(NEW_YEAR, clock=clock)
    travel(60, clock=clock)
    assert clock.now() == NEW_YEAR + timedelta(minutes=1)
    travel_back(clock=clock)

    assert not clock.is_frozen


def test_without_arguments_it_is_the_clock_of_the_application(monkeypatch):
    clock = Clock()

    class App:
        def make(self, name):
            return {"clock": clock}[name]

    monkeypatch.setattr("so.testing.current_application", App)

    with freeze_time():
        assert clock.is_frozen
    travel_back()


# --- fakes ----------------------------------------------------------------------------------------


def test_a_fake_takes_the_place_of_the_real_thing(monkeypatch):
    monkeypatch.setitem(current._provided, "clock", Clock)

    with fake("notifications") as sent:
        sent.assert_nothing_sent()


def test_several_fakes_come_as_one_object(monkeypatch):
    monkeypatch.setattr("so.testing._fake_of", lambda name: freeze_time(5, clock=Clock()))

    with fake("queue", "notifications") as fakes:
        assert fakes.queue is not fakes.notifications


@pytest.mark.parametrize("names_", [(), ("quue",)])
def test_only_what_can_be_faked_is(names_):
    with pytest.raises(ValueError, match="choose from queue, notifications"), fake(*names_):
        pass


# --- with a whole application ---------------------------------------------------------------------


class Remind(Job):
    def handle(self) -> None:
        raise AssertionError("a fake queue runs nothing")


@pytest.fixture
def app(tmp_path):
    config = {
        "app": {"env": "testing", "providers": []},
        "database": {
            "default": "main",
            "connections": {"main": {"driver": "sqlite", "database": str(tmp_path / "main.db")}},
        },
        "logging": {"default": "null"},
    }
    with Application(tmp_path, config) as app:
        app.install_tables()
        app.make("db").unprepared("create table people (id integer primary key, name text)")
        yield app


def test_what_requests_write_is_rolled_back_after_the_test(app):
    def store(request):
        with DB.transaction():
            DB.table("people").insert({"name": request.input("name")})
            dispatch(Remind())
        return "stored"

    Router.post("/people", store)

    with RefreshDatabase(app), fake("queue") as queue:
        Client(app).post("/people", {"name": "Ann"}).assert_see("stored")
        assert names(app.make("db")) == ["Ann"]
        queue.assert_pushed(Remind)

    assert names(app.make("db")) == []


def test_the_running_application_is_meant_where_none_is_given(app):
    with RefreshDatabase(), freeze_time("2026-01-01T00:00:00+00:00"):
        DB.table("people").insert({"name": "Bob"})
        assert app.clock.now() == NEW_YEAR

    assert names(app.make("db")) == []
    assert not app.clock.is_frozen
