"""What the HTTP room accepts. A request over a limit is answered by 400, 413, 414 or 431, with a
message that names the limit.

Every setting, with its variable and its default, stands in so/settings/http.py.
"""

from so.config import env
from so.settings.http import HttpLimits

config = env.settings(HttpLimits)
