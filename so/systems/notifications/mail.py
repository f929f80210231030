"""The channel `mail` and its transports: into the log (the default), or a server by smtplib.

It loads email, smtplib and ssl, which most processes never need.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import copy
import io
import logging
import re
import smtplib
import ssl
from email.generator import BytesGenerator
from email.message import EmailMessage
from email.policy import EmailPolicy
from email.utils import formatdate
from typing import Any, Protocol
from urllib.parse import quote

from so.errors import NotificationError
from so.settings.mail import MailSettings
from so.systems.notifications.inbox import address_of, name_of
from so.systems.notifications.mail_headers import addresses, listed, local_part, text
from so.systems.notifications.message import Attachment, MailMessage, Notification

_log = logging.getLogger("so.mail")
LONGEST_NAME = 255  # bytes, of an attachment

_LINE_END = re.compile(rb"\r?\n")
_LONGEST_LINE = 78  # characters that need no coding, RFC 5322 section 2.1.1
_PLAIN_LINE = re.compile(rb"(?:[\t\x20-\x7e]*[\x21-\x7e])?")
_MANGLED = re.compile(rb"^From ", re.MULTILINE)


class MailTransport(Protocol):
    """Anything that can send a message."""

    def send(self, message: EmailMessage) -> None:
        """Send it, or raise."""
        ...


class MailChannel:
    """Composes a mail from `to_mail` and hands it to the transport."""

    def __init__(self, transport: MailTransport, sender: str) -> None:
        self._transport = transport
        self._sender = sender

    def send(self, notifiable: Any, notification: Notification, id: str) -> None:
        """Send to what the recipient says for 'mail'."""
        to = address_of(notifiable, "mail", notification)
        if not to:
            raise NotificationError(
                f"{name_of(notifiable) or 'nobody'} has no mail address: give the model a column "
                "email or route_notification_for_mail(), or an address to route()"
            )
        mail = MailMessage.of(notification.written_for("mail", notifiable))
        self._transport.send(compose(mail, to, self._sender, id))


class LogTransport:
    """Writes mails into the log instead of sending them."""

    def send(self, message: EmailMessage) -> None:
        """One line with recipient and subject, the text after it."""
        body = message.get_body(("plain",))
        plain = body.get_content().strip() if body is not None else ""
        _log.info("mail to %s: %s | %s", message["To"], message["Subject"], plain)


class SmtpTransport:
    """Sends through the server *host*; a new connection for each mail."""

    def __init__(
        self,
        host: str,
        port: int = MailSettings.port,
        *,
        encryption: str | None = MailSettings.encryption,
        username: str | None = None,
        password: str | None = None,
        timeout: float = MailSettings.timeout,
    ) -> None:
        """*encryption*: starttls, tls or none (or None); *timeout* in seconds for each step."""
        self._host, self._port, self._timeout = host, port, timeout
        self._encryption = MailSettings.checked("encryption", encryption)
        self._login = (username, password)

    def send(self, message: EmailMessage) -> None:
        """Send it; raises what smtplib raises."""
        context = None if self._encryption == "none" else ssl.create_default_context()
        server: smtplib.SMTP
        if self._encryption == "tls":
            server = smtplib.SMTP_SSL(
                self._host, self._port, timeout=self._timeout, context=context
            )
        else:
            server = smtplib.SMTP(self._host, self._port, timeout=self._timeout)
        with server:
            if self._encryption == "starttls":
                server.starttls(context=context)
            username, password = self._login
            if username:
                server.login(username, password or "")
            self._pass_on(server, message)

    @staticmethod
    def _pass_on(server: smtplib.SMTP, message: EmailMessage) -> None:
        """Not by `send_message`: it folds headers anew, and writes `>From` where `From` was."""
        to, sender = receivers(message), senders_of(message)[0]
        beyond = [spec for spec in (sender, *to) if not spec.isascii()]
        options: list[str] = []
        if beyond:
            server.ehlo_or_helo_if_needed()
            if not server.has_extn("smtputf8"):
                raise NotificationError(
                    f"the mail server takes no address such as {beyond[0]!r} (it lacks SMTPUTF8): "
                    "use one with ASCII before the @"
                )
            options = ["SMTPUTF8", "BODY=8BITMIME"]
        server.sendmail(sender, to, wire_form(message), options)


class _AsWritten(EmailPolicy):
    """Sends headers as they were written: its own folding would change them."""

    def header_store_parse(self, name: str, value: Any) -> tuple[str, Any]:
        return name, value


AS_WRITTEN = _AsWritten(refold_source="none", mangle_from_=False)


def compose(mail: MailMessage, to: Any, sender: Any, id: str) -> EmailMessage:
    """*mail* as a message to *to*, from *sender* unless it names its own, in its final form.

    Addresses are written as `mail_headers.addresses` takes them; NotificationError for what is
    none, and for a line break in a header. *id* makes the Message-ID.
    """
    message = EmailMessage(policy=AS_WRITTEN)
    senders = addresses(mail.from_address or sender, "From")
    message["From"] = listed(senders, "From")
    fields = {"To": to, "Cc": mail.cc, "Bcc": mail.bcc, "Reply-To": mail.reply_to}
    for field, given in fields.items():
        if given:
            message[field] = listed(addresses(given, field), field)
    message["Subject"] = text(mail.subject)
    message["Date"] = formatdate()
    message["Message-ID"] = f"<{id}@{senders[0].spec.rpartition('@')[2]}>"
    message["MIME-Version"] = "1.0"
    _fill(message, mail.to_text(), "plain")
    if html := mail.to_html():
        other = EmailMessage(policy=AS_WRITTEN)
        _fill(other, html, "html")
        message.make_alternative()
        message.attach(other)
    if mail.attachments:
        message.make_mixed()
        for attachment in mail.attachments:
            message.attach(_attached(attachment))
    return message


def _attached(given: Attachment) -> EmailMessage:
    """A part that holds a file, byte for byte (RFC 2183, its name by RFC 2231)."""
    part = EmailMessage(policy=AS_WRITTEN)
    part["Content-Type"] = _media_type(given)
    part["Content-Transfer-Encoding"] = "base64"
    name = quote(_checked_name(given.name), safe="!#$&+-.^_`|~")
    # Each line is short of what a server takes; most names fit into one.
    part["Content-Disposition"] = f"attachment;\r\n filename*=utf-8''{name}"
    packed = base64.encodebytes(given.content).replace(b"\n", b"\r\n")
    part.set_payload(packed.decode("ascii"))
    return part


def _media_type(given: Attachment) -> str:
    """Its type; of a text with its charset, where that can be told: without it is ASCII."""
    if given.type.lower().startswith("text/"):
        with contextlib.suppress(UnicodeDecodeError):
            given.content.decode()
            return f'{given.type}; charset="utf-8"'
    return given.type


def _checked_name(name: str) -> str:
    """*name* without the folders before it; NotificationError where it is too long."""
    bare = name.replace("\\", "/").rpartition("/")[2].encode("utf-8", "replace").decode()
    if not bare or len(bare.encode()) > LONGEST_NAME:
        raise NotificationError(
            f"the name of the attachment {name[:80]!r} must have 1 to {LONGEST_NAME} bytes"
        )
    return bare


def _fill(part: EmailMessage, body: str, subtype: str) -> None:
    """Let *part* hold *body* in a form that nobody on the way needs to change."""
    raw = body.encode("utf-8", "replace")
    lines = _LINE_END.split(raw)
    if all(len(line) <= _LONGEST_LINE and _PLAIN_LINE.fullmatch(line) for line in lines):
        coding, encoded = "7bit", b"\r\n".join(lines)
    else:
        coding, encoded = _encoded(lines)
    charset = "us-ascii" if raw.isascii() else "utf-8"
    part["Content-Type"] = f'text/{subtype}; charset="{charset}"'
    part["Content-Transfer-Encoding"] = coding
    part.set_payload(encoded.decode("ascii") + ("" if encoded.endswith(b"\r\n") else "\r\n"))


def _encoded(lines: list[bytes]) -> tuple[str, bytes]:
    """*lines* in the shorter of the two codings; one that begins a line with `From ` never in a
    form where a mailbox would put a `>` before it.
    """
    quoted = b"\r\n".join(binascii.b2a_qp(line, istext=False) for line in lines)
    quoted = quoted.replace(b"=\n", b"=\r\n")
    packed = binascii.b2a_base64(b"\r\n".join(lines), newline=False)
    packed = b"\r\n".join(packed[at : at + 76] for at in range(0, len(packed), 76))
    if len(quoted) <= len(packed) and not _MANGLED.search(quoted):
        return "quoted-printable", quoted
    return "base64", packed


def wire_form(message: EmailMessage) -> bytes:
    """*message* as a server gets it: lines end in CR LF, and nobody reads of Bcc."""
    sent = copy.copy(message)
    del sent["Bcc"]
    is_ascii = all(spec.isascii() for spec in receivers(message) + senders_of(message))
    own = message.policy if isinstance(message.policy, EmailPolicy) else AS_WRITTEN
    policy = own.clone(linesep="\r\n", utf8=not is_ascii)
    file = io.BytesIO()
    BytesGenerator(file, mangle_from_=False, policy=policy).flatten(sent)
    return file.getvalue()


def receivers(message: EmailMessage) -> list[str]:
    """The addresses *message* goes to, each once."""
    return list(
        dict.fromkeys(_specs(message, "To") + _specs(message, "Cc") + _specs(message, "Bcc"))
    )


def senders_of(message: EmailMessage) -> list[str]:
    """The addresses *message* comes from."""
    return _specs(message, "From")


def _specs(message: EmailMessage, field: str) -> list[str]:
    found = [each for header in message.get_all(field, []) for each in header.addresses]
    return [f"{local_part(each.username)}@{each.domain}" for each in found]
