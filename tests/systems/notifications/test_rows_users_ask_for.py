"""What users of other frameworks have asked for, or suffered from, row by row.

| row | what | tested |
|---|---|---|
| 16 | a rollback leaves no notification, of a savepoint only its own | here |
| 26 | one failing channel stops no other | here |
| 27 | a retry repeats no channel that was delivered | here, tests/application/test_delivery.py |
| 28 | `failed` is heard once a pair | test_original_defects.py |
| 29 | one object to a hundred is a hundred rows; a repeated job is none more | here |
| 30 | counts and pages from an index | test_original_defects.py, test_told_truly.py, here |
| 31 | lists are pages | test_original_defects.py |
| 32 | read by what it is about, from an index | here, test_told_truly.py |
| 33 | large and foreign data comes back whole, or is refused | test_original_defects.py |
| 34 | a recipient that is gone is told nothing | application/test_delivery.py, test_held_back.py |
| 35 | sent after the outermost commit | test_original_defects.py, test_notifications.py |
| 36 | `should_send` is asked once, before a channel is used | test_original_defects.py, here |
| 37 | somebody else's id is not there | test_notifications.py, tests/web/test_inbox.py |
| 38 | muted by category and channel; no empty digest | here, test_held_back.py |
| 39 | read and unread ones have ages of their own, by class | here, test_told_truly.py |
"""

from __future__ import annotations

from collections import Counter

import pytest

from so.errors import NotificationFailed
from tests.systems.notifications.conftest import OrderShipped, User
from tests.systems.notifications.test_told_truly import codec, put_off, queueing  # noqa: F401


class Undone(Exception):
    """Rolls back."""


def counted(db):
    """Let a server know how many rows there are; it looks by itself only now and then."""
    if db.connection().dialect.name == "mysql":
        db.connection().select("analyze table notifications")


def plan_of(db, sql, bindings):
    connection = db.connection()
    explain = "explain query plan" if connection.dialect.name == "sqlite" else "explain"
    return str([dict(row) for row in connection.select(f"{explain} {sql}", bindings)])


def test_16_a_rollback_leaves_none_and_that_of_a_savepoint_only_its_own(db, service, ada, outbox):
    heard = []
    service.sent(lambda who, what, channel: heard.append((what.number, channel)))

    def undone(number):
        ada.notify(OrderShipped(number, ["database", "mail"]))
        raise Undone

    def work():
        ada.notify(OrderShipped(1, ["database", "mail"]))
        with pytest.raises(Undone):
            db.transaction(lambda: undone(2))
        ada.notify(OrderShipped(3, ["database", "mail"]))

    db.transaction(work)
    with pytest.raises(Undone):
        db.transaction(lambda: undone(4))

    assert sorted(n.data["message"] for n in ada.notifications) == ["#1 for Ada", "#3 for Ada"]
    assert len(outbox.mails) == 2
    assert [number for number, channel in heard if channel == "mail"] == [1, 3]


def test_26_every_pair_is_tried_and_every_error_told(service, ada, bob):
    tried, failed = [], []

    class Broken:
        def send(self, notifiable, notification, id):
            tried.append(notifiable.name)
            raise OSError(f"no line to {notifiable.name}")

    service.extend("sms", Broken)
    service.extend("fax", Broken)
    service.failed(lambda who, what, channel: failed.append((who.name, channel)))
    with pytest.raises(NotificationFailed) as caught:
        service.send([ada, bob], OrderShipped(1, ["sms", "database", "fax", "log"]))

    pairs = [("Ada", "sms"), ("Ada", "fax"), ("Bob", "sms"), ("Bob", "fax")]
    assert sorted(failed) == sorted(pairs)
    assert tried == ["Ada", "Ada", "Bob", "Bob"]
    assert len(caught.value.errors) == 4
    assert (ada.unread_count(), bob.unread_count()) == (1, 1)


