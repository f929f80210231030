"""What a request is told by its application: limits, trusted proxies, and who else to ask.

Every limit has a name, in so/settings/http.py; what is over one is answered by 400, 413,
414 or 431 with a message that says which.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

from so.settings.http import Disks, HttpLimits
from so.settings.trustedproxy import NAMES, ProxySettings, network

FORWARDED = ProxySettings.headers


class Links(Protocol):
    """What a request asks of the router: links to its routes, and whether a link is its own."""

    @property
    def urls(self) -> Any: ...

    def route(self, name: str, params: Any = None, absolute: bool = True, **kw: Any) -> str: ...


@dataclass(frozen=True)
class HttpSettings(HttpLimits):
    """The limits of so/settings/http.py, and what the application adds to them.

    router, validate, make_list and disks are set by the kernel and the application: URLs to
    routes, `request.validate`, the type of `request.collect` and the folders of `store`.
    """

    disks: Mapping[str, str | Path] = field(default_factory=lambda: {"local": Disks.local})
    trusted_proxies: tuple[str, ...] = ()  # addresses or networks; "*" for whoever connects
    trusted_headers: tuple[str, ...] = FORWARDED  # which X-Forwarded-… count
    router: Links | None = None
    validate: Callable[..., dict[str, Any]] | None = None
    make_list: Callable[[Iterable[Any]], Any] = list

    @classmethod
    def of(
        cls,
        limits: HttpLimits,
        proxies: ProxySettings | None = None,
        base_path: str | Path = ".",
        **extra: Any,
    ) -> HttpSettings:
        """*limits* with the trusted *proxies*; folders are taken from *base_path*."""
        given = {name: getattr(limits, name) for name in HttpLimits.told()}
        disks = limits.disks.to_config()
        given["disks"] = {name: Path(base_path, at) for name, at in disks.items()}
        if limits.upload_dir:
            given["upload_dir"] = str(Path(base_path, limits.upload_dir))
        if proxies:
            extra = {
                "trusted_proxies": proxies.proxies, "trusted_headers": proxies.headers, **extra
            }  # fmt: skip
        return cls(**{**given, **extra})

    def trusts(self, address: str) -> bool:
        """True if *address* is one of the proxies whose X-Forwarded-… headers count."""
        return bool(self.trusted_proxies) and _trusts(self.trusted_proxies, address)


@lru_cache(maxsize=1024)
def _trusts(proxies: tuple[str, ...], address: str) -> bool:
    if "*" in proxies:
        return True
    if not address:
        return "unix" in proxies
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = getattr(ip, "ipv4_mapped", None)
    return any((mapped or ip) in network for network in _networks(proxies))


@lru_cache(maxsize=16)
def _networks(
    proxies: tuple[str, ...],
) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
    return tuple(network(proxy) for proxy in proxies if proxy not in NAMES)


DEFAULTS = HttpSettings()
