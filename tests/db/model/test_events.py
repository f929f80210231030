from __future__ import annotations

from typing import Any

import pytest

from so.container import Container
from so.db import events
from so.db.manager import Database
from so.db.model import Model, SoftDeletes
from so.support.current import running
from tests.db.model_tables import STAMPS, make_table


@pytest.fixture
def tasks(db: Database) -> Database:
    columns = ("title varchar(50)", "done int default 0", "deleted_at datetime(6) null")
    make_table(db, "tasks", *columns, *STAMPS)
    return db


def task_class(*bases: type) -> Any:
    """A class of its own for each test, as listeners stay with their class."""
    return type(Model)("Task", (*bases, Model), {"__module__": __name__})


def listening(cls: Any) -> list[str]:
    """The names of all events of *cls*, as they come."""
    heard: list[str] = []
    for event in events.EVENTS:
        getattr(cls, event)(lambda model, event=event: heard.append(event))
    return heard


def test_events_come_in_order(tasks: Database) -> None:
    Task = task_class()
    heard = listening(Task)

    task = Task.create(title="a")
    assert heard == ["saving", "creating", "created", "saved"]
    heard.clear()
    task.update(title="b")
    assert heard == ["saving", "updating", "updated", "saved"]
    heard.clear()
    task.save()
    assert heard == ["saving", "saved"]
    heard.clear()
    Task.first()
    assert heard == ["retrieved"]
    heard.clear()
    task.replicate()
    assert heard == ["replicating"]
    heard.clear()
    task.increment("done")
    assert heard == ["updating", "updated"]
    heard.clear()
    task.delete()
    assert heard == ["deleting", "deleted"]


def test_soft_deletes_have_events_too(tasks: Database) -> None:
    Task = task_class(SoftDeletes)
    task = Task.create(title="a")
    heard = listening(Task)

    task.delete()
    assert heard == ["deleting", "deleted"]
    heard.clear()
    task.restore()
    assert heard == ["restoring", "saving", "updating", "updated", "saved", "restored"]
    heard.clear()
    task.force_delete()
    assert heard == ["force_deleting", "deleting", "deleted", "force_deleted"]


@pytest.mark.parametrize("event", ["saving", "creating"])
def test_false_cancels_an_insert(tasks: Database, event: str) -> None:
    Task = task_class()
    getattr(Task, event)(lambda model: False)

    task = Task(title="a")

    assert task.save() is False
    assert not task.persisted
    assert not Task.create(title="b").persisted
    assert tasks.table("tasks").count() == 0


@pytest.mark.parametrize("event", ["saving", "updating"])
def test_false_cancels_an_update(tasks: Database, event: str) -> None:
    Task = task_class()
    task = Task.create(title="a")
    getattr(Task, event)(lambda model: False)

    assert task.update(title="b") is False
    assert task.is_dirty("title")
    assert tasks.table("tasks").value("title") == "a"


@pytest.mark.parametrize("event", ["deleting", "force_deleting", "restoring"])
def test_false_cancels_deleting_and_restoring(tasks: Database, event: str) -> None:
    Task = task_class(SoftDeletes)
    task, gone = Task.create(title="a"), Task.create(title="b")
    gone.delete()
    getattr(Task, event)(lambda model: False)

    assert task.delete() is (event != "deleting")
    assert gone.restore() is (event != "restoring")
    assert gone.force_delete() is (event == "restoring")


def test_false_cancels_a_counter(tasks: Database) -> None:
    Task = task_class()
    task = Task.create(title="a")
    Task.updating(lambda model: False)

    assert task.increment("done") == 0


@pytest.mark.parametrize("answer", [None, 0, "", [], True])
def test_only_false_itself_cancels(tasks: Database, answer: Any) -> None:
    Task = task_class()
    Task.saving(lambda model: answer)

    assert Task(title="a").save() is True


def test_false_after_the_fact_cancels_nothing(tasks: Database) -> None:
    Task = task_class()
    Task.created(lambda model: False)
    Task.saved(lambda model: False)

    assert Task(title="a").save() is True


def test_the_first_refusal_ends_the_round(tasks: Database) -> None:
    Task = task_class()
    heard = []
    Task.creating(lambda model: False)
    Task.creating(lambda model: heard.append("second"))

    Task.create(title="a")

    assert heard == []


