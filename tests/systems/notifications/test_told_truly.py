"""What was decided, why, and that nothing of it is lost: the kinds of faults in notifications."""

from __future__ import annotations

import concurrent.futures
import socket
import threading
import types
from dataclasses import replace
from datetime import timedelta

import pytest

from so.db.manager import Database
from so.errors import DeadlockError, LostConnectionError, NotificationError, NotificationFailed
from so.support.codec import Codec
from so.support.current import replaced
from so.systems.notifications import (
    DatabaseChannel,
    DatabaseNotification,
    Notification,
    Notifications,
    route,
)
from so.systems.notifications.ledger import LEASE
from so.systems.notifications.mail import MailChannel
from so.systems.notifications.webhook import WebhookChannel
from tests.systems.notifications.conftest import OrderShipped, User


class Queued(OrderShipped):
    type_alias = "told_queued"
    queued = True


class OnceInAWhile(Queued):
    type_alias = "told_once_in_a_while"

    def should_send(self, notifiable, channel):
        return notifiable.unread_count() == 0


def deadlock():
    return DeadlockError("update x", message="deadlock found")


@pytest.fixture
def codec():
    made = Codec()
    made.register(
        User, "model", lambda m: m.get_key(), lambda key: User.find_or_fail(key), subclasses=True
    )
    made.register(
        Notification,
        "notification",
        lambda n: n.carried(made.can_write),
        Notification.revived,
        subclasses=True,
    )
    return made


@pytest.fixture
def put_off():
    return []


@pytest.fixture
def queueing(db, clock, service, outbox, put_off, codec):
    """A service whose jobs are put into a list."""
    channels = {
        "database": lambda: DatabaseChannel(db, clock),
        "mail": lambda: MailChannel(outbox, "erp@x.example"),
    }
    made = Notifications(db, channels, defer=put_off.extend, clock=clock, codec=codec)
    with replaced("notifications", made):
        yield made


def outcomes(service, id):
    return {row["channel"]: (row["status"], row["reason"]) for row in service.why(id)}


# --- one name, one class


def module_with(name, source):
    made = types.ModuleType(name)
    exec(source, made.__dict__)
    return made


def test_two_notifications_of_one_name_are_refused_where_the_second_is_made():
    source = "from so import Notification\nclass DunningLetter(Notification): pass"
    one = module_with("erp.sales", source)

    with pytest.raises(NotificationError, match=r"erp\.billing.*erp\.sales.*type_alias"):
        module_with("erp.billing", source)

    assert Notification.for_alias("DunningLetter") is one.DunningLetter
    module_with("erp.billing", f"{source.removesuffix(' pass')}\n    type_alias = 'dunning_2'")
    again = module_with("erp.sales", source)  # loaded anew
    assert Notification.for_alias("DunningLetter") is again.DunningLetter
    with pytest.raises(NotificationError, match="set type_alias"):
        module_with("erp.other", "from so import Notification\n"
                    "class X(Notification):\n    type_alias = 'DunningLetter'")  # fmt: skip


def test_a_class_that_nobody_holds_any_more_takes_no_name():
    source = "from so import Notification\nclass ShortLived(Notification): pass"
    module_with("erp.sales", source)

    assert module_with("erp.billing", source).ShortLived


# --- what a job carries


def test_state_that_was_set_after_construction_goes_with_the_job(codec, ada):
    class Client:
        pass

    class Holding(OrderShipped):
        type_alias = "told_holding"

        def __init__(self, number):
            super().__init__(number)
            self.client = Client()
            self.lines = {"all": [1]}

    told = Holding(5)
    told.number = 6
    told.category = "other"
    told.critical = True
    told.subject = ada
    told.lines["all"].append(2)
    told.note = "new"

    back = codec.decode(codec.encode(told))

    assert (back.number, back.category, back.critical, back.note) == (6, "other", True, "new")
    assert back.lines == {"all": [1, 2]}
    assert back.subject.get_key() == ada.id
    assert isinstance(back.client, Client)
    assert codec.decode(codec.encode(back)).number == 6


