"""An application with the live inbox, for a real server: its settings are in INBOX_SETTINGS."""

from __future__ import annotations

import json
import os
import threading

from so import Router, auth, set_current
from so.application import Application
from tests.web.test_inbox import Reader

ran: list[str] = []


def make() -> Application:
    settings = json.loads(os.environ["INBOX_SETTINGS"])
    app = Application(settings["app"]["storage"], {**settings, "auth": {"model": Reader}})
    set_current(app)
    app.boot()
    Router.get("/in/{key}", lambda key: auth().login_using_id(int(key)) and "in").middleware("web")
    Router.get("/threads", lambda: [os.getpid(), threading.active_count(), len(ran)])
    app.db.listen(lambda query: ran.append(query.sql))
    return app


application = make()
