"""Guessing passwords is slow: per account, per address, and when the shared counters are down."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from so.db.manager import Database
from so.errors import LockoutException, ServiceUnavailableException
from so.support.clock import Clock
from so.systems.auth import Authentication, LoginThrottle, account_of
from so.systems.cache.limits import DatabaseCounters, MemoryCounters, RateLimiter, SteadyCounters
from so.systems.sessions import Sessions
from tests.systems.auth.conftest import CHEAP, Browser, Person


@pytest.fixture
def throttle(clock: Clock) -> LoginThrottle:
    return LoginThrottle(RateLimiter(MemoryCounters(clock)))


@pytest.fixture
def shared(db: Database, clock: Clock) -> LoginThrottle:
    """Counted in the database, as by any number of servers."""
    return LoginThrottle(RateLimiter(DatabaseCounters(db, clock)))


def failures(throttle: LoginThrottle, account: str, address: str | None, times: int) -> int:
    """How many of *times* wrong guesses were let through to the password."""
    return sum(one(throttle, account, address, right=False) for _ in range(times))


def one(throttle: LoginThrottle, account: str, address: str | None, *, right: bool) -> bool:
    """One attempt; True if its password was looked at."""
    try:
        with throttle.attempt(account, address) as attempt:
            time.sleep(0.001)
            if right:
                attempt.succeeded()
    except LockoutException:
        return False
    return True


def test_five_failures_a_minute_for_an_account_whatever_the_address(throttle, clock: Clock):
    assert sum(failures(throttle, "ada", f"10.0.0.{n}", 1) for n in range(20)) == 5

    clock.travel(60)
    assert failures(throttle, "ada", "10.0.1.1", 9) == 5


def test_five_failures_a_minute_from_an_address_whatever_the_account(throttle):
    assert sum(failures(throttle, f"user{n}", "10.0.0.1", 1) for n in range(20)) == 5
    assert failures(throttle, "ada", "10.0.0.2", 1) == 1
    assert failures(throttle, "ada", None, 1) == 1


def test_a_lockout_says_when_to_come_back_and_does_not_grow(throttle, clock: Clock):
    failures(throttle, "ada", "10.0.0.1", 5)
    clock.travel(20)

    for _ in range(3):
        with pytest.raises(LockoutException) as caught, throttle.attempt("ada", "10.0.0.1"):
            pass

    assert caught.value.retry_after == 40
    assert caught.value.headers["Retry-After"] == "40"
    assert caught.value.status == 429


@pytest.mark.parametrize("users", [12, 50])
def test_right_logins_of_one_address_in_turn_all_get_in_and_a_guesser_still_gets_five(
    shared: LoginThrottle, users: int
):
    assert all(one(shared, f"user{n}", "10.0.0.1", right=True) for n in range(users))

    assert failures(shared, "ada", "10.0.0.1", 9) == 5


@pytest.mark.parametrize("users", [12, 50])
def test_right_logins_of_one_address_at_once_all_get_in_and_a_guesser_still_gets_five(
    shared: LoginThrottle, users: int
):
    with ThreadPoolExecutor(12) as pool:
        passed = list(
            pool.map(lambda n: one(shared, f"user{n}", "10.0.0.1", right=True), range(users))
        )

    assert all(passed)
    assert failures(shared, "ada", "10.0.0.1", 9) == 5


def test_guesses_among_right_logins_at_once_still_get_five(shared: LoginThrottle):
    def attempt(number: int) -> str:
        is_right = number % 2 == 0
        passed = one(shared, f"user{number}", "10.0.0.1", right=is_right)
        return "right" if is_right else "guess" if passed else "refused"

    with ThreadPoolExecutor(12) as pool:
        seen = list(pool.map(attempt, range(40)))

    assert seen.count("guess") == 5


def test_a_right_login_does_not_wash_an_address_clean(throttle):
    failures(throttle, "victim", "10.0.0.1", 4)
    one(throttle, "attacker", "10.0.0.1", right=True)

    assert failures(throttle, "other", "10.0.0.1", 5) == 1


def test_a_right_login_forgives_the_account_its_failures(throttle):
    failures(throttle, "ada", "10.0.0.1", 4)
    one(throttle, "ada", "10.0.0.2", right=True)

    assert sum(failures(throttle, "ada", f"10.0.1.{n}", 1) for n in range(9)) == 5


def test_an_attempt_whose_password_nobody_looked_at_costs_nothing(throttle):
    for _ in range(20):
        with (
            pytest.raises(ServiceUnavailableException),
            throttle.attempt("ada", "10.0.0.1"),
        ):
            raise ServiceUnavailableException("too many logins at once")

    assert failures(throttle, "ada", "10.0.0.1", 9) == 5


def test_an_attempt_that_breaks_counts_as_failed(throttle):
    for _ in range(5):
        with pytest.raises(RuntimeError), throttle.attempt("ada", "10.0.0.1"):
            raise RuntimeError("broken")

    assert failures(throttle, "ada", "10.0.0.1", 1) == 0


def test_limits_may_be_switched_off(clock: Clock):
    limiter = RateLimiter(MemoryCounters(clock))

    assert failures(LoginThrottle(limiter, per_account=0, per_address=0), "a", "10.0.0.1", 50) == 50


def test_parallel_guesses_against_the_shared_counters_get_five(shared: LoginThrottle):
    with ThreadPoolExecutor(8) as pool:
        passed = pool.map(lambda n: failures(shared, "ada", f"10.0.{n}.1", 8), range(8))

        assert sum(passed) == 5


class Broken:
    """Counters that cannot be reached."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    def __getattr__(self, name: str) -> Any:
        def fail(*args: object) -> Any:
            raise OSError("the database is gone")

        return fail