def test_what_was_queued_before_there_was_state_is_still_read():
    assert Notification.revived(["told_order_shipped", [7], {}]).number == 7


def test_state_that_nothing_can_carry_is_refused_where_it_is_sent(codec):
    told = OrderShipped(5)
    told.client = object()
    assert not codec.can_write(told)


# --- one key, one class


@pytest.mark.parametrize("channel", ["database", "mail"])
def test_a_dedupe_key_counts_by_class(service, ada, outbox, channel):
    class InvoiceDue(OrderShipped):
        type_alias = "told_invoice_due"
        dedupe_key = "invoice:5"

    class InvoicePaid(OrderShipped):
        type_alias = "told_invoice_paid"
        dedupe_key = "invoice:5"

    for cls in (InvoiceDue, InvoicePaid, InvoiceDue, InvoicePaid):
        ada.notify(cls(1, [channel]))

    assert ada.unread_count() + len(outbox.mails) == 2


# --- what the outermost transaction repeats


@pytest.mark.parametrize("error", [deadlock(), LostConnectionError("x", message="gone")])
@pytest.mark.parametrize("where", ["via", "should_send", "sending", "sent", "channel", "queue"])
def test_what_the_transaction_is_to_repeat_passes_through_untouched(db, service, ada, where, error):
    def fail(*args):
        raise error

    class Falling(OrderShipped):
        type_alias = "told_falling"
        via = fail if where == "via" else OrderShipped.via
        should_send = fail if where == "should_send" else OrderShipped.should_send

    class Channel:
        send = fail

    if where in ("sending", "sent"):
        getattr(service, where)(lambda who, what, channel: fail())
    if where == "channel":
        service.extend("database", Channel)
    if where == "queue":
        service._defer, Falling.queued = fail, True

    with pytest.raises(type(error)) as caught, db.transaction():
        ada.notify(Falling(1))

    assert caught.value is error
    assert ada.unread_count() == 0


def test_a_deadlock_inside_notify_is_retried_by_the_outermost_transaction(db, service, ada):
    tries = []

    def once(who, what, channel):
        tries.append(channel)
        if len(tries) == 1:
            raise deadlock()

    service.sending(once)
    db.transaction(lambda: ada.notify(OrderShipped(1)), attempts=3)

    assert len(tries) == 2
    assert ada.unread_count() == 1


def test_outside_of_a_transaction_the_other_channels_are_tried_first(service, ada, bob, outbox):
    class Broken:
        def send(self, *args):
            raise deadlock()

    service.extend("database", Broken)
    with pytest.raises(DeadlockError):
        service.send([ada, bob], OrderShipped(1, ["database", "mail"]))

    assert len(outbox.mails) == 2


# --- decided once, with the reason


def test_queued_channels_are_decided_together_before_the_first_is_used(
    queueing, put_off, ada, outbox
):
    ada.notify(OnceInAWhile(1, ["database", "mail"]))
    assert [queueing.deliver(delivery) for delivery in put_off] == [True, True]
    ada.notify(OnceInAWhile(2, ["database", "mail"]))
    assert [queueing.deliver(delivery) for delivery in put_off[2:]] == [False, False]

    assert (ada.unread_count(), len(outbox.mails)) == (1, 1)
    said_no = ("refused", "should_send said no")
    assert outcomes(queueing, put_off[2].id) == {"database": said_no, "mail": said_no}


def test_a_mute_between_dispatch_and_delivery_is_heard(queueing, put_off, ada, outbox):
    ada.notify(Queued(1, ["database", "mail"]))
    ada.mute("orders", "mail")
    assert [queueing.deliver(delivery) for delivery in put_off] == [True, False]

    ada.unmute("orders")
    assert not queueing.deliver(put_off[1])  # decided is decided

    assert (ada.unread_count(), outbox.mails) == (1, [])
    found = outcomes(queueing, put_off[0].id)
    assert found["database"] == ("sent", None)
    assert found["mail"] == ("muted", "the recipient has muted 'orders' on 'mail'")


def test_a_job_from_before_decides_for_itself(queueing, put_off, ada, outbox):
    ada.notify(Queued(1, ["mail"]))

    assert queueing.deliver(replace(put_off[0], channels=()))
    assert len(outbox.mails) == 1


