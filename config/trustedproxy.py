"""Whose X-Forwarded-… headers are believed. Nobody's, until this says so."""

from so.config import env

config = {
    # Addresses or networks of your proxies: 127.0.0.1, 10.0.0.0/8; "unix" for a socket without
    # an address, "*" for whoever connects (only where nobody else can).
    "proxies": env.list("TRUSTED_PROXIES", []),
    # Which of them count: for (the client's address), host, proto (http or https), port, prefix.
    "headers": env.list("TRUSTED_PROXY_HEADERS", ["for", "host", "proto", "port", "prefix"]),
}
