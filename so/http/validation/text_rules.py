"""Rules about texts: what they consist of, how they begin and end, what they are the form of."""

from __future__ import annotations

import ipaddress
import json
import re
from functools import lru_cache
from typing import Any, NoReturn
from urllib.parse import urlsplit
from uuid import UUID
from zoneinfo import ZoneInfo, available_timezones

from so.errors import ConfigError, InvalidRuleError
from so.http.validation.fields import At, Params
from so.http.validation.registry import rule
from so.http.validation.values import is_number, text

ULID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Za-hjkmnp-tv-z]{25}")
UUID_FORM = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
HEX_COLOR = re.compile(r"#(?:[0-9a-fA-F]{3,4}|[0-9a-fA-F]{6}|[0-9a-fA-F]{8})")
MAC_ADDRESS = re.compile(
    r"[0-9a-fA-F]{2}([:-])(?:[0-9a-fA-F]{2}\1){4}[0-9a-fA-F]{2}|(?:[0-9a-fA-F]{4}\.){2}[0-9a-fA-F]{4}"
)

LINK_SCHEMES = frozenset("http https ftp ftps sftp ssh git ws wss ldap ldaps imap smtp".split())
"""What `url` accepts without naming schemes; `javascript:` and `data:` are never among them."""

LONGEST_URL = 8_192
LONGEST_EMAIL = 254
LONGEST_LOCAL_PART = 64

_LABEL = re.compile(r"[^\W_](?:[\w-]{0,61}[^\W_])?")
_ATOM = re.compile(r"[\w!#$%&'*+/=?^`{|}~-]+(?:\.[\w!#$%&'*+/=?^`{|}~-]+)*")
_QUOTED = re.compile(r'"(?:[ !#-\[\]-~]|\\[ -~])*"')


@rule("string")
def string(value: Any, params: Params, at: At) -> bool:
    """A text."""
    return isinstance(value, str)


def _ascii_only(name: str, params: Params) -> None:
    if params not in ((), ("ascii",)):
        raise InvalidRuleError(f"validation rule {name} knows only the option ascii: {name}:ascii")


def _consists(value: Any, params: Params, extra: str, digits: bool) -> bool:
    """True if every character is a letter, a mark, one of *extra* or, if wanted, a digit."""
    if digits and is_number(value):
        value = text(value)
    if not isinstance(value, str) or (params and not value.isascii()):
        return False
    if value.isalnum() if digits else value.isalpha():
        return True
    return bool(value) and all(_fits(char, extra, digits) for char in value)


def _fits(char: str, extra: str, digits: bool) -> bool:
    if char.isalpha() or char in extra or (digits and char.isnumeric()):
        return True
    return ord(char) > 127 and _category(char) == "M"


@lru_cache(maxsize=1024)
def _category(char: str) -> str:
    import unicodedata  # a megabyte that most requests never need

    return unicodedata.category(char)[0]


@rule("alpha", check=_ascii_only)
def alpha(value: Any, params: Params, at: At) -> bool:
    """Letters only."""
    return _consists(value, params, "", digits=False)


@rule("alpha_num", check=_ascii_only)
def alpha_num(value: Any, params: Params, at: At) -> bool:
    """Letters and digits only."""
    return _consists(value, params, "", digits=True)


@rule("alpha_dash", check=_ascii_only)
def alpha_dash(value: Any, params: Params, at: At) -> bool:
    """Letters, digits, dashes and underscores only."""
    return _consists(value, params, "-_", digits=True)


@rule("lowercase")
def lowercase(value: Any, params: Params, at: At) -> bool:
    """No capital letter."""
    return isinstance(value, str) and value == value.lower()


@rule("uppercase")
def uppercase(value: Any, params: Params, at: At) -> bool:
    """No small letter."""
    return isinstance(value, str) and value == value.upper()


@rule("starts_with", least=1)
def starts_with(value: Any, params: Params, at: At) -> bool:
    """Begins with one of the parameters."""
    return _is_plain(value) and text(value).startswith(tuple(p for p in params if p != ""))