def test_what_is_told_once_and_was_muted_is_asked_for_again_by_the_next(
    queueing, put_off, ada, outbox
):
    class Once(Queued):
        type_alias = "told_once"
        dedupe_key = "k"

    for mute in (ada.mute, ada.unmute, ada.unmute):
        mute("orders")
        ada.notify(Once(1, ["mail"]))
        queueing.deliver(put_off[-1])

    assert len(outbox.mails) == 1


@pytest.mark.parametrize("channel", ["database", "mail"])
def test_every_outcome_is_noted_with_its_reason(db, service, ada, outbox, channel):
    class Picky(OrderShipped):
        type_alias = "told_picky"

        def should_send(self, notifiable, channel):
            if self.number == 3:
                raise LookupError("who knows")
            return self.number != 2

    failed = []
    service.failed(lambda who, what, channel, error: failed.append(what.number))
    service.sending(lambda who, what, channel: what.number != 4)
    ada.mute("orders")
    ada.notify(Picky(1, [channel]))
    ada.unmute("orders")
    ada.notify(Picky(2, [channel]))
    with pytest.raises(NotificationFailed, match="who knows"):
        ada.notify(Picky(3, [channel]))
    ada.notify(Picky(4, [channel]))

    rows = db.table("notification_deliveries").get()
    found = {row["status"]: row["reason"] for row in rows}
    assert len(rows) == 4
    assert found["muted"] == "the recipient has muted 'orders' on every channel"
    assert found["failed"] == "LookupError: who knows"
    assert {row["reason"] for row in rows if row["status"] == "refused"} > {"should_send said no"}
    assert any("listens for 'sending'" in str(row["reason"]) for row in rows)
    assert {(row["notifiable_id"], row["type"]) for row in rows} == {(str(ada.id), "told_picky")}
    assert failed == [3]
    assert service.decide is not None


def test_an_inbox_row_that_was_written_says_so_itself(service, ada):
    ada.notify(OrderShipped(1))
    id = DatabaseNotification.value("id")

    assert outcomes(service, id) == {"database": ("sent", None)}
    assert service.why("nobody") == []


# --- sending again


def test_what_has_failed_can_be_sent_again_once(queueing, put_off, ada, outbox, db):
    outbox.fail = True
    with pytest.raises(NotificationFailed):
        ada.notify_now(OrderShipped(1, ["mail"]))
    with pytest.raises(NotificationFailed):
        route("mail", "x@y.example").notify_now(OrderShipped(2, ["mail"]))
    ids = db.table("notification_deliveries").pluck("notification_id")
    with pytest.raises(NotificationFailed, match="no server"):
        queueing.resend(ids[0])
    outbox.fail = False

    assert [queueing.resend(id) for id in ids] == [1, 1]
    assert {mail["To"] for mail in outbox.mails} == {"ada@x.example", "x@y.example"}
    assert outcomes(queueing, ids[0]) == {"mail": ("sent", None)}
    with pytest.raises(NotificationError, match="nothing of the notification"):
        queueing.resend(ids[0])


def test_a_secret_is_not_kept_to_be_sent_again(queueing, ada, outbox, db):
    class Secret(OrderShipped):
        type_alias = "told_secret"
        resendable = False

    outbox.fail = True
    with pytest.raises(NotificationFailed):
        ada.notify_now(Secret("s3cret", ["mail"]))

    assert db.table("notification_deliveries").value("payload") is None
    with pytest.raises(NotificationError, match="resendable"):
        queueing.resend(db.table("notification_deliveries").value("notification_id"))


# --- the inbox


def test_what_is_about_something_is_read_at_once_by_all_or_by_one(service, ada, bob):
    about, other = OrderShipped(1), OrderShipped(2)
    about.subject, other.subject = ada, bob
    service.send([ada, bob], about)
    service.send([ada, bob], other)

    assert service.mark_about_as_read(ada, bob) == 1
    assert service.mark_about_as_read(ada) == 1
    assert (ada.unread_count(), bob.unread_count()) == (1, 1)


