"""The queue, its workers, and what holds for jobs that say nothing of their own.

Every setting, with its variable and its default, stands in so/settings/queue.py.
"""

from so.config import env
from so.settings.queue import QueueSettings

config = env.settings(QueueSettings)
