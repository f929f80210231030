"""Cookies: reading whatever browsers send, writing what they keep (RFC 6265)."""

from __future__ import annotations

import re
import time
from urllib.parse import quote, unquote

from so.http.headers import Headers, readable
from so.support.httpwords import http_date

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_BREAKS = re.compile(r"[\r\n\0]")
_ATTRIBUTE = re.compile(r"[\x20-\x3a\x3c-\x7e]*")
# Cookie octets, less % which begins our escapes.
_PLAIN = "!#$&'()*+-./:<=>?@[]^_`{|}~"
_PRIVATE = {"private", "no-store"}
_SAME_SITE = {"lax": "Lax", "strict": "Strict", "none": "None"}
LONGEST = 4096  # bytes of name and value
_LONGEST_SECONDS = 400 * 86400  # what browsers cut every cookie's life to


def parse_cookies(header: str) -> dict[str, str]:
    """The cookies of a Cookie header; of two with one name, the first (the more specific path)."""
    found: dict[str, str] = {}
    for pair in header.split(";"):
        name, equals, value = pair.partition("=")
        name = name.strip()
        if not equals or not name or name in found:
            continue
        value = value.strip()
        if len(value) > 1 and value[0] == value[-1] == '"':
            value = value[1:-1]
        found[name] = unquote(value, errors="replace") if "%" in value else readable(value)
    return found


def cookie_header(
    name: str,
    value: str,
    minutes: float = 0,
    path: str | None = "/",
    domain: str | None = None,
    secure: bool = False,
    httponly: bool = True,
    samesite: str | None = "lax",
) -> str:
    """The value of Set-Cookie. *minutes* 0 ends it with the browser, less than 0 deletes it.

    Raises ValueError for what a browser would refuse, and for a *value* with a line break or NUL:
    no cookie is meant to have one, and who reads it may not undo our escapes.
    """
    if _NAME.fullmatch(name) is None:
        raise ValueError(f"{name!r} is not a cookie name: use letters, digits, - and _")
    if _BREAKS.search(value):
        raise ValueError(
            f"the cookie {name} cannot hold {value!r:.80}: take out line breaks and NUL"
        )
    _check_prefix(name, path, domain, secure)
    parts = [_pair(name, quote(value, safe=_PLAIN, errors="replace"))]
    if minutes:
        # Max-Age would be enough for browsers of this century; Expires serves the others.
        seconds = max(0, min(round(minutes * 60), _LONGEST_SECONDS))
        parts += [f"Expires={http_date(time.time() + seconds if seconds else 0)}"]
        parts += [f"Max-Age={seconds}"]
    for attribute, given in (("Path", path), ("Domain", domain)):
        if given:
            parts.append(f"{attribute}={_attribute(attribute, given)}")
    if secure:
        parts.append("Secure")
    if httponly:
        parts.append("HttpOnly")
    if samesite:
        parts.append(f"SameSite={_same_site(name, samesite, secure)}")
    return "; ".join(parts)


def _pair(name: str, value: str) -> str:
    size = len(name) + len(value)
    if size > LONGEST:
        raise ValueError(
            f"the cookie {name!r} has {size} bytes as it is sent, {LONGEST} at most: browsers drop "
            "a longer one without a word. Keep the value in the session"
        )
    return f"{name}={value}"


def keep_to_one(headers: Headers) -> None:
    """A response that sets cookies is for one visitor: no shared cache may hand it to others."""
    asked = str(headers.get("Cache-Control") or "").lower()
    said = {part.partition("=")[0].strip() for part in asked.split(",")}
    if said & {"public", "s-maxage"} or (said & {"max-age", "immutable"} and not said & _PRIVATE):
        headers.set("Cache-Control", "no-store, private")


def _attribute(attribute: str, text: str) -> str:
    if _ATTRIBUTE.fullmatch(text) is None:
        raise ValueError(f"a cookie's {attribute} cannot be {text!r}: use ASCII without ;")
    return text


def _same_site(name: str, given: str, secure: bool) -> str:
    known = _SAME_SITE.get(given.lower())
    if known is None:
        raise ValueError(f"samesite is {given!r}: use 'lax', 'strict', 'none' or None")
    if known == "None" and not secure:
        raise ValueError(f"the cookie {name!r} has samesite 'none': browsers want secure=True too")
    return known


def _check_prefix(name: str, path: str | None, domain: str | None, secure: bool) -> None:
    if name.startswith("__Host-") and (not secure or path != "/" or domain):
        raise ValueError(f"the cookie {name!r} needs secure=True, path='/' and no domain")
    if name.startswith("__Secure-") and not secure:
        raise ValueError(f"the cookie {name!r} needs secure=True")
