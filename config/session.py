"""Sessions: where they are kept, how long they last, how their cookies look.

Every setting, with its variable and its default, stands in so/settings/session.py.
"""

from so.config import env
from so.settings.session import SessionSettings

config = env.settings(SessionSettings)