@rule("ends_with", least=1)
def ends_with(value: Any, params: Params, at: At) -> bool:
    """Ends with one of the parameters."""
    return _is_plain(value) and text(value).endswith(tuple(p for p in params if p != ""))


@rule("doesnt_start_with", least=1)
def doesnt_start_with(value: Any, params: Params, at: At) -> bool:
    """Begins with none of the parameters."""
    return _is_plain(value) and not starts_with(value, params, at)


@rule("doesnt_end_with", least=1)
def doesnt_end_with(value: Any, params: Params, at: At) -> bool:
    """Ends with none of the parameters."""
    return _is_plain(value) and not ends_with(value, params, at)


@rule("ascii")
def ascii_(value: Any, params: Params, at: At) -> bool:
    """No character beyond ASCII."""
    return _is_plain(value) and text(value).isascii()


def _is_plain(value: Any) -> bool:
    return isinstance(value, str) or is_number(value)


# --- patterns -------------------------------------------------------------------------------------


@lru_cache(maxsize=512)
def pattern(written: str) -> re.Pattern[str]:
    """The pattern of `/…/flags` as Laravel writes it, or of a bare Python pattern."""
    body, flags = written, ""
    if written and not written[0].isalnum() and written[0] not in "\\^([.":
        closing = {"{": "}", "<": ">"}.get(written[0], written[0])
        end = written.rfind(closing)
        if end > 0 and re.fullmatch(r"[imsxuDU]*", written[end + 1 :]):
            body, flags = written[1:end], written[end + 1 :]
    try:
        return re.compile(body, _flags(flags))
    except re.error as error:
        raise InvalidRuleError(f"bad pattern {written!r} in a regex rule: {error}") from error


def _flags(letters: str) -> re.RegexFlag:
    known = {"i": re.IGNORECASE, "m": re.MULTILINE, "s": re.DOTALL, "x": re.VERBOSE}
    flags = re.RegexFlag(0)
    for letter in letters:
        flags |= known.get(letter, re.RegexFlag(0))
    return flags


def _compiles(name: str, params: Params) -> None:
    pattern(params[0])


@rule("regex", least=1, check=_compiles)
def regex(value: Any, params: Params, at: At) -> bool:
    """A text in which the pattern is found."""
    return _is_plain(value) and pattern(params[0]).search(text(value)) is not None


@rule("not_regex", least=1, check=_compiles)
def not_regex(value: Any, params: Params, at: At) -> bool:
    """A text in which the pattern is not found."""
    return _is_plain(value) and pattern(params[0]).search(text(value)) is None


# --- addresses ------------------------------------------------------------------------------------


def _email_options(name: str, params: Params) -> None:
    for option in params:
        if option not in ("rfc", "strict", "filter", "filter_unicode"):
            raise InvalidRuleError(
                f"unknown option {option!r} of the rule email: use rfc, strict, filter or "
                f"filter_unicode (looking up the domain is not offered: it needs the network)"
            )


@rule("email", check=_email_options)
def email(value: Any, params: Params, at: At) -> bool:
    """An address by RFC 5321, international ones included; `filter` wants plain ASCII and a dot."""
    if not isinstance(value, str) or len(value) > LONGEST_EMAIL or not value.isprintable():
        return False
    local, at_sign, domain = value.rpartition("@")
    if not at_sign or len(local) > LONGEST_LOCAL_PART or not _is_mail_host(domain):
        return False
    if "filter" in params and not (value.isascii() and "." in domain):
        return False
    if "filter_unicode" in params and "." not in domain:
        return False
    quoted = "strict" not in params and _QUOTED.fullmatch(local) is not None
    return quoted or _ATOM.fullmatch(local) is not None


def _is_mail_host(domain: str) -> bool:
    if domain.startswith("[") and domain.endswith("]"):
        return is_ip(domain[1:-1].removeprefix("IPv6:"))
    return is_host(domain)


def is_host(name: str) -> bool:
    """True for a host name, international ones included."""
    if not 0 < len(name) <= 253:
        return False
    return all(_LABEL.fullmatch(label) is not None for label in name.split("."))


