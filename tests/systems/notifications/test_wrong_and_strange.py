"""What people write by mistake: it works, or is an error that says so, the same on both engines."""

from __future__ import annotations

import dataclasses
import gc
import socket
import threading
from collections import Counter

import pytest

from so.db.model import Model
from so.errors import NotificationError, NotificationFailed, RecordNotFoundError
from so.systems.notifications import MailMessage, Notifiable, Notification
from so.systems.notifications.webhook import WebhookChannel, is_public
from tests.systems.notifications.conftest import OrderShipped, User
from tests.systems.notifications.test_told_truly import codec  # noqa: F401


class Plain(Notification):
    type_alias = "strange_plain"

    def __init__(self, written=None, via="database", **attributes):
        self.written, self.named = written, via
        vars(self).update(attributes)

    def via(self):
        return self.named

    def to_database(self, notifiable):
        return {"a": 1} if self.written is None else self.written

    def to_mail(self, notifiable):
        return self.written


@dataclasses.dataclass(frozen=True)
class Frozen(Plain):
    type_alias = "strange_frozen"
    number: int = 1


def refused(fn):
    """The text of the error that is collected, which must be one of ours."""
    with pytest.raises(NotificationFailed) as caught:
        fn()
    (error,) = caught.value.errors
    assert type(error) is NotificationError
    return str(error)


# --- notifications and recipients


@pytest.mark.parametrize("wrong", [Plain, "text", None, 5, {"title": "x"}])
def test_what_is_no_notification_is_refused(service, ada, wrong):
    for tell in (ada.notify, ada.notify_now, service.route("mail", "a@x.example").notify):
        with pytest.raises(NotificationError, match="is no notification"):
            tell(wrong)


def test_a_frozen_dataclass_is_a_notification_like_any_other(codec, ada):  # noqa: F811
    assert codec.decode(codec.encode(Frozen(7))).number == 7


@pytest.mark.parametrize("wrong", [5, 1.5, object(), [5]])
def test_via_gives_names_of_channels(ada, wrong):
    assert "channel" in refused(lambda: ada.notify(Plain(via=wrong)))


@pytest.mark.parametrize("wrong", [None, 5, "x", object()])
def test_who_has_no_inbox_is_told_so(service, wrong):
    assert "no inbox" in refused(lambda: service.send([wrong], Plain()))


@pytest.mark.parametrize("owner", [None, 5, "x"])
def test_nobody_owns_nothing(service, ada, owner):
    ada.notify(Plain())
    id = ada.notifications[0].id

    for act in (service.mark_as_read, service.delete):
        with pytest.raises(RecordNotFoundError):
            act(id, owner)
    with pytest.raises(NotificationError):
        service.mark_about_as_read(owner, ada)


@pytest.mark.parametrize("channel", ["database", None, "", 5])
def test_an_address_is_for_a_channel(service, channel):
    with pytest.raises(NotificationError, match="address"):
        service.route(channel, "a@x.example")
    with pytest.raises(NotificationError, match="address"):
        service.route("mail", "a@x.example").route(channel, "b@x.example")


def test_a_number_is_not_the_beginning_of_an_id(db, service, ada):
    """MySQL compares a number with the digits that a text begins with."""
    ada.notify(Plain())
    id = ada.notifications[0].id
    fives = "5" + id[1:]
    db.connection().table("notifications").update({"id": fives})

    assert service.why(5) == []
    assert len(service.why(fives)) == 1
    with pytest.raises(NotificationError):
        service.resend(5)
    with pytest.raises(RecordNotFoundError):
        service.mark_as_read(5, ada)


# --- what is written


@pytest.mark.parametrize(
    "wrong", [[], [1], "text", 5, {"a": float("nan")}, {"a": object()}, {"a": {1: {2: object()}}}]
)
def test_an_inbox_row_holds_a_dict_that_json_can_hold(ada, wrong):
    assert "to_database of Plain" in refused(lambda: ada.notify(Plain(wrong)))
    assert ada.unread_count() == 0


@pytest.mark.parametrize("strange", ["\0", "\ud800", "\ud83d\ude00", "\u2028", "𝄞" * 50, "'\"\\"])
def test_any_text_comes_back_from_the_inbox(ada, strange):
    ada.notify(Plain({"a": strange}))

    assert ada.notifications[0].data["a"] in (strange, "\U0001f600")


