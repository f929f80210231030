"""Where the data lives. One connection a name; `default` is used where none is named.

Every setting, with its variable and its default, stands in so/settings/database.py. An application
that wants other connections than sqlite, mysql, mariadb and cache names all of its own:

    config = env.settings(DatabaseSettings, {"connections": {"shop": {"driver": "sqlite", …}}})
"""

from so.config import env
from so.settings.database import DatabaseSettings

config = env.settings(DatabaseSettings)
