"""What the original's notifications got wrong, and what users of others asked for, as tests."""

from __future__ import annotations

import json

import pytest

from so.errors import NotificationError, NotificationFailed, QueryError, RecordNotFoundError
from so.support.current import replaced
from so.systems.notifications import DatabaseChannel, DatabaseNotification, Notifications, route
from so.systems.notifications.mail import MailChannel
from tests.systems.notifications.conftest import OrderShipped, User


class Account(User):
    table = "people"
    type_alias = "account"
    key_type = str


def test_n1_one_object_sent_to_a_hundred_is_a_hundred_rows(service):
    people = [User.create(name=f"P{i}") for i in range(100)]

    service.send(people, OrderShipped(1))

    assert len(set(DatabaseNotification.pluck("id"))) == 100
    assert all(one.unread_count() == 1 for one in people[::25])


def test_n2_a_dead_inbox_is_an_error_and_not_an_empty_one(db, service, ada):
    db.connection().unprepared("alter table notifications rename to elsewhere")
    try:
        with pytest.raises(NotificationFailed, match="notifications"):
            ada.notify(OrderShipped(1))
        with pytest.raises(QueryError):
            ada.unread_count()
        with pytest.raises(QueryError):
            _ = ada.notifications
    finally:
        db.connection().unprepared("alter table elsewhere rename to notifications")


def test_n3_ids_are_checked_for_their_owner(service, ada, bob):
    ada.notify(OrderShipped(1))
    (found,) = ada.notifications

    for id in (found.id, "", "x" * 300, "' or 1=1 --"):
        with pytest.raises(RecordNotFoundError):
            service.mark_as_read(id, bob)
        with pytest.raises(RecordNotFoundError):
            service.delete(id, bob)
    assert ada.unread_count() == 1


def test_n4_via_gets_the_recipient_and_every_channel_named_exists(service, ada, outbox):
    class ByTaste(OrderShipped):
        def via(self, notifiable):
            return ["database", "mail"] if notifiable.name == "Ada" else []

    ada.notify(ByTaste(1))

    assert (ada.unread_count(), len(outbox.mails)) == (1, 1)


def test_n5_properties_give_models_with_decoded_data_and_string_keys_work(service, ada, db):
    ada.notify(OrderShipped(1))

    assert ada.unread_notifications[0].data["title"] == "Order Shipped"

    service.send(Account(id="0199-uuid"), OrderShipped(2))
    assert DatabaseNotification.where("notifiable_id", "0199-uuid").count() == 1


def test_n6_unread_ones_can_be_pruned_by_an_age_of_their_own(service, ada, clock):
    ada.notify(OrderShipped(1))
    clock.travel(200 * 86_400)

    assert service.cleanup(30) == 0
    assert service.cleanup(30, unread_days=180, dry_run=True) == 1
    assert service.cleanup(30, unread_days=180) == 1


# --- rows 26 to 39 of what breaks elsewhere ---


def test_28_failed_is_told_once_a_pair_and_a_broken_listener_harms_nothing(service, ada, outbox):
    heard = []
    service.failed(lambda *what: 1 / 0)
    service.failed(lambda who, what, channel, error: heard.append((channel, str(error))))
    service.sent(lambda *what: 1 / 0)
    outbox.fail = True

    with pytest.raises(NotificationFailed) as caught:
        ada.notify(OrderShipped(1, ["mail", "database"]))

    assert heard == [("mail", "no server")]
    assert len(caught.value.errors) == 1
    assert ada.unread_count() == 1


def test_31_lists_are_pages_and_queries_are_whole(service, ada, bob):
    for number in range(55):
        ada.notify(OrderShipped(number))
    bob.notify(OrderShipped(1))

    assert len(ada.notifications) == 50
    loaded = User.with_("notifications").order_by("id").get()
    assert [len(one.notifications) for one in loaded] == [50, 1]
    assert ada.related("notifications").limit(3).get().pluck("data")[0]["message"]
    assert ada.related("notifications").paginate(20).total == 55
    assert len(ada.related("notifications").limit(53).get()) == 53
    assert ada.related("unread_notifications").update({"read_at": None}) == 55
    assert ada.related("notifications").delete() == 55
    assert bob.unread_count() == 1


def test_30_counts_and_pages_are_found_by_an_index(db, service, ada):
    service.send([ada] * 300, OrderShipped(1))
    connection = db.connection()
    explain = "explain query plan " if connection.dialect.name == "sqlite" else "explain "
    where = " from notifications where notifiable_type = 'user' and notifiable_id = '1'"
    for sql in (
        f"select count(*){where} and read_at is null",
        f"select *{where} order by created_at desc, id desc limit 50",
    ):
        plan = str([list(row.values()) for row in connection.select(explain + sql)]).lower()
        assert "notifications_" in plan
        assert "temp b-tree" not in plan


