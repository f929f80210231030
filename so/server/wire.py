"""HTTP/1.1 as bytes: what a client sends goes in, request heads and pieces of bodies come out.

Pure: no socket, no clock, no thread. Strict after RFC 9112: whatever two parties could read in
two ways is refused, and after a refusal nothing more is read. The outcome does not depend on how
the bytes were cut: a head that arrives whole and is plain takes a short path, every other one is
read line by line, and what is wrong is always found by the latter, in the order of the bytes.
"""

import re
from dataclasses import dataclass

from so.errors import WireError
from so.server.fields import PLAIN_BYTES, add_field, is_authority, known_names
from so.server.limits import CheckedLimits

_TOKEN_TEXT = re.compile(r"[A-Za-z0-9!#$%&'*+\-.^_`|~]+")
# Methods are case-sensitive and none is in lower case: `get` would be taken for GET
# by one party and for something unknown by the next.
_METHOD = re.compile(r"[A-Z0-9!#$%&'*+\-.^_`|~]+")
_VERSION = re.compile(r"HTTP/([0-9])\.([0-9])")
_PCHARS = r"A-Za-z0-9\-._~!$&'()*+,;=:@"
# Wider than RFC 3986, as browsers are: they send brackets and bars as they are, and in the query
# braces and a lone % as well.
_ORIGIN = re.compile(
    rf"(/[{_PCHARS}/\[\]|]*(?:%[0-9A-Fa-f]{{2}}[{_PCHARS}/\[\]|]*)*)"
    rf"(?:\?([{_PCHARS}/?%\[\]{{}}|\\^`]*))?"
)
_ABSOLUTE = re.compile(r"[Hh][Tt][Tt][Pp][Ss]?://([^/?#]+)(.*)")
_OCTET = re.compile(r"%([0-9A-Fa-f]{2})")
_DIGITS = re.compile(r"[0-9]+")
_EVIL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\r(?!\n)|(?<!\r)\n")

_TOKEN = rb"[A-Za-z0-9!#$%&'*+\-.^_`|~]+"
_QUOTED = rb'"(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t \x21-\x7e\x80-\xff])*"'
_CHUNK_LINE = re.compile(
    rb"([0-9A-Fa-f]+)((?:[ \t]*;[ \t]*%b(?:[ \t]*=[ \t]*(?:%b|%b))?)*)" % (_TOKEN, _TOKEN, _QUOTED)
)

_HEX = re.compile(rb"[0-9A-Fa-f]+")

_CODINGS = frozenset({"compress", "deflate", "gzip", "identity", "x-compress", "x-gzip"})
_LENGTH_DIGITS = 18
_SIZE_DIGITS = 15
_HOSTS_KEPT = 256
_HOST_KEPT_BYTES = 64
_PLAIN_CHUNK_LINE = 16
_SHORT_CHUNK_LINE = 10

# Host values found valid lately; bounded, because clients choose what goes in.
known_hosts: set[str] = {"localhost", "127.0.0.1"}


class RequestHead:
    """The head of a request, checked; `fields` under the names of a WSGI environ.

    `target` is as sent, `path` and `query` are its parts with the path's percent forms decoded (as
    latin-1 text). `length` is the size of the body, None when it comes in chunks. Without a body
    (`has_body` False) the head is the whole request, else `Data` follows.
    """

    __slots__ = (
        "expects_continue",
        "fields",
        "has_body",
        "keep_alive",
        "length",
        "method",
        "minor",
        "path",
        "query",
        "target",
    )

    def __init__(self, method: str, target: str, minor: int, fields: dict[str, str]) -> None:
        """*minor* is 0 for HTTP/1.0, else 1. WireError for anything that does not fit together."""
        self.method = method
        self.target = target
        self.minor = minor
        self.fields = fields
        host = fields.get("HTTP_HOST")
        if host is None:
            if minor:
                raise WireError(400, "no Host field")
        elif host not in known_hosts:
            _check_host(host, fields)
        if target[0] == "/" or method == "CONNECT":
            self.path, self.query = _split_target(method, target)
        else:
            self.path, self.query = _split_full_target(method, target, fields)
        self.has_body = False
        self.length: int | None = 0
        self.expects_continue = False
        self.keep_alive = minor == 1
        if "HTTP_CONNECTION" in fields:
            self.keep_alive = _keeps_alive(fields["HTTP_CONNECTION"], minor)
        if "CONTENT_LENGTH" in fields or "HTTP_TRANSFER_ENCODING" in fields:
            self._frame()
        if "HTTP_EXPECT" in fields:
            self._expect(fields["HTTP_EXPECT"])

    def _frame(self) -> None:
        """How the body is delimited, RFC 9112 section 6.3."""
        coding = self.fields.get("HTTP_TRANSFER_ENCODING")
        if coding is None:
            self.length = _content_length(self.fields["CONTENT_LENGTH"])
            self.has_body = self.length > 0
        else:
            _check_coding(coding, self.minor, "CONTENT_LENGTH" in self.fields)
            self.length = None
            self.has_body = True
        if self.has_body and self.method == "TRACE":
            raise WireError(400, "TRACE with a body")

    def _expect(self, value: str) -> None:
        if self.minor == 0:
            return
        members = {each.strip(" \t").lower() for each in value.split(",")} - {""}
        if members - {"100-continue"}:
            raise WireError(417, "an expectation other than 100-continue")
        self.expects_continue = self.has_body and bool(members)


