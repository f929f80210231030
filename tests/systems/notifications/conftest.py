"""People to notify, a service that notifies them, and an outbox for their mails."""

from __future__ import annotations

import pytest

from so.db.model import Model
from so.support.current import replaced
from so.systems.notifications import (
    DatabaseChannel,
    LogChannel,
    MailMessage,
    Notifiable,
    Notification,
    Notifications,
)
from so.systems.notifications.mail import MailChannel
from so.systems.notifications.webhook import WebhookChannel


class User(Notifiable, Model):
    table = "people"
    type_alias = "told_user"
    timestamps = False
    guarded = []


class OrderShipped(Notification):
    type_alias = "told_order_shipped"
    category = "orders"

    def __init__(self, number, channels=("database",)):
        self.number = number
        self.channels = list(channels)

    def via(self):
        return self.channels

    def to_database(self, notifiable):
        return {"title": "Order Shipped", "message": f"#{self.number} for {notifiable.name}"}

    def to_mail(self, notifiable):
        return (
            MailMessage("Order shipped")
            .greeting("Hello")
            .line("It left.")
            .action("See it", "https://x.example/1")
        )

    def to_webhook(self):
        return {"number": self.number}

    def to_log(self, notifiable):
        return {"number": self.number}


class Outbox:
    def __init__(self, fail=False):
        self.mails = []
        self.fail = fail

    def send(self, message):
        if self.fail:
            raise OSError("no server")
        self.mails.append(message)


@pytest.fixture
def outbox():
    return Outbox()


@pytest.fixture
def service(db, clock, outbox):
    connection = db.connection()
    is_mysql = connection.dialect.name == "mysql"
    id = "id integer primary key" + (" auto_increment" if is_mysql else " autoincrement")
    connection.unprepared("drop table if exists people")
    connection.unprepared(f"create table people ({id}, name varchar(50), email varchar(50))")
    channels = {
        "database": lambda: DatabaseChannel(db, clock, max_bytes=2000),
        "mail": lambda: MailChannel(outbox, "erp@x.example"),
        "webhook": lambda: WebhookChannel("secret", timeout=5),
        "log": LogChannel,
    }
    with replaced("notifications", Notifications(db, channels, clock=clock)) as made:
        yield made
    connection.unprepared("drop table people")


@pytest.fixture
def ada(service):
    return User.create(name="Ada", email="ada@x.example")


@pytest.fixture
def bob(service):
    return User.create(name="Bob", email="bob@x.example")