def test_33_large_and_foreign_letters_come_back_and_too_much_is_refused(db, clock, service, ada):
    wide = Notifications(db, {"database": lambda: DatabaseChannel(db, clock)}, clock=clock)

    class Long(OrderShipped):
        def to_database(self, notifiable):
            return {"text": self.number}

    text = "ä🙂" * 150_000
    wide.send(ada, Long(text))
    assert ada.notifications[0].data == {"text": text}
    with pytest.raises(NotificationFailed, match="max_bytes"):
        wide.send(ada, Long("🙂" * 300_000))
    for name, long in (("category", "c" * 65), ("dedupe_key", "d" * 101)):
        notification = OrderShipped(1)
        setattr(notification, name, long)
        with pytest.raises(NotificationFailed, match=f"{name} .* too long"):
            wide.send(ada, notification)


def test_35_a_savepoint_that_is_rolled_back_takes_its_mails_along(db, ada, outbox):
    with db.transaction():
        ada.notify(OrderShipped(1, ["mail", "database"]))
        db.begin_transaction()
        ada.notify(OrderShipped(2, ["mail", "database"]))
        db.roll_back()
        assert outbox.mails == []

    assert len(outbox.mails) == 1
    assert ada.unread_count() == 1


def test_36_every_channel_is_asked_before_the_first_is_delivered(ada, outbox):
    class OnceInAWhile(OrderShipped):
        def should_send(self, notifiable, channel):
            return notifiable.unread_count() == 0

    ada.notify(OnceInAWhile(1, ["database", "mail"]))
    ada.notify(OnceInAWhile(2, ["database", "mail"]))

    assert (ada.unread_count(), len(outbox.mails)) == (1, 1)


def test_a_dedupe_key_is_told_once_through_every_channel(db, service, ada, bob, outbox):
    class Overdue(OrderShipped):
        dedupe_key = "invoice:5:overdue"

    for _ in range(3):
        service.send([ada, bob], Overdue(1, ["database", "mail"]))
        route("mail", "x@y.example").notify(Overdue(1, ["mail"]))

    assert (ada.unread_count(), bob.unread_count()) == (1, 1)
    assert [mail["To"] for mail in outbox.mails] == [
        "ada@x.example", "bob@x.example", "x@y.example",
    ]  # fmt: skip
    outbox.fail = True
    with pytest.raises(NotificationFailed):
        route("mail", "later@y.example").notify(Overdue(1, ["mail"]))
    outbox.fail = False
    route("mail", "later@y.example").notify(Overdue(1, ["mail"]))
    assert outbox.mails[-1]["To"] == "later@y.example"


def test_the_ledger_is_swept_with_the_inbox(db, service, ada, clock):
    for number in range(3):
        ada.notify(OrderShipped(number, ["mail"]))
    ada.notify(OrderShipped(9, ["database", "mail"]))
    clock.travel(31 * 86_400)
    ada.notify(OrderShipped(10, ["mail"]))

    service.cleanup(30, batch=2)

    assert db.table("notification_deliveries").count() == 2


# --- many at once ---


def test_ten_thousand_rows_take_a_few_statements_a_thousand(db, service):
    people = [User(id=i, name=f"P{i}") for i in range(1, 2001)]
    statements = []
    db.listen(lambda query: statements.append(query.sql))

    service.send(people, OrderShipped(1))

    assert DatabaseNotification.count() == 2000
    assert len(statements) < 40
    assert len(set(DatabaseNotification.pluck("id"))) == 2000


def test_among_many_nobody_suffers_from_another_ones_error(db, service, ada, bob):
    class Picky(OrderShipped):
        category = "orders"

        def to_database(self, notifiable):
            if notifiable.name == "Bad":
                raise ValueError("no data for Bad")
            return {"name": notifiable.name}

    class Once(Picky):
        dedupe_key = "k"

    people = [User.create(name="Bad" if i == 5 else f"P{i}") for i in range(30)]
    people[7].mute("orders", "database")
    people[8].mute("orders")
    service.send(people[3], Once(1))
    unsaved = User(name="Never saved")

    with pytest.raises(NotificationFailed) as caught:
        service.send([*people, unsaved], Once(1))

    assert {type(error) for error in caught.value.errors} == {ValueError, NotificationError}
    assert [one.unread_count() for one in people] == [
        0 if place in (5, 7, 8) else 1 for place in range(30)
    ]


def test_a_row_the_database_refuses_is_one_recipients_error(db, service, ada, bob):
    failed = []
    service.failed(lambda who, what, channel, error: failed.append(who.id[:3]))
    people = [Account(id="a"), Account(id="too long" * 100), Account(id="b")]

    for person in people:
        person.name = "x"
    if db.connection().dialect.name == "mysql":
        with pytest.raises(NotificationFailed) as caught:
            service.send(people, OrderShipped(1))
        assert len(caught.value.errors) == 1
        assert failed == ["too"]
    else:  # SQLite takes texts of any length
        service.send(people, OrderShipped(1))
    assert [people[0].unread_count(), people[2].unread_count()] == [1, 1]


