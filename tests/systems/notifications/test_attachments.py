"""Files that go with a mail: byte for byte, under their names."""

from __future__ import annotations

from email import message_from_bytes
from email.policy import default

import pytest

from so.errors import NotificationFailed
from so.systems.notifications import MailMessage
from so.systems.notifications.mail import wire_form
from tests.systems.notifications.conftest import OrderShipped

CSV = b"a;b\r\nFrom here\n\x00\xff" * 40


class WithFiles(OrderShipped):
    type_alias = "told_with_files"

    def to_mail(self, notifiable):
        return self.number


@pytest.mark.parametrize("form", ["message", "dict"])
@pytest.mark.parametrize("name", ["list.csv", 'Größe "x"; 日本.csv', "a" * 200 + ".csv"])
def test_attachments_arrive_byte_for_byte_under_their_names(service, outbox, form, name):
    if form == "message":
        mail = MailMessage("S").line("Text").attach(name, CSV).attach("t.bin", "ä")
    else:
        mail = {"subject": "S", "body": "Text", "attachments": [(name, CSV), ("t.bin", "ä")]}
    service.route("mail", "a@x.example").notify(WithFiles(mail, ["mail"]))

    read = message_from_bytes(wire_form(outbox.mails[0]), policy=default)
    one, two = read.iter_attachments()
    assert (one.get_filename(), one.get_content_type()) == (name, "text/csv")
    assert one.get_payload(decode=True) == CSV
    assert two.get_payload(decode=True).decode() == "ä"
    assert read.get_body(("plain",)).get_content().strip() == "Text"
    assert max(map(len, wire_form(outbox.mails[0]).split(b"\r\n"))) < 998


@pytest.mark.parametrize(
    "content", ["Größe;日本\n", "Größe;日本\n".encode()], ids=["text", "bytes"]
)
def test_a_text_says_its_charset(service, outbox, content):
    mail = MailMessage("S").line("x").attach("list.csv", content)
    service.route("mail", "a@x.example").notify(WithFiles(mail, ["mail"]))

    read = message_from_bytes(wire_form(outbox.mails[0]), policy=default)
    assert next(read.iter_attachments()).get_content() == "Größe;日本\n"


def test_an_attachment_can_be_a_file(service, outbox, tmp_path):
    (tmp_path / "r.pdf").write_bytes(b"%PDF")
    mail = MailMessage("S").line("x").attach_file(tmp_path / "r.pdf")
    service.route("mail", "a@x.example").notify(WithFiles(mail, ["mail"]))

    (part,) = outbox.mails[0].iter_attachments()
    read = message_from_bytes(wire_form(outbox.mails[0]), policy=default)
    assert next(read.iter_attachments()).get_filename() == "r.pdf"
    assert part.get_content_type() == "application/pdf"


@pytest.mark.parametrize(
    "wrong",
    [("x",), "x.csv", ("", b""), ("x", 5), ("x", b"", "text/csv\r\nBcc: e@x"), ("x", b"", "x")],
)
def test_what_is_no_attachment_is_refused(service, outbox, wrong):
    mail = {"subject": "S", "body": "b", "attachments": [wrong]}
    with pytest.raises(NotificationFailed):
        service.route("mail", "a@x.example").notify(WithFiles(mail, ["mail"]))
    assert outbox.mails == []


@pytest.mark.parametrize("name", ["x\r\nBcc: e@x.example", "../../etc/passwd", "C:\\temp\\x.csv"])
def test_a_name_can_be_nothing_but_a_name(service, outbox, name):
    mail = MailMessage("S").line("x").attach(name, b"1")
    service.route("mail", "a@x.example").notify(WithFiles(mail, ["mail"]))

    read = message_from_bytes(wire_form(outbox.mails[0]), policy=default)
    assert read["Bcc"] is None
    assert "/" not in next(read.iter_attachments()).get_filename()
