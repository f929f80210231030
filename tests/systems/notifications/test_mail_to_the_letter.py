"""Mail as any standard reader gets it: subjects, names, addresses and bodies to the letter.

Read back by the parsers of the standard library, old and new, from the bytes of a real socket.
"""

from __future__ import annotations

import email
import email.policy
import random
import socket
import threading
from email.header import decode_header, make_header
from email.utils import parseaddr

import pytest

from so.errors import NotificationError, NotificationFailed
from so.systems.notifications import MailMessage, Notifiable
from so.systems.notifications.mail import MailChannel, SmtpTransport, compose, receivers, wire_form
from so.systems.notifications.mail_headers import addresses
from tests.systems.notifications.conftest import OrderShipped

SUBJECTS = [
    "Rechnung Müller Straße über März Größe €", "plain", "=?utf-8?q?x?=", " leading", "trailing ",
    "two  spaces", "two  spaces  ü", "x" * 500, "ü" * 300, "请求" * 80, "🧾 " * 60, "a\tb",
    "a_b=c?ü", "ü" + " " * 90 + "ü", "e\u0301" * 50, "👩‍👩‍👧‍👧" * 20, "word " * 40 + "end", "",
    "Re: [ERP] 50% off, \"quoted\" <tag> & (more); it's", "über\u00a0hard\u2028break",
]  # fmt: skip
NAMES = [
    "Ann", "Ann Lee", "Lee, Ann", 'The "Boss"', "back\\slash", "A. Lee (Sales) <x>", "Müller",
    "Müller, Jörg & Söhne GmbH", "Rechnung Müller Straße über März", "请求部", "=?utf-8?q?x?=",
    "a@b.example", "; : .", "O'Neil", "🧾 ERP", "two  spaces", " around ", "a\ttab",
]  # fmt: skip
BODIES = [
    "From 1 January prices rise", "a\nFrom b\nFrom c", "From ü\n" * 3, ".\n..\n.x\n", "end.\n.\n",
    "trailing  \n\t\nx ", "x" * 79, "x" * 5000, "ü" * 2000, "a\rb\nc\r\nd", "", "\n", "\n\nx\n\n",
    "=3D=\n=", "a" * 75 + "From b ü", "\x0b\x0c\x85\u2028x", "a\x00b", "🧾" * 500, "tab\tü\t",
]  # fmt: skip


def sent(mail: MailMessage, to: object = "a@b.example", sender: object = "erp@x.example") -> bytes:
    return wire_form(compose(mail, to, sender, "some-id"))


def by_the_old_parser(raw: bytes, field: str) -> str:
    return str(make_header(decode_header(email.message_from_bytes(raw)[field])))


def lowered(commands: list[bytes]) -> list[bytes]:
    """Python 3.14 writes `rcpt to`, older ones `rcpt TO`."""
    return [command.lower() for command in commands]


def read(raw: bytes):
    return email.message_from_bytes(raw, policy=email.policy.default)


@pytest.mark.parametrize("subject", SUBJECTS, ids=range(len(SUBJECTS)))
def test_a_subject_arrives_to_the_letter(subject):
    raw = sent(MailMessage(subject, body="x"))

    assert str(read(raw)["Subject"]) == subject
    assert by_the_old_parser(raw, "Subject") == subject
    assert raw.isascii()
    assert max(len(line) for line in raw.split(b"\r\n")) <= 78


def test_any_subject_arrives_to_the_letter():
    chance = random.Random(1)
    for _ in range(500):
        subject = "".join(chance.choices("aü €x_=?. \"'<>,請🧾", k=chance.randint(1, 120)))
        raw = sent(MailMessage(subject, body="x"))
        assert (str(read(raw)["Subject"]), by_the_old_parser(raw, "Subject")) == (subject, subject)


