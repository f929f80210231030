"""Quiet hours and digests: what is held back, until when, and that each is told once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from zoneinfo import ZoneInfo

import pytest

from so.errors import NotificationError
from so.support.current import replaced
from so.systems.notifications import MailMessage, Notification, Notifications, Times
from so.systems.notifications.delivery import Delivery
from so.systems.notifications.later import Digest, QuietHours
from so.systems.notifications.mail import MailChannel
from tests.systems.notifications.conftest import OrderShipped, User
from tests.systems.notifications.test_told_truly import codec, outcomes  # noqa: F401

BERLIN, TOKYO = ZoneInfo("Europe/Berlin"), ZoneInfo("Asia/Tokyo")


class Sleeper(User):
    type_alias = "told_sleeper"
    preferred_quiet_hours = "22:00-07:00"
    zone = BERLIN


class Report(OrderShipped):
    type_alias = "told_report"
    digest = "daily"

    def to_mail(self, notifiable):
        return MailMessage(f"Report {self.number}").line("All is well.").action("See", "https://x/")


class Plain(Report):
    type_alias = "told_plain_report"

    def to_mail(self, notifiable):
        return {"subject": f"Plain {self.number}", "body": "First.\n\nSecond."}


class Unwritable(Report):
    type_alias = "told_unwritable"

    def to_mail(self, notifiable):
        raise ZeroDivisionError


class Alarm(Report):
    type_alias = "told_alarm"
    critical = True


class Weekly(Report):
    type_alias = "told_weekly"
    digest = "weekly"


class Hourly(Report):
    type_alias = "told_hourly"
    digest = "hourly"


class Later(Report):
    type_alias = "told_later"
    queued = True


class Secret(OrderShipped):
    type_alias = "told_secret_at_night"
    resendable = False


class Sms:
    def __init__(self):
        self.sent = []

    def send(self, notifiable, notification, id):
        self.sent.append(notification.number)


@pytest.fixture
def sms():
    return Sms()


@pytest.fixture
def held(db, clock, service, outbox, codec, sms):  # noqa: F811
    channels = {"mail": lambda: MailChannel(outbox, "erp@x.example"), "sms": lambda: sms}
    made = Notifications(
        db,
        {**service._makers, **channels},
        clock=clock,
        codec=codec,
        times=Times(zone_of=lambda who: getattr(who, "zone", UTC)),
    )
    with replaced("notifications", made):
        yield made


@pytest.fixture
def eve(held):
    return Sleeper.create(name="Eve", email="eve@x.example")


def at(clock, text, zone=UTC):
    clock.freeze(datetime.fromisoformat(text).replace(tzinfo=zone))


def mail(number=1):
    return OrderShipped(number, ["database", "mail"])


def ids(db):
    return db.connection().table("notification_deliveries").pluck("notification_id")


# --- quiet hours


def test_a_mail_waits_for_the_morning_and_the_inbox_does_not(held, eve, clock, outbox):
    at(clock, "2026-01-15 23:30", BERLIN)
    eve.notify(mail())
    assert eve.unread_count() == 1
    assert outbox.mails == []
    id = eve.notifications[0].id
    assert outcomes(held, id)["mail"] == ("held", "quiet hours until 2026-01-16 07:00 CET")

    at(clock, "2026-01-16 06:59", BERLIN)
    assert held.send_due() == 0
    at(clock, "2026-01-16 07:00", BERLIN)
    assert held.send_due() == 1

    assert len(outbox.mails) == 1
    assert outcomes(held, id)["mail"] == ("sent", None)
    assert held.send_due() == 0


@pytest.mark.parametrize(
    ("hours", "now", "until"),
    [
        ("22:00-07:00", "21:59", None),
        ("22:00-07:00", "22:00", "07:00"),
        ("22:00-07:00", "06:59", "07:00"),
        ("22:00-07:00", "07:00", None),
        ("13:00-14:30", "13:30", "14:30"),
        ("13:00-14:30", "14:30", None),
        ("13:00-13:00", "13:00", None),
        (" 9:00 – 10:00 ", "09:30", "10:00"),
    ],
)
def test_quiet_hours_begin_and_end_to_the_minute(hours, now, until):
    local = datetime.fromisoformat(f"2026-01-15 {now}").replace(tzinfo=BERLIN)

    end = QuietHours.read(hours).end_after(local)

    assert (None if end is None else f"{end:%H:%M}") == until


@pytest.mark.parametrize(
    ("night", "morning"),
    [("2026-03-28 23:00", "2026-03-29 05:00"), ("2026-10-24 23:00", "2026-10-25 06:00")],
)
def test_they_end_by_the_clock_on_the_wall_when_summer_time_changes(night, morning):
    local = datetime.fromisoformat(night).replace(tzinfo=BERLIN)

    end = QuietHours.read("22:00-07:00").end_after(local)

    assert end.astimezone(UTC) == datetime.fromisoformat(morning).replace(tzinfo=UTC)


@pytest.mark.parametrize("wrong", ["22:00", "22-07", "25:00-07:00", "22:60-07:00", "x", "a-b", "-"])
def test_what_are_no_quiet_hours_is_refused(wrong):
    with pytest.raises(NotificationError, match="write"):
        Times(wrong)


@pytest.mark.parametrize("wrong", ["8", "24:00", "08:60", "x", "", "08:00:00", "٠٨:٠٠"])
def test_what_is_no_time_of_a_digest_is_refused(wrong):
    with pytest.raises(NotificationError, match="08:00"):
        Times(None, wrong)


def test_a_reader_says_his_own_hours_in_his_own_zone(held, eve, clock, outbox):
    held._times = Times("00:00-23:59", zone_of=lambda who: who.zone)
    at(clock, "2026-01-15 12:00", TOKYO)
    eve.zone = TOKYO

    for said, told in (
        ("", 1), ("11:00-12:01", 0), ("nonsense", 0), (None, 0), ("12:01-13:00", 1),
        (lambda: "", 1),
    ):  # fmt: skip
        outbox.mails.clear()
        eve.preferred_quiet_hours = said
        eve.notify(mail())
        assert len(outbox.mails) == told, said


def test_what_is_critical_or_wakes_nobody_is_not_held(held, eve, clock, outbox, sms):
    at(clock, "2026-01-15 23:30", BERLIN)
    eve.notify(Alarm(1, ["mail", "log"]))
    eve.notify(OrderShipped(2, ["log", "sms"]))

    assert len(outbox.mails) == 1
    assert sms.sent == []
    at(clock, "2026-01-16 08:00", BERLIN)
    assert held.send_due() == 1
    assert sms.sent == [2]


def test_what_cannot_be_kept_goes_at_once(held, eve, clock, outbox):
    at(clock, "2026-01-15 23:30", BERLIN)
    eve.notify(Secret(1, ["mail"]))

    assert len(outbox.mails) == 1


def test_an_address_is_told_in_the_morning_too(held, clock, outbox):
    held._times = Times("22:00-07:00")
    at(clock, "2026-01-15 23:30")
    for number in (1, 2):
        held.route("mail", f"x{number}@y.example").notify(Report(number, ["mail"]))
    at(clock, "2026-01-16 07:00")

    assert held.send_due() == 2
    assert sorted(m["To"] for m in outbox.mails) == ["x1@y.example", "x2@y.example"]


# --- digests


def test_a_digest_is_one_mail_of_all(held, ada, clock, outbox):
    for number in (1, 2):
        ada.notify(Report(number, ["database", "mail"]))
        clock.travel(60)
    ada.notify(Plain(3, ["mail"]))
    assert outbox.mails == []
    assert ada.unread_count() == 2

    at(clock, "2026-01-16 08:00")
    assert held.send_due() == 3

    (sent,) = outbox.mails
    assert sent["Subject"] == "3 notifications"
    text = sent.get_body(("plain",)).get_content()
    assert text.split() == (
        "Report 1 All is well. See: https://x/ Report 2 All is well. See: https://x/ "
        "Plain 3 First. Second."
    ).split()  # fmt: skip
    assert "<h2>Report 1</h2>" in sent.get_body(("html",)).get_content()
    for row in ada.notifications:
        assert outcomes(held, row.id)["mail"] == ("sent", "in a digest of 3")
    assert held.send_due() == 0


def test_a_digest_of_one_is_its_own_mail_and_an_empty_one_is_none(held, ada, clock, outbox):
    ada.notify(Report(1, ["mail"]))
    at(clock, "2026-01-16 08:00")

    assert held.send_due() == 1
    at(clock, "2026-01-17 08:00")
    assert held.send_due() == 0

    assert [m["Subject"] for m in outbox.mails] == ["Report 1"]


def test_each_reader_has_a_digest_of_his_own(held, ada, bob, clock, outbox):
    held.send([ada, bob], Report(1, ["mail"]))
    held.send([ada, bob], Report(2, ["mail"]))
    at(clock, "2026-01-16 08:00")

    assert held.send_due() == 4
    assert sorted(m["To"] for m in outbox.mails) == ["ada@x.example", "bob@x.example"]


@pytest.mark.parametrize(
    ("kind", "now", "due"),
    [
        (Hourly, "2026-01-15 07:30", "2026-01-15 08:00"),
        (Hourly, "2026-01-15 08:00", "2026-01-15 09:00"),
        (Report, "2026-01-15 07:59", "2026-01-15 08:00"),
        (Report, "2026-01-15 08:00", "2026-01-16 08:00"),
        (Weekly, "2026-01-15 12:00", "2026-01-19 08:00"),
        (Weekly, "2026-01-19 07:00", "2026-01-19 08:00"),
        (Weekly, "2026-01-19 09:00", "2026-01-26 08:00"),
    ],
)
def test_digests_are_due_on_the_readers_clock(kind, now, due):
    local = datetime.fromisoformat(now).replace(tzinfo=BERLIN)
    reader = type("Reader", (), {"get_key": lambda self: 1})()
    delivery = Delivery("id", reader, kind(1), "mail")

    until = Times(None, "08:00", lambda who: BERLIN).held(delivery, local.astimezone(UTC)).until

    assert until == datetime.fromisoformat(due).replace(tzinfo=BERLIN)


def test_a_digest_that_is_due_in_quiet_hours_waits_for_their_end(held, eve, clock, outbox):
    held._times = Times(None, "06:00", zone_of=lambda who: BERLIN)
    at(clock, "2026-01-15 12:00", BERLIN)
    eve.notify(Report(1, ["mail"]))

    at(clock, "2026-01-16 06:30", BERLIN)
    assert held.send_due() == 0
    at(clock, "2026-01-16 07:00", BERLIN)
    assert held.send_due() == 1


def test_only_mails_go_into_a_digest(held, ada, sms):
    ada.notify(Report(1, ["sms", "database"]))

    assert sms.sent == [1]
    assert ada.unread_count() == 1


def test_a_digest_there_is_not_is_refused(held, ada):
    with pytest.raises(NotificationError, match="hourly, daily, weekly"):
        type("Yearly", (Notification,), {"type_alias": "told_yearly", "digest": "yearly"})


@pytest.mark.parametrize("channels", [["mail"], ["database"], ["database", "mail"]])
@pytest.mark.parametrize("critical", [False, True])
def test_a_digest_there_is_not_is_refused_before_anything_is_sent(held, ada, channels, critical):
    given = Report(1, channels)
    given.digest, given.critical = "never", critical

    with pytest.raises(NotificationError, match="hourly, daily, weekly"):
        ada.notify(given)

    assert ada.unread_count() == 0


# --- between deciding and sending


def test_who_mutes_meanwhile_is_left_in_peace(held, ada, clock, outbox):
    ada.notify(Report(1, ["mail"]))
    ada.mute("orders")
    at(clock, "2026-01-16 08:00")

    assert held.send_due() == 0
    assert outbox.mails == []


def test_who_is_gone_meanwhile_is_told_nothing(db, held, ada, clock, outbox):
    ada.notify(Report(1, ["mail"]))
    (id,) = ids(db)
    ada.delete()
    at(clock, "2026-01-16 08:00")

    assert held.send_due() == 0
    status, reason = outcomes(held, id)["mail"]
    assert status == "refused"
    assert "gone" in reason


def test_what_nobody_can_read_any_more_has_failed(db, held, ada, clock, outbox):
    ada.notify(Report(1, ["mail"]))
    ada.notify(Report(2, ["mail"]))
    rows = db.connection().table("notification_deliveries")
    rows.where("notification_id", ids(db)[0]).update({"payload": "{broken"})
    at(clock, "2026-01-16 08:00")

    assert held.send_due() == 1
    assert sorted(row["status"] for id in ids(db) for row in held.why(id)) == ["failed", "sent"]


def test_what_a_rollback_takes_back_is_not_held(db, held, ada, clock, outbox):
    def work():
        ada.notify(Report(1, ["mail"]))
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        db.connection().transaction(work)
    at(clock, "2026-01-16 08:00")

    assert held.send_due() == 0


def test_a_mail_server_that_is_away_is_tried_again(db, held, ada, clock, outbox):
    failed = []
    held.failed(lambda who, what, channel, error: failed.append(channel))
    for number in (1, 2):
        ada.notify(Report(number, ["mail"]))
    outbox.fail = True
    at(clock, "2026-01-16 08:00")
    assert held.send_due() == 0
    status, reason = outcomes(held, ids(db)[0])["mail"]
    assert status == "held"
    assert "no server" in reason
    assert held.send_due() == 0, "not again at once"

    clock.travel(timedelta(hours=3))
    outbox.fail = False
    assert held.send_due() == 2
    assert len(outbox.mails) == 1
    assert failed == []


def test_after_a_day_it_has_failed_and_can_be_sent_again(db, held, ada, clock, outbox):
    failed = []
    held.failed(lambda who, what, channel, error: failed.append(channel))
    ada.notify(Report(1, ["mail"]))
    (id,) = ids(db)
    outbox.fail = True
    at(clock, "2026-01-16 08:00")
    for _ in range(26):
        held.send_due()
        clock.travel(timedelta(hours=1))
    assert outcomes(held, id)["mail"][0] == "failed"
    assert failed == ["mail"]

    outbox.fail = False
    assert held.resend(id) == 1
    assert [m["Subject"] for m in outbox.mails] == ["Report 1"]


def test_what_a_killed_process_had_taken_is_left_to_the_next(held, ada, clock, outbox):
    ada.notify(Report(1, ["mail"]))
    at(clock, "2026-01-16 08:00")
    assert len(held._ledger.take_due()) == 1  # and then it is killed

    assert held.send_due() == 0
    clock.travel(timedelta(minutes=16))
    assert held.send_due() == 1


def test_a_resend_that_was_killed_can_be_asked_for_again(held, ada, clock, outbox):
    outbox.fail = True
    with pytest.raises(Exception, match="no server"):
        ada.notify(mail())
    id, outbox.fail = ada.notifications[0].id, False
    assert len(held._ledger.take_failed(id)) == 1  # and then it is killed
    with pytest.raises(NotificationError, match="nothing of the notification"):
        held.resend(id)

    clock.travel(timedelta(minutes=16))

    assert outcomes(held, id)["mail"][0] == "failed"
    assert held.resend(id) == 1


def test_a_job_leaves_what_is_held_to_its_time(held, ada, clock, outbox):
    put_off = []
    held._defer = put_off.extend
    ada.notify(Later(1, ["mail"]))

    assert [held.deliver(it) for it in put_off] == [False]
    at(clock, "2026-01-16 08:00")
    assert held.send_due() == 1
    assert [held.deliver(it) for it in put_off] == [False]
    assert len(outbox.mails) == 1


def test_one_that_cannot_be_written_holds_up_no_other(db, held, ada, clock, outbox):
    ada.notify(Report(1, ["mail"]))
    ada.notify(Unwritable(2, ["mail"]))
    ada.notify(Report(3, ["mail"]))
    at(clock, "2026-01-16 08:00")

    assert held.send_due() == 2
    assert outbox.mails[0]["Subject"] == "2 notifications"
    reasons = [row["reason"] for id in ids(db) for row in held.why(id) if row["status"] == "held"]
    assert len(reasons) == 1
    assert "ZeroDivisionError" in reasons[0]


def test_a_listener_that_cancels_leaves_one_out_of_the_digest(held, ada, clock, outbox):
    held.sending(lambda who, what, channel: what.number != 2)
    for number in (1, 2, 3):
        ada.notify(Report(number, ["mail"]))
    at(clock, "2026-01-16 08:00")

    assert held.send_due() == 2
    assert outbox.mails[0]["Subject"] == "2 notifications"


def test_what_is_told_again_and_again_keeps_its_time(held, ada, clock, outbox):
    for _ in range(90):
        told = Hourly(1, ["mail"])
        told.dedupe_key = "stock"
        ada.notify(told)
        clock.travel(60)

    assert held.send_due() == 1


def test_the_digest_of_one_is_that_one():
    assert Digest([Report(1).to_mail(None)]).to_mail(None).subject == "Report 1"


# --- hours that come twice, or not at all


@pytest.mark.parametrize(("zone", "now", "quiet", "digest", "until"), [
    # The second 02:06 of a night: the quiet hours end at the second 02:15.
    ("Europe/Berlin", "2026-10-25 01:06", "23:30-02:15", None, "2026-10-25 01:15"),
    ("Europe/Berlin", "2026-10-25 01:06", "", "daily", "2026-10-25 01:30"),
    ("Europe/Berlin", "2026-10-25 00:36", "", "daily", "2026-10-26 01:30"),
    ("Europe/Berlin", "2026-10-25 00:36", "", "hourly", "2026-10-25 01:00"),
    ("Australia/Lord_Howe", "2026-04-04 15:06", "", "hourly", "2026-04-04 15:30"),
    # There was no 02:30: it is 03:30, which is still quiet.
    ("Europe/Berlin", "2026-03-28 23:00", "03:00-05:00", "daily", "2026-03-29 03:00"),
])  # fmt: skip
def test_what_is_held_back_waits_for_a_moment_to_come(zone, now, quiet, digest, until):
    found = held_at(ZoneInfo(zone), now, quiet, digest)

    assert f"{found.until:%Y-%m-%d %H:%M}" == until


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/Havana", "Australia/Lord_Howe"])
@pytest.mark.parametrize("digest", [None, "hourly", "daily", "weekly"])
def test_nothing_is_held_back_into_the_past_or_into_quiet_hours(zone, digest):
    for quiet in ("22:00-07:00", "23:30-02:15", "01:00-03:00"):
        hours = QuietHours.read(quiet)
        for begin in ("2026-03-07 20", "2026-03-28 20", "2026-10-24 20", "2026-04-04 10"):
            for minutes in range(0, 1200, 37):
                now = datetime.fromisoformat(f"{begin}:00:00+00:00") + timedelta(minutes=minutes)
                found = held_at(ZoneInfo(zone), f"{now:%Y-%m-%d %H:%M}", quiet, digest)
                at = now if found is None else found.until
                assert found is None or at > now
                assert hours.end_after(at.astimezone(ZoneInfo(zone))) is None


def held_at(zone, now, quiet, digest):
    times = Times(quiet, "02:30", lambda who: zone)
    what = SimpleNamespace(critical=False, digest=digest)
    who = SimpleNamespace(get_key=lambda: 1)
    delivery = SimpleNamespace(notification=what, notifiable=who, channel="mail")
    return times.held(delivery, datetime.fromisoformat(f"{now}+00:00"))
