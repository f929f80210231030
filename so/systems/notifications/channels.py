"""The channels: inbox, mail, webhook and log. An application adds its own with `extend`.

A channel has `send(notifiable, notification, id)` and raises when it could not deliver.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import http.client
import ipaddress
import json
import logging
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from so.db.manager import ConnectionSource
from so.errors import DatabaseError, NotificationError, UniqueConstraintError
from so.settings.notifications import NotificationSettings
from so.support.clock import Clock
from so.support.codec import to_jsonable
from so.systems.notifications.delivery import category_of, may_be_repeated
from so.systems.notifications.inbox import address_of, owner_columns
from so.systems.notifications.mail import MailTransport, compose
from so.systems.notifications.message import MailMessage, Notification

_log = logging.getLogger("so.notifications")
ROWS = 500  # to a statement
ATTEMPTS = 3  # of a statement that was in another one's way
ROWS_BYTES = 4_000_000  # of data to a statement; servers limit what they take at once
LONGEST = {"type": 255, "category": 64, "dedupe_key": 100}  # characters, as the columns hold


class Channel(Protocol):
    """A way to reach somebody."""

    def send(self, notifiable: Any, notification: Notification, id: str) -> None:
        """Deliver, or raise."""
        ...


class DatabaseChannel:
    """Writes the row; on the caller's connection, so that it joins the caller's transaction."""

    def __init__(
        self,
        db: ConnectionSource,
        clock: Clock | None = None,
        max_bytes: int = NotificationSettings.max_bytes,
    ) -> None:
        self._db = db
        self._clock = clock or Clock()
        self._max_bytes = max_bytes

    def send(self, notifiable: Any, notification: Notification, id: str) -> None:
        """Insert one row; a row of the same id or dedupe key is left as it is."""
        self._insert([self._row(notifiable, notification, id)])

    def send_many(
        self, deliveries: Sequence[tuple[Any, Notification, str]]
    ) -> list[BaseException | None]:
        """Insert a row for each (notifiable, notification, id); the error of each, or None.

        Some hundreds to a statement. Where one of them is refused, they go in one by one, so that
        no recipient suffers from another one's row.
        """
        errors: list[BaseException | None] = [None] * len(deliveries)
        rows: list[tuple[int, dict[str, Any]]] = []
        for place, delivery in enumerate(deliveries):
            try:
                rows.append((place, self._row(*delivery)))
            except Exception as error:
                errors[place] = error
        for part in _portions(rows):
            try:
                self._insert([row for _, row in part], one_by_one=False)
            except DatabaseError as error:
                self._refuse_if_repeated(error)
                for place, row in part:
                    try:
                        self._insert([row])
                    except DatabaseError as error:
                        self._refuse_if_repeated(error)
                        errors[place] = error
        return errors

    def _refuse_if_repeated(self, error: DatabaseError) -> None:
        """Let through what the caller's transaction is to repeat: nothing of it is left."""
        if may_be_repeated(error) and self._db.connection().transaction_level() > 0:
            raise error

    def _insert(self, rows: list[dict[str, Any]], one_by_one: bool = True) -> None:
        connection = self._db.connection()
        try:
            # A savepoint: on a taken key the caller's transaction goes on unharmed. Without one
            # of the caller's, a deadlock is repeated here.
            connection.transaction(
                lambda: connection.table("notifications").insert(rows), attempts=ATTEMPTS
            )
        except UniqueConstraintError:
            if not one_by_one:
                raise
            _log.debug("notification %s was there already", rows[0]["id"])

    def _row(self, notifiable: Any, notification: Notification, id: str) -> dict[str, Any]:
        if not hasattr(notifiable, "get_key"):
            raise NotificationError(
                "an address has no inbox: the channel 'database' needs a model to notify"
            )
        text = _data_of(notification, notifiable)
        if len(text.encode()) > self._max_bytes:
            raise NotificationError(
                f"the data of {type(notification).__name__} is larger than "
                f"notifications.max_bytes ({self._max_bytes}): store a reference instead"
            )
        now, key = self._clock.now(), notification.dedupe_key
        row = {
            "id": id,
            "type": notification.database_type(),
            **owner_columns(notifiable),
            "data": text,
            "created_at": now,
            "updated_at": now,
            "category": category_of(notification),
            "dedupe_key": None if key is None else str(key),
            **_subject_columns(notification.subject),
        }
        for name, longest in LONGEST.items():
            if len(str(row[name] or "")) > longest:
                raise NotificationError(
                    f"the {name} {row[name]!r} of {type(notification).__name__} is too long: "
                    f"{longest} characters at most"
                )
        return row