@pytest.mark.parametrize(
    "name",
    [
        "Österreichische Gesellschaft für Straßenbau und Brückenbau Müller & Söhne GmbH & Co. KG",
        "日本語の長い名前の会社株式会社東京支店営業部第一課担当者様宛先名前",
        "ü" * 140,
        "word " * 40 + "x",
        "A plain name that is rather long and has (parentheses), commas; more than sixty",
        "a" * 90,
    ],
)
def test_a_long_name_arrives_to_the_letter_in_both_parsers(name):
    raw = sent(MailMessage("S", body="x"), {"a@b.example": name})

    assert read(raw)["To"].addresses[0].display_name == name
    shown = parseaddr(email.message_from_bytes(raw)["To"])[0]
    assert str(make_header(decode_header(shown))) == name
    assert max(len(line) for line in raw.split(b"\r\n")) <= 998


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("field", ["To", "From", "Cc", "Reply-To"])
def test_a_name_arrives_to_the_letter(field, name):
    who = {"a@b.example": name}
    given = {"Cc": {"cc": who}, "Reply-To": {"reply_to": who}, "From": {"from_address": who}}
    mail = MailMessage("S", body="x", **given.get(field, {}))

    raw = sent(mail, who if field == "To" else "t@u.example")

    (found,) = read(raw)[field].addresses
    assert (found.display_name, found.addr_spec) == (name, "a@b.example")
    assert max(len(line) for line in raw.split(b"\r\n")) <= 78


@pytest.mark.parametrize(
    ("given", "read_as"),
    [
        ("a@b.example", [("", "a@b.example")]),
        ("<a@b.example>", [("", "a@b.example")]),
        ("Ann <a@b.example>", [("Ann", "a@b.example")]),
        ('"Lee, Ann" <a@b.example>', [("Lee, Ann", "a@b.example")]),
        ("Lee, Ann <a@b.example>", [("Lee, Ann", "a@b.example")]),
        (["a@b.example", "X <c@d.example>"], [("", "a@b.example"), ("X", "c@d.example")]),
        ({"a@b.example": "Müller, J", "c@d.example": None},
         [("Müller, J", "a@b.example"), ("", "c@d.example")]),
        ("a@münchen.example", [("", "a@xn--mnchen-3ya.example")]),
        ("Straße <a@straße.example>", [("Straße", "a@xn--strae-oqa.example")]),
        ("a@請求.例え", [("", "a@xn--gsw746d.xn--r8jz45g")]),
        ("a+tag'x@b.example", [("", "a+tag'x@b.example")]),
        ('"a b"@c.example', [("", '"a b"@c.example')]),
    ],
)  # fmt: skip
def test_addresses_may_be_written_in_many_ways(given, read_as):
    raw = sent(MailMessage("S", body="x"), given)

    assert [(a.display_name, a.addr_spec) for a in read(raw)["To"].addresses] == read_as
    assert raw.isascii()


@pytest.mark.parametrize(
    "given",
    ["nobody", "a@", "@b.example", "a@b@c.example", "a@b..c", "a@-b.example", "a@b c.example",
     "a b@c.example", "a\tb@c.example", "a;b@c.example", "mailto:a@c.example", "X <a b@c.example>",
     "a@b-.example", "a@" + "b" * 64 + ".example",
     "Ann", "a@\u200b.example", "a@" + "ü" * 70 + ".example", "a@b.example\r\nBcc: all@x.example",
     "Ann\n <a@b.example>", {"a@b.example": "Ann\r\nBcc: all@x.example"},
     {"a@b.example\nX: y": "Ann"}, ["a@b.example", "no"], "a@b.example, evil@d.example",
     "a@b.example, Ann <c@d.example>", "a@b.example;c@d.example", ["a@b.example,c@d.example"]],
)  # fmt: skip
def test_what_is_no_address_is_refused_by_name(given):
    with pytest.raises(NotificationError, match="no mail address|line break"):
        addresses(given, "To")


