"""The composition root: the Application, and the one place that joins the rooms.

Below it every system is built from plain values; in assembly.py the values come from the settings.

Read in this order: application.py (what an application is and how it starts), assembly.py (the
table of its rooms), then the rooms in question: stores.py, requests.py, logins.py, work.py.
"""

from so.application.application import Application
from so.support.current import current_application, set_current

__all__ = ["Application", "current_application", "set_current"]