def test_an_inbox_of_the_applications_own_need_not_take_many(service, ada, bob):
    written = []

    class Own:
        def send(self, notifiable, notification, id):
            if notifiable.name == "Bob":
                raise OSError("full")
            written.append(notifiable.name)

    service.extend("database", Own)

    with pytest.raises(NotificationFailed, match="full"):
        service.send([ada, bob], OrderShipped(1))
    assert written == ["Ada"]


def test_a_listener_that_raises_before_stops_only_its_own(service, ada, bob, outbox):
    def stop(who, what, channel):
        if who.name == "Ada":
            raise PermissionError("not to Ada")

    service.sending(stop)
    with pytest.raises(NotificationFailed) as caught:
        service.send([ada, bob], OrderShipped(1, ["database", "mail"]))
    assert [str(error) for error in caught.value.errors] == ["not to Ada"] * 2
    assert (ada.unread_count(), bob.unread_count(), len(outbox.mails)) == (0, 1, 1)


def test_an_error_in_should_send_is_collected(service, ada):
    class Unsure(OrderShipped):
        def should_send(self, notifiable, channel):
            raise LookupError("who knows")

    with pytest.raises(NotificationFailed, match="who knows"):
        ada.notify(Unsure(1))


def test_what_is_delayed_is_queued_and_errors_of_the_queue_are_collected(db, clock, ada):
    class Later(OrderShipped):
        delay = 60

    put_off = []
    service = Notifications(db, clock=clock, defer=put_off.extend)
    service.send(ada, Later(1))
    assert [delivery.channel for delivery in put_off] == ["database"]
    service.send_now(ada, Later(1))
    assert ada.unread_count() == 1

    def broken(deliveries):
        raise OSError("no queue")

    with pytest.raises(NotificationFailed, match="no queue"):
        Notifications(db, clock=clock, defer=broken).send(ada, Later(1))
    with pytest.raises(NotificationFailed, match="half"):
        Notifications(db, clock=clock, defer=lambda some: [ValueError("half")]).send(ada, Later(1))


def test_without_channels_given_there_are_an_inbox_and_a_log(db, clock, ada, caplog):
    plain = Notifications(db, clock=clock)
    with caplog.at_level("INFO", "so"):
        plain.send(ada, OrderShipped(1, ["database", "mail", "log"]))

    assert ada.unread_count() == 1
    assert "mail to ada@x.example" in caplog.text


def test_mails_go_to_several_addresses_of_one(service, outbox):
    with replaced("notifications", service):
        route("mail", ["a@x.example", "b@x.example"]).notify_now(OrderShipped(1, ["mail"]))

    assert outbox.mails[0]["To"] == "a@x.example, b@x.example"


def test_a_line_break_in_a_header_is_refused(service, outbox):
    class Evil(OrderShipped):
        def to_mail(self, notifiable):
            return {"subject": "Hi\r\nBcc: all@x.example", "body": "b"}

    with pytest.raises(NotificationFailed):
        service.route("mail", "a@x.example").notify(Evil(1, ["mail"]))
    assert outbox.mails == []


def test_jobs_carry_what_was_delivered_once_even_if_they_come_again(db, clock, ada, outbox):
    put_off, failed = [], []
    channels = {"mail": lambda: MailChannel(outbox, "erp@x.example")}
    service = Notifications(db, channels, queue_all=True, defer=put_off.extend, clock=clock)
    service.failed(lambda who, what, channel, error: failed.append(channel))
    service.send(ada, OrderShipped(1, ["mail"]))
    (delivery,) = put_off
    outbox.fail = True
    for _ in range(3):
        with pytest.raises(OSError, match="no server"):
            service.deliver(delivery)
    assert failed == []  # the job says so, once, when no attempt is left
    service.announce_failure(delivery, OSError("no server"))
    assert failed == ["mail"]

    outbox.fail = False
    assert [service.deliver(delivery) for _ in range(3)] == [True, False, False]
    assert len(outbox.mails) == 1
    row = json.loads(json.dumps(dict(db.table("notification_deliveries").first()), default=str))
    assert (row["notification_id"], row["channel"], row["status"]) == (delivery.id, "mail", "sent")


def test_the_fake_hears_of_addresses_and_lets_the_rest_through(service, ada):
    from so.systems.notifications import notification_fake

    with notification_fake() as fake:
        route("mail", "x@y.example").notify(OrderShipped(1))
        ada.mute("orders")
        fake.assert_sent_to(route("mail", "x@y.example"), OrderShipped)
        fake.assert_not_sent_to(route("mail", "other@y.example"), OrderShipped)
        assert fake.has_channel("mail")
    ada.notify(OrderShipped(1))
    assert ada.unread_count() == 0
    with pytest.raises(AttributeError, match="no has_channel"):
        type(fake)().has_channel("mail")
