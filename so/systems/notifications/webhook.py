"""The channel `webhook`: a POST of JSON to an address, signed.

It loads http.client and ssl, which most processes never need.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import http.client
import ipaddress
import json
import socket
import urllib.error
import urllib.request
from typing import Any

from so.errors import NotificationError
from so.settings.notifications import NotificationSettings
from so.support.clock import Clock
from so.support.codec import to_jsonable
from so.systems.notifications.inbox import address_of
from so.systems.notifications.message import Notification


class WebhookChannel:
    """Posts JSON, signed, with `X-Notification-Id`.

    `X-Signature: sha256=HMAC(secret, body)`; and, so that nobody can send it again later,
    `X-Signature-Timed: sha256=HMAC(secret, time.body)` of the unix seconds in `X-Signed-At`.
    """

    def __init__(
        self,
        secret: str | None = None,
        timeout: float = NotificationSettings.webhook_timeout,
        clock: Clock | None = None,
        *,
        private: bool = NotificationSettings.webhook_private,
    ) -> None:
        """*timeout* in seconds; without *secret* nothing is signed; *private*: also to addresses
        of this machine and its network.
        """
        self._secret = secret
        self._timeout = timeout
        self._clock = clock or Clock()
        self._opener = _opener if private else _public_opener

    def send(self, notifiable: Any, notification: Notification, id: str) -> None:
        """Post to the URL; anything but a 2xx answer is an error."""
        written = notification.written_for("webhook", notifiable)
        url = (isinstance(written, dict) and written.get("url")) or (
            address_of(notifiable, "webhook", notification)
        )
        if not url or not str(url).startswith(("https://", "http://")):
            raise NotificationError(f"no http(s) address to post to: {url!r}")
        payload = written.get("payload", written) if isinstance(written, dict) else written
        body = json.dumps(to_jsonable(payload), ensure_ascii=False).encode()
        headers = {"Content-Type": "application/json", "X-Notification-Id": id}
        if self._secret:
            now = str(int(self._clock.now().timestamp()))
            headers["X-Signed-At"] = now
            headers["X-Signature"] = self._mac(body)
            headers["X-Signature-Timed"] = self._mac(f"{now}.".encode() + body)
        request = urllib.request.Request(str(url), body, headers)  # noqa: S310  # checked above
        try:
            with self._opener.open(request, timeout=self._timeout):
                pass
        except urllib.error.HTTPError as error:
            error.close()  # the answer keeps its socket open otherwise
            raise NotificationError(f"{url} answered {error.code} {error.reason}") from error

    def _mac(self, signed: bytes) -> str:
        mac = hmac.new((self._secret or "").encode(), signed, hashlib.sha256).hexdigest()
        return f"sha256={mac}"


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: Any) -> None:
        """A POST that is sent elsewhere loses its body, and its signature is not for there."""


class _Public(http.client.HTTPConnection):
    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._create_connection = _connect_publicly


class _PublicTls(http.client.HTTPSConnection):
    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._create_connection = _connect_publicly


class _PublicHandler(urllib.request.HTTPHandler):
    def http_open(self, req: urllib.request.Request) -> Any:
        return self.do_open(_Public, req)


class _PublicTlsHandler(urllib.request.HTTPSHandler):
    def https_open(self, req: urllib.request.Request) -> Any:
        return self.do_open(_PublicTls, req)


def _connect_publicly(place: tuple[str, int], timeout: Any, source: Any) -> socket.socket:
    """A connection to an address that was looked at: the name is not resolved a second time."""
    host, port = place
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = list(dict.fromkeys(str(each[4][0]) for each in found))
    for address in addresses:
        if not is_public(address):
            raise NotificationError(
                f"the webhook's host {host!r} is {address}, which is no public address: allow it "
                "by NOTIFICATION_WEBHOOK_PRIVATE=true, or give another URL"
            )
    for address in addresses[:-1]:
        with contextlib.suppress(OSError):
            return socket.create_connection((address, port), timeout, source)
    return socket.create_connection((addresses[-1], port), timeout, source)


_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_GLOBAL = ipaddress.ip_network("2000::/3")  # all that was given out of version 6
_NONE = tuple(map(ipaddress.ip_network, ("3fff::/20", "192.0.0.0/24")))  # to Pythons of old as well


def is_public(text: str) -> bool:
    """True for an address of the internet; those of version 6 that lead to one of version 4 are
    judged by that, and what was given to nobody counts as private.
    """
    address: Any = ipaddress.ip_address(text.partition("%")[0])
    if address.version == 6:
        inner = address.ipv4_mapped or address.sixtofour
        if address in _NAT64:
            inner = ipaddress.ip_address(int(address) & 0xFFFFFFFF)
        if inner is None and address not in _GLOBAL:
            return False
        address = inner or address
    is_none = any(address in network for network in _NONE)
    return bool(address.is_global and not address.is_multicast and not is_none)


_opener = urllib.request.build_opener(_NoRedirect)
# Without the environment's proxies: whom those reach is not to be seen from here.
_public_opener = urllib.request.build_opener(
    urllib.request.ProxyHandler({}), _NoRedirect, _PublicHandler, _PublicTlsHandler
)