def test_cleaning_up_can_be_of_one_class_or_category(service, ada, clock):
    class Other(OrderShipped):
        type_alias = "told_other"
        category = "other"

    for told in (OrderShipped(1), OrderShipped(2), Other(3), Other(4)):
        ada.notify(told)
    ada.mark_all_as_read()
    clock.travel(timedelta(days=31))

    assert service.cleanup(30, type="told_other", category="orders") == 0
    assert service.cleanup(30, category="other", dry_run=True) == 2
    assert service.cleanup(30, category="other", batch=1) == 2
    assert service.cleanup(30, type="told_order_shipped", batch=1) == 2
    with pytest.raises(NotificationError, match="too many"):
        service.cleanup(10**19)


def test_the_unread_page_is_read_from_an_index_in_its_order(db, service, ada, bob):
    service.send([ada, bob] * 450, OrderShipped(1))  # so many that no guess prefers another index
    for one in (ada, bob):
        one.mark_all_as_read()
    service.send([ada] * 30, OrderShipped(2))
    connection = db.connection()
    explain = "explain query plan " if connection.dialect.name == "sqlite" else "explain "
    if connection.dialect.name == "mysql":
        connection.select("analyze table notifications")
    query = ada.related("unread_notifications").limit(20)
    rows = connection.select(explain + query.to_sql(), query.get_bindings())
    plan = str([dict(row) for row in rows]).lower()

    assert "notifications_unread_page_index" in plan
    assert "temp b-tree" not in plan
    assert "filesort" not in plan


# --- webhooks


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_webhook_to_a_private_address_is_refused_where_that_is_set(service, host):
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://{host}:{server.getsockname()[1]}/in"
        service.extend("webhook", lambda: WebhookChannel("s", 5, private=False))

        with pytest.raises(NotificationFailed, match="no public address"):
            service.route("webhook", url).notify(OrderShipped(5, ["webhook"]))


class Once(OrderShipped):
    type_alias = "told_once_each"

    def __init__(self, number):
        super().__init__(number)
        self.dedupe_key = f"order:{number}"


def test_two_transactions_that_notify_crosswise_both_come_through(mysql_config):
    """A real deadlock, inside of `notify`: the server ends one of them, which runs again."""
    db, service = Database({"default": mysql_config}), None
    connection = db.connection()
    connection.statement("create table people (id int primary key, name text, email text)")
    connection.table("people").insert({"id": 1, "name": "Ada"})
    service = Notifications(db)
    ada = User.on(db).find(1)
    meeting, runs = threading.Barrier(2, timeout=20), []

    def transact(numbers):
        def work():
            runs.append(numbers)
            service.send(ada, Once(numbers[0]))
            if len(runs) <= 2:
                meeting.wait()
            service.send(ada, Once(numbers[1]))

        db.connection().transaction(work, attempts=5)
        db.connection().close()

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(transact, order) for order in ((1, 2), (2, 1))]:
            done.result(30)

    assert len(runs) > 2, "one of them was ended, and ran again"
    found = connection.table("notifications").pluck("dedupe_key")
    connection.statement("drop table people")
    db.close()
    assert sorted(found) == ["order:1", "order:2"]


def test_of_many_who_tell_it_at_once_one_does(db, service, ada, outbox):
    together = threading.Barrier(6, timeout=20)

    def tell(_):
        try:
            told = Once(1)
            told.channels = ["database", "mail"]
            together.wait()
            service.send(ada, told)
        finally:
            db.connection().close()

    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        list(pool.map(tell, range(6)))

    assert ada.unread_count() == 1
    assert len(outbox.mails) == 1


@pytest.fixture
def two_jobs(queueing, put_off, ada):
    """Two jobs that carry the same, as nothing was delivered when the second was asked for."""
    for _ in range(2):
        told = Once(1)
        told.channels, told.queued = ["mail"], True
        ada.notify(told)
    return put_off


def test_of_two_jobs_of_one_dedupe_key_that_run_at_once_one_mails(db, queueing, two_jobs, outbox):
    together = threading.Barrier(2, timeout=20)

    def run(delivery):
        try:
            together.wait()
            return queueing.deliver(delivery)
        finally:
            db.connection().close()

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(run, two_jobs)) == [False, True]

    assert len(outbox.mails) == 1
    assert not queueing.is_taken(two_jobs[0]), "nothing is to be waited for"


