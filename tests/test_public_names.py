"""Every name that `so` exports: it resolves, and what can be called works wherever it is called."""

from __future__ import annotations

import inspect
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextvars import Context
from enum import Enum
from typing import Any

import pytest

import so
from so import Application, HttpException, Job, Notification, Router
from so.support import current
from so.testing import Client


class Colour(Enum):
    RED = "red"


class Note(Job):
    def handle(self) -> None:
        pass


class Told(Notification):
    def via(self, notifiable: Any = None) -> list[str]:
        return ["log"]

    def to_log(self, notifiable: Any) -> dict[str, str]:
        return {"a": "b"}


def entered(manager: Any) -> bool:
    with manager:
        return True


def aborted(call: Callable[[], Any]) -> int:
    with pytest.raises(HttpException) as caught:
        call()
    return caught.value.status


# name → a call of it that works with a running application, in a request and outside of one
ANYWHERE: dict[str, Callable[[], Any]] = {
    "DB": lambda: so.DB().connection() and so.DB.scalar("select 1"),
    "Router": lambda: so.Router().get("/", lambda: "") and so.Router.has("n"),
    "Gate": lambda: so.Gate().allows("x") or so.Gate.denies("x"),
    "Hash": lambda: so.Hash.needs_rehash("x"),
    "abort": lambda: aborted(lambda: so.abort(404)),
    "abort_if": lambda: so.abort_if(False, 404),
    "abort_unless": lambda: so.abort_unless(True, 404),
    "activity": lambda: so.activity("x").log("done"),
    "activity_batch": lambda: entered(so.activity_batch()),
    "allow": lambda: so.allow(Colour),
    "app": lambda: so.app() and so.app("router"),
    "auth": lambda: so.auth().check(),
    "back": lambda: so.back("/x").target,
    "batch": lambda: so.batch([Note()]),
    "cache": lambda: so.cache().get("x") or so.cache("array").get("x"),
    "cached": lambda: so.cached(60)(lambda: 1)(),
    "callback": lambda: so.callback(Note),
    "causer": lambda: entered(so.causer("system:x")),
    "chain": lambda: so.chain([Note()]),
    "command": lambda: so.command("demo:names"),
    "config": lambda: so.config() and so.config("app.env"),
    "current_route": lambda: so.current_route(),
    "db": lambda: so.db().connection(),
    "dispatch": lambda: so.dispatch(Note()).send(),
    "dispatch_sync": lambda: so.dispatch_sync(Note()),
    "e": lambda: so.e("<"),
    "env": lambda: so.env("NO_SUCH_KEY", "x"),
    "exponential": lambda: so.exponential(),
    "find_batch": lambda: so.find_batch("x"),
    "h": lambda: so.h("p", "x"),
    "json": lambda: so.json({}),
    "logger": lambda: so.logger().name,
    "method_field": lambda: so.method_field("PUT"),
    "notification_fake": lambda: entered(so.notification_fake()),
    "notifications": lambda: so.notifications().has_channel("mail"),
    "notify": lambda: so.notify(so.route("log", "x"), Told()),
    "old": lambda: so.old("x", "d") or so.old(),
    "queue": lambda: so.queue().size(),
    "queue_fake": lambda: entered(so.queue_fake()),
    "rate_limiter": lambda: so.rate_limiter().hit("x"),
    "redirect": lambda: so.redirect("/x").target and so.redirect().route("n").target,
    "responds": lambda: so.responds({200: "x"}),
    "response": lambda: so.response("x"),
    "route": lambda: [
        so.route("n"),
        so.route("mail", "a@b.example"),
        so.route("mail", ["a@b.example"]).route("log", "x"),
        so.route("mail", {"a@b.example": "Ann"}).route("log", "x"),
    ],
    "route_is": lambda: so.route_is("n"),
    "rules": lambda: so.rules({"a": "integer"}),
    "schedule": lambda: so.schedule().job(Note()),
    "serve": lambda: inspect.signature(so.serve),  # it runs until it is stopped
    "sessions": lambda: so.sessions().active(),
    "set_current": lambda: so.set_current(so.app()),
    "signed_route": lambda: so.signed_route("n"),
    "temporary_signed_route": lambda: so.temporary_signed_route("n", 60),
    "unaudited": lambda: entered(so.unaudited("a test")),
    "url": lambda: so.url() and so.url("/x", {"a": 1}) and so.url("x", ["b"]),
    "validate": lambda: so.validate({"a": "1"}, {"a": "integer"}),
    "without_activity": lambda: entered(so.without_activity()),
}
IN_A_REQUEST: dict[str, Callable[[], Any]] = {"request": lambda: so.request().path()}
WITH_A_SESSION: dict[str, Callable[[], Any]] = {
    "csrf_field": lambda: so.csrf_field(),
    "csrf_token": lambda: so.csrf_token(),
    "session": lambda: so.session() and so.session("x") or so.session({"a": 1}),
}


