"""Sessions in the table `sessions`: shared by all servers, safe under parallel requests.

`Sessions(db).open(secret)` gives a request its `Session`; `Sessions` also lists and ends them.
Cookies and middleware are in so/edge/session.py, logging in is in so/systems/auth.

Read in this order: session.py (what an application uses), bag.py (its values, and their changes),
service.py (opening, saving, listing, ending), stores.py (the rows).
"""

from so.systems.sessions.life import Limits, id_of
from so.systems.sessions.masks import mask, unmask
from so.systems.sessions.service import Cipher, Device, Devices, Sessions, clean_user_agent
from so.systems.sessions.session import Session
from so.systems.sessions.stores import Move, SessionTable, StoredSession

__all__ = [
    "Cipher",
    "SessionTable",
    "Device",
    "Devices",
    "Limits",
    "Move",
    "Session",
    "Sessions",
    "StoredSession",
    "clean_user_agent",
    "id_of",
    "mask",
    "unmask",
]
