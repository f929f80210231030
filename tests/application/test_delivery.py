"""Notifications through the queue: one job for each recipient and channel, by the real worker."""

from __future__ import annotations

from datetime import timedelta

import pytest

from so import (
    DB,
    Model,
    Notifiable,
    Notification,
    NotificationFailed,
    notification_fake,
    notifications,
    notify,
    queue,
    route,
)
from so.application.delivery import LOOK_AGAIN
from so.console.kernel import Kernel
from tests.acceptance.conftest import erp as erp
from tests.acceptance.conftest import settings as settings


class Reader(Notifiable, Model):
    table = "delivery_readers"
    type_alias = "delivery_reader"
    timestamps = False
    guarded = []


class Told(Notification):
    queued = True
    type_alias = "delivery_told"

    def __init__(self, text, channels=("database",)):
        self.text = text
        self.channels = list(channels)

    def via(self, notifiable=None):
        return self.channels

    def to_dict(self, notifiable):
        return {"text": self.text}


class Recorder:
    """A channel that notes in a table what it sent, as workers are processes of their own.

    It fails as often as it is told to.
    """

    @property
    def sent(self):
        rows = DB.table("delivery_sent").where("what", "sent").order_by("n").get()
        return [(row.name, row.text, row.id) for row in rows]

    @property
    def heard(self):
        return DB.table("delivery_sent").where("what", "failed").pluck("name")

    def fail(self, times):
        DB.table("delivery_sent").insert([{"what": "to fail"}] * times)

    def note(self, **row):
        DB.table("delivery_sent").insert(row)

    def send(self, notifiable, notification, id):
        if DB.table("delivery_sent").where("what", "to fail").limit(1).delete():
            raise OSError("no line")
        name = str(getattr(notifiable, "name", notifiable))
        self.note(what="sent", name=name, text=notification.text, id=id)


@pytest.fixture
def app(erp):
    erp.install_tables()
    number = "auto_increment" if DB.connection().dialect.name == "mysql" else "autoincrement"
    DB.statement("create table delivery_readers (id integer primary key, name varchar(20))")
    DB.statement(
        f"create table delivery_sent (n integer primary key {number}, what varchar(20),"
        " name varchar(50), text varchar(20), id varchar(40))"
    )
    yield erp
    DB.statement("drop table delivery_readers")
    DB.statement("drop table delivery_sent")


@pytest.fixture
def people(app):
    return [Reader.create(id=number, name=f"P{number}") for number in range(1, 4)]


@pytest.fixture
def sms(app):
    recorder = Recorder()
    notifications().extend("sms", lambda: recorder)
    return recorder


def work(app, *options):
    assert Kernel(app).call(f"queue:work --stop-when-empty --memory=0 {' '.join(options)}") == 0


def test_each_recipient_and_channel_is_a_job_of_its_own(app, people, sms):
    notify(people, Told("x", ["database", "sms"]))

    assert queue().size() == 6
    assert sms.sent == []
    work(app)
    assert sorted(name for name, _, _ in sms.sent) == ["P1", "P2", "P3"]
    assert [one.unread_count() for one in people] == [1, 1, 1]
    # One id a recipient, whichever the channel.
    assert {id for _, _, id in sms.sent} == set(DB.table("notifications").pluck("id"))


def test_a_channel_may_have_a_queue_and_a_delay_of_its_own(app, people, sms):
    class Varied(Told):
        type_alias = "delivery_varied"
        queue = {"sms": "texts"}
        delay = {"sms": 600}

    people[0].notify(Varied("x", ["database", "sms"]))

    jobs = DB.table("jobs").order_by("queue").get(["queue", "available_at", "created_at"])
    waits = {job.queue: job.available_at - job.created_at for job in jobs}
    assert waits["default"] == 0
    assert waits["texts"] in (600, 601)  # begun seconds are whole ones
    work(app, "--queue=default,texts")
    assert (people[0].unread_count(), sms.sent) == (1, [])


def test_a_job_waits_for_another_that_is_sending_what_is_told_once(app, people, sms):
    class Once(Told):
        type_alias = "delivery_once"
        dedupe_key = "k"

    people[0].notify(Once("x", ["sms"]))
    held = DB.table("notification_deliveries")
    id = DB.table("jobs").value("payload").partition('"id":"')[2][:36]
    until = app.clock.now() + timedelta(minutes=15)
    held.insert({"notification_id": id, "channel": "sms", "status": "wanted", "due_at": until})

    work(app, "--tries=1")
    assert (sms.sent, queue().size()) == ([], 1)
    wait = DB.table("jobs").value("available_at") - app.clock.time()
    assert 0 < wait <= LOOK_AGAIN.total_seconds()

    DB.table("jobs").update({"available_at": int(app.clock.time())})
    DB.table("notification_deliveries").update({"due_at": None})
    work(app, "--tries=1")
    assert [text for _, text, _ in sms.sent] == ["x"]