@pytest.fixture(scope="module")
def application(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Application]:
    base = tmp_path_factory.mktemp("names")
    settings = {"app": {"env": "testing", "key": "k" * 32, "storage": str(base)}}
    with Application(base, settings) as app:
        app.install_tables()
        Router.get("/n", lambda: "").name("n")
        Router.get("/plain/{call}", lambda call: repr(CALLS[call]()))
        Router.get("/kind/{call}", lambda call: type(CALLS[call]()).__name__)
        Router.get("/web/{call}", lambda call: repr(CALLS[call]())).middleware("web")
        yield app


CALLS = {**ANYWHERE, **IN_A_REQUEST, **WITH_A_SESSION}


def test_every_exported_name_resolves() -> None:
    assert all(getattr(so, name) is not None for name in so.__all__)
    assert set(CALLS) <= set(so.__all__)


@pytest.mark.parametrize("name", sorted(ANYWHERE))
def test_a_name_works_outside_of_a_request(application: Application, name: str) -> None:
    alone = type(ANYWHERE[name]()).__name__

    within = Client(application).get(f"/kind/{name}").text
    assert alone == ("NoneType" if name == "current_route" else within)


@pytest.mark.parametrize("prefix", ["", "/erp"])
@pytest.mark.parametrize("name", sorted(CALLS))
def test_a_name_works_in_a_request(application: Application, name: str, prefix: str) -> None:
    got = Client(application).get(f"/web/{name}", environ={"SCRIPT_NAME": prefix})

    assert got.status == 200, got.text


@pytest.mark.parametrize("name", sorted({**ANYWHERE, **IN_A_REQUEST}))
def test_a_name_works_in_a_request_without_session(application: Application, name: str) -> None:
    assert Client(application).get(f"/plain/{name}").status == 200


@pytest.mark.parametrize("name", sorted(WITH_A_SESSION))
def test_what_needs_a_session_says_how_to_get_one(application: Application, name: str) -> None:
    with pytest.raises(RuntimeError, match="request|session"):
        WITH_A_SESSION[name]()
    assert Client(application).get(f"/plain/{name}").status == 500


@pytest.mark.parametrize("name", ["url", "signed_route", "temporary_signed_route"])
def test_a_link_made_in_a_request_is_below_its_prefix(application: Application, name: str) -> None:
    text = Client(application).get(f"/web/{name}", environ={"SCRIPT_NAME": "/erp"}).text

    assert "http://localhost/erp/" in text


@pytest.mark.parametrize("given", [{"id": 5}, [5], {}, [], None], ids=repr)
def test_parameters_of_a_route_that_is_not_there_are_no_address(
    application: Application, given: Any
) -> None:
    with pytest.raises(so.RouteNotFoundError):
        so.route("mail", given)


def test_help_needs_no_application():
    code = (
        "import pydoc, so\n"
        "class Invoice(so.LogsActivity, so.Model): pass\n"
        "for name in so.__all__: pydoc.render_doc(getattr(so, name))\n"
        "assert 'where(' in pydoc.render_doc(so.Query), 'no methods'\n"
        "pydoc.render_doc(Invoice)\n"
        "assert Invoice.where and not hasattr(Invoice, 'wehre')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    "name", ["cache", "session", "sessions", "activity", "auth", "accounts", "queue", "schedule",
             "notifications", "logger", "rate_limiter", "config", "app", "url"],
)  # fmt: skip
def test_without_an_application_a_name_says_how_to_start_one(name: str) -> None:
    def ask() -> None:
        with pytest.raises(RuntimeError, match=r"with Application\(path\):"):
            getattr(so, name)()

    before = current.defaults[:]
    current.defaults.clear()
    try:
        Context().run(ask)
    finally:
        current.defaults[:] = before
