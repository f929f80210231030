"""The settings of one connection: checked for typos, completed with defaults, URL and hosts taken
apart. What each means is said in config/database.py.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit
from uuid import uuid4

from so.errors import ConfigError
from so.support.near import nearest

DEFAULT_REDACT: Final = frozenset(
    ("password", "passwd", "secret", "token", "remember_token", "api_key", "access_token")
    + ("refresh_token", "private_key", "plain_text", "card_number", "cvv", "iban")
)
"""Columns whose bindings are masked in error texts and logs unless `database.redact` says else."""

_COMMON: Final[dict[str, Any]] = {
    "driver": "sqlite",
    "url": None,
    "database": None,
    "prefix": "",
    "timezone": "+00:00",
    "max_age": 1800,
    "redact": DEFAULT_REDACT,
}
SQLITE: Final[dict[str, Any]] = {
    **_COMMON,
    "journal_mode": "wal",
    "busy_timeout": 5000,
    "synchronous": "normal",
    "foreign_keys": True,
    "transaction_mode": "immediate",
    "pragmas": {},
}
MYSQL: Final[dict[str, Any]] = {
    **_COMMON,
    "host": "127.0.0.1",
    "port": 3306,
    "unix_socket": None,
    "username": None,
    "password": None,
    "charset": "utf8mb4",
    "collation": "utf8mb4_unicode_ci",
    "strict": True,
    "modes": None,
    "isolation": None,
    "ssl_ca": None,
    "ssl_cert": None,
    "ssl_key": None,
    "ssl_verify_cert": False,
    "ssl_verify_identity": False,
    "ssl_disabled": False,
    "connect_timeout": 5,
    "read_timeout": 300,
    "write_timeout": 300,
    "use_pure": None,
    "read": None,
    "write": None,
    "sticky": True,
    "retry_host_after": 30,
    "max_statement_bytes": 1_000_000,
}
DRIVERS: Final = {"sqlite": SQLITE, "mysql": MYSQL, "mariadb": MYSQL}
_SPLIT_KEYS: Final = ("host", "port", "unix_socket", "username", "password", "database")
_JOURNALS: Final = ("wal", "delete", "truncate", "persist", "memory", "off")
_SYNC: Final = ("off", "normal", "full", "extra")
_LEVELS: Final = ("read uncommitted", "read committed", "repeatable read", "serializable")
_CHARSETS: Final = ("utf8mb4", "utf8mb3", "utf8")
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
        given = {**given, **_from_url(str(given["url"]), name)}
    driver = given.setdefault("driver", "sqlite")
    if driver not in DRIVERS:
        raise ConfigError(_unknown("driver", str(driver), DRIVERS, name))
    known = DRIVERS[driver]
    for key in given:
        if key not in known:
            raise ConfigError(_unknown("setting", str(key), known, name))
    full = {**known, **{k: v for k, v in given.items() if v is not None or known[k] is None}}
    full["redact"] = frozenset(column.lower() for column in full["redact"])
    check_zone(driver, full["timezone"], name)
    return _sqlite(full, name) if driver == "sqlite" else _mysql(full, name)


def _unknown(kind: str, given: str, known: Collection[str], name: str) -> str:
    near = nearest(given, known)
    mend = f"did you mean {near!r}?" if near else f"known are {', '.join(sorted(known))}"
    return f"unknown database {kind} {given!r} of connection {name!r}: {mend}"


def _from_text(text: str) -> dict[str, Any]:
    if re.match(r"(sqlite|mysql|mariadb)://", text):
        return {"url": text}
    return {"driver": "sqlite", "database": text}


def _from_url(url: str, name: str) -> dict[str, Any]:
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
    return _typed({k: v for k, v in found.items() if v is not None}, name)


def _typed(found: dict[str, Any], name: str) -> dict[str, Any]:
    """Texts from the query part of a URL as the kind their default has."""
    known = DRIVERS.get(found["driver"], MYSQL)
    for key, value in found.items():
        default = known.get(key)
        try:
            if isinstance(default, bool):
                found[key] = str(value).lower() in ("1", "true", "on", "yes")
            elif isinstance(default, int):
                found[key] = int(value)
        except ValueError:
            raise ConfigError(
                f"setting {key!r} in the URL of connection {name!r} must be a number, not {value!r}"
            ) from None
    return found


def _sqlite(full: dict[str, Any], name: str) -> dict[str, Any]:
    _one_of(full, "journal_mode", _JOURNALS, name)
    _one_of(full, "synchronous", _SYNC, name)
    for pragma, value in full["pragmas"].items():
        if not _PRAGMA.fullmatch(str(pragma)) or not _PRAGMA_VALUE.fullmatch(str(value)):
            raise ConfigError(f"cannot set pragma {pragma!r} to {value!r} on connection {name!r}")
    if not full["database"]:
        raise ConfigError(f"connection {name!r} has no database: set the path of its SQLite file")
    full["busy_timeout"] = int(full["busy_timeout"])
    if full["database"] == ":memory:":
        # A memory database of one name is one database for every handle of this process.
        full["database"] = f"file:/so-{uuid4().hex}?vfs=memdb"
        full["journal_mode"] = "memory"
    return full


def _mysql(full: dict[str, Any], name: str) -> dict[str, Any]:
    full["driver"] = "mysql"
    if full["isolation"] is not None:
        full["isolation"] = full["isolation"].replace("-", " ")
        _one_of(full, "isolation", _LEVELS, name)
    full["modes"] = _modes(full, name)
    full["max_statement_bytes"] = _at_least(full, "max_statement_bytes", 1, name)
    _one_of(full, "charset", _CHARSETS, name)
    for role in ("read", "write"):
        for key in full[role] or ():
            if key not in _SPLIT_KEYS:
                raise ConfigError(_unknown(f"setting of {role!r}", str(key), _SPLIT_KEYS, name))
    return full


def _at_least(full: dict[str, Any], key: str, least: int, name: str) -> int:
    value = full[key]
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ConfigError(
            f"{key} of connection {name!r} is {value!r}: write a whole number, {least} or more"
        )
    return value


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


def _one_of(full: dict[str, Any], key: str, allowed: tuple[str, ...], name: str) -> None:
    full[key] = str(full[key]).lower()
    if full[key] not in allowed:
        choice = ", ".join(allowed)
        raise ConfigError(f"{key} of connection {name!r} is {full[key]!r}: use one of {choice}")


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


def check_zone(driver: str, text: Any, name: str) -> None:
    """Refuse a zone in which a stored time would not say which moment it is.

    SQLite keeps times as texts without a zone, and its own clock is in UTC. In a zone with summer
    time an hour of each autumn comes twice.
    """
    zone = zone_of(str(text))
    offsets = {zone.utcoffset(datetime(1970 + n // 4, 1 + n % 4 * 3, 1)) for n in range(400)}  # noqa: DTZ001
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
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        return ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ConfigError(
            f"unknown database timezone {text!r}: write an offset such as +00:00, or install tzdata"
        ) from None
