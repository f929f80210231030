"""`so.wsgi:application`, for other WSGI servers: `gunicorn so.wsgi:application`.

The application's folder is SIXORBIT_BASE, or the working directory. It is made at the first
request or the first time it is asked for, so that importing this module costs nothing.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from so.application import Application, set_current
from so.application.application import let_be_found
from so.application.trail import note_settings

_made: list[Application] = []
_lock = threading.Lock()


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """The WSGI callable of the application in SIXORBIT_BASE."""
    if not _made:
        with _lock:
            if not _made:
                _made.append(_make())
    return _made[0](environ, start_response)


def _make() -> Application:
    base = os.path.abspath(os.environ.get("SIXORBIT_BASE") or os.getcwd())
    let_be_found(Path(base))
    app = Application(base)
    set_current(app)
    app.ready()
    note_settings(app)
    return app