@pytest.mark.parametrize(
    ("written", "named"),
    [
        ({"subject": 5, "body": "b"}, "subject"),
        ({"subject": "s", "body": 5}, "body"),
        ({"subject": "s", "body": b"b"}, "body"),
        ({"subject": "s", "html": 5}, "html"),
        (MailMessage(5), "subject"),
        (MailMessage("s").line(5), "line"),
        (MailMessage("s").line(None), "line"),
        (MailMessage("s").greeting(5), "line"),
        (MailMessage("s").action("a", 5), "line"),
        (MailMessage("s", attachments=[("a", 5)]), "attachment"),
        ({"subject": "s", "body": "b", "attachments": "x"}, "attachment"),
        ({"subject": "s", "body": "b", "bogus": 1}, "bogus"),
        (None, "to_mail gave None"),
        ("text", "to_mail gave 'text'"),
    ],
)
def test_a_mail_is_made_of_texts(ada, outbox, written, named):
    assert named in refused(lambda: ada.notify(Plain(written, "mail")))
    assert outbox.mails == []


def test_lines_beside_a_body_are_not_lost(ada, outbox):
    ada.notify(Plain(MailMessage("s", body="The body.").line("A line."), "mail"))

    text = outbox.mails[0].get_body(("plain",)).get_content()
    assert text.split("\r\n\r\n") == ["The body.", "A line.\r\n"]


def test_attachments_may_be_given_with_the_message(ada, outbox):
    ada.notify(Plain(MailMessage("s", body="b", attachments=[("a.txt", "text")]), "mail"))

    (part,) = outbox.mails[0].iter_attachments()
    assert part.get_filename() == "a.txt"


# --- keys and categories


def test_an_address_that_is_no_model_is_one_recipient_and_not_its_letters(service):
    with pytest.raises(NotificationFailed, match="needs a model") as refused:
        service.send("ada@x.example", Plain())

    assert len(refused.value.errors) == 1


def test_a_dedupe_key_may_be_any_value_with_a_text(ada):
    for key in (5, 5, "5", ("a", 1), ("a", 1)):
        ada.notify(Plain(dedupe_key=key))

    assert sorted(n.dedupe_key for n in ada.notifications) == ["('a', 1)", "5"]


def test_a_category_is_muted_by_its_text(ada):
    ada.mute("5")
    ada.notify(Plain(category=5))
    assert ada.unread_count() == 0

    ada.unmute("5")
    ada.mute("50")
    ada.mute("5x")
    ada.notify(Plain(category=5))
    assert ada.unread_count() == 1


@pytest.mark.parametrize("wrong", ["", " ", None, 5, "x" * 65, "é" * 65])
def test_what_is_no_category_or_channel_cannot_be_muted(ada, wrong):
    with pytest.raises(NotificationError, match="muted"):
        ada.mute(wrong)
    if wrong is not None:
        with pytest.raises(NotificationError, match="muted"):
            ada.mute("orders", wrong)


def test_a_channel_that_is_not_there_cannot_be_muted(ada):
    with pytest.raises(
        NotificationError, match=r"'databse' cannot be muted: the channels are data"
    ):
        ada.mute("orders", "databse")


def test_categories_are_told_apart_to_the_letter(ada):
    for category in ("Orders", "orders ", "ordérs"):
        ada.mute(category)

    ada.notify(OrderShipped(1))

    assert ada.unread_count() == 1


# --- set-up


@pytest.mark.parametrize("wrong", [None, 5, "so.systems.Sms"])
def test_a_channel_is_made_by_something_that_makes_one(service, wrong):
    with pytest.raises(NotificationError, match="what makes one"):
        service.extend("sms", wrong)


@pytest.mark.parametrize("batch", [0, -1, True, None, 1.5])
def test_a_clean_up_takes_some_at_a_time(service, batch):
    with pytest.raises(NotificationError, match="batch"):
        service.cleanup(30, batch=batch)


# --- two pages of one inbox


def test_what_another_page_has_done_is_not_undone_or_overlooked(ada, clock):
    ada.notify(Plain())
    one, two = ada.notifications[0], ada.related("notifications").first()

    one.mark_as_read()
    first = one.read_at
    clock.travel(5)
    two.mark_as_read()
    assert two.read_at == first, "the earlier time, which this object had not heard of"

    one.mark_as_unread()
    assert ada.unread_count() == 1
    two.mark_as_unread()
    two.mark_as_read()
    one.mark_as_unread()
    assert ada.unread_count() == 1