@dataclass(frozen=True, slots=True)
class Data:
    """A piece of a body; *last* marks the end of the request (then *data* may be empty)."""

    data: bytes
    last: bool


Event = RequestHead | Data


class RequestParser:
    """Reads the requests of one connection, one after the other.

    `feed()` bytes, then call `next_event()` until it returns None: more bytes are needed. Any
    fault raises WireError, from then on with every call; the connection has to be closed.
    """

    def __init__(self, limits: CheckedLimits) -> None:
        """*limits* bounds everything a client can make long."""
        self._limits = limits
        self._buffer = b""
        self._at = 0
        self._draft: _Draft | None = None
        self._body: _LengthBody | _ChunkedBody | None = None
        self._fault: WireError | None = None
        self.is_for_head = False

    @property
    def is_idle(self) -> bool:
        """True between two requests, with nothing of the next one there."""
        return (
            not self.has_input
            and self._body is None
            and (self._draft is None or self._draft.is_blank)
        )

    @property
    def in_body(self) -> bool:
        """True after a head with a body, until its last piece was handed out."""
        return self._body is not None

    @property
    def has_input(self) -> bool:
        """True when there are bytes nobody looked at yet."""
        return self._at < len(self._buffer)

    def feed(self, data: bytes) -> None:
        """Take what was received."""
        self._buffer = self._buffer[self._at :] + data if self.has_input else data
        self._at = 0

    def next_event(self) -> Event | None:
        """The next event, or None until more is fed."""
        if self._fault:
            raise self._fault
        if self._at >= len(self._buffer):
            return None
        try:
            return self._next_head() if self._body is None else self._next_data(self._body)
        except WireError as fault:
            self._fault = fault
            if self._draft is not None:
                self.is_for_head = self._draft.method == "HEAD"
            self._buffer = b""
            raise

    def _next_data(self, body: "_LengthBody | _ChunkedBody") -> Data | None:
        found, self._at = body.take(self._buffer, self._at)
        if found is not None and found.last:
            self._body = None
        return found

    def _quick_head(self, end: int) -> RequestHead | None:
        try:
            return _quick_head(self._buffer[self._at : end], self._limits)
        except WireError:
            return None  # the slow reader finds it again, and knows what came before it

    def _next_head(self) -> RequestHead | None:
        head = None
        self.is_for_head = False
        if self._draft is None:
            end = self._buffer.find(b"\r\n\r\n", self._at)
            if 0 < end - self._at <= self._limits.header_bytes:
                head = self._quick_head(end)
            if head is None:
                self._draft = _Draft(self._limits)
            else:
                self._at = end + 4
        if self._draft is not None:
            head, self._at = self._draft.read(self._buffer, self._at)
            if head is None:
                return None
            self._draft = None
        if head is not None and head.has_body:
            self.is_for_head = head.method == "HEAD"
            self._body = _body_reader(head, self._limits)
        return head


def _quick_head(block: bytes, limits: CheckedLimits) -> RequestHead | None:
    """The head in *block* if it is plain through and through; None leaves it to the slow reader."""
    text = block.decode("latin-1")
    lines = text.split("\r\n")
    count = len(lines) - 1
    if (
        count > limits.header_count
        or len(lines[0]) > limits.request_line_bytes
        or block.translate(None, PLAIN_BYTES)
        or block.count(b"\r") != count
        or block.count(b"\n") != count
    ):
        return None
    parts = lines[0].split(" ")
    if len(parts) != 3 or parts[2] not in ("HTTP/1.1", "HTTP/1.0") or not parts[1]:
        return None
    method = parts[0]
    if not _METHOD.fullmatch(method):
        return None
    fields: dict[str, str] = {}
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        key = known_names.get(name)
        if key is None or not colon or key in fields:
            add_field(fields, line)
        else:
            fields[key] = value.strip(" \t")
    return RequestHead(method, parts[1], 1 if parts[2] == "HTTP/1.1" else 0, fields)


