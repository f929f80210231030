"""The web server: `bin/sixorbit serve`. Options on its command line win over these."""

from so.config import env

config = {
    "host": env("SERVER_HOST", "127.0.0.1"),  # address to listen on; 0.0.0.0: all of this machine
    "port": env.int("SERVER_PORT", 8000),  # port to listen on
    "socket": env("SERVER_SOCKET"),  # path of a Unix socket instead of host and port
    "workers": env.int("SERVER_WORKERS", 2),  # processes; about one for each processor
    "threads": env.int("SERVER_THREADS", 4),  # requests a process runs at the same time
    "cert": env("SERVER_CERT"),  # file with the TLS certificate and its chain; unset: plain HTTP
    "key": env("SERVER_KEY"),  # file with its key; unset: in the file of the certificate
    "access_log": env("SERVER_ACCESS_LOG"),  # file, or "-" for standard output; unset: none
    "access_format": env("SERVER_ACCESS_FORMAT", "common"),  # common or json
    "pages": env("SERVER_PAGES", "loopback"),  # who sees /healthz … : loopback, everyone or off
    "limits": {
        # one request
        "request_line_bytes": env.int("SERVER_REQUEST_LINE_BYTES", 8192),  # beyond: 414
        "header_bytes": env.int("SERVER_HEADER_BYTES", 65536),  # all fields together; beyond: 431
        "header_count": env.int("SERVER_HEADER_COUNT", 100),  # fields; beyond: 431
        "body_bytes": env.int("SERVER_BODY_BYTES", 536_870_912),  # beyond: 413
        "chunk_line_bytes": env.int("SERVER_CHUNK_LINE_BYTES", 4096),  # size and extensions
        # of all chunks of a body together; beyond: 400
        "chunk_extension_bytes": env.int("SERVER_CHUNK_EXTENSION_BYTES", 65536),
        "empty_lines": env.int("SERVER_EMPTY_LINES", 16),  # before a request; beyond: 400
        "trailer_bytes": env.int("SERVER_TRAILER_BYTES", 8192),  # all trailers together
        "trailer_count": env.int("SERVER_TRAILER_COUNT", 32),  # trailer fields
        # memory
        "body_memory_bytes": env.int("SERVER_BODY_MEMORY_BYTES", 262_144),  # larger: in a file
        # of all bodies of a process; more goes to files
        "body_memory_total_bytes": env.int("SERVER_BODY_MEMORY_TOTAL_BYTES", 67_108_864),
        # of a response that one client has not read yet; more goes to a file
        "response_memory_bytes": env.int("SERVER_RESPONSE_MEMORY_BYTES", 1_048_576),
        # unread by all clients of a process; more goes to files
        "response_memory_total_bytes": env.int("SERVER_RESPONSE_MEMORY_TOTAL_BYTES", 67_108_864),
        # of one response in a file; more: the application waits for its client
        "response_file_bytes": env.int("SERVER_RESPONSE_FILE_BYTES", 1_073_741_824),
        # of all bodies and responses that a process has in files; beyond: 503, or waiting
        "file_total_bytes": env.int("SERVER_FILE_TOTAL_BYTES", 8_589_934_592),
        # time, in seconds
        "head_seconds": env.float("SERVER_HEAD_SECONDS", 10),  # for a whole head; beyond: 408
        "body_seconds": env.float("SERVER_BODY_SECONDS", 30),  # between two pieces of a body: 408
        "keep_alive_seconds": env.float("SERVER_KEEP_ALIVE_SECONDS", 75),  # idle between requests
        "write_seconds": env.float("SERVER_WRITE_SECONDS", 30),  # a client reads nothing so long
        # of a body or response that takes longer than a minute; slower: given up
        "slowest_bytes_per_second": env.int("SERVER_SLOWEST_BYTES_PER_SECOND", 256),
        "request_seconds": env.float(
            "SERVER_REQUEST_SECONDS", 300
        ),  # no answer: replaced; 0: never
        "grace_seconds": env.float("SERVER_GRACE_SECONDS", 30),  # what runs has so long at a stop
        # a process that stands still so long is killed
        "heartbeat_seconds": env.float("SERVER_HEARTBEAT_SECONDS", 30),
        # counts, for each process
        "max_requests": env.int("SERVER_MAX_REQUESTS", 0),  # then it is replaced; 0: never
        "queue": env.int("SERVER_QUEUE", 512),  # requests waiting for a thread; beyond: 503
        "connections": env.int("SERVER_CONNECTIONS", 4096),  # beyond: the idle longest is closed
        "backlog": env.int("SERVER_BACKLOG", 1024),  # connections the system keeps waiting
    },
}
