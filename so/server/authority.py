"""Whether a Host header, or the authority of a request target, names a host.

RFC 3986 gives the grammar (host, optional port); on top of it, what can be no host at all is
refused: empty labels, over-long names, an address out of range, port 0 or above 65535, user
information, a comma (two hosts glued together). Nothing is looked up.
"""

import re

_NAME_BYTES = 255
_LABEL_BYTES = 63
_PORT_MAX = 65535

_SHAPE = re.compile(r"(?:\[([^\[\]]*)\]|([^\[\]:@/?#]*))(?::([0-9]*))?")
# unreserved, sub-delims without the comma, and octets in percent form
_NAME = re.compile(r"(?:[A-Za-z0-9\-._~!$&'()*+;=]|%[0-9A-Fa-f]{2})*")
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
    if len(name) > _NAME_BYTES or not _NAME.fullmatch(name) or _HIDDEN.search(name):
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
