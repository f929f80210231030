"""Mail: into the log, or through an SMTP server.

Every setting, with its variable and its default, stands in so/settings/mail.py.
"""

from so.config import env
from so.settings.mail import MailSettings

config = env.settings(MailSettings)