@pytest.mark.parametrize("bad", ["Hi\r\nBcc: all@x.example", "Hi\nthere", "Hi\rthere", "a\x00b"])
@pytest.mark.parametrize("field", ["subject", "from_address", "reply_to", "cc", "bcc"])
def test_no_header_can_begin_another_one(field, bad):
    value = bad if field == "subject" else f"{bad} <a@b.example>"
    mail = MailMessage(**{"subject": "S", "body": "x", field: value})

    with pytest.raises(NotificationError, match="line break or NUL"):
        sent(mail)


@pytest.mark.parametrize("body", BODIES, ids=range(len(BODIES)))
@pytest.mark.parametrize("html", [False, True])
def test_a_body_arrives_to_the_letter(body, html):
    raw = sent(MailMessage("S", body=body, html=(body or "<p>") if html else None))

    for policy in (email.policy.default, email.policy.compat32):
        parts = [p for p in email.message_from_bytes(raw, policy=policy).walk()]
        for part in (part for part in parts if not part.is_multipart()):
            got = part.get_payload(decode=True).decode().replace("\r\n", "\n")
            wanted = (body or "<p>" if "html" in part["Content-Type"] else body).replace(
                "\r\n", "\n"
            )
            assert got in (wanted, f"{wanted}\n")
    assert raw.isascii()
    assert max(len(line) for line in raw.split(b"\r\n") if b"boundary=" not in line) <= 78
    assert b"\r" not in raw.replace(b"\r\n", b"")


def test_plain_text_stays_readable_on_the_wire():
    raw = sent(MailMessage("S", body="From 1 January\n.\nprices rise"))

    assert raw.endswith(b"\r\n\r\nFrom 1 January\r\n.\r\nprices rise\r\n")
    assert b"7bit" in raw


def test_nobody_reads_of_bcc_and_everybody_gets_it_once():
    who = {"cc": ["C <c@d.example>", "a@b.example"], "bcc": "hidden@x.example"}
    message = compose(MailMessage("S", body="x", **who), "a@b.example", "e@x.example", "id")

    assert receivers(message) == ["a@b.example", "c@d.example", "hidden@x.example"]
    assert b"hidden" not in wire_form(message)
    assert message["Bcc"] == "hidden@x.example"


def test_the_id_of_a_mail_is_in_the_domain_of_its_sender():
    assert read(sent(MailMessage("S", body="x")))["Message-ID"] == "<some-id@x.example>"


# --- over a real socket ---------------------------------------------------------------------------


class SmtpServer(threading.Thread):
    """Takes one mail; `extensions` is what it says it can."""

    def __init__(self, *extensions: str) -> None:
        super().__init__()
        self.extensions = ["hi", *extensions]
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.commands: list[bytes] = []
        self.data = b""

    def run(self) -> None:
        link, _ = self.socket.accept()
        with link, link.makefile("rwb", buffering=0) as file:
            file.write(b"220 hi\r\n")
            for line in file:
                self.commands.append(line.strip())
                verb = line[:4].upper().strip()
                if verb == b"EHLO":
                    last = len(self.extensions) - 1
                    for at, each in enumerate(self.extensions):
                        file.write(f"250{'- '[at == last]}{each}\r\n".encode())
                elif verb == b"DATA":
                    file.write(b"354 go\r\n")
                    self.data = b"".join(iter(file.readline, b".\r\n"))
                    file.write(b"250 ok\r\n")
                else:
                    file.write(b"221 bye\r\n" if verb == b"QUIT" else b"250 ok\r\n")

    def __enter__(self) -> SmtpServer:
        self.start()
        return self

    def __exit__(self, *args: object) -> None:
        self.join(10)
        self.socket.close()


def passed_on(mail: MailMessage, to: object, *extensions: str) -> SmtpServer:
    with SmtpServer(*extensions) as server:
        transport = SmtpTransport("127.0.0.1", server.port, encryption=None, timeout=5)
        transport.send(compose(mail, to, "erp@x.example", "id"))
    return server


