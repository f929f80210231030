"""Callers at the same moment: one row, no error, nothing lost. Real threads and processes."""

from __future__ import annotations

import multiprocessing
import threading
from typing import Any

import pytest

from so.db.manager import Database
from so.db.model import Model
from so.errors import StaleModelError
from so.support.current import provide
from tests.db.model_tables import make_table
from tests.support.needed import mysql_only

CALLERS = 20


class Tag(Model):
    pass


class Counter(Model):
    timestamps = False
    lock_version = True


@pytest.fixture
def tags(db: Database) -> Database:
    make_table(
        db, "tags", "name varchar(50) not null unique", "uses int default 0",
        "created_at datetime(6) null", "updated_at datetime(6) null",
    )  # fmt: skip
    make_table(db, "counters", "n int", "lock_version int")
    return db


def in_threads(db: Database, work: Any, callers: int = CALLERS) -> list[Any]:
    """What *work* gives in each of so many threads that start together; or its exception."""
    start = threading.Barrier(callers)
    results: list[Any] = []

    def run() -> None:
        try:
            start.wait(60)
            results.append(work())
        except Exception as error:
            results.append(error)
        finally:
            db.connection().close()

    threads = [threading.Thread(target=run) for _ in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    return results


@pytest.mark.parametrize("method", ["first_or_create", "create_or_first", "update_or_create"])
def test_twenty_threads_get_one_row(tags: Database, method: str) -> None:
    results = in_threads(tags, lambda: getattr(Tag, method)({"name": "new"}, {"uses": 1}).id)

    assert len(results) == CALLERS
    assert set(results) == {Tag.sole().id}


def test_twenty_threads_get_one_row_inside_their_transactions(tags: Database) -> None:
    def work() -> Any:
        return tags.transaction(lambda: Tag.first_or_create({"name": "new"}).id, attempts=10)

    results = in_threads(tags, work)

    assert set(results) == {Tag.sole().id}


def _create_in_a_process(config: dict[str, Any], start: Any, results: Any) -> None:
    database = Database({"default": config})
    provide("db", lambda: database)
    start.wait(120)
    try:
        results.put(Tag.first_or_create({"name": "new"}, {"uses": 1}).id)
    except Exception as error:
        results.put(repr(error))


def test_twenty_processes_get_one_row(tags: Database, db_config: dict[str, Any]) -> None:
    context = multiprocessing.get_context("fork")
    start, results = context.Barrier(CALLERS), context.Queue()
    children = [
        context.Process(target=_create_in_a_process, args=(db_config, start, results))
        for _ in range(CALLERS)
    ]
    for child in children:
        child.start()

    found = {results.get(timeout=120) for _ in children}
    for child in children:
        child.join(60)

    assert found == {Tag.sole().id}


def test_update_or_insert_updates_the_row_of_who_was_faster(tags: Database) -> None:
    def faster(exists: bool) -> dict[str, Any]:
        if not exists:
            tags.table("tags").insert({"name": "new", "uses": 1})
        return {"uses": 5}

    assert tags.table("tags").update_or_insert({"name": "new"}, faster)

    assert tags.table("tags").pluck("uses") == [5]


@mysql_only  # a writing transaction of SQLite is alone
def test_in_a_transaction_with_an_older_snapshot_the_winners_row_is_found(tags: Database) -> None:
    with tags.transaction():
        assert Tag.count() == 0  # the snapshot
        in_threads(tags, lambda: Tag.create(name="new"), 1)
        found = Tag.first_or_create({"name": "new"})
    assert not found.was_recently_created


def test_counters_lose_nothing(tags: Database) -> None:
    Tag.create(name="a", uses=0)

    def work() -> int:
        tag = Tag.first()
        return sum(tag.increment("uses") for _ in range(5))

    assert in_threads(tags, work, 8) == [5] * 8
    assert Tag.first().uses == 40


def test_of_two_who_save_at_once_one_is_told(tags: Database) -> None:
    Counter.create(n=0)

    def work() -> int:
        done = 0
        while done < 5:
            counter = Counter.first()
            try:
                counter.update(n=counter.n + 1)
                done += 1
            except StaleModelError:
                continue
        return done

    assert in_threads(tags, work, 4) == [5] * 4
    assert Counter.first().n == 20
