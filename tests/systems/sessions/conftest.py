"""Sessions kept in each kind of store: two databases and this process's memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from so.support.clock import Clock
from so.systems.sessions import Session, Sessions

Browser = Callable[..., Session]


@pytest.fixture(params=["sqlite", "mysql", "array"])
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def make_sessions(
    engine: str, request: pytest.FixtureRequest, clock: Clock
) -> Callable[..., Sessions]:
    """Builds Sessions that share one store, as several servers do."""
    if engine == "array":
        shared = Sessions(clock=clock)._store
        return lambda **options: Sessions(**{"clock": clock, "store": shared, **options})
    db = request.getfixturevalue("db")
    return lambda **options: Sessions(db, **{"clock": clock, **options})


@pytest.fixture
def sessions(make_sessions: Callable[..., Sessions]) -> Sessions:
    return make_sessions()


@pytest.fixture
def started(sessions: Sessions) -> Callable[..., str]:
    """Begins a session with some values → its cookie."""

    def begin(**values: Any) -> str:
        session = sessions.open()
        session.put(values or {"begun": True})
        session.save()
        cookie = session.cookie_change()
        assert cookie
        return cookie

    return begin
