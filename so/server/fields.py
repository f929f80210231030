"""Request fields: from the lines of the wire to the names a WSGI environ uses.

`Accept-Language` becomes `HTTP_ACCEPT_LANGUAGE`. Since that turns `-` into `_`, a name that holds
an underscore itself could pass for another one: it is refused.
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
