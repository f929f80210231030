"""Chains, batches, unique jobs, and jobs that wait for one another."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest

from so import batch, chain, dispatch, find_batch
from so.db.manager import Database
from so.errors import QueueError, RecordNotFoundError
from so.support.clock import Clock
from so.support.ids import short_id
from so.systems.queue import (
    Batch,
    Job,
    Queue,
    RateLimited,
    Skip,
    ThrottlesExceptions,
    WithoutOverlapping,
    callback,
)
from so.systems.queue.job import CallbackJob
from so.systems.queue.tables.locks import lock_name
from so.systems.worker import Worker
from tests.systems.queue.jobs import DIARY, Fails, Note


class Member(Job):
    """Writes its word down, or fails; tells what it knows about its batch."""

    tries = 1

    def __init__(self, word: str, fails: bool = False) -> None:
        self.word, self.fails = word, fails

    def handle(self) -> None:
        if self.fails:
            raise ValueError(self.word)
        DIARY.append(self.word)


class Vanishes(Job):
    """Skips or deletes itself."""

    def __init__(self, how: str) -> None:
        self.how = how

    def middleware(self) -> list[Any]:
        return [Skip.when(self.how == "skip")]

    def handle(self) -> None:
        self.delete()


class Flaky(Job):
    """Fails until it is mended."""

    tries = 1
    is_broken = True

    def handle(self) -> None:
        if Flaky.is_broken:
            raise ValueError("flaky")
        DIARY.append("mended")


@pytest.fixture(autouse=True)
def flaky_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Flaky, "is_broken", True)


def counters(found: Batch) -> tuple[int, int, int, int, bool]:
    """total, pending, failed, remaining, and whether it has finished."""
    now = found.fresh()
    assert now is not None
    return (
        now.total_jobs,
        now.pending_jobs,
        now.failed_jobs,
        now.remaining_jobs,
        now.finished,
    )


def note_error(error: Exception) -> None:
    DIARY.append(str(error))


@callback
def note_batch(found: Batch, error: Exception | None = None) -> None:
    DIARY.append((found.name, found.remaining_jobs, str(error) if error else None))


def locks(db: Database) -> list[str]:
    return [str(name) for name in db.table("queue_locks").where("kind", "unique").pluck("name")]


# --- chains -------------------------------------------------------------------------------------


def test_a_chain_runs_one_after_the_other(queue: Queue, worker: Worker) -> None:
    chain([Note("a"), Note("b"), Note("c")]).on_queue("low").dispatch()

    assert queue.size("low") == 1
    low = Worker(queue)
    low.options.queues = ["low"]
    low.run_all()
    assert DIARY == ["a", "b", "c"]


@pytest.mark.parametrize("first", [Vanishes("skip"), Vanishes("delete")], ids=["skips", "deletes"])
def test_a_chain_goes_on_after_a_link_that_skips_or_deletes_itself(
    queue: Queue, worker: Worker, first: Job
) -> None:
    chain([Note("a"), first, Note("c")]).catch(Note("caught")).dispatch()

    worker.run_all()

    assert DIARY == ["a", "c"]


def test_a_chain_goes_on_after_a_link_whose_model_is_gone(
    queue: Queue, db: Database, worker: Worker
) -> None:
    class NeedsModel(Job):
        delete_when_missing_models = True

        def __init__(self, model: object = None) -> None:
            raise RecordNotFoundError("gone")

    first = NeedsModel.__new__(NeedsModel)
    chain([first, Note("b")]).dispatch()

    worker.run_all()

    assert DIARY == ["b"]
    assert queue.failed_jobs.count() == 0


def test_a_failed_link_ends_the_chain_and_calls_catch(queue: Queue, worker: Worker) -> None:
    chain([Note("a"), Member("broken", fails=True), Note("c")]).catch(note_error).catch(
        Note("caught")
    ).dispatch()

    worker.run_all()

    assert DIARY == ["a", "ValueError: broken", "caught"]
    assert queue.size() == 0


def test_a_chain_keeps_delays_and_queues_of_its_links(
    queue: Queue, db: Database, worker: Worker, clock: Clock
) -> None:
    late = Note("b").on_queue("slow")
    late.delay = 60
    chain([Note("a"), late]).delay(5).dispatch()

    assert not worker.run_one()
    clock.travel(5)
    worker.run_all()

    (row,) = db.table("jobs").get()
    assert (row["queue"], row["available_at"]) == ("slow", int(clock.time()) + 60)


def test_a_sync_chain_runs_at_once(queue: Queue) -> None:
    pending = chain([Note("a"), Fails()]).catch(Note("caught")).on_connection("sync")

    with pytest.raises(ValueError, match="no luck"):
        pending.dispatch()

    assert DIARY == ["a", "try", "failed: no luck", "caught"]


def test_an_empty_chain_and_a_strange_callback_are_refused(queue: Queue) -> None:
    with pytest.raises(QueueError, match="cannot chain nothing"):
        chain([])
    with pytest.raises(QueueError, match="cannot queue 'later'"):
        chain([Note("a")]).catch("later")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "work", [Note, None, "Note", batch, [Note("b")]], ids=["class", "none", "text", "fn", "list"]
)
def test_a_chain_takes_jobs_alone(queue: Queue, work: Any) -> None:
    with pytest.raises(QueueError, match=r"cannot chain .*: give an instance"):
        chain([Note("a"), work])


def test_a_batch_takes_jobs_and_chains_alone(queue: Queue) -> None:
    for work in (Note, None, batch([Note("b")]), [Note("a"), [Note("b")]]):
        with pytest.raises(QueueError, match=r"cannot (batch|chain) .*: give an instance"):
            batch([Note("a"), work])
    with pytest.raises(QueueError, match=r"cannot batch the class Note: give an instance, Note\("):
        batch([Note("a")]).dispatch().add([Note])


def test_a_chain_in_a_batch_keeps_its_callbacks(queue: Queue, worker: Worker) -> None:
    broken = chain([Member("a"), Member("broken", fails=True), Member("c")]).catch(note_error)
    found = batch([broken, chain([Member("x"), Member("y")])]).allow_failures().dispatch()
    worker.run_all()

    assert counters(found) == (5, 2, 1, 0, True)
    assert sorted(DIARY) == ["ValueError: broken", "a", "x", "y"]


class Elsewhere(Note):
    """A job for a connection of its own."""

    connection = "sync"


def test_links_and_members_are_on_one_connection(queue: Queue) -> None:
    lost = Note("a").on_connection("nowhere")
    for pending in (
        batch([lost]),
        batch([Note("a"), [Note("b"), lost]]),
        chain([Note("a"), lost]),
        chain([Note("a"), Elsewhere("b")]),
        chain([Note("a")]).catch(Elsewhere("b")),
        batch([Note("a"), Elsewhere("b")]),
    ):
        with pytest.raises(QueueError, match=r"no queue connection|for the connection"):
            pending.dispatch()
    with pytest.raises(QueueError, match="no queue connection"):
        batch([Note("a")]).on_connection("nowhere")
    with pytest.raises(QueueError, match="for the connection 'sync'"):
        batch([Note("a")]).dispatch().add([Elsewhere("b")])

    assert queue.size() == 1
    chain([Elsewhere("a"), Note("b")]).dispatch()
    batch([Elsewhere("c")]).dispatch()
    assert DIARY == ["a", "b", "c"]


# --- functions in place of jobs -----------------------------------------------------------------


def test_a_function_without_a_name_of_its_own_is_refused(queue: Queue) -> None:
    def inner(error: Exception) -> None:
        """What no worker finds."""

    for fn in (inner, lambda error: None, [].append):
        with pytest.raises(QueueError, match=r"cannot queue .*from the top level|would find it"):
            chain([Note("a")]).catch(fn)
        with pytest.raises(QueueError):
            batch([Note("a")]).then(fn)
    with pytest.raises(QueueError, match=r"the class Note: give an instance, Note\("):
        chain([Note("a")]).catch(Note)


def test_a_function_no_worker_would_find_is_refused(queue: Queue) -> None:
    # Its module defines no job, so no worker is sure to have it.
    with pytest.raises(QueueError, match=r"so\.support\.ids\.short_id: no worker would find it"):
        chain([Note("a")]).catch(short_id)


@pytest.mark.parametrize(
    "name",
    [
        "nowhere.at_all",
        "os.system",
        "tests.systems.queue.test_together.json",
        "tests.systems.queue.test_together.batch",  # imported there, defined elsewhere
        "tests.systems.queue.test_together.Member",
        "so.systems.queue.job.exponential",
        "antigravity.fly",
    ],
)
def test_a_row_calls_no_function_but_those_beside_jobs(
    queue: Queue, worker: Worker, name: str
) -> None:
    queue.push(CallbackJob(name))
    worker.run_one()

    assert f"no callback named {name!r} is registered here" in queue.failed()[0].reason
    assert "antigravity" not in sys.modules


# --- batches ------------------------------------------------------------------------------------


def test_a_batch_counts_and_calls_back(queue: Queue, worker: Worker) -> None:
    found = (
        batch([Member("a"), Member("b")])
        .name("Import")
        .then(Note("then"))
        .catch(Note("catch"))
        .finally_(note_batch)
        .progress(Note("step"))
        .dispatch()
    )
    assert (found.total_jobs, found.pending_jobs, found.progress) == (2, 2, 0)
    assert not found.finished

    worker.run_one()
    half = find_batch(found.id)
    assert half is not None
    assert (half.pending_jobs, half.processed_jobs, half.progress) == (1, 1, 50)
    worker.run_all()

    after = found.fresh()
    assert after is not None
    assert after.finished
    assert (after.pending_jobs, after.processed_jobs, after.progress) == (0, 2, 100)
    assert not after.has_failures
    assert DIARY.count("step") == 2
    assert DIARY.count("then") == 1
    assert "catch" not in DIARY
    assert ("Import", 0, None) in DIARY
    assert after.to_dict()["progress"] == 100


def test_23_a_batch_with_failures_allowed_still_reaches_its_end(
    queue: Queue, worker: Worker
) -> None:
    found = (
        batch([Member("a"), Member("b", fails=True), Member("c")])
        .allow_failures()
        .then(Note("then"))
        .catch(note_batch)
        .finally_(Note("finally"))
        .dispatch()
    )
    worker.run_all()

    after = found.fresh()
    assert after is not None
    assert (after.failed_jobs, after.remaining_jobs, after.progress) == (1, 0, 100)
    assert (after.finished, after.cancelled, after.has_failures) == (True, False, True)
    assert after.allows_failures
    assert after.failed_job_ids == [queue.failed()[0].uuid]
    assert {"a", "c", "finally"} <= {word for word in DIARY if isinstance(word, str)}
    assert "then" not in DIARY
    assert [told[2] for told in DIARY if isinstance(told, tuple)] == ["ValueError: b"]


def test_the_first_failure_cancels_what_has_not_started(queue: Queue, worker: Worker) -> None:
    found = batch([Member("a", fails=True), Member("b"), Member("c")]).dispatch()
    worker.run_all()

    after = found.fresh()
    assert after is not None
    assert (after.cancelled, after.finished, after.remaining_jobs) == (True, True, 0)
    assert DIARY == []


def test_a_cancelled_batch_starts_nothing_more(queue: Queue, worker: Worker) -> None:
    found = batch([Member("a"), Member("b")]).then(Note("then")).dispatch()
    found.cancel()
    worker.run_all()

    after = found.fresh()
    assert after is not None
    assert after.cancelled
    assert after.finished
    assert DIARY == []


def test_a_member_may_add_to_its_batch(queue: Queue, worker: Worker) -> None:
    class Grows(Job):
        def handle(self) -> None:
            own = self.batch()
            assert own is not None
            own.add([Member("more"), [Member("x"), Member("y")], []])

    found = batch([Grows()]).then(Note("then")).on_queue("default").dispatch()
    worker.run_all()

    after = found.fresh()
    assert after is not None
    assert (after.total_jobs, after.pending_jobs) == (4, 0)
    assert DIARY == ["more", "x", "y", "then"]


def test_a_list_in_a_batch_is_a_chain(queue: Queue, worker: Worker) -> None:
    found = batch([[Member("a"), Member("b", fails=True), Member("c")], Member("d")])
    done = found.allow_failures().finally_(Note("finally")).dispatch()
    worker.run_all()

    after = done.fresh()
    assert after is not None
    assert (after.failed_jobs, after.remaining_jobs, after.finished) == (1, 0, True)
    assert DIARY == ["a", "d", "finally"] or DIARY == ["d", "a", "finally"]


@pytest.mark.parametrize("how", ["skip", "delete"])
def test_a_batch_goes_on_after_a_link_that_skips_or_deletes_itself(
    queue: Queue, worker: Worker, how: str
) -> None:
    found = (
        batch([[Vanishes(how), Member("b")], Member("x")])
        .then(Note("then"))
        .finally_(Note("finally"))
        .dispatch()
    )
    worker.run_all()

    assert counters(found) == (3, 0, 0, 0, True)
    assert sorted(DIARY) == ["b", "finally", "then", "x"]


def test_the_first_failure_of_a_batch_takes_back_whole_chains(queue: Queue, worker: Worker) -> None:
    found = (
        batch([Member("broken", fails=True), [Member("a"), Member("b")]])
        .then(Note("then"))
        .finally_(Note("finally"))
        .dispatch()
    )
    worker.run_all()

    assert counters(found) == (3, 1, 1, 0, True)
    assert DIARY == ["finally"]


@pytest.mark.parametrize("how", ["batch", "clear"])
def test_a_cancelled_or_cleared_batch_counts_the_links_of_its_chains(
    queue: Queue, worker: Worker, how: str
) -> None:
    found = (
        batch([[Member("a"), Member("b")], Member("x")])
        .then(Note("then"))
        .finally_(Note("finally"))
        .dispatch()
    )
    if how == "batch":
        found.cancel()
    else:
        assert queue.clear() == 2
    worker.run_all()

    assert counters(found) == (3, 0, 0, 0, True)
    after = found.fresh()
    assert after is not None
    assert after.dropped_jobs == 3
    assert DIARY == ["finally"]


def test_a_cancelled_member_leaves_the_others_of_its_batch_alone(
    queue: Queue, db: Database, worker: Worker
) -> None:
    found = (
        batch([[Member("a"), Member("b")], Member("c"), Member("d")])
        .then(Note("then"))
        .finally_(Note("finally"))
        .dispatch()
    )
    assert queue.cancel(int(db.table("jobs").min("id"))) == "removed"
    worker.run_all()

    assert counters(found) == (4, 0, 0, 0, True)
    after = found.fresh()
    assert after is not None
    assert not after.cancelled
    assert DIARY == ["c", "d", "finally"]


@pytest.mark.parametrize("way", ["cancel", "clear"])
def test_a_member_that_ends_while_it_is_taken_back_is_counted_once(
    queue: Queue, db: Database, way: str
) -> None:
    found = batch([Member("a"), Member("b")]).then(Note("then")).dispatch()
    first = int(db.table("jobs").min("id"))
    pending = [Worker(queue)]

    def run_it_first(sql: str, *_: object) -> None:
        if pending and sql.startswith("select id, uuid, queue"):
            pending.pop().run_one()

    db.before_executing(run_it_first)
    if db.connection().dialect.name == "sqlite":
        pending.clear()  # there the transaction has the whole file, and nobody comes between
    took_back = queue.cancel(first) if way == "cancel" else queue.clear()
    db.forget_listener(run_it_first)
    Worker(queue).run_all()

    now = found.fresh()
    assert now is not None
    ran = DIARY.count("a") + DIARY.count("b")
    assert ran + now.dropped_jobs == 2
    assert counters(found) == (2, 0, 0, 0, True)
    assert took_back in ("removed", None, 1, 2)


@pytest.mark.parametrize("allow", [True, False])
def test_a_retried_chain_of_a_batch_takes_its_links_along(
    queue: Queue, worker: Worker, monkeypatch: pytest.MonkeyPatch, allow: bool
) -> None:
    found = (
        batch([[Member("a"), Flaky(), Member("c"), Member("d")]])
        .allow_failures(allow)
        .then(Note("then"))
        .finally_(Note("finally"))
        .dispatch()
    )
    worker.run_all()
    assert counters(found) == (4, 3, 1, 0, True)
    assert DIARY == ["a", "finally"]

    monkeypatch.setattr(Flaky, "is_broken", False)
    queue.failed_jobs.retry_all(batch=found.id)
    assert counters(found) == (4, 3, 0, 3, False)
    worker.run_all()

    assert counters(found) == (4, 0, 0, 0, True)
    assert DIARY == ["a", "finally", "mended", "c", "d", "then"]


def test_a_chain_of_a_batch_that_fails_again_counts_once(queue: Queue, worker: Worker) -> None:
    found = batch([[Flaky(), Member("b")], Member("x")]).allow_failures().dispatch()
    for _ in range(2):
        worker.run_all()
        assert counters(found) == (3, 2, 1, 0, True)
        queue.failed_jobs.retry_all(batch=found.id)


def test_a_failed_member_that_was_put_back_by_hand_is_counted_right(
    queue: Queue, db: Database, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = batch([[Flaky(), Member("b")]]).allow_failures().dispatch()
    columns = row(db)
    worker.run_all()
    monkeypatch.setattr(Flaky, "is_broken", False)
    db.table("jobs").insert(columns)
    worker.run_all()

    assert counters(found) == (2, 0, 0, 0, True)


def test_what_follows_a_success_does_not_follow_when_members_never_ran(
    queue: Queue, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = batch([Flaky(), Member("b"), Member("c")]).then(Note("then")).dispatch()
    worker.run_all()
    assert counters(found) == (3, 1, 1, 0, True)

    monkeypatch.setattr(Flaky, "is_broken", False)
    queue.failed_jobs.retry_all(batch=found.id)
    worker.run_all()

    assert counters(found) == (3, 0, 0, 0, True)
    assert DIARY == ["mended"]


def test_nothing_is_added_to_a_batch_that_has_ended(queue: Queue, worker: Worker) -> None:
    found = batch([Member("a")]).then(Note("then")).dispatch()
    worker.run_all()

    with pytest.raises(QueueError, match="has ended, and what follows it was sent"):
        found.add([Member("late")])

    worker.run_all()
    assert DIARY == ["a", "then"]
    assert counters(found) == (1, 0, 0, 0, True)


@pytest.mark.parametrize("connection", ["database", "sync"])
def test_what_follows_a_batch_follows_an_empty_one(
    queue: Queue, worker: Worker, connection: str
) -> None:
    pending = batch([]).then(Note("then")).catch(Note("catch")).finally_(Note("finally"))
    found = pending.on_connection(connection).dispatch()
    worker.run_all()

    assert counters(found) == (0, 0, 0, 0, True)
    assert DIARY == ["then", "finally"]


def test_an_empty_batch_is_finished(queue: Queue) -> None:
    found = batch([]).name("nothing").dispatch()

    assert found.total_jobs == 0
    assert found.progress == 100
    assert find_batch("unknown") is None
    with pytest.raises(QueueError, match="no batch 'unknown'"):
        queue.add_to_batch("unknown", [Member("a")])


def test_24_a_batch_is_gone_with_its_transaction(queue: Queue, db: Database) -> None:
    db.begin_transaction()
    found = batch([Member("a")]).dispatch()
    db.roll_back()

    assert find_batch(found.id) is None
    assert queue.size() == 0


def test_22_a_batch_retried_twice_puts_each_job_back_once(queue: Queue, worker: Worker) -> None:
    class Mends(Member):
        def handle(self) -> None:
            if not DIARY:
                DIARY.append("first")
                raise ValueError
            DIARY.append("mended")

    found = batch([Mends("a")]).finally_(Note("finally")).then(Note("then")).dispatch()
    worker.run_all()
    first = queue.failed_jobs.retry_all(batch=found.id)
    second = queue.failed_jobs.retry_all(batch=found.id)
    worker.run_all()

    after = found.fresh()
    assert after is not None
    assert (first.count, second.count) == (1, 0)
    assert (after.failed_jobs, after.pending_jobs, after.finished) == (0, 0, True)
    assert DIARY.count("mended") == DIARY.count("then") == DIARY.count("finally") == 1


def test_a_batch_on_the_sync_connection_runs_at_once(db: Database, clock: Clock) -> None:
    DIARY.clear()
    queue = Queue(db, clock=clock, default="sync")
    found = (
        queue.batch([Member("a"), [Member("b"), Member("c")]])
        .then(Note("then"))
        .on_connection("sync")
        .dispatch()
    )

    assert found.finished
    assert DIARY[-1] == "then"
    assert queue.size() == 0


def test_a_failing_sync_batch_counts_its_failure(queue: Queue) -> None:
    found = batch([Member("a", fails=True)]).catch(Note("caught")).on_connection("sync").dispatch()

    assert found.failed_jobs == 1
    assert DIARY == ["caught"]


def test_a_batch_may_be_forgotten(queue: Queue) -> None:
    found = batch([Member("a")]).dispatch()
    found.delete()

    assert found.fresh() is None


def test_old_batches_are_pruned(queue: Queue, db: Database, worker: Worker, clock: Clock) -> None:
    batch([Member("a")]).dispatch()
    worker.run_all()
    open_one = batch([Member("b")]).dispatch()
    conn = db.connection()
    clock.travel(7200)

    assert queue.batches.prune(conn, clock.time() - 3600) == 1
    assert queue.batches.prune(conn, clock.time() - 3600) == 0
    assert find_batch(open_one.id) is not None
    assert queue.batches.prune(conn, clock.time() - 3600, unfinished=True) == 1


# --- unique jobs --------------------------------------------------------------------------------


class Only(Job):
    """One of a kind in its queue."""

    unique_for = 600
    tries = 1

    def __init__(self, key: str, fails: bool = False) -> None:
        self.key, self.fails = key, fails

    def unique_id(self) -> str:
        return self.key

    def handle(self) -> None:
        DIARY.append(self.key)
        if self.fails:
            raise ValueError


def test_a_second_unique_job_is_not_queued(queue: Queue, worker: Worker) -> None:
    skipped: list[str] = []
    queue.listen("skipped", lambda event: skipped.append(event.reason))

    first, second = queue.push(Only("a")), queue.push(Only("a"))
    queue.push(Only("b"))
    queue.bulk([Only("a"), Only("c"), Note("plain")])

    assert first is not None
    assert second is None
    assert queue.size() == 4
    assert skipped == ["another one is queued already"] * 2
    assert queue.metrics.totals()["default"]["skipped"] == 2


def test_a_unique_job_may_come_again_when_it_is_done(queue: Queue, worker: Worker) -> None:
    queue.push(Only("a"))
    worker.run_one()

    assert queue.push(Only("a")) is not None


def test_a_unique_lock_ends_after_its_time(queue: Queue, clock: Clock) -> None:
    queue.push(Only("a"))
    clock.travel(601)

    assert queue.push(Only("a")) is not None


def test_21_a_unique_lock_lives_exactly_as_long_as_a_job_owns_it(
    queue: Queue, db: Database, worker: Worker, clock: Clock
) -> None:
    name = lock_name("unique", Only.alias, "a")

    db.begin_transaction()
    queue.push(Only("a"))
    db.roll_back()
    assert locks(db) == []  # the dispatch was rolled back

    queue.push(Only("a"))
    assert locks(db) == [name]
    assert queue.clear() == 1
    assert locks(db) == []  # cleared

    queue.push(Only("a"))
    db.table("jobs").update({"payload": "{broken"})
    worker.run_one()
    assert locks(db) == []  # undecodable
    queue.failed_jobs.prune()

    queue.push(Only("a", fails=True))
    worker.run_one()
    assert locks(db) == []  # failed
    assert queue.failed_jobs.retry_all().count == 1
    assert locks(db) == [name]  # retried
    assert queue.push(Only("a")) is None

    worker.run_one()
    assert queue.push(Only("a")) is not None
    assert queue.failed_jobs.retry_all().blocked == 1  # another one owns it now
    assert locks(db) == [name]
    assert queue.failed_jobs.count() == 1

    job_id = db.table("jobs").value("id")
    assert queue.cancel(int(job_id)) == "removed"
    assert locks(db) == []


def test_a_lost_workers_unique_job_keeps_its_lock(queue: Queue, db: Database, clock: Clock) -> None:
    queue.push(Only("a"))
    Worker(queue)._claim(1)
    clock.travel(16)

    assert queue.push(Only("a")) is None
    Worker(queue).run_one()
    assert locks(db) == []


def test_a_job_unique_until_it_starts_may_be_queued_while_it_runs(
    queue: Queue, worker: Worker
) -> None:
    class UntilStart(Only):
        unique_until_start = True

        def handle(self) -> None:
            DIARY.append(queue.push(UntilStart(self.key)) is not None)

    queue.push(UntilStart("a"))
    worker.run_one()

    assert DIARY == [True]
    assert queue.push(UntilStart("a")) is None


def test_a_long_or_strange_lock_name_is_shortened_and_stays_apart() -> None:
    names = {lock_name("unique", "é" * 200), lock_name("unique", "é" * 201), lock_name("a", "b")}

    assert len(names) == 3
    assert all(len(name) <= 120 and name.isascii() for name in names)


# --- middleware ---------------------------------------------------------------------------------


def row(db: Database) -> dict[str, Any]:
    found = db.table("jobs").first()
    assert found is not None
    return dict(found)


class Guarded(Job):
    """A job whose middleware a test decides on."""

    tries = 1
    layers: list[Any] = []

    def __init__(self, word: str = "ran", fails: bool = False) -> None:
        self.word, self.fails = word, fails

    def middleware(self) -> list[Any]:
        return self.layers

    def handle(self) -> None:
        DIARY.append(self.word)
        if self.fails:
            raise ValueError(self.word)


@pytest.fixture
def layers(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    found: list[Any] = []
    monkeypatch.setattr(Guarded, "layers", found)
    return found


def test_middleware_stands_around_the_handler_outermost_first(
    queue: Queue, worker: Worker, layers: list[Any]
) -> None:
    def outer(job: Job, next: Any) -> Any:
        DIARY.append("in")
        next(job)
        DIARY.append("out")

    layers.extend([outer, Skip.when(False)])
    queue.push(Guarded())
    worker.run_one()

    assert DIARY == ["in", "ran", "out"]


def test_a_job_that_would_overlap_waits_and_it_costs_no_attempt(
    queue: Queue, db: Database, worker: Worker, layers: list[Any], clock: Clock
) -> None:
    def nested(job: Job, next: Any) -> Any:
        if queue.size() == 1:
            queue.push(Guarded("second"))
            Worker(queue).run_one()
        return next(job)

    layers.extend([WithoutOverlapping("invoice-7", release_after=10), nested])
    queue.push(Guarded("first"))
    worker.run_one()

    waiting = row(db)
    assert DIARY == ["first"]
    assert (waiting["attempts"], waiting["available_at"]) == (0, int(clock.time()) + 10)
    clock.travel(10)
    layers.pop()
    worker.run_one()
    assert DIARY == ["first", "second"]


def test_20_the_overlap_lock_of_a_dead_worker_is_free_with_its_lease(
    queue: Queue, layers: list[Any], clock: Clock
) -> None:
    lost = Worker(queue)
    layers.append(WithoutOverlapping("k"))
    queue.push(Guarded("lost"))
    (claimed,) = lost._claim(1)
    name = lock_name("overlap", Guarded.alias, "k")
    assert queue.locks.take_overlap(
        lost.conn, name, f"{claimed.id}:{claimed.worker}", clock.time(), None
    )

    queue.push(Guarded("second"))
    Worker(queue).run_one()
    assert DIARY == []
    clock.travel(16)
    Worker(queue).run_all()
    assert sorted(DIARY) == ["lost", "second"]


def test_an_overlap_may_be_dropped_or_expire(
    queue: Queue, worker: Worker, layers: list[Any], clock: Clock
) -> None:
    name = lock_name("overlap", "", "k")
    queue.locks.take_overlap(worker.conn, name, "sync:1", clock.time(), 60)
    layers.append(WithoutOverlapping("k", expires_after=60).shared().dont_release())
    queue.push(Guarded())
    worker.run_one()
    assert DIARY == []
    assert queue.size() == 0

    clock.travel(61)
    queue.push(Guarded())
    worker.run_one()
    assert DIARY == ["ran"]


def test_an_overlap_lock_works_for_a_job_run_at_once(queue: Queue, layers: list[Any]) -> None:
    layers.append(WithoutOverlapping("k"))
    queue.dispatch_sync(Guarded())
    queue.dispatch_sync(Guarded())

    assert DIARY == ["ran", "ran"]


def test_a_rate_limit_lets_so_many_through_and_costs_no_attempt(
    queue: Queue, db: Database, worker: Worker, layers: list[Any], clock: Clock
) -> None:
    queue.limit("mails", lambda job: (2, 60, "eu"))
    layers.append(RateLimited("mails"))
    for _ in range(3):
        queue.push(Guarded())
    worker.run_all()

    waiting = row(db)
    assert DIARY == ["ran", "ran"]
    assert (waiting["attempts"], waiting["available_at"]) == (0, int(clock.time()) + 60)
    clock.travel(60)
    worker.run_all()
    assert len(DIARY) == 3


def test_a_rate_limit_may_drop_and_may_be_several_or_an_object(
    queue: Queue, worker: Worker, layers: list[Any]
) -> None:
    class Limit:
        max_attempts, decay_seconds, key = 1, 60, "x"

    queue.limit("both", lambda job: [(5, 60), Limit(), None])
    layers.append(RateLimited("both").dont_release())
    queue.push(Guarded())
    queue.push(Guarded())
    worker.run_all()

    assert DIARY == ["ran"]
    assert queue.size() == 0


def test_an_unknown_or_unreadable_rate_limit_is_told(
    queue: Queue, worker: Worker, layers: list[Any]
) -> None:
    layers.append(RateLimited("unknown"))
    queue.push(Guarded())
    worker.run_one()
    queue.limit("unknown", lambda job: "often")
    queue.push(Guarded())
    worker.run_one()

    reasons = [failed.reason for failed in queue.failed()]
    assert "no rate limit named 'unknown'" in reasons[1]
    assert "cannot read 'often' as a rate limit" in reasons[0]


def test_limits_may_come_from_the_application(
    db: Database, clock: Clock, layers: list[Any]
) -> None:
    DIARY.clear()
    queue = Queue(db, clock=clock, limiter=lambda name: lambda job: (1, 60))
    layers.append(RateLimited("any"))
    queue.push(Guarded())
    Worker(queue).run_one()

    assert DIARY == ["ran"]


def test_a_circuit_opens_after_too_many_exceptions(
    queue: Queue, db: Database, worker: Worker, layers: list[Any], clock: Clock
) -> None:
    class Patient(Guarded):
        tries = 10

    layers.append(ThrottlesExceptions(2, 60).by("bank").backoff(5))
    queue.push(Patient("a", fails=True))
    worker.run_one()
    assert row(db)["available_at"] == int(clock.time()) + 5
    clock.travel(5)
    worker.run_one()
    assert row(db)["available_at"] == int(clock.time()) + 55
    queue.push(Guarded("b"))
    worker.run_one()

    assert DIARY == ["a", "a"]
    clock.travel(60)
    worker.run_one()
    assert DIARY[-1] in ("a", "b")


def test_a_circuit_closes_with_a_success_and_ignores_what_it_should(
    queue: Queue, worker: Worker, layers: list[Any]
) -> None:
    layers.append(ThrottlesExceptions(1, 60).when(lambda error: isinstance(error, KeyError)))
    queue.push(Guarded("fails", fails=True))
    worker.run_one()
    queue.push(Guarded("runs"))
    worker.run_one()

    assert DIARY == ["fails", "runs"]
    assert queue.failed_jobs.count() == 1


def test_36_skipped_jobs_are_gone_counted_and_told(
    queue: Queue, db: Database, worker: Worker, layers: list[Any]
) -> None:
    told: list[str] = []
    queue.listen("skipped", lambda event: told.append(event.reason))
    layers.append(Skip.when(lambda job: job.word == "skip"))
    queue.push(Guarded("skip"))
    queue.push(Guarded("run"))
    worker.run_all()
    layers[:] = [Skip.unless(lambda: False)]
    queue.push(Guarded("never"))
    worker.run_all()

    assert DIARY == ["run"]
    assert told == ["skipped by its middleware"] * 2
    assert queue.size() == 0
    assert queue.metrics.totals()["default"]["skipped"] == 2


def test_the_payload_of_a_member_names_its_batch(queue: Queue, db: Database) -> None:
    found = batch([Member("a")]).dispatch()

    assert json.loads(row(db)["payload"])["batchId"] == found.id == row(db)["batch_id"]
    dispatch(Note("alone")).send()
