"""A limit of sessions a user: a login ends the oldest, however many come at once."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from so.support.clock import Clock
from so.systems.sessions import Sessions


@pytest.fixture
def ended() -> list[Any]:
    return []


@pytest.fixture
def sessions(make_sessions: Callable[..., Sessions], ended: list[Any]) -> Sessions:
    return make_sessions(max_per_user=2, on_ended=lambda *event: ended.append(event))


def log_in(sessions: Sessions, user: int = 42, **options: Any) -> str:
    session = sessions.open()
    session.sign_in({"id": user}, **options)
    session.save()
    return str(session.cookie_change())


def alive(sessions: Sessions, *cookies: str) -> list[bool]:
    return [sessions.open(cookie).identity() is not None for cookie in cookies]


def test_one_too_many_ends_the_oldest_and_says_so(
    sessions: Sessions, clock: Clock, ended: list[Any]
):
    other = log_in(sessions, 7)
    cookies = []
    for _ in range(4):
        cookies.append(log_in(sessions))
        clock.travel(60)

    assert alive(sessions, *cookies) == [False, False, True, True]
    assert alive(sessions, other) == [True]
    assert ended == [("42", 1, "too many sessions")] * 2


def test_what_is_over_takes_nobodys_place(sessions: Sessions, clock: Clock, ended: list[Any]):
    busy = log_in(sessions)
    clock.travel(60)
    log_in(sessions)
    clock.travel(100 * 60)
    sessions.open(busy).get("x")
    session = sessions.open(busy)
    session.get("x")
    session.save()
    clock.travel(30 * 60)

    new = log_in(sessions)

    assert alive(sessions, busy, new) == [True, True]
    assert ended == []


def test_a_remembered_device_counts_and_goes_for_good(sessions: Sessions, clock: Clock):
    until = int(clock.time()) + 86_400 * 30
    log_in(sessions, series="a" * 32, remembered_until=until)
    clock.travel(86_400)
    log_in(sessions)
    clock.travel(60)
    session = sessions.open()
    assert session.has_series(42, "a" * 32)

    log_in(sessions)

    assert not session.has_series(42, "a" * 32)


def test_to_log_in_again_in_the_same_browser_ends_no_other(sessions: Sessions, clock: Clock):
    first = log_in(sessions)
    clock.travel(60)
    cookie = log_in(sessions)
    for _ in range(3):
        clock.travel(60)
        session = sessions.open(cookie)
        session.sign_in({"id": 42})
        session.save()
        cookie = str(session.cookie_change())

    assert alive(sessions, first, cookie) == [True, True]


def test_ten_logins_at_once_leave_as_many_as_may_be(sessions: Sessions, ended: list[Any]):
    with ThreadPoolExecutor(10) as crew:
        cookies = list(crew.map(lambda _: log_in(sessions), range(10)))

    assert 1 <= sum(alive(sessions, *cookies)) <= 2
    assert sessions.for_user(42).count() <= 2


def test_without_a_limit_nobody_goes(make_sessions: Callable[..., Sessions]):
    sessions = make_sessions()

    assert all(alive(sessions, *[log_in(sessions) for _ in range(12)]))