def test_with_the_shared_counters_down_this_process_counts_for_itself(clock: Clock):
    limiter = RateLimiter(SteadyCounters(Broken(clock), clock))

    assert failures(LoginThrottle(limiter), "ada", "10.0.0.1", 20) == 5


def test_asking_for_something_counts_every_time(throttle, clock: Clock):
    for _ in range(5):
        throttle.asked("reset", "ada", "10.0.0.1")

    with pytest.raises(LockoutException):
        throttle.asked("reset", "ada", "10.0.0.2")
    with pytest.raises(LockoutException):
        throttle.asked("reset", "bob", "10.0.0.1")
    throttle.asked("reset", "bob", "10.0.0.2")


# --- whose account it is ---


@pytest.mark.parametrize(
    "spelling",
    ["ADA@X.Y", " ada@x.y ", "ａｄａ@x.y", "Ada@X.y\t"],
)
def test_all_spellings_of_a_login_are_one_account(spelling: str):
    assert account_of({"email": spelling, "password": "1"}) == account_of(
        {"password": "2", "email": "ada@x.y"}
    )


def test_another_login_is_another_account_and_no_name_is_stored():
    account = account_of({"email": "ada@x.y"})

    assert account != account_of({"email": "bob@x.y"})
    assert "ada" not in account
    assert account_of({"email": "\ud800"})


SPELLINGS = ["ada@x.y", "ADA@X.Y", " ada@x.y", "ada@x.y ", "ａda@x.y"]
OTHERS = ["ádà@x.y", "äda@x.y", "ada\u200b@x.y", "a\u0308da@x.y", "ada@x.y\x00", "ada@x.ÿ"]


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_spelling_that_means_a_user_gets_in_on_both_engines(browser: Browser, spelling: str):
    assert browser.login(email=spelling) is True


@pytest.mark.parametrize("spelling", OTHERS)
def test_what_a_collation_takes_for_a_name_is_another_name(browser: Browser, spelling: str):
    assert browser.login(email=spelling) is False


def test_all_spellings_of_a_user_share_five_guesses(
    make_authentication: Callable[..., Authentication], sessions: Sessions
):
    browser, looked_at = Browser(make_authentication(), sessions), 0
    for number, spelling in enumerate([*SPELLINGS, *SPELLINGS, *SPELLINGS]):
        browser.address = f"10.0.0.{number}"
        try:
            assert browser.login(email=spelling, password="guess") is False
            looked_at += 1
        except LockoutException:
            pass

    assert looked_at == 5


@pytest.mark.parametrize(
    "name", [0, 1, False, True, None, [], ["ada@x.y"], {}, {"a": 1}, 1.0, b"x", ""]
)
def test_a_name_is_text_whatever_a_database_compares_it_with(browser: Browser, name: Any):
    Person.create(email="0", password=CHEAP.make("secret"))

    assert browser.login(email=name) is False
    assert browser.user() is None