@rule("url")
def url(value: Any, params: Params, at: At) -> bool:
    """An absolute link with a host, of one of the schemes given or of the usual ones."""
    if not isinstance(value, str) or len(value) > LONGEST_URL or not value.isprintable():
        return False
    if any(char in value for char in ' <>"\\^`{|}'):
        return False
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        return False
    if parts.scheme not in (params or LINK_SCHEMES) or "://" not in value or port == 0:
        return False
    host = parts.hostname or ""
    return is_ip(host, 6) if ":" in host else is_host(host.removesuffix("."))


def is_ip(value: Any, version: int | None = None) -> bool:
    """True for an IP address in its text form, of *version* 4 or 6 if given."""
    if not isinstance(value, str) or "%" in value:
        return False
    try:
        return version in (None, ipaddress.ip_address(value).version)
    except ValueError:
        return False


@rule("ip")
def ip(value: Any, params: Params, at: At) -> bool:
    """An IP address of either version."""
    return is_ip(value)


@rule("ipv4")
def ipv4(value: Any, params: Params, at: At) -> bool:
    """An IPv4 address."""
    return is_ip(value, 4)


@rule("ipv6")
def ipv6(value: Any, params: Params, at: At) -> bool:
    """An IPv6 address."""
    return is_ip(value, 6)


# --- identifiers and documents --------------------------------------------------------------------


def _uuid_version(name: str, params: Params) -> None:
    if params and params[0] not in ("1", "2", "3", "4", "5", "6", "7", "8", "max"):
        raise InvalidRuleError(f"validation rule uuid knows versions 1 to 8, not {params[0]!r}")


@rule("uuid", check=_uuid_version)
def uuid(value: Any, params: Params, at: At) -> bool:
    """A UUID in its 36-character form, of the version given if one is."""
    written = str(value) if isinstance(value, UUID) else value
    if not isinstance(written, str) or UUID_FORM.fullmatch(written) is None:
        return False
    if params == ("max",):
        return set(written) <= {"f", "F", "-"}
    return not params or written[14] == str(params[0])


@rule("ulid")
def ulid(value: Any, params: Params, at: At) -> bool:
    """A ULID: 26 characters of Crockford's base 32."""
    return isinstance(value, str) and ULID.fullmatch(value) is not None


@rule("hex_color")
def hex_color(value: Any, params: Params, at: At) -> bool:
    """A colour as CSS writes it: #abc, #abcd, #aabbcc or #aabbccdd."""
    return isinstance(value, str) and HEX_COLOR.fullmatch(value) is not None


@rule("mac_address")
def mac_address(value: Any, params: Params, at: At) -> bool:
    """A hardware address: 00:1a:2b:3c:4d:5e, with dashes, or 001a.2b3c.4d5e."""
    return isinstance(value, str) and MAC_ADDRESS.fullmatch(value) is not None


@rule("json")
def json_text(value: Any, params: Params, at: At) -> bool:
    """A text that is one JSON document."""
    if not _is_plain(value):
        return value is True
    try:
        json.loads(text(value), parse_constant=_refuse)
    except (ValueError, RecursionError):
        return False
    return True


def _refuse(word: str) -> NoReturn:
    raise ValueError(f"{word} is not JSON")


@rule("timezone")
def timezone(value: Any, params: Params, at: At) -> bool:
    """The name of a time zone, such as Europe/Berlin, spelt exactly.

    Raises ConfigError on a machine without any time zone data, where it could not be judged.
    """
    if not isinstance(value, str) or re.fullmatch(r"[A-Za-z0-9_+/-]{1,64}", value) is None:
        return False
    if value == "UTC":
        return True
    if value.split("/")[0] in ("posix", "right") or value in ("localtime", "posixrules", "Factory"):
        return False
    try:
        ZoneInfo(value)
    except (ValueError, OSError, LookupError):
        if not available_timezones():
            raise ConfigError(
                "the rule timezone finds no time zone data: install the system's package tzdata"
            ) from None
        return False
    return True
