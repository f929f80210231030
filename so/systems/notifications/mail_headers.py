"""The header fields of a mail, to the letter (RFC 2047, 5322): subjects, names, addresses.

The library's own folding loses spaces between words beyond ASCII, so what goes out is written
here, and not folded again. A line break in a field would begin another one: it is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from email.charset import BASE64, QP, Charset
from email.header import Header
from email.utils import getaddresses
from typing import Any

from so.errors import NotificationError
from so.support.idna import ascii_host

_PLAIN_LENGTH = 60  # of a subject that needs no folding
_LONGEST_WORD, _LONGEST_LINE = 75, 76  # columns, of an encoded word and of a line with one
_LONGEST_NAME = 900  # columns; a line of a mail has at most 998
_ATOMS = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_PHRASE = re.compile(rf"{_ATOMS}(?: {_ATOMS})*")
_DOT_ATOM = re.compile(
    r"[^\s()<>\[\]:;@\\,.\"\x00-\x20\x7f]+(?:\.[^\s()<>\[\]:;@\\,.\"\x00-\x20\x7f]+)*"
)
_QUOTED = re.compile(r'"(?:[^"\\\r\n]|\\[^\r\n])*"')
_BARE = re.compile(r"[^\s()<>\[\]:;@\\,\"\x00-\x20\x7f]+")
_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST = re.compile(rf"{_LABEL}(?:\.{_LABEL})*|\[[0-9A-Za-z:.]+\]")
_BREAKS = re.compile(r"[\r\n\x00]")
_NAMED = re.compile(r"\s*(.*?)\s*<\s*([^<>]*?)\s*>\s*", re.DOTALL)


@dataclass(frozen=True)
class Address:
    """One mailbox: what people read, and what the server is told (`a@xn--mnchen-3ya.example`)."""

    name: str
    spec: str

    def __str__(self) -> str:
        return " ".join(self.words())

    def words(self) -> list[str]:
        """The words of it, between which a line may be folded."""
        return [*phrase(self.name), f"<{self.spec}>"] if self.name else [self.spec]


def text(value: str, field: str = "Subject") -> str:
    """*value* as the body of a header: as it is where that says it all, else in encoded words."""
    value = _checked(value, field)
    is_plain = value.isascii() and value.isprintable() and value == value.strip()
    if is_plain and len(value) <= _PLAIN_LENGTH and "=?" not in value:
        return value
    # Not folded before the first word: readers would take the space for one of the subject.
    return "\r\n ".join(_encoded(value, len(field) + 2))


def phrase(name: str) -> list[str]:
    """The name of somebody in words: bare, quoted, or encoded."""
    is_plain = name.isascii() and name.replace("\t", " ").isprintable() and "=?" not in name
    if is_plain and len(name) <= _LONGEST_NAME:
        if _PHRASE.fullmatch(name):
            return name.split(" ")
        return ['"' + re.sub(r'(["\\])', r"\\\1", name) + '"']
    # In one word, be it longer than the 75 columns of RFC 2047, which readers do not count: between
    # two words of a name some read a space and others none, Python before 3.14 among the former.
    return _encoded(name, longest=_LONGEST_NAME)


def _encoded(value: str, before: int = 0, longest: int = _LONGEST_WORD) -> list[str]:
    """*value* in encoded words of whole characters, a line each, *before* columns into the first.

    In one, if it fits into *longest* columns.
    """
    value = value.encode("utf-8", "replace").decode()
    words = (_charset(each).header_encode(value) for each in (QP, BASE64))
    shortest = min(words, key=len)
    if before + len(shortest) <= longest:
        return [shortest]
    charset = _charset(QP if "?q?" in shortest else BASE64)
    lines = Header(value, charset, _LONGEST_WORD, header_name="x" * before)
    return lines.encode(linesep="\r\n").split("\r\n ")


def _charset(encoding: int) -> Charset:
    charset = Charset("utf-8")
    charset.header_encoding = encoding
    return charset


def _folded(words: Iterable[str], field: str) -> str:
    """*words* in lines of at most 76 columns, the first of them after the name of the *field*."""
    lines = [""]
    room = _LONGEST_LINE - len(field) - 2
    for word in words:
        if len(lines[-1]) + 1 + len(word) > room:
            lines.append("")
            room = _LONGEST_LINE
        lines[-1] += f" {word}"
    return "\r\n".join(lines)[1:] if lines[0] else "\r\n" + "\r\n".join(lines[1:])


def addresses(given: Any, field: str) -> list[Address]:
    """The addresses in *given*: a text of one, a list of such, or {address: name}.

    NotificationError for what is no address, and names it.
    """
    if isinstance(given, Mapping):
        return [_address(str(name or ""), str(spec), field) for spec, name in given.items()]
    if isinstance(given, Address):
        return [given]
    if isinstance(given, Iterable) and not isinstance(given, str):
        return [found for one in given for found in addresses(one, field)]
    line = _checked(str(given), field)
    named = _NAMED.fullmatch(line)
    if named is not None and line.count("<") == 1 and not _is_list(named[1]):
        # All before the bracket is the name, also with a comma that somebody left unquoted.
        return [_address(_unquoted(named[1]), named[2], field)]
    if line.count("@") == 1 and '"' not in line and "," not in line:
        return [_address("", line.strip(), field)]
    found = [pair for pair in getaddresses([line]) if pair != ("", "")]
    if not found:
        raise NotificationError(f"{field} is {line!r}, which is no mail address")
    if len(found) > 1:
        # A column that somebody typed into must not send mails to whoever else is named there.
        raise NotificationError(
            f"{field} {line!r} is no mail address but several in one text: give them as a list"
        )
    return [_address(name, spec, field) for name, spec in found]


def _is_list(front: str) -> bool:
    """True if what stands before the bracket is another address, and not a name."""
    return "@" in front and "," in front and _QUOTED.fullmatch(front) is None


def _unquoted(name: str) -> str:
    return re.sub(r"\\(.)", r"\1", name[1:-1]) if _QUOTED.fullmatch(name) else name


def _address(name: str, spec: str, field: str) -> Address:
    name, spec = _checked(name, field), _checked(spec, field)
    local, at, domain = spec.rpartition("@")
    try:
        host = ascii_host(domain)
    except UnicodeError as error:
        raise NotificationError(f"{field} {spec!r} is no mail address: {error}") from error
    is_local = _BARE.fullmatch(local) or _QUOTED.fullmatch(local)
    if not at or not is_local or _HOST.fullmatch(host) is None:
        raise NotificationError(
            f"{field} {spec!r} is no mail address: write name@host, or Name <name@host>"
        )
    return Address(name, f"{local_part(local)}@{host}")


def local_part(local: str) -> str:
    """What stands before the @, in quotes where it needs them."""
    if _DOT_ATOM.fullmatch(local) or _QUOTED.fullmatch(local):
        return local
    return '"' + re.sub(r'(["\\])', r"\\\1", local) + '"'


def _checked(value: str, field: str) -> str:
    """*value* if it stays within its field."""
    if _BREAKS.search(value):
        raise NotificationError(
            f"{field} {value!r} has a line break or NUL in it, which would begin another header: "
            "take it out"
        )
    return value


def listed(found: Iterable[Address], field: str) -> str:
    """*found* as the body of To, Cc, From or Reply-To."""
    each = [address.words() for address in found]
    for words in each[:-1]:
        words[-1] += ","
    return _folded((word for words in each for word in words), field)