def test_what_a_server_takes_is_what_was_written():
    body = "From 1 January\n.hidden\n..\nprices rise ü"

    server = passed_on(MailMessage("Größe €", body=body), "Lee, Ann <a@münchen.example>")

    unstuffed = server.data.replace(b"\r\n..", b"\r\n.")
    got = read(unstuffed)
    assert got.get_content().replace("\r\n", "\n").rstrip("\n") == body
    assert got["Subject"] == "Größe €"
    assert b"rcpt to:<a@xn--mnchen-3ya.example>" in lowered(server.commands)


def test_an_address_beyond_ascii_goes_to_a_server_that_takes_it():
    server = passed_on(MailMessage("S", body="x"), "jörg@münchen.example", "SMTPUTF8", "8BITMIME")

    assert any(b"SMTPUTF8" in command for command in server.commands)
    assert "rcpt to:<jörg@xn--mnchen-3ya.example>".encode() in lowered(server.commands)
    assert "To: jörg@xn--mnchen-3ya.example".encode() in server.data


def test_a_server_that_does_not_take_it_is_told_by_name():
    with pytest.raises(NotificationError, match="'jörg@b.example'.*SMTPUTF8"):
        passed_on(MailMessage("S", body="x"), "jörg@b.example")


# --- where somebody is reached --------------------------------------------------------------------


def test_a_recipient_says_where_a_channel_reaches_it(service, outbox, ada):
    class Contact(type(ada)):
        type_alias = "contact"

        def route_notification_for_mail(self, notification):
            return {f"orders+{notification.number}@x.example": self.name}

        def route_notification_for_sms_gateway(self):
            return "+49 1"

    contact = Contact.create(name="Lee, Ann", email="other@x.example")
    contact.notify(OrderShipped(7, ["mail"]))

    assert outbox.mails[-1]["To"] == '"Lee, Ann" <orders+7@x.example>'
    assert contact.route_notification_for("sms-gateway") == "+49 1"
    assert contact.route_notification_for("webhook") is None
    assert ada.route_notification_for("mail") == "ada@x.example"


def test_who_is_no_model_may_have_an_address_all_the_same(service, outbox):
    class Supplier(Notifiable):
        def route_notification_for_mail(self):
            return ["a@x.example", "b@x.example"]

    class Old:
        def route_notification_for(self, channel):
            return f"{channel}@x.example"

    class Bare:
        def route_notification_for_mail(self):
            return "bare@x.example"

    for who in (Supplier(), Old(), Bare()):
        service.send(who, OrderShipped(7, ["mail"]))

    assert [mail["To"] for mail in outbox.mails] == [
        "a@x.example, b@x.example",
        "mail@x.example",
        "bare@x.example",
    ]


def test_who_has_no_address_is_an_error_that_says_the_mend(service, ada):
    class Nobody(type(ada)):
        def route_notification_for_mail(self):
            return None

    with pytest.raises(NotificationFailed, match="route_notification_for_mail"):
        Nobody.create(name="N").notify(OrderShipped(7, ["mail"]))


@pytest.mark.parametrize("named", ["", None, [], [""], [None], ()])
def test_a_notification_that_names_no_channel_goes_nowhere(service, outbox, ada, named):
    class Silent(OrderShipped):
        def via(self, notifiable=None):
            return named

    ada.notify(Silent(1))

    assert (ada.unread_count(), outbox.mails) == (0, [])


@pytest.mark.parametrize("named", ["mail", ["mail", "", None, "mail"], ("mail",)])
def test_a_channel_that_is_named_twice_is_used_once(service, outbox, ada, named):
    class ToldOnce(OrderShipped):
        def via(self):
            return named

    ada.notify(ToldOnce(1))

    assert len(outbox.mails) == 1


def test_the_channel_sends_what_the_message_says(service, outbox):
    service.extend("mail", lambda: MailChannel(outbox, "Müller, ERP <erp@münchen.example>"))

    service.route("mail", "a@b.example").notify(OrderShipped(1, ["mail"]))

    (found,) = outbox.mails[-1]["From"].addresses
    assert (found.display_name, found.addr_spec) == ("Müller, ERP", "erp@xn--mnchen-3ya.example")
