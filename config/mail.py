"""Mail: into the log, or through an SMTP server."""

from so.config import env

config = {
    "driver": env("MAIL_DRIVER", "log"),  # log or smtp
    "from": env("MAIL_FROM", "erp@localhost"),  # the sender's address
    "host": env("MAIL_HOST", "127.0.0.1"),  # of the SMTP server
    "port": env.int("MAIL_PORT", 587),  # 587 for starttls, 465 for tls
    "encryption": env("MAIL_ENCRYPTION", "starttls"),  # starttls, tls or null
    "username": env("MAIL_USERNAME"),  # unset: no login
    "password": env("MAIL_PASSWORD"),  # of that user
    "timeout": env.float("MAIL_TIMEOUT", 10.0),  # seconds for each step
}
