"""Whose X-Forwarded-… headers are believed. Nobody's, until this says so."""

from __future__ import annotations

from dataclasses import dataclass

from so.support.settings import Settings, choices, listed

FORWARDED = ("for", "host", "proto", "port", "prefix")


@dataclass(frozen=True)
class ProxySettings(Settings, topic="trustedproxy"):
    """`config/trustedproxy.py`."""

    proxies: tuple[str, ...] = listed(
        (),
        "TRUSTED_PROXIES",
        'addresses or networks of your proxies: 127.0.0.1, 10.0.0.0/8; "unix" for a socket without '
        'an address, "*" for whoever connects (only where nobody else can)',
    )
    headers: tuple[str, ...] = choices(
        FORWARDED,
        "TRUSTED_PROXY_HEADERS",
        "which count: for (the client's address), host, proto (http or https), port, prefix",
        of=FORWARDED,
    )
