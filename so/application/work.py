"""What is done and told beside answering: the queue, the trail, notifications, vitals."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable
from typing import Any

from so.application import homes
from so.application.requests import make_auth
from so.errors import SixOrbitError
from so.settings.activity import ActivitySettings
from so.settings.mail import MailSettings
from so.settings.notifications import NotificationSettings
from so.settings.queue import QueueSettings
from so.support.clock import Clock
from so.support.scope import UNSET, current_scope

App = Any


def make_queue(app: App) -> Any:
    """The queue, with the application's container for what its jobs ask for."""
    from so.support.scope import captured
    from so.systems.queue import Queue

    settings = app.settings(QueueSettings)
    queue = Queue(
        app.make("db").source(homes.queue_home(app)),
        clock=app.clock,
        default=settings.default,
        default_queue=settings.queue,
        call=app.call,
        codec=app.make("job_codec"),
        caller=app.make("db") if settings.connection else None,
        limiter=lambda name: app.make("limiter").limiter(name),
        after_commit=settings.after_commit,
        capture=lambda: captured(lambda: _causer(app)),
        wake_folder=str(app.base_path(settings.wake_path)),
        timezone=settings.timezone,
    )
    queue.control.is_down = app.make("maintenance").is_down
    return queue


def make_schedule(app: App) -> Any:
    """What recurs, as the application's module says in its `define(schedule)`."""
    schedule = app.make("queue").schedule
    if not schedule.is_defined:
        schedule.is_defined = True
        name = app.settings(QueueSettings).schedule
        file = app.base_path(name.replace(".", "/") + ".py")
        define = getattr(app.import_module(name), "define", None) if file.is_file() else None
        if define is not None:
            define(schedule)
    return schedule


def make_factories(app: App) -> Callable[[], None]:
    """Reads the application's `database/factories`; each factory says there whose it is."""

    def read() -> None:
        for file in sorted(app.database_path("factories").glob("[!_]*.py")):
            spec = importlib.util.spec_from_file_location(f"factories.{file.stem}", file)
            assert spec is not None
            assert spec.loader is not None
            with app.own_modules():  # its models are of this application, and of no other
                spec.loader.exec_module(importlib.util.module_from_spec(spec))

    return read


def make_seeding(app: App) -> Callable[[type], Any]:
    """Makes a seeder and runs it, whatever its `run` asks for given."""
    return lambda cls: app.call(app.make(cls).run)


def make_activity(app: App) -> Any:
    """The activity log, which asks the scope and the login who did it."""
    from so.systems.activity import ActivityLog

    settings = app.settings(ActivitySettings)
    log = ActivityLog(
        app.make("db"),
        enabled=settings.enabled,
        default_log=settings.default_log,
        mask=settings.mask,
        failure=settings.failure,
        causer=lambda: _causer(app),
        clock=app.clock,
        integrity_mode=settings.integrity,
        keys=[settings.key, *settings.previous_keys],
        seal_delay_seconds=settings.seal_delay_seconds,
        rows_per_seal=settings.rows_per_seal,
    )
    if settings.alert:
        alarm = log.on_tampering

        def tell(report: Any) -> None:
            alarm(report)
            _tell_of_tampering(app, settings.alert, report)

        log.on_tampering = tell
    return log


def _tell_of_tampering(app: App, addresses: Iterable[str], report: Any) -> None:
    """A mail to each of *addresses*; that one could not be sent does not undo the verification."""
    from so.application.mails import TrailTampered

    for address in addresses:
        try:
            told = app.make("notifications").route("mail", address)
            told.notify_now(TrailTampered(report.summary))
        except SixOrbitError:
            app.make("logger").exception("nobody was told at %s of what verify found", address)


def _causer(app: App) -> Any:
    """Who is acting: what the scope says, or else whoever is logged in."""
    from so.systems.activity.context import current_causer

    who = current_causer()
    scope = current_scope()
    if who is None and scope is not None and scope.causer is UNSET and scope.request:
        return make_auth(app).user()
    return who


def make_notifications(app: App) -> Any:
    """Notifications and their channels."""
    from so.application.delivery import defer_with
    from so.systems import notifications as n

    settings, mail = app.settings(NotificationSettings), app.settings(MailSettings)
    db = app.make("db")
    return n.Notifications(
        db,
        {
            "database": lambda: n.DatabaseChannel(db, app.clock, settings.max_bytes),
            "mail": lambda: _mail_channel(mail),
            "webhook": lambda: _webhook_channel(settings, app.clock),
            "log": n.LogChannel,
        },
        default=list(settings.default),
        queue_all=settings.queue,
        defer=defer_with(lambda: app.make("queue"), settings.queue_name),
        clock=app.clock,
        codec=app.make("job_codec"),
        times=n.Times(settings.quiet_hours, settings.digest_at, _zone_of),
    )


def _zone_of(someone: Any) -> Any:
    """The time zone on whose clock somebody is told things."""
    from so.edge.local import local
    from so.support.zones import zone_named

    return zone_named(local(someone).zone)


def _mail_channel(mail: MailSettings) -> Any:
    from so.systems.notifications.mail import LogTransport, MailChannel, SmtpTransport

    if mail.driver == "log":
        return MailChannel(LogTransport(), mail.sender)
    transport = SmtpTransport(
        mail.host,
        mail.port,
        encryption=mail.encryption,
        username=mail.username,
        password=mail.password,
        timeout=mail.timeout,
    )
    return MailChannel(transport, mail.sender)


def _webhook_channel(settings: NotificationSettings, clock: Clock) -> Any:
    from so.systems.notifications.webhook import WebhookChannel

    return WebhookChannel(
        settings.webhook_secret, settings.webhook_timeout, clock, private=settings.webhook_private
    )


def make_vitals(app: App) -> Any:
    """What monitors ask of the application."""
    from so.application.vitals import Vitals

    return Vitals(app)
