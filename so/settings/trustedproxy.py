"""Whose X-Forwarded-… headers are believed. Nobody's, until this says so."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from so.errors import ConfigError
from so.support.settings import Settings, choices, listed

FORWARDED = ("for", "host", "proto", "port", "prefix")


NAMES = ("*", "unix")


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

    def __post_init__(self) -> None:
        super().__post_init__()
        for proxy in self.proxies:
            if proxy not in NAMES:
                network(proxy)


def network(proxy: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    """The addresses of *proxy*; ConfigError for what is none."""
    try:
        return ipaddress.ip_network(proxy, strict=False)
    except ValueError:
        raise ConfigError(
            f"TRUSTED_PROXIES (config trustedproxy.proxies): {proxy!r} is no address or network: "
            "write 10.0.0.1 or 10.0.0.0/8"
        ) from None
