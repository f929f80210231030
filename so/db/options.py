"""The settings of one connection: checked for typos, completed with defaults, URL and hosts taken
apart. What each means is said in so/settings/database.py.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit
from uuid import uuid4

from so.errors import ConfigError
from so.settings.database import (
    DRIVERS,
    DatabaseSettings,
    checked_connection,
    driver_of,
    unknown,
)
from so.support.zones import zone_named

_SPLIT_KEYS: Final = ("host", "port", "unix_socket", "username", "password", "database")
STRICT_MODES: Final = (
    "ONLY_FULL_GROUP_BY,STRICT_TRANS_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,"
    "ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION"
)
_PRAGMA: Final = re.compile(r"[A-Za-z_]\w*")
_PRAGMA_VALUE: Final = re.compile(r"[+-]?\w+(?:\.\w+)?")


def options(config: Mapping[str, Any] | str, name: str = "default") -> dict[str, Any]:
    """*config* (a mapping, a URL or the path of an SQLite file) complete and checked.

    Raises ConfigError for an unknown driver or key, naming the nearest one there is.
    """
    given = _from_text(config) if isinstance(config, str) else dict(config)
    if given.get("url"):
        given = {**given, **_from_url(str(given["url"]))}
    driver = driver_of(given)
    if driver not in DRIVERS:
        raise ConfigError(unknown("driver", driver, list(DRIVERS), name))
    kind = DRIVERS[driver]
    said = checked_connection({**given, "driver": driver}, name)
    full: dict[str, Any] = {key: kind.default_of(key) for key in kind.told()}
    # Which database is for the application to say.
    full |= {"database": None, "redact": DatabaseSettings.redact}
    full |= {key: value for key, value in said.items() if value is not None}
    full["redact"] = frozenset(column.lower() for column in full["redact"])
    check_zone(driver, full["timezone"], name)
    return _sqlite(full, name) if driver == "sqlite" else _mysql(full, name)


def _from_text(text: str) -> dict[str, Any]:
    if re.match(r"(sqlite|mysql|mariadb)://", text):
        return {"url": text}
    return {"driver": "sqlite", "database": text}


def _from_url(url: str) -> dict[str, Any]:
    parts = urlsplit(url)
    found: dict[str, Any] = {"driver": parts.scheme, "url": None}
    path = unquote(parts.path)
    if parts.scheme == "sqlite":
        found["database"] = (parts.netloc + path) or ":memory:"
    else:
        user, _, host = parts.netloc.rpartition("@")
        username, _, password = user.partition(":")
        found.update(host=host or None, username=unquote(username) or None)
        found.update(password=unquote(password) or None, database=path.lstrip("/") or None)
    found.update(parse_qsl(parts.query))
    return {k: v for k, v in found.items() if v is not None}


def _sqlite(full: dict[str, Any], name: str) -> dict[str, Any]:
    for pragma, value in full["pragmas"].items():
        if not _PRAGMA.fullmatch(str(pragma)) or not _PRAGMA_VALUE.fullmatch(str(value)):
            raise ConfigError(f"cannot set pragma {pragma!r} to {value!r} on connection {name!r}")
    if not full["database"]:
        raise ConfigError(f"connection {name!r} has no database: set the path of its SQLite file")
    if full["database"] == ":memory:":
        # A memory database of one name is one database for every handle of this process.
        full["database"] = f"file:/so-{uuid4().hex}?vfs=memdb"
        full["journal_mode"] = "memory"
    return full


def _mysql(full: dict[str, Any], name: str) -> dict[str, Any]:
    full["driver"] = "mysql"
    full["modes"] = _modes(full, name)
    for role in ("read", "write"):
        for key in full[role] or ():
            if key not in _SPLIT_KEYS:
                raise ConfigError(
                    unknown(f"setting of {role!r}", str(key), list(_SPLIT_KEYS), name)
                )
    return full


def _modes(full: dict[str, Any], name: str) -> str:
    """The whole sql_mode: MySQL's is never left to the server's configuration."""
    modes = full["modes"]
    if modes is None:
        return STRICT_MODES if full["strict"] else "NO_ENGINE_SUBSTITUTION"
    text = modes if isinstance(modes, str) else ",".join(modes)
    text = text.upper().replace(" ", "")
    if not re.fullmatch(r"[A-Z0-9_,]*", text) or "NO_BACKSLASH_ESCAPES" in text:
        raise ConfigError(f"modes of connection {name!r} may not be {modes!r}")
    return text


def host_list(host: Any, port: int) -> list[tuple[str, int]]:
    """`"db1,db2:3307"` or a list of such as (host, port) pairs, in order."""
    texts = host.split(",") if isinstance(host, str) else list(host or ())
    return [_host_and_port(text.strip(), port) for text in texts if text.strip()]


def _host_and_port(text: str, port: int) -> tuple[str, int]:
    match = re.fullmatch(r"\[([^\]]+)\](?::(\d+))?|([^:]+)(?::(\d+))?|(.*:.*:.*)", text)
    if match is None:
        raise ConfigError(f"cannot read database host {text!r}: write host, host:port or [v6]:port")
    host = match.group(1) or match.group(3) or match.group(5)
    return host, int(match.group(2) or match.group(4) or port)


@lru_cache(maxsize=64)
def _offsets(zone: str) -> frozenset[timedelta | None]:
    """Every distance from UTC that the clocks of *zone* have or had since 1970."""
    quarters = [datetime(1970 + n // 4, 1 + n % 4 * 3, 1) for n in range(400)]  # noqa: DTZ001
    found = zone_of(zone)
    return frozenset(found.utcoffset(quarter) for quarter in quarters)


def check_zone(driver: str, text: Any, name: str) -> None:
    """Refuse a zone in which a stored time would not say which moment it is.

    SQLite keeps times as texts without a zone, and its own clock is in UTC. In a zone with summer
    time an hour of each autumn comes twice.
    """
    offsets = _offsets(str(text))
    mend = "store times in UTC (+00:00) and show them in the zone of whoever looks"
    if len(offsets) > 1:
        raise ConfigError(
            f"timezone of connection {name!r} is {text!r}, whose clocks are put back each year or "
            f"were in the past, so that one stored time may be two moments: {mend}, or name an "
            "offset such as +01:00"
        )
    if driver == "sqlite" and offsets != {timedelta(0)}:
        raise ConfigError(
            f"timezone of connection {name!r} is {text!r}, but SQLite keeps texts that name no "
            f"zone: {mend}"
        )


def zone_of(text: str) -> tzinfo:
    """The zone that a `timezone` setting names: `+02:00`, `UTC` or an IANA name."""
    if text.upper() in ("UTC", "Z", "+00:00", "-00:00"):
        return UTC
    match = re.fullmatch(r"([+-])(0\d|1[0-3]):([0-5]\d)|([+])(14):(00)", text)
    if match:
        sign, hours, minutes = (part for part in match.groups() if part is not None)
        offset = timedelta(hours=int(hours), minutes=int(minutes))
        return timezone(-offset if sign == "-" else offset)
    try:
        return zone_named(text)
    except ConfigError:
        raise ConfigError(
            f"unknown database timezone {text!r}: write an offset such as +00:00, or install tzdata"
        ) from None


def file_of(database: str) -> str | None:
    """The path of an SQLite *database*, also of one named by a URI; None for one in memory."""
    if not database.startswith("file:"):
        return None if database in ("", ":memory:") else database
    parts = urlsplit(database)
    asked = dict(parse_qsl(parts.query, keep_blank_values=True))
    if asked.get("vfs") == "memdb" or asked.get("mode") == "memory":
        return None
    path = unquote(parts.path)
    return None if path in ("", ":memory:") else path