def test_a_model_that_was_never_saved_is_refused_where_it_is_sent(app, people):
    told = Told("x")
    told.text = Reader(name="never saved")

    with pytest.raises(NotificationFailed, match="save it first"):
        people[0].notify(told)
    assert queue().size() == 0


def test_a_retry_repeats_only_the_channel_that_failed_and_failure_is_told_once(app, people, sms):
    notifications().failed(lambda who: sms.note(what="failed", name=who.name))
    sms.fail(1)
    people[0].notify(Told("x", ["database", "sms"]))
    for _ in range(2):
        work(app, "--tries=3", "--backoff=0")
    assert (people[0].unread_count(), len(sms.sent), sms.heard) == (1, 1, [])

    sms.fail(9)
    people[0].notify(Told("y", ["sms"]))
    for _ in range(4):
        work(app, "--tries=3", "--backoff=0")
    assert sms.heard == ["P1"]
    assert DB.table("failed_jobs").count() == 1


def test_a_job_that_comes_again_delivers_nothing_twice(app, people, sms):
    people[0].notify(Told("x", ["database", "sms"]))
    rows = [dict(row) for row in DB.table("jobs").get()]
    work(app)
    for row in rows:  # as after kill -9 between the delivery and the end of the job
        DB.table("jobs").insert({**row, "reserved_at": None, "attempts": 0})
    work(app)

    assert (people[0].unread_count(), len(sms.sent)) == (1, 1)


def test_an_address_is_told_by_a_job_as_well(app, sms):
    notifications().route("sms", "+49 1").route("log", "x").notify(Told("x", ["sms"]))
    route("sms", "+49 2").notify(Told("y", ["sms"]))

    work(app)

    assert [what[:2] for what in sms.sent] == [("sms:+49 1, log:x", "x"), ("sms:+49 2", "y")]


def test_who_was_deleted_meanwhile_is_told_nothing(app, people, sms):
    notify(people, Told("x", ["sms"]))
    people[1].delete()

    work(app)

    assert [name for name, _, _ in sms.sent] == ["P1", "P3"]
    assert DB.table("failed_jobs").count() == 0


def test_queue_and_delay_are_those_of_the_notification(app, people, sms):
    class Slow(Told):
        queue = "letters"
        delay = 60

    people[0].notify(Slow("x", ["sms"]))
    assert (queue().size("letters"), queue().size()) == (1, 0)
    work(app, "--queue=letters")
    assert sms.sent == []

    app.clock.travel(61)
    work(app, "--queue=letters")
    assert len(sms.sent) == 1


def test_jobs_of_a_transaction_that_was_rolled_back_are_none(app, people):
    DB.begin_transaction()
    notify(people, Told("x"))
    DB.roll_back()
    assert queue().size() == 0
    with DB.transaction():
        notify(people, Told("x"))
    assert queue().size() == 3


def test_many_jobs_are_stored_with_few_statements(app):
    people = [Reader(id=number, name=f"P{number}") for number in range(1, 1001)]
    statements = []
    app.make("db").listen(lambda query: statements.append(query.sql))

    notify(people, Told("x"))

    assert queue().size() == 1000
    assert len(statements) < 30


def test_by_the_sync_driver_one_failure_stops_no_other(app, people, sms):
    queue().default = "sync"
    sms.fail(1)

    with pytest.raises(NotificationFailed, match="no line"):
        notify(people, Told("x", ["sms", "database"]))

    assert [name for name, _, _ in sms.sent] == ["P2", "P3"]
    assert [one.unread_count() for one in people] == [1, 1, 1]


def test_the_fake_hears_notify_of_an_application_as_well(app, people, sms):
    with notification_fake() as fake:
        notify(people, Told("x", ["sms"]))
        people[0].notify_now(Told("y", ["sms"]))
        route("mail", "a@b.example").notify(Told("z", ["mail"]))

    fake.assert_count(5)
    fake.assert_sent_to(people[0], Told, lambda told: told.text == "y")
    assert (queue().size(), sms.sent) == (0, [])


def test_route_still_means_an_address_of_the_application(app):
    app.make("router").get("/inbox/{id}", lambda id: id).name("mail")

    assert str(route("mail", "5", absolute=False)) == "/inbox/5"
    with pytest.raises(Exception, match="not defined"):
        route("nothing", "x")