def _data_of(notification: Notification, notifiable: Any) -> str:
    """What `to_database` gives, as JSON; NotificationError for what is no dict, or has no form."""
    name, given = type(notification).__name__, notification.written_for("database", notifiable)
    try:
        data = to_jsonable(given)
        text = json.dumps(data, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise NotificationError(f"to_database of {name}: {error}") from error
    if not isinstance(data, dict):
        raise NotificationError(f"to_database of {name} gave {data!r:.80}: give a dict")
    # Half a surrogate pair has no UTF-8; in JSON it has an escape.
    return text.encode("utf-8", "backslashreplace").decode()


def _portions(
    rows: list[tuple[int, dict[str, Any]]],
) -> Iterator[list[tuple[int, dict[str, Any]]]]:
    """As many rows as one statement may carry."""
    part: list[tuple[int, dict[str, Any]]] = []
    size = 0
    for place, row in rows:
        more = len(row["data"].encode())
        if part and (len(part) == ROWS or size + more > ROWS_BYTES):
            yield part
            part, size = [], 0
        part.append((place, row))
        size += more
    if part:
        yield part


def _subject_columns(subject: Any) -> dict[str, str | None]:
    if subject is None or not hasattr(subject, "get_key"):
        return {"subject_type": None, "subject_id": None}
    owner = owner_columns(subject)
    return {"subject_type": owner["notifiable_type"], "subject_id": owner["notifiable_id"]}


class MailChannel:
    """Composes a mail from `to_mail` and hands it to the transport."""

    def __init__(self, transport: MailTransport, sender: str) -> None:
        self._transport = transport
        self._sender = sender

    def send(self, notifiable: Any, notification: Notification, id: str) -> None:
        """Send to what the recipient says for 'mail'."""
        to = address_of(notifiable, "mail", notification)
        if not to:
            raise NotificationError(
                f"{_name(notifiable) or 'nobody'} has no mail address: give the model a column "
                "email or route_notification_for_mail(), or an address to route()"
            )
        mail = MailMessage.of(notification.written_for("mail", notifiable))
        self._transport.send(compose(mail, to, self._sender, id))


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


def is_public(text: str) -> bool:
    """True for an address of the internet; those of version 6 that lead to one of version 4 are
    judged by that.
    """
    address: Any = ipaddress.ip_address(text.partition("%")[0])
    if address.version == 6:
        inner = address.ipv4_mapped or address.sixtofour
        if address in _NAT64:
            inner = ipaddress.ip_address(int(address) & 0xFFFFFFFF)
        address = inner or address
    return bool(address.is_global and not address.is_multicast)


_opener = urllib.request.build_opener(_NoRedirect)
# Without the environment's proxies: whom those reach is not to be seen from here.
_public_opener = urllib.request.build_opener(
    urllib.request.ProxyHandler({}), _NoRedirect, _PublicHandler, _PublicTlsHandler
)


class LogChannel:
    """Writes a line into the log."""

    def send(self, notifiable: Any, notification: Notification, id: str) -> None:
        """Who, what and the data."""
        data = notification.written_for("log", notifiable)
        _log.info("notification %s to %s: %s", type(notification).__name__, _name(notifiable), data)


def _name(notifiable: Any) -> str:
    if hasattr(notifiable, "get_key"):
        return f"{type(notifiable).__name__} {notifiable.get_key()}"
    return str(notifiable)