def test_a_listener_may_still_change_what_is_saved(tasks: Database) -> None:
    Task = task_class()
    Task.creating(lambda task: task.set_attribute("title", "from creating"))
    task = Task.create(title="a")
    assert task.fresh().title == "from creating"

    @Task.updating
    def shout(task: Any) -> None:
        task.title = task.title.upper()

    task.update(title="b")
    assert task.fresh().title == "B"


def test_a_listener_may_undo_the_change(tasks: Database) -> None:
    Task = task_class()
    task = Task.create(title="a")
    Task.updating(lambda model: model.discard_changes())

    assert task.update(title="b") is True
    assert task.fresh().title == "a"


def test_updated_knows_what_changed(tasks: Database) -> None:
    Task = task_class()
    seen = []
    Task.updated(
        lambda task: seen.append(
            (task.get_original("title"), task.title, task.was_changed("title"), task.is_dirty())
        )
    )
    Task.create(title="a").update(title="b")

    assert seen == [("a", "b", True, True)]


def test_a_listener_may_save_once_more(tasks: Database) -> None:
    Task = task_class()

    @Task.created
    def number(task: Any) -> None:
        task.title = f"{task.title} {task.id}"
        task.save()

    assert Task.create(title="a").fresh().title == "a 1"


class Watcher:
    """An observer."""

    heard: list[str] = []

    def creating(self, task: Any) -> Any:
        return False if task.title == "forbidden" else None

    def created(self, task: Any) -> None:
        self.heard.append(f"created {task.title}")

    def deleted(self, task: Any) -> None:
        self.heard.append(f"deleted {task.title}")


@pytest.mark.parametrize("form", [Watcher, Watcher(), [Watcher]])
def test_an_observer_is_a_class_an_object_or_several(tasks: Database, form: Any) -> None:
    Task = task_class()
    Task.observe(form)
    Watcher.heard.clear()

    Task.create(title="a").delete()

    assert Watcher.heard == ["created a", "deleted a"]


def test_an_observer_that_answers_false_cancels(tasks: Database) -> None:
    Task = task_class()
    Task.observe(Watcher)

    assert not Task.create(title="forbidden").persisted


def test_observers_may_stand_on_the_class(tasks: Database) -> None:
    Task = task_class()
    Task.observers = [Watcher]
    Watcher.heard.clear()

    Task.create(title="a")

    assert Watcher.heard == ["created a"]


def test_observers_are_made_by_the_container_once_a_class(tasks: Database) -> None:
    made: list[type] = []
    container = Container()
    container.resolving(Watcher, lambda watcher, _: made.append(type(watcher)))
    Task = task_class()

    Task.observe(Watcher)
    assert made == []
    token = running.set(container)
    try:
        Task.create(title="a")
        Task.create(title="b")
    finally:
        running.reset(token)
    assert made == [Watcher]


class AfterCommit:
    """An observer that waits for the commit."""

    after_commit = True
    heard: list[str] = []

    def creating(self, task: Any) -> None:
        self.heard.append("creating")

    def created(self, task: Any) -> None:
        self.heard.append("created")


def test_an_observer_may_wait_for_the_commit(tasks: Database) -> None:
    Task = task_class()
    Task.observe(AfterCommit)
    AfterCommit.heard.clear()

    with tasks.transaction():
        Task.create(title="a")
        assert AfterCommit.heard == ["creating"]
    assert AfterCommit.heard == ["creating", "created"]

    AfterCommit.heard.clear()

    def fails() -> None:
        Task.create(title="b")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        tasks.transaction(fails)
    assert AfterCommit.heard == ["creating"]

    AfterCommit.heard.clear()
    Task.create(title="c")
    assert AfterCommit.heard == ["creating", "created"]


def test_listeners_of_a_class_hear_of_its_subclasses(tasks: Database) -> None:
    Task = task_class()
    Sub = type(Model)("Sub", (Task,), {"table": "tasks"})
    heard = listening(Task)

    Sub.create(title="a")
    assert heard == ["saving", "creating", "created", "saved"]

    heard_of_sub = listening(Sub)
    Task.create(title="b")
    assert heard_of_sub == []


def test_quietly_means_that_nobody_hears(tasks: Database) -> None:
    Task = task_class()
    heard = listening(Task)

    task = Task(title="a")
    task.save_quietly()
    task.update_quietly(title="b")
    Task.query().create_quietly(title="c")
    assert Task.without_events(lambda: Task.create(title="d")).title == "d"
    with Task.without_events():
        task.delete()

    assert heard == []
    Task.create(title="e")
    assert heard != []
