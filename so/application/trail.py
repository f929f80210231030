"""What happens to the application itself, in the log `audit`; and whether anybody verifies it.

Settings are compared when a server or a worker starts, migrations are noted one by one, and what
was not logged because logging is switched off is counted until the application closes. None of it
stops what it tells of.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from so.db.tables import table_names
from so.errors import SixOrbitError
from so.settings.app import AppSettings
from so.support.codec import to_jsonable
from so.support.masking import MASK, Masker
from so.support.signing import Signer

App = Any
DAYS_UNVERIFIED = 2
LATEST = 200  # entries of settings looked through for the last one of this machine
_SECRET = ("password", "passwd", "secret", "api_key", "private_key", "credential", "salt")
_KEYS = ("key", "previous_keys")
_PASSWORD_OF_URL = re.compile(r"(://[^:/@\s]*:)[^/@\s]+@")


class SettingsMasker(Masker):
    """Knows the names of settings: a cookie's name is no secret there, a `key` is."""

    def __init__(self) -> None:
        super().__init__(_SECRET)

    def is_secret(self, name: object) -> bool:
        """True for passwords, secrets and keys."""
        return name in _KEYS or super().is_secret(name)

    def text(self, text: str) -> str:
        """*text* without the password of a URL."""
        return super().text(_PASSWORD_OF_URL.sub(r"\1***@", text))


def note(app: App, event: str, description: str, properties: Mapping[str, Any]) -> None:
    """Leave an entry in the log `audit`, if the trail is there to take it."""
    try:
        if _is_there(app):
            app.make("activity").certify(event, description, properties)
    except SixOrbitError:
        app.make("logger").warning("%s is not in the trail", description, exc_info=True)


def _is_there(app: App) -> bool:
    connection = app.make("db").connection()
    file = str(connection.config["database"])
    if connection.dialect.name == "sqlite" and not (":" in file or Path(file).is_file()):
        return False  # asking would make an empty one
    return "activity_log" in table_names(connection)


# --- settings


def note_settings(app: App) -> None:
    """Note the settings that changed since a server or worker started on this machine."""
    try:
        now = dict(_leaves(app, app.config.all(), ""))
        before = _last_settings(app) if _is_there(app) else None
    except SixOrbitError as error:  # whoever needs the database says so in full
        app.make("logger").warning("the settings are not in the trail: %s", error)
        return
    changed = sorted(n for n in {*now, *(before or {})} if (before or {}).get(n) != now.get(n))
    if before is None or not changed:
        if before is None:
            note(app, "settings", "Settings noted", {"host": _host(), "settings": now})
        return
    what = {
        "attributes": {name: now.get(name) for name in changed},
        "old": {name: before.get(name) for name in changed},
    }
    text = f"Settings changed: {', '.join(changed)}"[:500]
    note(app, "settings", text, {**what, "host": _host(), "settings": now})


def _host() -> str:
    return socket.gethostname()[:100]


def _last_settings(app: App) -> dict[str, Any] | None:
    from so.systems.activity import Activity

    query = Activity.on(app.make("db").connection()).in_log("audit").for_event("settings")
    for row in query.order_by_desc("id").limit(LATEST).get():
        if row.properties.get("host") == _host():
            return dict(row.properties.get("settings") or {})
    return None


def _leaves(app: App, value: Any, path: str) -> Iterator[tuple[str, Any]]:
    name = path.rpartition(".")[2]
    masker = SettingsMasker()
    if value not in (None, "", (), []) and masker.is_secret(name):
        yield path, _mark(app, path, value)
    elif isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from _leaves(app, item, f"{path}.{key}" if path else str(key))
    else:
        yield path, _plain(masker.mask(value))


def _mark(app: App, path: str, value: Any) -> str:
    """`***`, and by a few letters that only the application's key gives, whether it changed."""
    key = app.settings(AppSettings).key
    return f"{MASK} {Signer(key).mac(f'{path}={value}'.encode(), 'setting')[:8]}" if key else MASK


def _plain(value: Any) -> Any:
    try:
        return to_jsonable(value)
    except TypeError:
        return repr(value)


# --- silence


def note_silence(app: App, log: Any) -> None:
    """Note what *log* did not take while it was switched off."""
    count, log.unlogged = log.unlogged, 0
    text = f"{count} changes or entries were not logged: activity.enabled is false"
    note(app, "silenced", text, {"count": count})


# --- does anybody look?


def unverified(app: App) -> Iterator[str]:
    """What is wrong with how the trail is looked after; nothing where it is not signed."""
    log = app.make("activity")
    if log.integrity is None or not _is_there(app):
        return
    verified, findings = log.last_verified()
    if findings:
        yield f"the last activity:verify had {findings} findings: run `activity:verify --full`"
    limit = app.clock.now() - timedelta(days=DAYS_UNVERIFIED)
    old = app.make("db").table("activity_log").where("created_at", "<", limit)
    if (verified is None or verified < limit) and old.exists():
        when = "never" if verified is None else f"last on {verified:%Y-%m-%d}"
        yield f"the trail was verified {when}: run `activity:verify` by a timer, every night"