class _Lines:
    """Cuts lines out of a buffer, each ended by CR LF and free of control characters."""

    def __init__(self, limit: int, too_long: WireError) -> None:
        self.limit = limit
        self.too_long = too_long
        self._checked = 0

    @property
    def has_begun(self) -> bool:
        """Whether the start of a line has been looked at."""
        return self._checked > 0

    def cut(self, buffer: bytes, start: int) -> tuple[bytes | None, int]:
        """(line without its end, where the next begins), or (None, start) while incomplete."""
        last = start + self.limit + 1
        end = buffer.find(b"\n", start + self._checked, last + 1)
        if end == last and buffer[last - 1] != 0x0D:
            # Without a CR before it, the line was too long one byte earlier.
            end = -1
        piece = buffer[start : end + 1] if end >= 0 else self._incomplete(buffer, start)
        if _EVIL.search(piece, max(0, self._checked - 1)):
            raise WireError(400, "a control character, or a line end other than CR LF")
        if end < 0:
            if len(piece) > self.limit:
                raise self.too_long
            self._checked = len(piece)
            return None, start
        self._checked = 0
        return piece[:-2], end + 1

    def _incomplete(self, buffer: bytes, start: int) -> bytes:
        """As much of a line without an end as may be judged, however the bytes arrived."""
        piece = buffer[start : start + self.limit + 2]
        if len(piece) == self.limit + 2 and piece[self.limit] != 0x0D:
            return piece[:-1]
        # A CR in the last place may still become a line end.
        return piece.removesuffix(b"\r")


def _too_large(status: int, what: str, most: int, setting: str) -> WireError:
    """What whoever sent too much reads, and the setting that says so."""
    return WireError(status, f"more than {most} bytes of {what} (server.{setting})")


class _Draft:
    """A head on its way, read line by line."""

    def __init__(self, limits: CheckedLimits) -> None:
        self._limits = limits
        most = limits.request_line_bytes
        self._lines = _Lines(most, _too_large(414, "a request line", most, "request_line_bytes"))
        self._empty = 0
        self._request: tuple[str, str, int] | None = None
        self._fields: dict[str, str] = {}
        self._count = 0
        self._bytes = 0

    @property
    def is_blank(self) -> bool:
        """True while there was nothing but empty lines, RFC 9112 section 2.2."""
        return self._request is None

    @property
    def method(self) -> str:
        """The method, once `is_blank` is False."""
        return self._request[0] if self._request else ""

    def read(self, buffer: bytes, at: int) -> tuple[RequestHead | None, int]:
        """The head once it is complete, and how far *buffer* was read."""
        while True:
            line, at = self._lines.cut(buffer, at)
            if line is None:
                return None, at
            if self._request is None:
                self._start(line)
            elif line:
                self._add(line)
            else:
                return RequestHead(*self._request, self._fields), at

    def _start(self, line: bytes) -> None:
        if not line:
            self._empty += 1
            if self._empty > self._limits.empty_lines:
                raise WireError(400, "empty lines instead of a request")
            return
        self._request = _request_line(line.decode("latin-1"))
        most = self._limits.header_bytes
        self._lines = _Lines(most, _too_large(431, "header fields", most, "header_bytes"))

    def _add(self, line: bytes) -> None:
        self._count += 1
        self._bytes += len(line) + 2
        if self._bytes > self._limits.header_bytes:
            raise self._lines.too_long
        if self._count > (most := self._limits.header_count):
            raise WireError(431, f"more than {most} header fields (server.header_count)")
        self._lines.limit = self._limits.header_bytes - self._bytes
        add_field(self._fields, line.decode("latin-1"))


def _request_line(text: str) -> tuple[str, str, int]:
    parts = text.split(" ")
    if len(parts) != 3 or not parts[1] or not _METHOD.fullmatch(parts[0]):
        raise WireError(400, "a malformed request line")
    found = _VERSION.fullmatch(parts[2])
    if found is None:
        raise WireError(400, "a malformed HTTP version")
    if found[1] != "1":
        raise WireError(505, f"HTTP/{found[1]}.{found[2]} is not spoken here, HTTP/1.1 is")
    # RFC 9110 section 2.5: a higher minor version is answered as the highest one we know.
    return parts[0], parts[1], 0 if found[2] == "0" else 1