def test_27_a_job_that_comes_again_repeats_no_channel(queueing, put_off, ada, outbox):  # noqa: F811
    told = OrderShipped(1, ["database", "mail"])
    told.queued = True
    ada.notify(told)

    for _ in range(3):
        for delivery in put_off:
            queueing.deliver(delivery)

    assert (ada.unread_count(), len(outbox.mails)) == (1, 1)


def test_29_one_object_to_a_hundred_is_a_hundred_rows_and_ids(db, service):
    people = [User.create(name=f"P{n}") for n in range(100)]

    service.send(people, OrderShipped(1))

    rows = db.connection().table("notifications").get(["id", "notifiable_id"])
    assert len({row["id"] for row in rows}) == 100
    assert Counter(row["notifiable_id"] for row in rows) == {str(p.id): 1 for p in people}


def test_30_the_count_of_unread_ones_is_read_from_an_index(db, service, ada, bob):
    service.send([ada, bob] * 200, OrderShipped(1))
    ada.notifications().update({"read_at": db.clock.now()})
    service.send(ada, OrderShipped(2))
    counted(db)
    ran = []
    db.listen(lambda query: ran.append((query.sql, query.bindings)))
    ada.unread_count()
    ada.unread_notifications  # noqa: B018 - a relation, which reads

    plans = [plan_of(db, sql, bindings) for sql, bindings in ran[:2]]

    assert all("notifications_unread_page_index" in plan for plan in plans)
    assert not any("TEMP B-TREE" in plan or "filesort" in plan for plan in plans)


def test_31_people_are_counted_by_their_notifications(service, ada, bob):
    service.send([ada, bob, ada], OrderShipped(1))

    found = User.with_count("notifications", "unread_notifications").order_by("id").get()
    assert [(u.notifications_count, u.unread_notifications_count) for u in found] == [
        (2, 2),
        (1, 1),
    ]
    assert [u.name for u in User.has("notifications", ">=", 2).get()] == ["Ada"]
    assert User.where_has("unread_notifications").count() == 2


def test_32_what_is_about_something_is_found_by_an_index(db, service, ada, bob):
    for number in range(200):
        told = OrderShipped(number)
        told.subject = ada if number % 100 else bob
        ada.notify(told)
    ran = []
    db.listen(lambda query: ran.append((query.sql, query.bindings)))

    assert service.mark_about_as_read(bob) == 2

    sql, bindings = ran[0]
    where = sql.partition(" where ")[2]
    plan = plan_of(db, f"select * from notifications where {where}", bindings[-2:])
    assert "notifications_subject_index" in plan


def test_36_not_if_one_is_there_already_stops_no_second_channel(ada, outbox):
    class Seldom(OrderShipped):
        type_alias = "told_seldom"

        def should_send(self, notifiable, channel):
            return notifiable.unread_count() == 0

    for number in range(2):
        ada.notify(Seldom(number, ["database", "mail"]))

    assert (ada.unread_count(), len(outbox.mails)) == (1, 1)


@pytest.mark.parametrize(("channel", "rows", "mails"), [(None, 0, 0), ("mail", 1, 0)])
def test_38_a_category_is_muted_on_all_channels_or_on_one(ada, outbox, channel, rows, mails):
    ada.mute("orders", channel)

    ada.notify(OrderShipped(1, ["database", "mail"]))

    assert (ada.unread_count(), len(outbox.mails)) == (rows, mails)


def test_39_read_and_unread_ones_have_ages_of_their_own(service, ada, clock):
    for number in range(2):
        ada.notify(OrderShipped(number))
    first = ada.related("notifications").order_by("id").first()
    first.mark_as_read()
    earlier = first.read_at

    clock.travel(86400)
    ada.mark_all_as_read()
    assert ada.related("notifications").where("id", first.id).first().read_at == earlier
    ada.notify(OrderShipped(3))

    clock.travel(86400 * 30)
    assert service.cleanup(30, 90, dry_run=True) == 2
    assert service.cleanup(30, 90) == 2
    assert ada.unread_count() == 1
    clock.travel(86400 * 60)
    assert service.cleanup(30, 90) == 1
