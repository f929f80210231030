"""Logging in and out, and knowing the user of a request."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest

from so.errors import AuthenticationException, AuthError, LockoutException
from so.support.clock import Clock
from so.support.scope import Scope, entered
from so.support.signing import Signer
from so.systems.auth import Authentication, ModelUsers, PasswordHasher
from so.systems.sessions import Sessions
from tests.systems.auth.conftest import CHEAP, Browser, Person
from tests.systems.auth.test_passwords import Recording


def test_the_right_password_logs_in_and_the_next_request_knows_the_user(browser: Browser):
    assert browser.login() is True

    assert browser.user().email == "ada@x.y"
    assert browser.request(lambda auth, _: (auth.check(), auth.guest(), auth.id())) == (
        True,
        False,
        browser.user().id,
    )


@pytest.mark.parametrize(
    "credentials",
    [
        {"email": "ada@x.y", "password": "wrong"},
        {"email": "ada@x.y", "password": ""},
        {"email": "ada@x.y", "password": None},
        {"email": "ada@x.y", "password": ["secret"]},
        {"email": "ada@x.y"},
        {"email": "nobody@x.y", "password": "secret"},
        {"email": None, "password": "secret"},
        {"email": ["ada@x.y"], "password": "secret"},
        {"email": {"like": "%"}, "password": "secret"},
        {"password": "secret"},
    ],
)
def test_anything_else_does_not(browser: Browser, credentials: dict[str, Any]):
    assert browser.request(lambda auth, _: auth.attempt(credentials)) is False
    assert browser.user() is None
    assert browser.session_cookie is None


def test_a_user_without_a_password_cannot_log_in_with_none(browser: Browser, ada: Any):
    for stored in (None, ""):
        Person.where("id", ada.id).update({"password": stored})
        assert not browser.login(password="")


def test_logging_in_changes_the_session_id_and_the_old_one_is_dead(
    browser: Browser, sessions: Sessions
):
    browser.request(lambda _, session: session.put("cart", [1]))
    planted = browser.session_cookie

    browser.login()

    assert browser.session_cookie != planted
    assert browser.request(lambda _, session: session.get("cart")) == [1]
    assert sessions.open(planted).all() == {}


def test_logging_in_again_changes_the_id_again(browser: Browser):
    browser.login()
    first = browser.session_cookie

    browser.login()

    assert browser.session_cookie != first


def test_logging_out_ends_this_device_only(browser: Browser, other_browser: Browser):
    browser.login()
    other_browser.login()
    cookie = browser.session_cookie

    browser.request(lambda auth, _: auth.logout())

    assert browser.session_cookie is None
    browser.session_cookie = cookie  # a replay
    assert browser.user() is None
    assert other_browser.user().email == "ada@x.y"


def test_logging_out_a_guest_is_harmless(browser: Browser):
    browser.request(lambda auth, _: auth.logout())

    assert browser.user() is None


def test_ending_all_sessions_of_a_user_on_another_server_counts_at_the_next_request(
    browser: Browser, sessions: Sessions, people, ada
):
    browser.login(remember=True)

    people.table("sessions").where("user_id", ada.id).delete()

    assert browser.user() is None
    assert browser.remember_cookie is None


def test_a_user_who_may_not_sign_in_any_more_is_out_at_the_next_request(
    browser: Browser, ada: Any, people
):
    browser.login(remember=True)

    Person.where("id", ada.id).update({"active": 0})

    assert browser.user() is None
    assert people.table("sessions").count() == 0
    assert people.table("remember_tokens").count() == 0
    assert browser.login() is False


def test_a_deleted_user_is_out(browser: Browser, ada: Any):
    browser.login()

    Person.where("id", ada.id).delete()

    assert browser.user() is None


def test_a_changed_password_ends_every_other_session_and_remembered_device(
    browser: Browser, other_browser: Browser
):
    other_browser.login(remember=True)
    browser.login()

    def change(auth: Any, _: Any) -> None:
        auth.user().update(password=CHEAP.make("new"))

    browser.request(change)

    assert browser.user().email == "ada@x.y"
    assert other_browser.user() is None
    assert other_browser.remember_cookie is None


def test_a_password_that_was_set_but_not_saved_changes_nothing(browser: Browser):
    browser.login()

    browser.request(lambda auth, _: setattr(auth.user(), "password", "unsaved"))

    assert browser.user() is not None


def test_logging_out_other_devices_needs_the_password(browser: Browser, other_browser: Browser):
    browser.login(remember=True)
    other_browser.login(remember=True)

    assert browser.request(lambda auth, _: auth.logout_other_devices("wrong")) is False
    assert other_browser.user() is not None
    assert browser.request(lambda auth, _: auth.logout_other_devices("secret")) is True

    assert other_browser.user() is None
    assert other_browser.remember_cookie is None
    assert browser.user() is not None


def test_after_logging_out_other_devices_this_one_stays_remembered(browser: Browser, clock: Clock):
    browser.login(remember=True)
    browser.request(lambda auth, _: auth.logout_other_devices("secret"))
    clock.travel(86_400)

    assert browser.user() is not None
    assert browser.login()


def test_logging_out_other_devices_needs_a_login(browser: Browser):
    with pytest.raises(AuthenticationException):
        browser.request(lambda auth, _: auth.logout_other_devices("secret"))


def test_validate_checks_and_logs_nobody_in(browser: Browser):
    right = {"email": "ada@x.y", "password": "secret"}

    assert browser.request(lambda auth, _: auth.validate(right)) is True
    assert browser.request(lambda auth, _: auth.validate({**right, "password": "x"})) is False
    assert browser.user() is None


def test_once_lasts_for_one_request(browser: Browser):
    right = {"email": "ada@x.y", "password": "secret"}

    def work(auth: Any, _: Any) -> Any:
        assert auth.once({**right, "password": "x"}) is False
        assert auth.once(right) is True
        return auth.user().email

    assert browser.request(work) == "ada@x.y"
    assert browser.session_cookie is None
    assert browser.user() is None


def test_logging_out_after_once_leaves_the_session_alone(browser: Browser, ada: Any):
    browser.login()

    def work(auth: Any, _: Any) -> None:
        auth.use_once(ada)
        auth.logout()
        assert auth.guest()

    browser.request(work)

    assert browser.user() is not None


def test_logging_in_by_key(browser: Browser, ada: Any):
    assert browser.request(lambda auth, _: auth.login_using_id(999)) is None
    assert browser.request(lambda auth, _: auth.login_using_id(ada.id)).email == "ada@x.y"
    assert browser.user().id == ada.id


def test_without_a_session_only_once_works(authentication: Authentication, ada: Any):
    auth = authentication.open(None)

    assert auth.guest()
    with pytest.raises(AuthError, match="group `web`"):
        auth.login(ada)
    auth.use_once(ada, token="t")
    assert auth.check()
    assert auth.token() == "t"
    auth.finish()
    auth.logout()
    assert auth.guest()
    assert auth.token() is None


def test_the_scope_learns_who_the_user_is(browser: Browser):
    with entered(Scope()) as scope:
        browser.login()
        assert scope.user.email == "ada@x.y"

        browser.request(lambda auth, _: auth.logout())
        assert scope.user is None


# --- throttling ---


def test_after_five_failures_even_the_right_password_has_to_wait(browser: Browser, clock: Clock):
    for _ in range(5):
        assert browser.login(password="guess") is False

    with pytest.raises(LockoutException):
        browser.login()

    clock.travel(61)
    assert browser.login() is True


def test_another_spelling_or_address_does_not_help_guessing(browser: Browser):
    for number, email in enumerate(("ada@x.y", "ADA@x.y", " ada@x.y", "ａda@x.y", "Ada@X.Y")):
        browser.address = f"10.9.9.{number}"
        browser.login(password="guess", email=email)

    browser.address = "10.8.8.8"
    with pytest.raises(LockoutException):
        browser.login()


def test_a_locked_account_costs_no_password_check(
    make_authentication: Callable[..., Authentication], sessions: Sessions
):
    class Counting(PasswordHasher):
        checks = 0

        def check(self, password: str, hashed: str | None) -> bool:
            Counting.checks += 1
            return super().check(password, hashed)

    browser = Browser(make_authentication(hasher=Counting(ln=4, r=1, p=1)), sessions)
    for _ in range(5):
        browser.login(password="guess")
    for _ in range(5):
        with pytest.raises(LockoutException):
            browser.login(password="guess")

    assert Counting.checks == 5


def test_a_stranger_guessing_at_an_account_cannot_lock_its_owner_out(
    make_authentication: Callable[..., Authentication], sessions: Sessions
):
    authentication = make_authentication(signer=Signer("k" * 32))
    owner, stranger = Browser(authentication, sessions), Browser(authentication, sessions)
    owner.login()
    stranger.address = "6.6.6.6"
    for _ in range(5):
        stranger.login(password="guess")
    with pytest.raises(LockoutException):
        stranger.login(password="guess")

    assert owner.login() is True


def test_a_known_device_gets_no_more_guesses_than_any_other(
    make_authentication: Callable[..., Authentication], sessions: Sessions
):
    browser = Browser(make_authentication(signer=Signer("k" * 32)), sessions)
    browser.login()
    for number in range(5):
        browser.address = f"10.0.1.{number}"
        assert browser.login(password="guess") is False

    browser.address = "10.0.2.1"
    with pytest.raises(LockoutException):
        browser.login()


@pytest.mark.parametrize("theft", ["another account", "made up", "altered"])
def test_a_device_of_another_account_or_made_up_is_not_known(
    make_authentication: Callable[..., Authentication], theft: str
):
    service = make_authentication(signer=Signer("k" * 32))
    mine = service.new_device("a" * 64) or ""
    cookie = {"another account": mine, "made up": "x-y.z", "altered": mine[:-1] + "!"}[theft]
    account = "b" * 64 if theft == "another account" else "a" * 64

    assert service.known_device("a" * 64, mine)
    assert service.known_device(account, cookie) is None


# --- timing ---


def test_an_unknown_user_costs_the_same_work_as_a_wrong_password(
    make_authentication: Callable[..., Authentication], sessions: Sessions, ada: Any
):
    hasher = Recording(ln=4, r=1, p=1)
    browser = Browser(make_authentication(hasher=hasher, throttle=None), sessions)

    def costs(**credentials: str) -> int:
        hasher.work = 0
        browser.login(**credentials)
        return hasher.work

    wrong = costs(password="guess")
    assert costs(password="guess", email="nobody@x.y") == wrong
    Person.where("id", ada.id).update({"active": 0})
    assert costs() == wrong
    Person.where("id", ada.id).update({"password": None})
    assert costs() == wrong


# --- hashes renewed ---


def test_a_weak_hash_is_renewed_by_the_login_that_it_let_in(browser: Browser, ada: Any):
    weak = PasswordHasher(ln=2, r=1, p=1).make("secret")
    Person.where("id", ada.id).update({"password": weak})

    assert browser.login()

    stored = Person.find(ada.id).password
    assert stored != weak
    assert not CHEAP.needs_rehash(stored)
    assert browser.user() is not None


def test_renewing_a_hash_loses_against_a_password_changed_at_the_same_moment(ada: Any):
    users = ModelUsers(Person)
    Person.where("id", ada.id).update({"password": "changed"})

    assert users.replace_password(ada, ada.password, "renewed") is False
    assert Person.find(ada.id).password == "changed"


def test_hashes_of_an_older_system_pass_only_if_told_and_are_renewed(
    make_authentication: Callable[..., Authentication], sessions: Sessions, ada: Any
):
    Person.where("id", ada.id).update({"password": "OLD:secret"})

    assert Browser(make_authentication(), sessions).login() is False

    told = make_authentication(legacy_check=lambda password, stored: stored == f"OLD:{password}")
    browser = Browser(told, sessions)
    assert browser.login(password="wrong") is False
    assert browser.login() is True
    assert CHEAP.check("secret", Person.find(ada.id).password)


# --- marks and logs ---


def test_the_mark_of_a_password_depends_on_the_key(make_authentication, ada: Any):
    plain = make_authentication()
    signed = make_authentication(signer=Signer("k" * 32))

    assert plain.password_mark(ada) != signed.password_mark(ada)
    assert len(signed.password_mark(ada)) == 64


def test_a_new_application_key_ends_no_session_while_the_old_one_is_accepted(
    make_authentication: Callable[..., Authentication], sessions: Sessions
):
    old, new = "o" * 32, "n" * 32
    browser = Browser(make_authentication(signer=Signer(old)), sessions)
    browser.login()

    browser.authentication = make_authentication(signer=Signer(new, old))
    assert browser.user() is not None

    browser.authentication = make_authentication(signer=Signer(new))
    assert browser.user() is None


def test_logins_failures_and_lockouts_are_logged_without_secrets(browser: Browser, caplog):
    caplog.set_level(logging.INFO, "so.auth")

    browser.login(remember=True)
    browser.login(password="hunter2")
    browser.request(lambda auth, _: auth.logout_other_devices("secret"))
    cookies = (browser.session_cookie, browser.remember_cookie)
    browser.request(lambda auth, _: auth.logout())
    for _ in range(4):
        browser.login(password="hunter2")
    with pytest.raises(LockoutException):
        browser.login(password="hunter2")

    for words in ("login of user", "failed login", "ended all other", "logout of", "too many"):
        assert words in caplog.text
    for secret in ("secret", "hunter2", "ada@x.y", *filter(None, cookies)):
        assert secret not in caplog.text


def test_no_user_model_is_a_mistake_that_says_its_mend():
    with pytest.raises(AuthError, match=r"config/auth\.py"):
        ModelUsers(None).by_id(1)


def test_a_user_may_be_any_object_with_an_id():
    class Plain:
        id = 7
        password = "hash"

    users = ModelUsers(Plain)

    assert users.key_of(Plain()) == 7
    assert users.password_of(Plain()) == "hash"
    assert users.may_sign_in(Plain()) is True
    assert users.by_id(None) is None
