"""The activity log: who changed what, when, from where, in the same transaction as the change.

`activity()` writes an entry by hand, `LogsActivity` makes a model write its own. `Activity` reads
the trail. Changes are compared as the columns' casts compare them, and secrets are masked before
they reach the disk. Which patterns are secret, and who is acting, is decided in so/application.

Read in this order: mixin.py (how a model writes its trail), tracking.py (what of a change),
entries.py and rows.py (one entry), trail.py (writing), log.py (asking, caring, proving),
framing.py and sealing.py (proof), verifying.py, pruning.py, erasing.py.
"""

from so.systems.activity.context import activity_batch, causer, unaudited, without_activity
from so.systems.activity.log import ActivityLog
from so.systems.activity.mixin import LogsActivity
from so.systems.activity.model import Activity
from so.systems.activity.pending import PendingActivity

__all__ = [
    "Activity",
    "ActivityLog",
    "LogsActivity",
    "PendingActivity",
    "activity_batch",
    "causer",
    "unaudited",
    "without_activity",
]
