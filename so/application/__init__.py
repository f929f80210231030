"""The composition root: the Application, and the one place that joins the rooms.

Below it every system is built from plain values; in assembly.py the values come from the settings.
"""

from so.application.application import Application
from so.support.current import current_application, set_current

__all__ = ["Application", "current_application", "set_current"]
