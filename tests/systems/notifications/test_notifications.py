"""Notifications: inbox, mail, webhook, jobs, preferences and clean-up."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import threading
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from so.errors import NotificationError, NotificationFailed, RecordNotFoundError
from so.systems.notifications import (
    DatabaseChannel,
    DatabaseNotification,
    Notification,
    Notifications,
    notification_fake,
)
from so.systems.notifications.mail import LogTransport, MailChannel, SmtpTransport
from tests.systems.notifications.conftest import OrderShipped, Outbox


def test_a_notification_lands_unread_in_the_inbox(ada):
    ada.notify(OrderShipped(5))

    (found,) = ada.unread_notifications
    assert found.data == {"title": "Order Shipped", "message": "#5 for Ada"}
    assert found.type == "told_order_shipped"
    assert len(found.id) == 36
    assert found.unread()
    assert not found.read()
    assert ada.unread_count() == 1
    assert ada.notifications[0].id == found.id
    assert ada.related("notifications").limit(1).count() == 1


def test_every_recipient_gets_a_row_and_an_id_of_their_own(service, ada, bob):
    service.send([ada, bob], OrderShipped(5))

    rows = DatabaseNotification.get()
    assert len({row.id for row in rows}) == 2
    assert {row.notifiable_id for row in rows} == {str(ada.id), str(bob.id)}


def test_marking_as_read_keeps_an_earlier_time(ada, clock):
    ada.notify(OrderShipped(5))
    first = ada.notifications[0]
    first.mark_as_read()
    at = first.read_at
    clock.travel(60)
    first.mark_as_read()
    DatabaseNotification.find(first.id).mark_as_read()

    assert DatabaseNotification.find(first.id).read_at == at
    assert ada.related("read_notifications").count() == 1
    first.mark_as_unread()
    first.mark_as_unread()
    assert ada.unread_count() == 1
    first.delete()
    assert ada.related("notifications").count() == 0


def test_mark_all_as_read_leaves_other_people_and_earlier_times_alone(service, ada, bob, clock):
    for user in (ada, bob):
        user.notify(OrderShipped(1))
        user.notify(OrderShipped(2))
    ada.notifications[0].mark_as_read()
    clock.travel(60)

    assert ada.mark_all_as_read() == 1
    assert ada.unread_count() == 0
    assert bob.unread_count() == 2


def test_another_owners_notification_is_not_found_and_not_changed(service, ada, bob):
    ada.notify(OrderShipped(5))
    id = ada.notifications[0].id

    with pytest.raises(RecordNotFoundError, match=id):
        service.mark_as_read(id, bob)
    with pytest.raises(RecordNotFoundError):
        service.delete(id, bob)
    assert ada.unread_count() == 1
    assert service.mark_as_read(id, ada).read()
    service.delete(id, ada)
    assert ada.related("notifications").count() == 0


def test_the_row_joins_the_callers_transaction(db, ada):
    db.begin_transaction()
    ada.notify(OrderShipped(5))
    db.roll_back()

    assert ada.related("notifications").count() == 0


def test_mail_goes_after_the_outermost_commit_and_not_after_a_rollback(db, ada, outbox):
    with db.transaction():
        with db.transaction():
            ada.notify(OrderShipped(5, ["mail"]))
        assert outbox.mails == []
    (mail,) = outbox.mails
    assert (mail["To"], mail["From"], mail["Subject"]) == (
        "ada@x.example", "erp@x.example", "Order shipped",
    )  # fmt: skip
    assert "See it: https://x.example/1" in mail.get_body(("plain",)).get_content()
    assert '<a href="https://x.example/1">' in mail.get_body(("html",)).get_content()
    db.begin_transaction()
    ada.notify(OrderShipped(6, ["mail"]))
    db.roll_back()
    assert len(outbox.mails) == 1


def test_one_failing_channel_stops_no_other_and_all_errors_are_told(service, ada, bob, outbox):
    outbox.fail = True
    failed = []
    service.failed(lambda who, what, channel, error: failed.append((who.name, channel)))

    with pytest.raises(NotificationFailed, match="2 notification") as caught:
        service.send([ada, bob], OrderShipped(5, ["mail", "database"]))

    assert [type(error) for error in caught.value.errors] == [OSError, OSError]
    assert failed == [("Ada", "mail"), ("Bob", "mail")]
    assert DatabaseNotification.count() == 2


def test_a_failure_after_the_commit_is_logged(db, ada, outbox, caplog):
    outbox.fail = True
    with db.transaction():
        ada.notify(OrderShipped(5, ["mail"]))

    assert "after the commit" in caplog.text


def test_hooks_cancel_and_hear(service, ada):
    heard = []
    service.sending(lambda who, what, channel: what.number != 13)
    service.sent(lambda who, what, channel: heard.append(what.number))
    ada.notify(OrderShipped(13))
    ada.notify(OrderShipped(14))

    assert heard == [14]
    assert ada.unread_count() == 1


def test_should_send_leaves_a_channel_out(ada, outbox):
    class Quiet(OrderShipped):
        def should_send(self, notifiable, channel):
            return channel != "mail"

    ada.notify_now(Quiet(1, ["mail", "database"]))
    assert outbox.mails == []
    assert ada.unread_count() == 1


def test_a_muted_category_is_not_heard_unless_it_is_critical(ada):
    class Siren(OrderShipped):
        critical = True

    ada.mute("orders", "database")
    ada.mute("orders", "database")
    ada.notify(OrderShipped(1))
    assert ada.unread_count() == 0
    ada.notify(Siren(2))
    assert ada.unread_count() == 1
    ada.unmute("orders", "database")
    ada.notify(OrderShipped(3))
    ada.mute("orders")
    ada.notify(OrderShipped(4))
    ada.unmute("orders")
    assert ada.unread_count() == 2


def test_a_dedupe_key_gives_one_row_a_recipient(ada, bob, db):
    class Reminder(OrderShipped):
        dedupe_key = "reminder:5"

    with db.transaction():
        ada.notify(Reminder(1))
        ada.notify(Reminder(1))
        bob.notify(Reminder(1))
    assert (ada.unread_count(), bob.unread_count()) == (1, 1)


def test_an_unknown_channel_and_a_missing_method_are_named(ada):
    with pytest.raises(NotificationFailed, match="unknown channel 'sms'.*extend"):
        ada.notify(OrderShipped(1, ["sms"]))

    class Empty(Notification):
        def via(self, notifiable):
            return "database"

    with pytest.raises(NotificationFailed, match="Empty has no to_database"):
        ada.notify(Empty())


def test_a_channel_of_the_applications_own(service, ada):
    sent = []

    class Sms:
        def send(self, notifiable, notification, id):
            sent.append(notifiable.name)

    service.extend("sms", Sms)
    ada.notify(OrderShipped(1, ["sms"]))

    assert sent == ["Ada"]


def test_on_demand_notifications_go_to_an_address_and_have_no_inbox(service, outbox):
    service.route("mail", "x@y.example").route("log", "z").notify(OrderShipped(1, ["mail"]))

    assert outbox.mails[0]["To"] == "x@y.example"
    with pytest.raises(NotificationError, match="no inbox"):
        service.route("database", 1)
    with pytest.raises(NotificationFailed, match="no inbox"):
        service.route("mail", "x").notify(OrderShipped(1))


def test_without_via_the_default_channels_are_used(service, ada):
    class Plain(Notification):
        def to_dict(self):
            return {"title": "x"}

    ada.notify(Plain())

    assert ada.notifications[0].data == {"title": "x"}


def test_data_that_is_too_large_is_refused_before_it_is_written(ada):
    with pytest.raises(NotificationFailed, match="max_bytes"):
        ada.notify(OrderShipped("x" * 3000))
    assert ada.related("notifications").count() == 0


def test_a_mail_without_an_address_or_a_subject_is_refused(service, ada):
    ada.update(email=None)
    with pytest.raises(NotificationFailed, match="no mail address"):
        ada.notify(OrderShipped(1, ["mail"]))

    class Bad(OrderShipped):
        def to_mail(self, notifiable):
            return {"subjet": "x"}

    with pytest.raises(NotificationFailed, match="subject and body"):
        service.route("mail", "a@b.example").notify(Bad(1, ["mail"]))


def test_a_mail_of_a_dict_is_plain_text(service, outbox):
    class Text(OrderShipped):
        def to_mail(self, notifiable):
            return {"subject": "S", "body": "B", "reply_to": "r@x.example", "cc": ["c@x.example"]}

    service.route("mail", "a@b.example").notify(Text(1, ["mail"]))

    (mail,) = outbox.mails
    assert mail.get_content().strip() == "B"
    assert (mail["Reply-To"], mail["Cc"]) == ("r@x.example", "c@x.example")


def test_the_log_driver_writes_mails_into_the_log(service, caplog):
    service.extend("mail", lambda: MailChannel(LogTransport(), "erp@x.example"))
    with caplog.at_level(logging.INFO, "so"):
        service.route("mail", "a@b.example").notify(OrderShipped(1, ["mail"]))
        service.route("log", "z").notify(OrderShipped(7, ["log"]))

    assert "mail to a@b.example: Order shipped" in caplog.text
    assert "OrderShipped to log:z: {'number': 7}" in caplog.text


class Hook(BaseHTTPRequestHandler):
    seen: list = []
    status = 204

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        Hook.seen.append((dict(self.headers), body))
        self.send_response(Hook.status)
        self.end_headers()

    def log_message(self, *args):
        pass


@pytest.fixture
def hook():
    Hook.seen, Hook.status = [], 204
    server = HTTPServer(("127.0.0.1", 0), Hook)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/in"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_webhook_is_signed(service, hook):
    service.route("webhook", hook).notify(OrderShipped(5, ["webhook"]))

    headers, body = Hook.seen[0]
    assert json.loads(body) == {"number": 5}
    expected = hmac.new(b"secret", body, hashlib.sha256).hexdigest()
    assert headers["X-Signature"] == f"sha256={expected}"
    assert len(headers["X-Notification-Id"]) == 36
    timed = hmac.new(b"secret", f"{headers['X-Signed-At']}.".encode() + body, hashlib.sha256)
    assert headers["X-Signature-Timed"] == f"sha256={timed.hexdigest()}"


def test_a_webhook_that_answers_with_an_error_has_failed(service, hook):
    Hook.status = 500
    with pytest.raises(NotificationFailed, match="500"):
        service.route("webhook", hook).notify(OrderShipped(5, ["webhook"]))
    with pytest.raises(NotificationFailed, match="no http"):
        service.route("webhook", "file:///etc/passwd").notify(OrderShipped(5, ["webhook"]))


def test_queued_ones_are_one_job_a_recipient_and_channel_and_never_repeated(db, clock, ada, bob):
    put_off = []
    outbox = Outbox()
    channels = {
        "database": lambda: DatabaseChannel(db, clock),
        "mail": lambda: MailChannel(outbox, "erp@x.example"),
    }
    service = Notifications(db, channels, queue_all=True, defer=put_off.extend, clock=clock)
    service.send([ada, bob], OrderShipped(1, ["database", "mail"]))

    assert [(d.notifiable.name, d.channel) for d in put_off] == [
        ("Ada", "database"), ("Ada", "mail"), ("Bob", "database"), ("Bob", "mail"),
    ]  # fmt: skip
    for delivery in put_off:
        assert service.deliver(delivery)
        assert not service.deliver(delivery)
    assert len(outbox.mails) == 2
    assert ada.unread_count() == 1
    with pytest.raises(NotificationFailed, match="unknown channel"):
        service.send(ada, OrderShipped(1, ["sms"]))


def test_cleanup_takes_old_read_ones_and_on_request_old_unread_ones(service, ada, clock):
    for number in range(4):
        ada.notify(OrderShipped(number))
    for found in ada.notifications[:2]:
        found.mark_as_read()
    clock.travel(timedelta(days=31))
    ada.notify(OrderShipped(9))
    ada.related("notifications").first().mark_as_read()

    assert service.cleanup(30, dry_run=True) == 2
    assert service.cleanup(30, batch=1) == 2
    assert ada.related("notifications").count() == 3
    assert service.cleanup(30, unread_days=30) == 2
    for days in (0, -1, "30", True):
        with pytest.raises(NotificationError, match="whole number from 1"):
            service.cleanup(days)


def test_the_fake_collects_and_asserts(ada, bob):
    with notification_fake() as fake:
        ada.notify(OrderShipped(5))
        ada.notify_now(OrderShipped(6))
    fake.assert_sent_to(ada, OrderShipped, lambda n: n.number == 5)
    fake.assert_not_sent_to(bob, OrderShipped)
    fake.assert_count(2)
    for check in (
        lambda: fake.assert_sent_to(bob, OrderShipped),
        lambda: fake.assert_not_sent_to(ada, OrderShipped),
        lambda: fake.assert_count(1),
        fake.assert_nothing_sent,
    ):
        with pytest.raises(AssertionError):
            check()
    assert ada.unread_count() == 0


def test_only_notifications_that_were_defined_can_be_found_by_name():
    class FoundByItsName(Notification):
        pass

    assert Notification.for_alias("FoundByItsName") is FoundByItsName
    with pytest.raises(NotificationError, match="unknown notification 'os'"):
        Notification.for_alias("os")


def test_smtp_speaks_to_a_real_socket(service):
    lines = []

    class Server(threading.Thread):
        def __init__(self):
            super().__init__()
            import socket

            self.socket = socket.create_server(("127.0.0.1", 0))
            self.port = self.socket.getsockname()[1]

        def run(self):
            client, _ = self.socket.accept()
            with client, client.makefile("rwb") as file:
                file.write(b"220 hi\r\n")
                file.flush()
                data = False
                for line in file:
                    lines.append(line.decode().strip())
                    if data:
                        data = line != b".\r\n"
                        answer = b"" if data else b"250 ok\r\n"
                    elif line.lower().startswith(b"data"):
                        data, answer = True, b"354 go\r\n"
                    elif line.lower().startswith(b"quit"):
                        file.write(b"221 bye\r\n")
                        return
                    else:
                        answer = b"250 ok\r\n"
                    file.write(answer)
                    file.flush()

    server = Server()
    server.start()
    transport = SmtpTransport("127.0.0.1", server.port, encryption=None, timeout=5)
    service.extend("mail", lambda: MailChannel(transport, "erp@x.example"))
    try:
        service.route("mail", "a@b.example").notify(OrderShipped(1, ["mail"]))
    finally:
        server.join(10)
        server.socket.close()

    assert "Subject: Order shipped" in lines
