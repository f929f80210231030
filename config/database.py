"""Where the data lives. One connection a name; `default` is used where none is named.

A key that does not exist is an error that names the nearest one.
"""

from so.config import env

_sqlite = {
    "driver": "sqlite",
    "database": env("DB_DATABASE", "storage/database.sqlite"),  # path, relative to the project
    "prefix": env("DB_PREFIX", ""),  # put before every table name of the query builder
    "journal_mode": env("DB_JOURNAL_MODE", "wal"),  # wal lets readers and one writer go on at once
    "busy_timeout": env.int("DB_BUSY_TIMEOUT", 5000),  # milliseconds to wait for another's lock
    "synchronous": env("DB_SYNCHRONOUS", "normal"),  # full: no commit lost even in a power cut
    "foreign_keys": env.bool("DB_FOREIGN_KEYS", True),  # SQLite itself would ignore them
    "transaction_mode": env("DB_TRANSACTION_MODE", "immediate"),  # immediate, deferred, exclusive
    "pragmas": {},  # more of them, by name: {"cache_size": -64000}
    "timezone": env("DB_TIMEZONE", "+00:00"),  # in which datetimes are stored; SQLite: UTC alone
}

_mysql = {
    "driver": "mysql",  # MariaDB as well
    "url": env("DB_URL"),  # mysql://user:password@host:port/database, instead of the next lines
    "host": env("DB_HOST", "127.0.0.1"),  # several, best first: db1,db2:3307
    "port": env.int("DB_PORT", 3306),  # for hosts that name none
    "unix_socket": env("DB_SOCKET"),  # instead of host and port
    "database": env("DB_DATABASE", "sixorbit"),  # its name on the server
    "username": env("DB_USERNAME", "root"),  # who logs in to the server
    "password": env("DB_PASSWORD", ""),  # of that user
    "charset": env("DB_CHARSET", "utf8mb4"),  # of the connection; utf8mb4 holds every character
    "collation": env("DB_COLLATION", "utf8mb4_unicode_ci"),  # as the framework's tables have it
    "prefix": env("DB_PREFIX", ""),
    "timezone": env("DB_TIMEZONE", "+00:00"),  # of the session, and in which datetimes are stored
    "strict": env.bool("DB_STRICT", True),  # refuse what does not fit instead of cutting it off
    "modes": env("DB_MODES"),  # the whole sql_mode instead of what strict stands for
    "isolation": env("DB_ISOLATION"),  # read committed, repeatable read, …; the server's if unset
    "ssl_ca": env("DB_SSL_CA"),  # file of the authority that signed the server's certificate
    "ssl_cert": env("DB_SSL_CERT"),  # file of our own certificate
    "ssl_key": env("DB_SSL_KEY"),  # file of its key
    "ssl_verify_cert": env.bool("DB_SSL_VERIFY_CERT", False),  # the server's, against ssl_ca
    "ssl_verify_identity": env.bool("DB_SSL_VERIFY_IDENTITY", False),  # its name is the host's
    "ssl_disabled": env.bool("DB_SSL_DISABLED", False),  # never encrypt
    "connect_timeout": env.int("DB_CONNECT_TIMEOUT", 5),  # seconds until another host is tried
    "read_timeout": env.int("DB_READ_TIMEOUT", 300),  # seconds without a word during a statement
    "write_timeout": env.int("DB_WRITE_TIMEOUT", 300),  # seconds until a statement was sent
    "max_age": env.int("DB_MAX_AGE", 1800),  # seconds a connection is used, below wait_timeout
    "read": {"host": env("DB_READ_HOST")} if env("DB_READ_HOST") else None,  # replicas for reads
    "write": None,  # settings of the writer alone: host, port, username, password, database
    "sticky": env.bool("DB_STICKY", True),  # after a write, reads of the same request stay there
    "retry_host_after": env.int("DB_RETRY_HOST_AFTER", 30),  # seconds a failed host comes last
    # Bytes of one statement: bulk inserts are split at that. Below the server's max_allowed_packet.
    "max_statement_bytes": env.int("DB_MAX_STATEMENT_BYTES", 1_000_000),
}

config = {
    "default": env("DB_CONNECTION", "sqlite"),  # sqlite, mysql or mariadb
    # Bindings of these columns are masked in error texts, in the query log and for listeners.
    "redact": env.list(
        "DB_REDACT",
        ["password", "secret", "token", "remember_token", "api_key", "card_number", "iban"],
    ),
    "connections": {
        "sqlite": _sqlite,
        "mysql": _mysql,
        "mariadb": _mysql,
        # Cache, locks, limits and sessions. On SQLite a file of their own, so that they never wait
        # for the application's transactions, nor make those wait.
        "cache": {
            **_sqlite,
            "database": env("CACHE_DATABASE", "storage/cache.sqlite"),
            "pragmas": {"wal_autocheckpoint": 4000},  # pages; small writes, many of them
        }
        if env("DB_CONNECTION", "sqlite") == "sqlite"
        else _mysql,
    },
    "migrations": "database/migrations",  # folder of the application's migrations
}
