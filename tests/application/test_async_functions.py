"""An `async def` where a plain function is called: refused when it is given, in every room.

Nothing would await it. A rule would let everything pass, a transaction would commit nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from so.application import Application
from so.db.manager import Database
from so.db.model import Model
from so.errors import RouteActionError
from so.http.validation import Validator, validate


async def later(*given: Any) -> bool:
    return False


def one_by_one() -> Iterator[int]:
    yield 1


class Listed(Model):
    table = "users"


class Watcher:
    async def saving(self, model: Listed) -> bool:
        return False


class Rule:
    async def passes(self, attribute: str, value: object) -> bool:
        return False


PLACES: dict[str, Callable[[Application], object]] = {
    "listener of statements": lambda app: app.db.listen(later),
    "before_executing": lambda app: app.db.before_executing(later),
    "slow queries": lambda app: app.db.when_querying_for_longer_than(1, later),
    "model event": lambda app: Listed.saving(later),
    "rule": lambda app: validate({"a": 1}, {"a": [later]}),
    "rule object": lambda app: validate({"a": 1}, {"a": [Rule()]}),
    "named rule": lambda app: Validator.extend("later", later),
    "after validation": lambda app: Validator({}, {}).after(later),
    "ability": lambda app: app.gate.define("a", later),
    "before abilities": lambda app: app.gate.before(later),
    "after abilities": lambda app: app.gate.after(later),
    "event of logins": lambda app: app.auth.on("login", later),
    "lock": lambda app: app.cache.lock("a", 5).block(1, later),
    "attempt": lambda app: app.make("limiter").attempt("a", 1, later),
    "limit": lambda app: app.make("limiter").limit("a", later),
    "task": lambda app: app.make("schedule").call(later),
    "before jobs": lambda app: app.queue.before(later),
    "looping": lambda app: app.queue.looping(later),
    "sending": lambda app: app.notifications.sending(later),
    "renderer": lambda app: app.errors.renderable(ValueError, later),
    "reporter": lambda app: app.errors.reportable(ValueError, later),
}


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Application]:
    with Application(tmp_path_factory.mktemp("app"), {"logging": {"default": "null"}}) as app:
        app.install_tables()
        yield app


@pytest.mark.parametrize("give", PLACES.values(), ids=list(PLACES))
def test_it_is_refused_where_it_is_given(here: Application, give: Callable[..., object]):
    with pytest.raises(TypeError, match="would only be prepared, never run"):
        give(here)


def test_it_is_no_action_of_a_route(here: Application):
    with pytest.raises(RouteActionError, match="later is async"):
        here.router.get("/later", later)


def test_an_observer_with_such_a_method_is_refused_at_the_first_event(tmp_path: Path):
    class Watched(Model):
        table = "users"

    Watched.observe(Watcher)
    with pytest.raises(TypeError, match=r"Watcher\.saving would only be prepared"):
        Watched._events.heard()


@pytest.mark.parametrize("fn", [later, one_by_one])
def test_a_transaction_of_it_does_not_even_begin(db: Database, fn: Callable[..., object]):
    statements: list[str] = []
    db.before_executing(lambda sql, bindings, connection: statements.append(sql))

    for give in (db.transaction, db.transactional, db.transactional(attempts=2)):
        with pytest.raises(TypeError, match="would only be prepared, never run"):
            give(fn)
    with pytest.raises(TypeError, match="would only be prepared, never run"):
        db.after_commit(fn)

    assert statements == []
    assert db.transaction_level() == 0
