"""Attacks on accounts by their kinds: what a thief, a guesser or a race would try."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from so import Gate, Role, Router, accounts, auth, request, sessions
from so.errors import (
    AuthError,
    AuthorizationException,
    LockoutException,
    RouteDefinitionError,
    ValidationException,
)
from so.support.current import provide
from so.systems.auth import totp
from so.testing import Client
from tests.systems.auth.accounts.conftest import (
    JSON,
    NEW,
    PASSWORD,
    Worker,
    browser,
    log_in,
    worker,
)


@pytest.fixture
def told(erp: Any, ada: Any) -> list[Any]:
    """The links that would have been sent."""
    sent: list[Any] = []
    accounts()._post.verify = lambda *link: sent.append(link)
    return sent


def together(work: Callable[[int], Any], times: int) -> list[Any]:
    """What *work* gives or raises in so many threads at once."""
    gate, out = threading.Barrier(times), []

    def one(number: int) -> None:
        gate.wait()
        try:
            out.append(work(number))
        except Exception as error:
            out.append(error)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(times)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return out


# --- addresses ---


def test_a_new_password_ends_the_change_of_address_that_a_thief_asked_for(erp: Any, ada: Any):
    link = accounts().verify_token(ada, "thief@x.y")

    accounts().change_password(ada, NEW)

    with pytest.raises(ValidationException):
        accounts().verify(link)
    assert Worker.find(ada.id).email == "ada@x.y"


@pytest.mark.parametrize(
    "address",
    ["", "nobody", "a@x.y\nBcc: b@x.y", "a@x.y,b@x.y", "<a@x.y>", "a@x.y\0", "a" * 300 + "@x.y",
     None, 5, ["a@x.y"], {"a": 1}],
    ids=lambda address: repr(address)[:20],
)  # fmt: skip
def test_a_link_is_sent_to_one_mailbox_or_to_none(ada: Any, told: list[Any], address: Any):
    with pytest.raises(ValidationException):
        accounts().change_email(ada, address)

    assert told == []


def test_nobody_has_letters_sent_without_end(ada: Any, told: list[Any]):
    for number in range(5):
        accounts().change_email(ada, f"victim{number}@x.y")

    with pytest.raises(LockoutException):
        accounts().change_email(ada, "victim@x.y")
    with pytest.raises(LockoutException):
        ada.send_email_verification()

    assert len(told) == 5


# --- new accounts ---


def test_of_two_registrations_at_once_one_is_told_that_the_address_is_taken(erp: Any):
    made = together(lambda _: accounts().register({"name": "N", "email": "n@x.y"}, NEW), 3)

    assert sum(isinstance(one, Worker) for one in made) == 1
    assert sum(isinstance(one, ValidationException) for one in made) == 2


def test_a_form_that_is_handed_on_sets_only_what_a_form_may(erp: Any):
    made = accounts().register({"email": " n@x.y ", "id": 77, "active": 0, "password": "x"}, NEW)

    found = Worker.find(made.id)
    assert (found.id != 77, found.email, bool(found.active)) == (True, "n@x.y", True)


@pytest.mark.parametrize("address", ["ada@x.y", "ADA@X.Y", "aDa@x.Y"])
def test_a_mailbox_has_one_account_whatever_its_capitals(erp: Any, told: list[Any], address: str):
    Worker.query().update({"email": "Ada@X.y"})
    bob = worker("bob@x.y")

    with pytest.raises(ValidationException) as caught:
        accounts().register({"name": "Ada", "email": address}, NEW)
    accounts().change_email(bob, address)

    assert "taken" in str(caught.value.first_error())
    assert told == []


# --- what is handed to a login ---


@pytest.mark.parametrize(
    "given",
    [None, "text", [], [("email", "ada@x.y")], {1: "ada@x.y"}, {"email": "\ud800"},
     {"email->x": "ada@x.y"}, {"email": "ada@x.y", "password": "\ud800"}],
    ids=repr,
)  # fmt: skip
def test_credentials_of_any_form_are_wrong_and_no_error(erp: Any, ada: Any, given: Any):
    fields = {"password": PASSWORD, **given} if isinstance(given, dict) else given
    Router.post("/any", lambda: {"in": auth().attempt(fields)}).middleware("web")

    assert browser(erp).post("/any").json() == {"in": False}


@pytest.mark.parametrize("who", [None, 5, "1", object()], ids=lambda who: type(who).__name__)
def test_what_is_no_user_is_neither_logged_in_nor_acted_as(erp: Any, ada: Any, who: Any):
    def act() -> dict[str, str]:
        found = {}
        for name in ("login", "impersonate"):
            try:
                getattr(auth(), name)(who)
            except (AuthError, AuthorizationException) as error:
                found[name] = type(error).__name__
        return found

    Router.post("/act", act).middleware("web")
    client = browser(erp)
    log_in(client)

    answer = client.post("/act").json()

    assert answer == {"login": "AuthError", "impersonate": "AuthorizationException"}
    assert client.get("/me").json()["id"] == ada.id


def test_a_program_with_a_bad_token_is_never_sent_to_a_page(erp: Any):
    Router.get("/api", lambda: "in").middleware("api", "auth:token")

    answer = Client(erp).get("/api", headers={"Authorization": "Bearer 1|x"})

    assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, "Bearer")


def test_a_number_of_another_script_is_no_limit(erp: Any):
    Router.get("/x", lambda: "x").middleware("throttle:６０")

    with pytest.raises(RouteDefinitionError):
        erp.make("router").check()


# --- codes ---


@pytest.fixture
def beside(make_app: Any, db_config: Any, tmp_path: Path, _sqlite_template: Path) -> Any:
    """An application whose sessions and limits are in a place of their own."""
    apart = dict(db_config)
    if apart["driver"] == "sqlite":
        apart["database"] = str(tmp_path / "cache.sqlite")
        shutil.copyfile(_sqlite_template, apart["database"])
    places = {"default": "main", "connections": {"main": db_config, "cache": apart}}
    made = make_app(more={"database": places})
    provide("db", lambda: made.make("db"))  # models and the application in one transaction
    return made


@pytest.mark.parametrize("kind", ["app", "recovery"])
def test_a_code_stays_used_when_the_transaction_around_it_is_rolled_back(beside: Any, kind: str):
    erp = beside
    ada = worker("ada@x.y")
    made = ada.two_factor().start()
    codes = ada.two_factor().confirm(totp.totp(made.secret, erp.clock.time()))
    erp.clock.travel(90)
    code = codes[0] if kind == "recovery" else totp.totp(made.secret, erp.clock.time())

    def roll_back() -> dict[str, bool]:
        def work() -> None:
            auth().two_factor(code)
            raise ZeroDivisionError

        try:
            erp.make("db").transaction(work)
        except ZeroDivisionError:
            return {"in": auth().check()}

    Router.post("/back", roll_back).middleware("web")
    first, second = browser(erp), browser(erp)
    assert log_in(first) == log_in(second) == "two_factor"
    assert first.post("/back").json() == {"in": True}

    assert second.post("/code", {"code": code}).json() == {"ok": False}


def test_a_guess_is_in_the_log_whatever_the_transaction_around_it_becomes(beside: Any):
    worker("ada@x.y")

    def guess() -> dict[str, Any]:
        def work() -> None:
            auth().attempt({"email": "ada@x.y", "password": "guess"})
            raise ZeroDivisionError

        try:
            beside.make("db").transaction(work)
        except ZeroDivisionError:
            return {}

    Router.post("/guess", guess).middleware("web")
    browser(beside).post("/guess")
    beside.make("aside").close()

    [entry] = beside.make("db").select("select event from activity_log where log_name = 'auth'")
    assert entry["event"] == "failed"


# --- roles ---


def test_roles_given_at_once_are_all_there(erp: Any, ada: Any):
    together(lambda number: Worker.find(ada.id).assign_role(f"r{number}"), 4)
    together(lambda number: Role.named("same").allow(f"orders.{number}"), 4)

    assert Worker.find(ada.id).roles() == ["r0", "r1", "r2", "r3"]
    assert Role.named("same").permissions == [f"orders.{number}" for number in range(4)]


def test_taking_one_role_leaves_what_was_given_meanwhile(erp: Any, ada: Any):
    ada.assign_role("old")
    Worker.find(ada.id).assign_role("new")

    ada.remove_role("old")

    assert Worker.find(ada.id).roles() == ["new"]


# --- times ---


@pytest.mark.parametrize("given", ["2030-01-01", 5, True, float("nan")], ids=repr)
def test_what_is_no_time_ends_neither_lock_nor_token(erp: Any, ada: Any, given: Any):
    with pytest.raises(TypeError):
        accounts().lock(ada, "r", given)
    with pytest.raises(TypeError):
        ada.create_token("t", ["*"], given)

    assert not accounts().is_locked(ada)
    assert ada.tokens() == []


def test_a_time_without_a_zone_is_utc(erp: Any, ada: Any):
    made = ada.create_token("t", ["*"], datetime(2030, 1, 1))  # noqa: DTZ001

    assert made.token.expires_at == datetime(2030, 1, 1, tzinfo=UTC)
    assert not made.token.is_expired(erp.clock.now())


def test_a_lock_that_is_over_already_is_refused(erp: Any, ada: Any):
    with pytest.raises(AuthError, match="which is over"):
        accounts().lock(ada, "r", timedelta(seconds=-1))


@pytest.mark.parametrize("name", [None, 5, ["a"]], ids=repr)
def test_the_name_of_a_token_is_a_text(erp: Any, ada: Any, name: Any):
    with pytest.raises(TypeError):
        ada.create_token(name)


# --- sessions of a login ---


def test_a_new_password_gives_this_session_another_id_and_ends_the_others(erp: Any, ada: Any):
    Router.post(
        "/new", lambda: accounts().change_password(auth().user(), request().input("p")) or "done"
    ).middleware("web")
    here, there = browser(erp), browser(erp)
    log_in(here)
    log_in(there)
    before = {device.handle for device in sessions().for_user(ada)}

    here.post("/new", {"p": NEW})

    assert here.get("/me", headers=JSON).status == 200
    assert there.get("/me", headers=JSON).status == 401
    [left] = sessions().for_user(ada)
    assert left.handle not in before


def test_acting_as_another_makes_no_session_last_longer(make_app: Any):
    erp = make_app(more={"session": {"absolute_lifetime": 60, "lifetime": 50}})
    worker("ada@x.y")
    bob = worker("bob@x.y")
    Gate.define("impersonate", lambda user: user.email == "ada@x.y")
    Router.post("/as", lambda: auth().impersonate(Worker.find(bob.id)) or "yes").middleware("web")
    Router.post("/back", lambda: auth().stop_impersonating() and "yes").middleware("web")
    client = browser(erp)
    log_in(client)
    for page in ("/as", "/back", "/as"):
        erp.clock.travel(15 * 60)
        assert client.post(page).text == "yes"

    erp.clock.travel(16 * 60)

    assert client.get("/me", headers=JSON).status == 401


def test_a_password_in_the_form_is_not_lost(erp: Any):
    accounts().register({"name": "N", "email": "n@x.y", "password": NEW})

    assert log_in(browser(erp), "n@x.y", NEW) is True
    for weak in ("short", "", None):
        with pytest.raises(ValidationException):
            accounts().register({"name": "M", "email": "m@x.y", "password": weak})
