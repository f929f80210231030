"""Who did it, and in which batch, from a request to the last command that its jobs run."""

from __future__ import annotations

import pytest

from so import DB, Command, Job, LogsActivity, Model, activity_batch, causer, dispatch
from so.application import Application
from so.errors import ActivityError
from so.support.scope import Scope, current_scope, entered
from so.systems.activity import Activity

SETTINGS = {
    "app": {"name": "Test", "env": "testing", "key": "0" * 64, "providers": [], "routes": []},
    "database": {
        "default": "main",
        "connections": {"main": {"driver": "sqlite", "database": "storage/main.sqlite"}},
    },
}


class Thing(LogsActivity, Model):
    table = "causer_things"
    timestamps = False
    guarded = []


class Clerk(Model):
    table = "causer_clerks"
    type_alias = "causer_clerk"
    timestamps = False
    guarded = []


class Work(Job):
    def __init__(self, name="job", then=()):
        self.name, self.then = name, list(then)

    def handle(self):
        Thing.create(name=self.name)
        if self.then:
            dispatch(Work(self.then[0], self.then[1:]))
        else:
            from so import app

            app("console").call(["causer:thing"])


class MakeThing(Command):
    signature = "causer:thing"
    description = "Make a thing"

    def handle(self):
        Thing.create(name="command")


@pytest.fixture
def app(tmp_path):
    (tmp_path / "storage").mkdir()
    with Application(tmp_path, config=SETTINGS) as app:
        app.install_tables()
        DB.statement("create table causer_things (id integer primary key, name text)")
        DB.statement("create table causer_clerks (id integer primary key, name text)")
        from so.console.kernel import Kernel

        kernel = Kernel(app)
        kernel.register(MakeThing)
        app.instance("console", kernel)
        yield app


def work(app):
    from so.systems.worker.single import Worker

    worker = Worker(app.make("queue"))
    while worker.run_one():
        pass


def told():
    return [
        (row.subject.name, row.causer_label, row.batch_uuid)
        for row in Activity.for_event("created").order_by("id").get()
    ]


def test_a_script_without_a_scope_carries_causer_and_batch_to_the_last_command(app):
    clerk = Clerk.create(name="Ada")
    assert current_scope() is None

    with causer(clerk), activity_batch() as batch:
        dispatch(Work("first", ["second"]))
    work(app)

    assert told() == [("first", "Ada", batch), ("second", "Ada", batch), ("command", "Ada", batch)]


def test_a_request_whose_handler_asks_nobody_carries_who_is_logged_in(app, monkeypatch):
    clerk = Clerk.create(name="Ada")

    class Door:
        def user(self):
            return clerk

    monkeypatch.setattr("so.application.work.make_auth", lambda app: Door())
    scope = Scope("request")
    scope.request = Request()
    with entered(scope):
        dispatch(Work("first"))
    work(app)

    assert [(name, who) for name, who, _ in told()] == [("first", "Ada"), ("command", "Ada")]


class Request:
    def user_agent(self):
        return "x"

    def ip(self):
        return "::1"

    def url(self):
        return "/orders?token=geheim&page=2"


def test_each_job_has_its_own_and_none_leaks_into_the_next(app):
    clerks = [Clerk.create(name=f"C{n}") for n in range(5)]
    for clerk in clerks:
        with causer(clerk):
            dispatch(Work(clerk.name))
    dispatch(Work("sixth"))

    with causer("system:worker"):
        work(app)

    found = {name: who for name, who, _ in told() if name != "command"}
    assert found == {**{f"C{n}": f"C{n}" for n in range(5)}, "sixth": "system:worker"}


def test_a_command_by_itself_is_the_system_and_one_in_a_block_is_the_block(app):
    app.make("console").call(["causer:thing"])
    with causer(Clerk.create(name="Ada")):
        app.make("console").call(["causer:thing"])

    assert [who for _, who, _ in told()] == ["system:causer:thing", "Ada"]


def test_the_context_names_the_job_or_the_command(app):
    dispatch(Work("first"))
    work(app)

    job, command = Activity.for_event("created").order_by("id").get()
    assert (job.context["source"], job.context["job"]) == (
        "job",
        "tests.systems.activity.test_causers.Work",
    )
    assert (command.context["source"], command.context["command"]) == ("command", "causer:thing")


def test_nobody_is_carried_as_nobody(app):
    scope = Scope("job")
    scope.causer = "system:outer"
    with entered(scope), causer(None):
        dispatch(Work("first"))
    work(app)

    assert told()[0][1] is None


def test_the_context_holds_no_secret_of_the_address(app):
    scope = Scope("request")
    scope.request = Request()
    scope.causer = None
    with entered(scope):
        Thing.create(name="x")

    assert Activity.first().context["url"] == "/orders?token=***&page=2"


def plain(module, table):
    return type("Parcel", (Model,), {"__module__": module, "table": table, "timestamps": False})


def test_two_plain_models_of_one_name_do_not_share_a_history(log):
    first, second = plain("app.sales", "sent_parcels"), plain("app.purchase", "got_parcels")
    log.entry().on(first(id=1)).log("packed")

    for entry in (log.entry().on(second(id=1)), log.entry().by(second(id=1))):
        with pytest.raises(ActivityError, match=r"app\.purchase\.Parcel and app\.sales\.Parcel"):
            entry.log("came")
    second.type_alias = "purchase_parcel"
    log.entry().on(second(id=1)).log("came")

    assert Activity.order_by("id").pluck("subject_type") == ["Parcel", "purchase_parcel"]


@pytest.mark.parametrize("other", [
    lambda first: plain("app.sales", "parcels_of_tests"),
    lambda first: plain("app.reports", "sent_parcels"),
    lambda first: type("Parcel", (first,), {"__module__": "app.big", "table": "big_parcels"}),
], ids=["loaded again", "of the same table", "extended"])  # fmt: skip
def test_a_plain_model_of_the_same_name_may_be(log, other):
    first = plain("app.sales", "sent_parcels")
    log.entry().on(first(id=1)).log("packed")

    log.entry().on(other(first)(id=2)).log("seen")

    assert Activity.pluck("subject_type") == ["Parcel", "Parcel"]


def test_who_acts_and_is_no_model_may_share_the_name_of_one(log):
    class Clerk:
        type_alias = "Parcel"

        def get_key(self):
            return 7

    log.entry().on(plain("app.sales", "sent_parcels")(id=1)).log("packed")
    log.entry().by(Clerk()).log("came")

    assert Activity.order_by("id").pluck("causer_id") == [None, "7"]
