"""Mail transports: into the log (the default), or through a server by smtplib."""

from __future__ import annotations

import logging
import smtplib
import ssl
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from typing import Protocol

from so.settings.mail import MailSettings

_log = logging.getLogger("so.mail")


class MailTransport(Protocol):
    """Anything that can send a message."""

    def send(self, message: EmailMessage) -> None:
        """Send it, or raise."""
        ...


class LogTransport:
    """Writes mails into the log instead of sending them."""

    def send(self, message: EmailMessage) -> None:
        """One line with recipient and subject, the text after it."""
        body = message.get_body(("plain",))
        text = body.get_content().strip() if body is not None else ""
        _log.info("mail to %s: %s | %s", message["To"], message["Subject"], text)


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
            server.send_message(message)


def compose(
    to: str, sender: str, subject: str, text: str, html: str | None, message_id: str, **extra: str
) -> EmailMessage:
    """An EmailMessage; a line break in a header is refused by the standard library."""
    message = EmailMessage()
    message["To"], message["From"], message["Subject"] = to, sender, subject
    message["Date"] = formatdate()
    message["Message-ID"] = f"<{message_id}@{make_msgid().rpartition('@')[2].rstrip('>')}>"
    for name, value in extra.items():
        message[name.replace("_", "-")] = value
    message.set_content(text)
    if html:
        message.add_alternative(html, subtype="html")
    return message