# --- the parts of a head --------------------------------------------------------------------------


def _check_host(host: str, fields: dict[str, str]) -> None:
    if not is_authority(host):
        raise WireError(400, "an invalid Host field")
    if not host:
        # RFC 9112 section 3.3: then the server's own name counts.
        del fields["HTTP_HOST"]
        return
    if len(known_hosts) < _HOSTS_KEPT and len(host) <= _HOST_KEPT_BYTES:
        known_hosts.add(host)


def _split_target(method: str, target: str) -> tuple[str, str]:
    """Path and query of the origin-form; for CONNECT, its target."""
    if method == "CONNECT":
        host, _, port = target.rpartition(":")
        if not host or not port or not is_authority(target):
            raise WireError(400, "CONNECT needs host:port")
        return "", ""
    found = _ORIGIN.fullmatch(target)
    if found is None:
        raise WireError(400, "a malformed request target")
    path, query = found.groups(default="")
    if "%" in path:
        path = _OCTET.sub(_octet, path)
        if "\0" in path:
            raise WireError(400, "a NUL in the path")
    return path, query


def _octet(found: re.Match[str]) -> str:
    return chr(int(found[1], 16))


def _split_full_target(method: str, target: str, fields: dict[str, str]) -> tuple[str, str]:
    """The asterisk-form and the absolute-form; the authority of the latter is the host."""
    if target == "*":
        if method != "OPTIONS":
            raise WireError(400, "the target * is for OPTIONS only")
        return "*", ""
    found = _ABSOLUTE.fullmatch(target)
    if found is None or not is_authority(found[1]):
        raise WireError(400, "a malformed request target")
    fields["HTTP_HOST"] = found[1]
    rest = found[2]
    if not rest and method == "OPTIONS":
        return "*", ""
    return _split_target(method, rest if rest[:1] == "/" else "/" + rest)


def _keeps_alive(value: str, minor: int) -> bool:
    if value in ("close", "keep-alive"):
        return value != "close"
    options = {option.strip(" \t") for option in value.lower().split(",")}
    return "close" not in options and (minor == 1 or "keep-alive" in options)


def _content_length(value: str) -> int:
    if not _DIGITS.fullmatch(value):
        raise WireError(400, "a malformed Content-Length")
    digits = value.lstrip("0") or "0"
    if len(digits) > _LENGTH_DIGITS:
        raise WireError(413, f"a Content-Length of {len(digits)} digits")
    return int(digits)


def _check_coding(value: str, minor: int, with_length: bool) -> None:
    """Only `chunked`, on HTTP/1.1, without a length beside it (RFC 9112 section 6)."""
    if minor == 0:
        raise WireError(400, "Transfer-Encoding in HTTP/1.0")
    if with_length:
        raise WireError(400, "both Transfer-Encoding and Content-Length")
    if value.lower() == "chunked":
        return
    codings = [coding.strip(" \t").lower() for coding in value.split(",")]
    if not all(_TOKEN_TEXT.fullmatch(coding) for coding in codings):
        raise WireError(400, "a malformed Transfer-Encoding")
    if codings[-1] == "chunked" and "chunked" not in codings[:-1]:
        raise WireError(501, "a transfer coding beside chunked")
    if "chunked" in codings or codings[-1] in _CODINGS:
        raise WireError(400, "a transfer coding after chunked, or instead of it")
    raise WireError(501, "an unknown transfer coding")


# --- bodies ---------------------------------------------------------------------------------------


def _body_reader(head: RequestHead, limits: CheckedLimits) -> "_LengthBody | _ChunkedBody":
    if head.length is None:
        return _ChunkedBody(limits)
    if head.length > limits.body_bytes:
        raise _body_too_large(limits)
    return _LengthBody(head.length)


def _body_too_large(limits: CheckedLimits) -> WireError:
    return _too_large(413, "a body", limits.body_bytes, "body_bytes")


class _LengthBody:
    """A body of so many bytes."""

    def __init__(self, length: int) -> None:
        self._missing = length

    def take(self, buffer: bytes, at: int) -> tuple[Data | None, int]:
        data = buffer[at : at + self._missing]
        self._missing -= len(data)
        return Data(data, self._missing == 0), at + len(data)


