"""The web server: `bin/sixorbit serve`. Options on its command line win over these.

Every setting, with its variable and its default, stands in so/settings/server.py.
"""

from so.config import env
from so.settings.server import ServerSettings

config = env.settings(ServerSettings)
