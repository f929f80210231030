"""Mail: into the log, or through an SMTP server."""

from __future__ import annotations

from dataclasses import dataclass

from so.support.settings import Settings, choice, number, text, whole


@dataclass(frozen=True)
class MailSettings(Settings, topic="mail", named={"from": "sender"}):
    """`config/mail.py`."""

    driver: str = choice("log", "MAIL_DRIVER", "log or smtp", of=("log", "smtp"))
    sender: str = text("erp@localhost", "MAIL_FROM", "the sender's address")
    host: str = text("127.0.0.1", "MAIL_HOST", "the SMTP server")
    port: int = whole(587, "MAIL_PORT", "465 for tls, 587 for starttls", least=1)
    encryption: str = choice(
        "starttls",
        "MAIL_ENCRYPTION",
        "starttls, tls (or ssl: from the first byte) or none",
        of=("starttls", "tls", "none"),
        also={"ssl": "tls", "smtps": "tls", "start tls": "starttls", "null": "none"},
        nothing="none",
    )
    username: str | None = text(None, "MAIL_USERNAME", "unset: no login")
    password: str | None = text(
        None, "MAIL_PASSWORD", "in single quotes if it has a $ or a space", secret=True
    )
    timeout: float = number(10.0, "MAIL_TIMEOUT", "seconds for each step")