def test_a_job_that_was_killed_while_it_sent_goes_on_and_another_waits_for_it(
    queueing, two_jobs, outbox
):
    first, second = two_jobs
    queueing._ledger.claim(first, "job one")  # and here it was killed

    assert not queueing.deliver(second, "job two")
    assert queueing.is_taken(second)
    assert queueing.deliver(first, "job one"), "it comes again"
    assert not queueing.deliver(second, "job two")
    assert not queueing.is_taken(second)
    assert len(outbox.mails) == 1


def test_what_a_killed_job_had_taken_is_free_when_its_lease_is_over(
    queueing, two_jobs, outbox, clock
):
    queueing._ledger.claim(two_jobs[0], "job one")

    assert not queueing.deliver(two_jobs[1])
    clock.travel(LEASE.total_seconds())
    assert queueing.deliver(two_jobs[1])


class Killed(BaseException):
    """The end of a process, as far as one that goes on can tell."""


class Dying:
    """A channel that its process does not outlive."""

    def send(self, *args):
        raise Killed


@pytest.mark.parametrize("resendable", [True, False])
def test_what_is_sent_at_once_by_a_process_that_ends_is_taken_up_or_seen_to_have_failed(
    queueing, ada, outbox, clock, resendable
):
    mail = queueing.channel("mail")
    queueing.extend("mail", Dying)
    told = Once(1)
    told.channels, told.resendable = ["mail"], resendable
    with pytest.raises(Killed):
        queueing.send_now(ada, told)
    queueing.extend("mail", lambda: mail)
    (id,) = _ids_in_the_ledger(queueing)

    assert queueing.send_due() == 0
    assert [(it["status"], "it ended" in it["reason"]) for it in queueing.why(id)] == [
        ("wanted", False)
    ]
    clock.travel(LEASE.total_seconds())
    assert [(it["status"], "it ended" in it["reason"]) for it in queueing.why(id)] == [
        ("wanted", True)
    ]

    assert queueing.send_due() == int(resendable)
    assert [it["status"] for it in queueing.why(id)] == ["sent" if resendable else "failed"]
    assert len(outbox.mails) == int(resendable)
    assert queueing.send_due() == 0


def _ids_in_the_ledger(service):
    return service._ledger._rows().distinct().pluck("notification_id")


def test_a_job_that_was_too_slow_gives_back_nothing_that_another_has_taken(
    queueing, two_jobs, outbox, clock
):
    class Slow:
        def send(self, *args):
            clock.travel(LEASE.total_seconds())
            assert queueing._ledger.claim(two_jobs[1], "job two")
            raise OSError("too late")

    queueing.extend("mail", Slow)
    with pytest.raises(OSError, match="too late"):
        queueing.deliver(two_jobs[0], "job one")

    assert queueing.is_taken(two_jobs[1])


def test_a_job_that_fails_leaves_it_to_the_other_at_once(queueing, two_jobs, outbox):
    outbox.fail = True
    with pytest.raises(OSError, match="no server"):
        queueing.deliver(two_jobs[0])
    outbox.fail = False

    assert queueing.deliver(two_jobs[1])


def test_who_asks_again_does_not_take_it_from_the_one_who_is_sending(
    queueing, two_jobs, put_off, ada, outbox
):
    queueing._ledger.claim(two_jobs[0], "job one")
    told = Once(1)
    told.channels, told.queued = ["mail"], True
    ada.notify(told)

    assert [queueing.deliver(it) for it in put_off[1:]] == [False, False]
    assert outbox.mails == []


def test_what_was_to_be_told_once_and_failed_may_be_told_again(service, ada, outbox):
    told = Once(1)
    told.channels = ["mail"]
    outbox.fail = True
    with pytest.raises(NotificationFailed):
        ada.notify(told)
    outbox.fail = False

    for _ in range(2):
        ada.notify(told)

    assert len(outbox.mails) == 1
