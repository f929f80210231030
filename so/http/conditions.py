"""Conditional requests (RFC 9110 §13): does the client hold this version, or go on with another?"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from so.support.httpwords import parse_http_date

if TYPE_CHECKING:
    from so.http.request import Request


_TAG = re.compile(r'(?:W/)?"[^"]*"')


def is_unmodified(request: Request, etag: str | None, modified: str | None) -> bool:
    """True if a GET or HEAD may be answered 304 for a content with *etag* and *modified*."""
    if request.real_method not in ("GET", "HEAD"):
        return False
    known = request.header("If-None-Match")
    if known is not None:
        return etag is not None and _names(known, etag)
    since = parse_http_date(request.header("If-Modified-Since") or "")
    changed = parse_http_date(modified or "")
    return since is not None and changed is not None and changed <= since


def is_other_version(request: Request, etag: str | None, modified: str | None) -> bool:
    """True if the client wants no other version than its own, which this is not: 412."""
    wanted = request.header("If-Match")
    if wanted is not None:
        is_named = etag is not None and not etag.startswith("W/") and etag in _tags(wanted)
        return wanted.strip() != "*" and not is_named
    since = parse_http_date(request.header("If-Unmodified-Since") or "")
    changed = parse_http_date(modified or "")
    return since is not None and changed is not None and changed > since


def is_same_version(if_range: str, etag: str | None, modified: str | None) -> bool:
    """True if If-Range names exactly this version, so that a part of it may be sent."""
    given = if_range.strip()
    if given.startswith(('"', "W/")):
        return etag is not None and given == etag and not etag.startswith("W/")
    at = parse_http_date(given)
    return at is not None and modified is not None and at == parse_http_date(modified)


def _names(header: str, etag: str) -> bool:
    """Weak comparison: `W/"a"` and `"a"` are one version."""
    given = [tag.removeprefix("W/") for tag in _tags(header)]
    return header.strip() == "*" or etag.removeprefix("W/") in given


def _tags(header: str) -> list[str]:
    """The entity tags of a list; there may be a comma in one."""
    return _TAG.findall(header)
