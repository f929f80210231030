"""Where the data lives. One connection a name; `default` is used where none is named."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from so.errors import ConfigError
from so.support.near import nearest
from so.support.settings import (
    Settings,
    Variables,
    anything,
    choice,
    listed,
    number,
    switch,
    table,
    text,
    whole,
    word,
)


@dataclass(frozen=True)
class SqliteSettings(Settings, topic="database.connections.sqlite"):
    """A connection to an SQLite file."""

    driver: str = text("sqlite", None, "sqlite, mysql or mariadb")
    url: str | None = text(None, None, "sqlite://path, instead of database")
    database: str = text(
        "storage/database.sqlite", "DB_DATABASE", "path, relative to the project; or :memory:"
    )
    prefix: str = text(
        "", "DB_PREFIX", "put before the names of the application's tables by the query builder"
    )
    journal_mode: str = choice(
        "wal",
        "DB_JOURNAL_MODE",
        "wal lets readers and one writer go on at once",
        of=("wal", "delete", "truncate", "persist", "memory", "off"),
    )
    busy_timeout: int = whole(5000, "DB_BUSY_TIMEOUT", "milliseconds to wait for another's lock")
    synchronous: str = choice(
        "normal",
        "DB_SYNCHRONOUS",
        "full: no commit lost even in a power cut",
        of=("off", "normal", "full", "extra"),
        also={"0": "off", "1": "normal", "2": "full", "3": "extra"},
    )
    foreign_keys: bool = switch(True, "DB_FOREIGN_KEYS", "SQLite itself would ignore them")
    transaction_mode: str = choice(
        "immediate",
        "DB_TRANSACTION_MODE",
        "immediate, deferred, exclusive",
        of=("immediate", "deferred", "exclusive"),
    )
    pragmas: dict[str, Any] = table({}, None, 'more of them, by name: {"cache_size": -64000}')
    timezone: str = text(
        "+00:00", "DB_TIMEZONE", "in which datetimes are stored; SQLite: UTC alone"
    )
    max_age: float = number(1800, None, "seconds a connection is used")


@dataclass(frozen=True)
class CacheFileSettings(SqliteSettings, topic="database.connections.cache"):
    """A file of their own for cache, locks, limits and sessions, where the default is SQLite.

    So they never wait for the application's transactions, nor make those wait.
    """

    database: str = text(
        "storage/cache.sqlite", "CACHE_DATABASE", "cache, locks, limits and sessions, on SQLite"
    )
    pragmas: dict[str, Any] = table(
        {"wal_autocheckpoint": 4000}, None, "pages; there are many small writes"
    )


@dataclass(frozen=True)
class MysqlSettings(Settings, topic="database.connections.mysql"):
    """A connection to MySQL or MariaDB."""

    driver: str = text("mysql", None, "MariaDB as well")
    url: str | None = text(
        None,
        "DB_URL",
        "mysql://user:password@host:port/database, instead of the next lines",
        secret=True,
    )
    host: Any = anything("127.0.0.1", "DB_HOST", "several, best first: db1,db2:3307")
    port: int = whole(3306, "DB_PORT", "for hosts that name none")
    unix_socket: str | None = text(None, "DB_SOCKET", "instead of host and port")
    database: str = text("sixorbit", "DB_DATABASE", "its name on the server")
    username: str | None = text("root", "DB_USERNAME", "who logs in to the server")
    password: str | None = text("", "DB_PASSWORD", "of that user", secret=True)
    charset: str = choice(
        "utf8mb4", "DB_CHARSET", "of the connection", of=("utf8mb4", "utf8mb3", "utf8")
    )
    collation: str = text("utf8mb4_unicode_ci", "DB_COLLATION", "as the framework's tables have it")
    prefix: str = text(
        "", "DB_PREFIX", "put before the names of the application's tables by the query builder"
    )
    timezone: str = text("+00:00", "DB_TIMEZONE", "in which datetimes are stored")
    strict: bool = switch(True, "DB_STRICT", "refuse what does not fit instead of cutting it off")
    modes: Any = anything(None, "DB_MODES", "the whole sql_mode instead of what strict stands for")
    isolation: str | None = choice(
        None,
        "DB_ISOLATION",
        "read committed, repeatable read, …; the server's if unset",
        of=("read uncommitted", "read committed", "repeatable read", "serializable"),
    )
    ssl_ca: str | None = text(
        None, "DB_SSL_CA", "file of the authority that signed the server's certificate"
    )
    ssl_cert: str | None = text(None, "DB_SSL_CERT", "file of our own certificate")
    ssl_key: str | None = text(None, "DB_SSL_KEY", "file of its key")
    ssl_verify_cert: bool = switch(False, "DB_SSL_VERIFY_CERT", "the server's, against ssl_ca")
    ssl_verify_identity: bool = switch(False, "DB_SSL_VERIFY_IDENTITY", "its name is the host's")
    ssl_disabled: bool = switch(False, "DB_SSL_DISABLED", "never encrypt")
    connect_timeout: float = number(5, "DB_CONNECT_TIMEOUT", "seconds until another host is tried")
    read_timeout: float = number(
        300, "DB_READ_TIMEOUT", "seconds without a word during a statement"
    )
    write_timeout: float = number(300, "DB_WRITE_TIMEOUT", "seconds until a statement was sent")
    max_age: float = number(1800, "DB_MAX_AGE", "seconds a connection is used, below wait_timeout")
    use_pure: bool | None = switch(None, None, "the driver without its compiled half")
    read: Any = anything(None, "DB_READ_HOST", "replicas for reads")
    write: Any = anything(
        None, None, "of the writer alone: host, port, username, password, database"
    )
    sticky: bool = switch(True, "DB_STICKY", "after a write, reads of the same request stay there")
    retry_host_after: float = number(30, "DB_RETRY_HOST_AFTER", "seconds a failed host comes last")
    max_statement_bytes: int = whole(
        1_000_000,
        "DB_MAX_STATEMENT_BYTES",
        "bulk inserts are split at that; below max_allowed_packet",
        least=1,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for role in ("read", "write"):
            if isinstance(getattr(self, role), str):
                object.__setattr__(self, role, {"host": getattr(self, role)})


DRIVERS: dict[str, type[SqliteSettings] | type[MysqlSettings]] = {
    "sqlite": SqliteSettings,
    "mysql": MysqlSettings,
    "mariadb": MysqlSettings,
}


def driver_of(connection: Mapping[str, Any]) -> str:
    """The name of its driver, whatever its case; its URL counts first."""
    scheme, is_url, _ = str(connection.get("url") or "").partition("://")
    driver = scheme if is_url else connection.get("driver") or SqliteSettings.driver
    driver = str(driver).strip().lower()
    return "sqlite" if driver == "sqlite3" else driver


def checked_connection(given: Mapping[str, Any], name: str) -> dict[str, Any]:
    """What *given* says of the connection *name*, understood; one of another driver as it is.

    Raises ConfigError for a setting that there is not, and for a value that means nothing.
    """
    driver = driver_of(given)
    if driver not in DRIVERS:
        return dict(given)
    kind, found = DRIVERS[driver], {}
    for key, value in given.items():
        if key not in kind.told() and key != "redact":
            raise ConfigError(unknown("setting", str(key), [*kind.told(), "redact"], name))
        is_said = value is not None and key != "redact"
        found[key] = kind.checked(key, value, f"database.connections.{name}") if is_said else value
    return {**found, "driver": driver} if "driver" in given else found


def unknown(what: str, given: str, known: list[str], name: str) -> str:
    """The words for a driver or setting that there is not."""
    near = nearest(given, known)
    mend = f"did you mean {near!r}?" if near else f"known are {', '.join(sorted(known))}"
    return f"unknown database {what} {given!r} of connection {name!r}: {mend}"


@dataclass(frozen=True)
class DatabaseSettings(Settings, topic="database"):
    """`config/database.py`. Where no `connections` are given, there are those of the variables.

    They are sqlite, mysql, mariadb and cache.
    """

    default: str = word(
        "sqlite", "DB_CONNECTION", "sqlite, mysql or mariadb", of=("sqlite", "mysql", "mariadb")
    )
    redact: tuple[str, ...] = listed(
        (
            *("password", "passwd", "secret", "token", "remember_token", "api_key"),
            *("access_token", "refresh_token", "private_key", "plain_text", "card_number"),
            *("cvv", "cvc", "iban", "pin", "otp", "ssn"),
        ),
        "DB_REDACT",
        "columns whose bindings are masked in errors, in the query log and for listeners",
    )
    connections: dict[str, Any] = table({}, None, "their settings, by name")
    migrations: str = text("database/migrations", None, "folder of the application's migrations")

    @classmethod
    def from_config(
        cls, given: Mapping[str, Any] | None = None, variables: Variables | None = None
    ) -> Self:
        """See Settings; ConfigError as well for a default that is no connection."""
        said = dict(given or {})
        wanted = said.get("default") or (variables and variables("DB_CONNECTION"))
        own = said.get("connections") is not None
        said["connections"] = (
            {name: _connection(one, name) for name, one in dict(said["connections"]).items()}
            if own
            else _standard(wanted, variables)
        )
        made = super().from_config(said, variables)
        if wanted:
            object.__setattr__(made, "default", _among(made.default, made.connections))
        elif made.default not in made.connections and len(made.connections) == 1:
            object.__setattr__(made, "default", next(iter(made.connections)))
        return made


def _connection(given: Any, name: str) -> Any:
    return checked_connection(given, name) if isinstance(given, Mapping) else given


def _standard(default: Any, variables: Variables | None) -> dict[str, Any]:
    mysql = MysqlSettings.from_config({}, variables).to_config()
    is_sqlite = str(default or "sqlite").strip().lower() == "sqlite"
    return {
        "sqlite": SqliteSettings.from_config({}, variables).to_config(),
        "mysql": mysql,
        "mariadb": dict(mysql),
        "cache": CacheFileSettings.from_config({}, variables).to_config()
        if is_sqlite
        else dict(mysql),
    }


def _among(default: str, connections: Mapping[str, Any]) -> str:
    known = {name.lower(): name for name in connections}
    found = default if default in connections else known.get(default.strip().lower())
    if found is None:
        near = nearest(default, known)
        hint = f"; did you mean {near!r}?" if near else ""
        raise ConfigError(
            f"DB_CONNECTION (config database.default) is {default!r}: use one of "
            f"{', '.join(sorted(connections))}{hint}"
        )
    return found
