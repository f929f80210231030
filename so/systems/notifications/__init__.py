"""Notifications: telling people, in their inbox, by mail, by webhook, now or by a job.

A `Notification` says what and through which channels; `Notifiable` makes a model somebody to
tell; `Notifications` sends, each recipient and channel on its own. How jobs are dispatched and
which mail server is used is decided in so/application.

Read in this order: message.py (what is said), service.py (sending), channels.py, inbox.py,
delivery.py and ledger.py (what became of it); mail.py and webhook.py, which are loaded when they
are needed.
"""

from so.systems.notifications.channels import DatabaseChannel, LogChannel
from so.systems.notifications.fake import NotificationFake, notification_fake
from so.systems.notifications.inbox import DatabaseNotification, Notifiable
from so.systems.notifications.later import Times
from so.systems.notifications.message import MailMessage, Notification
from so.systems.notifications.service import Notifications, OnDemand, route

__all__ = [
    "DatabaseChannel",
    "DatabaseNotification",
    "LogChannel",
    "MailMessage",
    "Notifiable",
    "Notification",
    "NotificationFake",
    "Notifications",
    "OnDemand",
    "Times",
    "notification_fake",
    "route",
]