class _ChunkedBody:
    """A body in chunks, RFC 9112 section 7.1; extensions and trailers are checked and dropped."""

    def __init__(self, limits: CheckedLimits) -> None:
        self._limits = limits
        self._lines = _Lines(limits.chunk_line_bytes, WireError(400, "a chunk line too long"))
        self._missing = 0
        self._ending = b""
        self._total = 0
        self._extensions = 0
        self._trailers: _Trailers | None = None
        self._ended = False
        self._fault: WireError | None = None

    def take(self, buffer: bytes, at: int) -> tuple[Data | None, int]:
        """The data there is, of several chunks in one piece, and how far *buffer* was read."""
        if self._fault:
            raise self._fault
        pieces: list[bytes] = []
        while at < len(buffer) and not self._ended:
            before = at
            try:
                at = self._whole_chunk(buffer, at, pieces) or self._advance(buffer, at, pieces)
            except WireError as fault:
                # What came before the fault counts, as it would had it come alone.
                self._fault = fault
                if not pieces:
                    raise
            if at == before:
                break
        found = Data(b"".join(pieces), self._ended) if pieces or self._ended else None
        return found, at

    def _whole_chunk(self, buffer: bytes, at: int, pieces: list[bytes]) -> int:
        """Where the next chunk begins if a plain one lies here from start to end; 0 if not."""
        end = buffer.find(b"\r\n", at, at + _SHORT_CHUNK_LINE)
        if end < 0 or self._is_within or not _HEX.fullmatch(buffer, at, end):
            return 0
        size = int(buffer[at:end], 16)
        begin, stop = end + 2, end + 2 + size
        if not size or self._total + size > self._limits.body_bytes:
            return 0
        if buffer[stop : stop + 2] != b"\r\n":
            return 0
        self._total += size
        pieces.append(buffer[begin:stop])
        return stop + 2

    @property
    def _is_within(self) -> bool:
        """Whether something has begun that is not at its end."""
        return bool(
            self._missing or self._ending or self._trailers is not None or self._lines.has_begun
        )

    def _advance(self, buffer: bytes, at: int, pieces: list[bytes]) -> int:
        if self._trailers is not None:
            self._ended, at = self._trailers.take(buffer, at)
            return at
        if self._missing:
            piece = buffer[at : at + self._missing]
            self._missing -= len(piece)
            pieces.append(piece)
            return at + len(piece)
        return self._end_chunk(buffer, at) if self._ending else self._start_chunk(buffer, at)

    def _end_chunk(self, buffer: bytes, at: int) -> int:
        if buffer[at] != self._ending[0]:
            raise WireError(400, "a chunk longer than it said")
        self._ending = self._ending[1:]
        return at + 1

    def _start_chunk(self, buffer: bytes, at: int) -> int:
        line, at = self._lines.cut(buffer, at)
        if line is None:
            return at
        found = _CHUNK_LINE.fullmatch(line)
        if found is None:
            raise WireError(400, "a malformed chunk size")
        digits = found[1].lstrip(b"0")
        if len(digits) > _SIZE_DIGITS:
            raise _body_too_large(self._limits)
        self._missing = int(digits or b"0", 16)
        self._total += self._missing
        # Extensions, and a size with more zeros than anybody writes.
        self._extensions += max(0, len(line) - _PLAIN_CHUNK_LINE)
        if self._total > self._limits.body_bytes:
            raise _body_too_large(self._limits)
        if self._extensions > self._limits.chunk_extension_bytes:
            raise WireError(400, "more chunk extensions than anybody needs")
        if self._missing:
            self._ending = b"\r\n"
        else:
            self._trailers = _Trailers(self._limits)
        return at


class _Trailers:
    """The lines after the last chunk: checked like header fields, then dropped."""

    def __init__(self, limits: CheckedLimits) -> None:
        self._limits = limits
        most = limits.trailer_bytes
        self._lines = _Lines(most, _too_large(431, "trailers", most, "trailer_bytes"))
        self._count = 0
        self._bytes = 0

    def take(self, buffer: bytes, at: int) -> tuple[bool, int]:
        """Whether the body has ended, and how far *buffer* was read."""
        while True:
            line, at = self._lines.cut(buffer, at)
            if not line:
                return line is not None, at
            self._count += 1
            self._bytes += len(line) + 2
            if self._bytes > self._limits.trailer_bytes or self._count > self._limits.trailer_count:
                raise self._lines.too_long
            self._lines.limit = self._limits.trailer_bytes - self._bytes
            add_field({}, line.decode("latin-1"))
