"""Guessing passwords is slow: per account, per address, and when the shared counter is down."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from so.db.manager import Database
from so.errors import LockoutException
from so.support.clock import Clock
from so.systems.auth import LocalLimiter, LoginThrottle, SteadyLimiter, account_of
from so.systems.cache.limits import DatabaseCounters, RateLimiter


def failures(throttle: LoginThrottle, account: str, address: str, times: int) -> int:
    """How many of *times* attempts were let through."""
    passed = 0
    for _ in range(times):
        try:
            throttle.attempting(account, address)
        except LockoutException:
            continue
        passed += 1
    return passed


def test_five_attempts_a_minute_for_an_account_whatever_the_address(clock: Clock):
    throttle = LoginThrottle(clock=clock)

    assert sum(failures(throttle, "ada", f"10.0.0.{n}", 1) for n in range(20)) == 5

    clock.travel(60)
    assert failures(throttle, "ada", "10.0.1.1", 9) == 5


def test_five_attempts_a_minute_from_an_address_whatever_the_account(clock: Clock):
    throttle = LoginThrottle(clock=clock)

    assert sum(failures(throttle, f"user{n}", "10.0.0.1", 1) for n in range(20)) == 5
    assert failures(throttle, "ada", "10.0.0.2", 1) == 1
    assert failures(throttle, "ada", None, 1) == 1


def test_a_lockout_says_when_to_come_back_and_does_not_grow(clock: Clock):
    throttle = LoginThrottle(clock=clock)
    failures(throttle, "ada", "10.0.0.1", 5)
    clock.travel(20)

    for _ in range(3):
        with pytest.raises(LockoutException) as caught:
            throttle.attempting("ada", "10.0.0.1")

    assert caught.value.retry_after == 40
    assert caught.value.headers["Retry-After"] == "40"
    assert caught.value.status == 429


def test_a_right_login_costs_nothing(clock: Clock):
    throttle = LoginThrottle(clock=clock)

    for _ in range(50):
        throttle.attempting("ada", "10.0.0.1")
        throttle.succeeded("ada", "10.0.0.1")

    assert failures(throttle, "ada", "10.0.0.1", 9) == 5


def test_a_right_login_does_not_wash_an_address_clean(clock: Clock):
    throttle = LoginThrottle(clock=clock)
    failures(throttle, "victim", "10.0.0.1", 4)
    throttle.attempting("attacker", "10.0.0.1")
    throttle.succeeded("attacker", "10.0.0.1")

    assert failures(throttle, "other", "10.0.0.1", 5) == 1


def test_limits_may_be_switched_off(clock: Clock):
    throttle = LoginThrottle(per_account=0, per_address=0, clock=clock)

    assert failures(throttle, "ada", "10.0.0.1", 50) == 50


def test_parallel_attempts_get_no_more_checks_than_the_limit(clock: Clock):
    throttle = LoginThrottle(clock=clock)

    with ThreadPoolExecutor(8) as pool:
        passed = sum(pool.map(lambda n: failures(throttle, "ada", f"10.0.{n}.1", 50), range(8)))

    assert passed == 5


def test_parallel_attempts_against_the_shared_counters_get_no_more_either(
    db: Database, clock: Clock
):
    def attempts(number: int) -> int:
        limiter = RateLimiter(DatabaseCounters(db, clock))
        return failures(LoginThrottle(limiter, clock=clock), "ada", f"10.0.{number}.1", 8)

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(attempts, range(8))) == 5


class Broken:
    def __init__(self) -> None:
        self.is_down = True
        self.hits = 0

    def hit(self, key: str, decay: int = 60, by: int = 1) -> int:
        if self.is_down:
            raise OSError("the database is gone")
        self.hits += by
        return self.hits

    def available_in(self, key: str) -> int:
        raise OSError("the database is gone")

    def clear(self, key: str) -> None:
        raise OSError("the database is gone")


def test_with_the_shared_limiter_down_this_process_counts_for_itself(clock: Clock, caplog):
    throttle = LoginThrottle(Broken(), clock=clock)

    assert failures(throttle, "ada", "10.0.0.1", 20) == 5
    throttle.succeeded("ada", "10.0.0.1")

    assert "counts alone" in caplog.text


def test_the_shared_limiter_is_used_while_it_answers(clock: Clock):
    shared = Broken()
    shared.is_down = False

    assert [SteadyLimiter(shared, clock).hit("k") for _ in range(3)] == [1, 2, 3]
    assert shared.hits == 3


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


def test_a_local_limiter_forgets_old_windows_before_it_grows_too_large(clock: Clock, monkeypatch):
    monkeypatch.setattr("so.systems.auth.throttle.LOCAL_KEYS", 10)
    limiter = LocalLimiter(clock)
    for number in range(10):
        limiter.hit(f"old{number}", 60)
    clock.travel(61)

    limiter.hit("new", 60)
    assert len(limiter._windows) == 1

    for number in range(20):
        limiter.hit(f"now{number}", 60)
    assert len(limiter._windows) == 10
    assert limiter.available_in("now19") == 60
    limiter.clear("now19")
    assert limiter.available_in("now19") == 0
