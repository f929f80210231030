"""With the database of the sessions away: whoever needs his session gets 503, others go on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from so.errors import (
    ConcurrencyError,
    DeadlockError,
    LockTimeoutError,
    LostConnectionError,
    ReadOnlyError,
    StatementTimeoutError,
)
from so.http.errors import ErrorHandler
from tests.systems.auth.accounts.conftest import JSON, PASSWORD, browser, worker


@pytest.fixture
def erp(make_app: Any, db_config: Any, engine: str, tmp_path: Path) -> Any:
    """An application whose sessions are where nothing answers."""
    nowhere = {"driver": "sqlite", "database": f"file:{tmp_path}/gone/own.sqlite?mode=rw"}
    if engine == "mysql":
        nowhere = {"driver": "mysql", "host": "127.0.0.1", "port": 1, "database": "own"}
    connections = {"main": db_config, "cache": db_config, "own": nowhere}
    return make_app(
        more={
            "database": {"default": "main", "connections": connections},
            "session": {"connection": "own"},
        }
    )


def test_a_request_that_needs_its_session_is_told_when_to_come_again(erp: Any):
    worker("ada@x.y")
    by = {"email": "ada@x.y", "password": PASSWORD}
    known, cookie = browser(erp), {"Cookie": f"so_session={'a' * 43}"}

    for headers in ({}, cookie, JSON, {**JSON, **cookie}):
        answer = browser(erp).post("/login", by, headers=headers)
        assert (answer.status, answer.headers.get("Retry-After")) == (503, "5")
    assert known.get("/me", headers={**JSON, **cookie}).status == 503
    assert known.post("/logout", headers=cookie).status == 503
    # Who has no session, and needs none, does not notice.
    assert known.get("/me", headers=JSON).status == 401
    # Failures count all the same.
    guesses = [browser(erp).post("/login", {**by, "password": "wrong"}).status for _ in range(7)]
    assert guesses == [200] * 5 + [429] * 2


@pytest.mark.parametrize(
    "kind",
    [ConcurrencyError, DeadlockError, LockTimeoutError, LostConnectionError, ReadOnlyError,
     StatementTimeoutError],
)  # fmt: skip
def test_every_way_of_being_away_is_a_503(kind: Any):
    answer = ErrorHandler().render(None, kind(message="away"))

    assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