def test_read_and_unread_at_the_same_time_is_one_of_both(db, service, ada):
    ada.notify(Plain())
    id = ada.notifications[0].id
    errors = []

    def turn(act):
        try:
            for _ in range(20):
                getattr(ada.related("notifications").first(), act)()
        except Exception as error:
            errors.append(error)
        finally:
            db.connection().close()

    threads = [
        threading.Thread(target=turn, args=(act,)) for act in ("mark_as_read", "mark_as_unread") * 2
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert errors == []
    (row,) = ada.related("notifications").get()
    assert row.id == id
    assert ada.unread_count() == (row.read_at is None)


# --- webhooks that lead inside


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",
     "0.0.0.0", "255.255.255.255", "224.0.0.1", "192.0.2.1", "198.18.0.1", "240.0.0.1", "::1",
     "::", "fe80::1%eth0", "fc00::1", "fd12::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1",
     "2002:7f00:1::", "2002:0a00:0001::", "64:ff9b::7f00:1", "64:ff9b::a00:1", "ff02::1",
     "::127.0.0.1", "::ffff:0:127.0.0.1", "64:ff9b:1::7f00:1", "fec0::1", "3fff::1", "192.0.0.8"],
)  # fmt: skip
def test_an_address_inside_is_no_public_one(address):
    assert not is_public(address)


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]
)
def test_an_address_of_the_internet_is_public(address):
    assert is_public(address)


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)  # the network is the same
@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "0", "localhost",
     "LOCALHOST", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "user@127.0.0.1",
     "8.8.8.8@127.0.0.1", "127.0.0.1.", "①②⑦.0.0.1"],
)  # fmt: skip
def test_no_spelling_of_an_address_inside_is_connected_to(service, host):
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)
        service.extend("webhook", lambda: WebhookChannel("s", 5, private=False))
        url = f"http://{host}:{server.getsockname()[1]}/in"

        with pytest.raises(NotificationFailed):
            service.route("webhook", url).notify(OrderShipped(5, ["webhook"]))

        with pytest.raises(BlockingIOError):
            server.accept()


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)  # the network is the same
def test_a_name_is_resolved_once(service, monkeypatch):
    """Whoever answers differently the second time leads nobody inside."""
    asked = Counter()
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        real = socket.getaddrinfo

        def rebinding(host, *args, **options):
            asked[host] += 1
            if host == "evil.example":
                host = "203.0.113.1" if asked[host] == 1 else "127.0.0.1"
            return real(host, *args, **options)

        monkeypatch.setattr(socket, "getaddrinfo", rebinding)
        monkeypatch.setattr("so.systems.notifications.webhook.is_public", lambda text: True)
        monkeypatch.setattr(
            socket, "create_connection", lambda place, *_: pytest.fail(f"{place}")
            if place[0] == "127.0.0.1" else (_ for _ in ()).throw(OSError("nobody there"))
        )  # fmt: skip
        service.extend("webhook", lambda: WebhookChannel("s", 5, private=False))
        with pytest.raises(NotificationFailed, match="nobody there"):
            service.route("webhook", f"http://evil.example:{port}/").notify(
                OrderShipped(5, ["webhook"])
            )

    assert asked["evil.example"] == 1


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)  # the network is the same
def test_a_proxy_of_the_environment_is_no_way_inside(service, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.getsockname()[1]}")
        service.extend("webhook", lambda: WebhookChannel("s", 1, private=False))

        with pytest.raises(NotificationFailed):
            service.route("webhook", "http://127.0.0.2:9/").notify(OrderShipped(5, ["webhook"]))

        with pytest.raises(BlockingIOError):
            server.accept()


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)  # the network is the same
@pytest.mark.parametrize(
    "url",
    ["ftp://x.example/", "file:///etc/passwd", "//x.example/", "x.example", "", None, 5,
     "javascript:alert(1)", "http://", "https://", "http:///x", "http://x.example:port/",
     "http://x.example:99999/", "http://x.example/\r\nX-Evil: 1", "http://x.example/a b"],
)  # fmt: skip
def test_what_is_no_address_to_post_to_is_an_error_and_nothing_else(service, url):
    with pytest.raises(NotificationFailed):
        service.route("webhook", url).notify(OrderShipped(5, ["webhook"]))


def test_a_user_that_was_never_saved_has_neither_inbox_nor_mutes(service):
    new = User(name="new")
    for act in (new.unread_count, new.mark_all_as_read, lambda: new.mute("x")):
        with pytest.raises(NotificationError, match="never saved"):
            act()


def test_two_classes_of_one_name_do_not_share_an_inbox():
    with pytest.raises(NotificationError, match="both called 'told_user'.*read each other's"):
        type(
            "Partner",
            (Notifiable, Model),
            {"table": "partners", "type_alias": "told_user", "__module__": "portal"},
        )
    gc.collect()
