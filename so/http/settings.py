"""What a request is told by its application: limits, trusted proxies, and who else to ask.

Every limit has a name, in `config/http.py` as here; what is over one is answered by 400, 413,
414 or 431 with a message that says which.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from so.errors import ConfigError

if TYPE_CHECKING:
    from so.http.router import Router

MIB = 1024 * 1024
FORWARDED = ("for", "host", "proto", "port", "prefix")


@dataclass(frozen=True)
class HttpSettings:
    """Limits in bytes or pieces; the defaults suit an ERP behind a firewall.

    router, validate, make_list and disks are set by the kernel and the application: URLs to
    routes, `request.validate`, the type of `request.collect` and the folders of `store`.
    """

    max_body_bytes: int = 512 * MIB  # a whole body, uploads included
    max_memory_bytes: int = 16 * MIB  # a raw body read at once by body()
    max_json_bytes: int = 8 * MIB  # a JSON body
    max_json_depth: int = 64  # lists and objects within each other
    max_form_bytes: int = 8 * MIB  # the fields of a form without its files
    max_form_fields: int = 1000  # fields of a form or of a query
    max_parts: int = 128  # parts of a multipart form
    max_part_bytes: int = 512 * MIB  # one uploaded file
    max_part_header_bytes: int = 8 * 1024  # the head of one part
    max_input_depth: int = 32  # brackets in a field's name, as in a[b][c]
    max_header_bytes: int = 64 * 1024  # all header fields together
    max_headers: int = 100  # header fields
    max_uri_bytes: int = 8 * 1024  # path and query
    spool_bytes: int = 256 * 1024  # the files of a form stay in memory up to here
    upload_dir: str | None = None  # where larger ones wait; None: the system's temporary folder
    disks: Mapping[str, str | Path] = field(default_factory=lambda: {"local": "storage/app"})
    default_disk: str = "local"
    trusted_proxies: tuple[str, ...] = ()  # addresses or networks; "*" for whoever connects
    trusted_headers: tuple[str, ...] = FORWARDED  # which X-Forwarded-… count
    router: Router | None = None
    validate: Callable[..., dict[str, Any]] | None = None
    make_list: Callable[[Iterable[Any]], Any] = list

    @classmethod
    def from_config(
        cls,
        http: Mapping[str, Any],
        proxies: Mapping[str, Any] | None = None,
        base_path: str | Path = ".",
        **extra: Any,
    ) -> HttpSettings:
        """From `config/http.py` and `config/trustedproxy.py`; ConfigError for an unknown name.

        Folders are taken from *base_path*.
        """
        given = {**http, **extra}
        disks = given.get("disks") or DEFAULTS.disks
        given["disks"] = {name: Path(base_path, at) for name, at in disks.items()}
        if given.get("upload_dir"):
            given["upload_dir"] = str(Path(base_path, given["upload_dir"]))
        if proxies:
            given["trusted_proxies"] = tuple(proxies.get("proxies") or ())
            given["trusted_headers"] = tuple(proxies.get("headers") or FORWARDED)
        for name, value in given.items():
            if name not in cls.__dataclass_fields__:
                raise ConfigError(
                    f"config http.{name} is unknown: see config/http.py for the names"
                )
            if name.startswith("max_") and (not isinstance(value, int) or value < 1):
                raise ConfigError(f"config http.{name} must be a whole number above 0: {value!r}")
        return cls(**given)

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
    found = []
    for text in proxies:
        if text != "unix":
            try:
                found.append(ipaddress.ip_network(text, strict=False))
            except ValueError as error:
                raise ConfigError(
                    f"trusted proxy {text!r} is no address or network: write 10.0.0.1 or 10.0.0.0/8"
                ) from error
    return tuple(found)


DEFAULTS = HttpSettings()
