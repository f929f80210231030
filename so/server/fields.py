"""Request fields: from the lines of the wire to the names a WSGI environ uses.

`Accept-Language` becomes `HTTP_ACCEPT_LANGUAGE`. Since that turns `-` into `_`, a name that holds
an underscore itself could pass for another one: it is refused.

Whether a Host header, or the authority of a request target, names a host is judged by RFC 3986;
on top of it, what can be no host at all is refused: empty labels, over-long names, an address out
of range, port 0 or above 65535, user information, a comma (two hosts glued together). Nothing is
looked up.
"""

import re

from so.errors import WireError

# What may stand in a head between its line ends: visible ASCII, tab, space, and obs-text.
PLAIN_BYTES = bytes([0x09, 0x0A, 0x0D, *range(0x20, 0x7F), *range(0x80, 0x100)])

_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+\-.^`|~]+")
_NAMES_KEPT = 512
_NAME_KEPT_BYTES = 64

# Two of these would leave open which one counts.
_SINGLE = frozenset(
    {"HTTP_HOST", "CONTENT_LENGTH", "CONTENT_TYPE", "HTTP_TRANSFER_ENCODING", "HTTP_AUTHORIZATION"}
)

_COMMON = (
    "Accept Accept-Encoding Accept-Language Authorization Cache-Control Connection Content-Length "
    "Content-Type Cookie DNT Date Expect Forwarded From Host If-Match If-Modified-Since "
    "If-None-Match If-Range If-Unmodified-Since Keep-Alive Max-Forwards Origin Pragma Priority "
    "Range Referer Sec-CH-UA Sec-CH-UA-Mobile Sec-CH-UA-Platform Sec-Fetch-Dest Sec-Fetch-Mode "
    "Sec-Fetch-Site Sec-Fetch-User Sec-GPC TE Trailer Transfer-Encoding Upgrade "
    "Upgrade-Insecure-Requests User-Agent Via X-CSRF-Token X-Forwarded-For X-Forwarded-Host "
    "X-Forwarded-Port X-Forwarded-Proto X-Real-IP X-Request-ID X-Requested-With"
)


def _environ_name(name: str) -> str:
    upper = name.upper().replace("-", "_")
    return upper if upper in ("CONTENT_LENGTH", "CONTENT_TYPE") else "HTTP_" + upper


# Spelling on the wire -> key of the environ. Bounded, because clients choose what goes in.
known_names: dict[str, str] = {
    spelling: _environ_name(name) for name in _COMMON.split() for spelling in (name, name.lower())
}


def environ_name(name: str) -> str | None:
    """The environ key for the field *name*, or None when it is no valid one."""
    key = known_names.get(name)
    if key is None and _NAME.fullmatch(name):
        key = _environ_name(name)
        if _is_kept(name, key):
            known_names[name] = key
    return key


def _is_kept(name: str, key: str) -> bool:
    """Whether to remember *name*: who is known goes the short way, past the look at HTTP_PROXY."""
    room = len(known_names) < _NAMES_KEPT and len(name) <= _NAME_KEPT_BYTES
    return room and key != "HTTP_PROXY"


def add_field(fields: dict[str, str], line: str) -> None:
    """Add one field line to *fields*; repeated ones are joined as a list. WireError 400."""
    name, colon, value = line.partition(":")
    key = environ_name(name)
    if not colon or key is None:
        raise WireError(400, _fault(line, name, colon))
    value = value.strip(" \t")
    if key == "HTTP_PROXY":
        return  # no field of HTTP; programs take the variable for the proxy to use (httpoxy)
    if key not in fields:
        fields[key] = value
    elif key in _SINGLE:
        raise WireError(400, f"more than one {name} field")
    else:
        fields[key] += ("; " if key == "HTTP_COOKIE" else ", ") + value


def _fault(line: str, name: str, colon: str) -> str:
    if line[:1] in (" ", "\t"):
        return "a field line starts with white space"
    if not colon:
        return "a field line without a colon"
    if "_" in name:
        return "a field name with an underscore"
    if name != name.strip():
        return "white space before the colon of a field"
    return "a malformed field name"


_NAME_BYTES = 255
_LABEL_BYTES = 63
_PORT_MAX = 65535

_SHAPE = re.compile(r"(?:\[([^\[\]]*)\]|([^\[\]:@/?#]*))(?::([0-9]*))?")
# unreserved, sub-delims without the comma, and octets in percent form
_HOST_NAME = re.compile(r"(?:[A-Za-z0-9\-._~!$&'()*+;=]|%[0-9A-Fa-f]{2})*")
_HIDDEN = re.compile(r"%(?:[01][0-9A-Fa-f]|2[0-9A-CFa-cf]|3[A-Fa-f]|40|5[B-Eb-e]|60|7[B-DFb-df])")
_PLAIN = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9\-]{0,61}[A-Za-z0-9])?")
_FUTURE = re.compile(r"[vV][0-9A-Fa-f]+\.[A-Za-z0-9\-._~!$&'()*+,;=:]+")
_GROUP = re.compile(r"[0-9A-Fa-f]{1,4}")
_OCTET = re.compile(r"0|[1-9][0-9]{0,2}")


def is_authority(text: str) -> bool:
    """Whether *text* is ``host [":" port]``; the host may be empty, as RFC 3986 has it."""
    found = _SHAPE.fullmatch(text)
    if found is None:
        return False
    literal, name, port = found.groups()
    if port and not _is_port(port):
        return False
    if literal is not None:
        return _is_ipv6(literal) or _FUTURE.fullmatch(literal) is not None
    if name == "":
        return port is None
    return _PLAIN.fullmatch(name) is not None and not name.isdigit() or _is_name(name)


def _is_port(digits: str) -> bool:
    return len(digits.lstrip("0")) <= 5 and 0 < int(digits[-6:]) <= _PORT_MAX


def _is_name(name: str) -> bool:
    """A registered name or an IPv4 address."""
    if len(name) > _NAME_BYTES or not _HOST_NAME.fullmatch(name) or _HIDDEN.search(name):
        return False
    labels = name.removesuffix(".").split(".")
    if not all(0 < len(label) <= _LABEL_BYTES for label in labels):
        return False
    # No top-level domain is a number: what ends in one is meant as an address.
    if len(labels) > 1 and labels[-1].isdigit():
        return _is_ipv4(name)
    return True


def _is_ipv4(text: str) -> bool:
    parts = text.split(".")
    return len(parts) == 4 and all(
        _OCTET.fullmatch(part) is not None and int(part) <= 255 for part in parts
    )


def _is_ipv6(text: str) -> bool:
    """RFC 4291 text, without a zone: a zone means something on the sender's machine only."""
    left, gap, right = text.partition("::")
    head, tail = _groups(left, last=not gap), _groups(right, last=True)
    if head is None or tail is None or "::" in right:
        return False
    return head + tail <= 7 if gap else head == 8


def _groups(text: str, *, last: bool) -> int | None:
    """How many 16-bit groups *text* holds, an IPv4 tail counting two; None when it is malformed."""
    if not text:
        return 0
    parts = text.split(":")
    count = len(parts)
    if last and "." in parts[-1]:
        if not _is_ipv4(parts.pop()):
            return None
        count += 1
    return count if all(_GROUP.fullmatch(part) for part in parts) else None
