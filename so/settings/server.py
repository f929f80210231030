"""The web server: `bin/sixorbit serve`. Options on its command line win over these."""

from __future__ import annotations

from dataclasses import dataclass

from so.support.settings import Settings, choice, number, part, text, whole

KIB, MIB, GIB = 1024, 1024**2, 1024**3


@dataclass(frozen=True)
class ServerLimits(Settings, topic="server.limits"):
    """Every limit of the web server; what happens at each is written where it is checked."""

    # One request.
    request_line_bytes: int = whole(8 * KIB, "SERVER_REQUEST_LINE_BYTES", "beyond: 414")
    header_bytes: int = whole(64 * KIB, "SERVER_HEADER_BYTES", "all fields together; beyond: 431")
    header_count: int = whole(100, "SERVER_HEADER_COUNT", "fields; beyond: 431")
    body_bytes: int = whole(512 * MIB, "SERVER_BODY_BYTES", "beyond: 413")
    chunk_line_bytes: int = whole(4 * KIB, "SERVER_CHUNK_LINE_BYTES", "size and extensions")
    chunk_extension_bytes: int = whole(
        64 * KIB, "SERVER_CHUNK_EXTENSION_BYTES", "of all chunks of a body together; beyond: 400"
    )
    empty_lines: int = whole(16, "SERVER_EMPTY_LINES", "before a request; beyond: 400")
    trailer_bytes: int = whole(8 * KIB, "SERVER_TRAILER_BYTES", "all trailers together")
    trailer_count: int = whole(32, "SERVER_TRAILER_COUNT", "trailer fields")
    # What is kept in memory before it goes to a file.
    body_memory_bytes: int = whole(256 * KIB, "SERVER_BODY_MEMORY_BYTES", "larger: in a file")
    body_memory_total_bytes: int = whole(
        64 * MIB, "SERVER_BODY_MEMORY_TOTAL_BYTES", "of all bodies of a process; more: files"
    )
    response_memory_bytes: int = whole(
        MIB, "SERVER_RESPONSE_MEMORY_BYTES", "unread by one client; more goes to a file"
    )
    response_memory_total_bytes: int = whole(
        64 * MIB, "SERVER_RESPONSE_MEMORY_TOTAL_BYTES", "of all clients of a process; more: files"
    )
    response_file_bytes: int = whole(
        GIB, "SERVER_RESPONSE_FILE_BYTES", "more: the application waits for its client"
    )
    file_total_bytes: int = whole(
        8 * GIB, "SERVER_FILE_TOTAL_BYTES", "all bodies and responses in files of a process"
    )
    # How long a client may take.
    head_seconds: float = number(10.0, "SERVER_HEAD_SECONDS", "for a whole head; beyond: 408")
    body_seconds: float = number(30.0, "SERVER_BODY_SECONDS", "between two pieces of a body: 408")
    keep_alive_seconds: float = number(
        75.0, "SERVER_KEEP_ALIVE_SECONDS", "idle between requests, then closed"
    )
    write_seconds: float = number(30.0, "SERVER_WRITE_SECONDS", "a client reads nothing so long")
    slowest_bytes_per_second: int = whole(
        256,
        "SERVER_SLOWEST_BYTES_PER_SECOND",
        "of a body or response that takes longer than a minute; slower: given up",
    )
    # How long the application and its processes may take.
    request_seconds: float = number(
        300.0, "SERVER_REQUEST_SECONDS", "no answer by then: 503, and a new process; 0: never"
    )
    grace_seconds: float = number(
        30.0, "SERVER_GRACE_SECONDS", "seconds what runs still has when the server is stopped"
    )
    heartbeat_seconds: float = number(
        30.0,
        "SERVER_HEARTBEAT_SECONDS",
        "a process that stands still so long is replaced; 0: never",
    )
    # Counts, for each process.
    max_requests: int = whole(
        0, "SERVER_MAX_REQUESTS", "then it is replaced, up to a tenth later; 0: never"
    )
    queue: int = whole(512, "SERVER_QUEUE", "requests waiting for a thread; beyond: 503")
    connections: int = whole(
        4096, "SERVER_CONNECTIONS", "beyond: the idle longest is closed", least=1
    )
    held: int = whole(
        2048, "SERVER_HELD", "answers kept open without a thread; beyond: they end at once"
    )
    backlog: int = whole(1024, "SERVER_BACKLOG", "connections the system keeps waiting")


@dataclass(frozen=True)
class ServerSettings(Settings, topic="server"):
    """`config/server.py`."""

    host: str = text(
        "127.0.0.1", "SERVER_HOST", "address to listen on; 0.0.0.0: all of this machine"
    )
    port: int = whole(8000, "SERVER_PORT", "1 to 65535")
    socket: str | None = text(
        None, "SERVER_SOCKET", "path of a Unix socket instead of host and port"
    )
    workers: int = whole(2, "SERVER_WORKERS", "processes; about one for each processor", least=1)
    threads: int = whole(4, "SERVER_THREADS", "requests a process runs at the same time", least=1)
    cert: str | None = text(
        None, "SERVER_CERT", "file with the TLS certificate and its chain; unset: plain HTTP"
    )
    key: str | None = text(
        None, "SERVER_KEY", "file with its key; unset: in the file of the certificate"
    )
    access_log: str | None = text(
        None, "SERVER_ACCESS_LOG", 'file, or "-" for standard output; unset: none'
    )
    access_format: str = choice(
        "common", "SERVER_ACCESS_FORMAT", "common or json", of=("common", "json")
    )
    pages: str = choice(
        "loopback",
        "SERVER_PAGES",
        "who sees /healthz … : loopback, everyone or off",
        of=("loopback", "everyone", "off"),
    )
    ready_seconds: float = number(1.0, "SERVER_READY_SECONDS", "an answer of /readyz is kept")
    metrics_seconds: float = number(
        5.0, "SERVER_METRICS_SECONDS", "what /metrics says of the application is kept"
    )
    vitals_wait_seconds: float = number(
        2.0, "SERVER_VITALS_WAIT_SECONDS", "a database has to answer both; beyond: 503"
    )
    metrics_series: int = whole(
        100, "SERVER_METRICS_SERIES", "queues and tasks with figures of their own", least=1
    )
    limits: ServerLimits = part(ServerLimits)
