"""Where a redirect leads, told from the very text of its Location header.

A browser reads more than a parser of URLs does: it takes `\\` for `/`, `http:/host` and `///host`
for another site. So there is one text, which is judged and sent, and of it only what can be read
in one way counts as this site.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from urllib.parse import quote

from so.errors import OffsiteRedirectError
from so.support.idna import ascii_host
from so.support.scope import current_request

# Everything a URL may hold, % included, so that what is encoded stays as it is.
_URL = "/:?#[]@!$&'()*+,;=%~-._"
_PARTS = re.compile(r"(?:([A-Za-z][A-Za-z0-9+.-]*):)?(?://([^/?#]*))?([^?#]*)(.*)", re.DOTALL)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_HALF_A_PAIR = re.compile(r"[\ud800-\udfff]")
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


def header_text(target: str) -> str:
    """*target* as it stands in the header: ASCII, no space at its ends, a foreign host by IDNA."""
    found = _PARTS.fullmatch(target.strip(" "))
    assert found is not None  # each part may be empty
    scheme, host, path, rest = found.groups()
    front = f"{scheme}:" if scheme else ""
    front += f"//{_ascii_host(host)}" if host is not None else ""
    return percent_encoded(front + path + rest)


def percent_encoded(text: str) -> str:
    """*text* with everything that no URL may hold in its percent form."""
    return quote(_HALF_A_PAIR.sub("\ufffd", text), safe=_URL)


def _ascii_host(host: str) -> str:
    if host.isascii():
        return host
    name, colon, port = host.partition(":")
    try:
        return ascii_host(name) + colon + port
    except UnicodeError:
        return host


def as_browsers_read(url: str) -> str:
    """*url* with `/` for `\\` wherever a browser makes no difference."""
    end = min((at for at in (url.find("?"), url.find("#")) if at >= 0), default=len(url))
    return url[:end].replace("\\", "/") + url[end:]


def has_control(url: str) -> bool:
    """True if *url* holds what no header may; browsers drop some of it before they read."""
    return _CONTROL.search(url) is not None


def origin(text: str) -> tuple[str, str] | None:
    """Scheme and host of the *text* of a header; None for a path, a query or a fragment.

    What can be read in two ways has an empty host, or one with a user in it: nobody's.
    """
    found = _PARTS.fullmatch(text)
    assert found is not None  # each part may be empty
    if found[1] is None and found[2] is None:
        return None
    scheme = (found[1] or "").lower()
    return scheme, site(scheme, found[2] or "")


def site(scheme: str, authority: str) -> str:
    """*authority* in the one form in which hosts are compared."""
    return _ascii_host(authority).lower().removesuffix(_DEFAULT_PORTS.get(scheme, "\n"))


def is_ours(text: str, sites: Collection[str]) -> bool:
    """True if the *text* of a header leads to a page of one of *sites*."""
    found = origin(text)
    return found is None or (found[0] in _DEFAULT_PORTS and found[1] in sites and found[1] != "")


def below(mount: str, text: str) -> str:
    """*text*, if it is a path, under *mount* (`/erp`), where the application lives.

    A path that begins with it already stays as it is; no `..` leads out of it.
    """
    if text.startswith(("#", "?")) or origin(text) is not None:
        return text
    if not mount:
        return text if text.startswith("/") else f"/{text}"
    found = _PARTS.fullmatch(text)
    assert found is not None  # each part may be empty
    path = _without_dots(found[3] if found[3].startswith("/") else f"/{found[3]}")
    if path != mount and not path.startswith(f"{mount}/"):
        path = mount + path
    return path + found[4]


def joined_mounts(outer: str, inner: str) -> str:
    """The prefix *inner* below *outer*; once, where both tell of the same one."""
    outer, inner = outer.rstrip("/"), inner.rstrip("/")
    return outer if outer.endswith(inner) else outer + inner


def _without_dots(path: str) -> str:
    """*path* with its `.` and `..` walked, however they are written."""
    kept: list[str] = []
    parts = path.split("/")
    for at, part in enumerate(parts):
        dots = part.lower().replace("%2e", ".")
        if dots not in (".", ".."):
            kept.append(part)
            continue
        if dots == ".." and len(kept) > 1:
            kept.pop()
        if at == len(parts) - 1:
            kept.append("")
    return "/".join(kept)


def onsite(url: str) -> str:
    """*url* as it is sent, if that leads to a page of this site; OffsiteRedirectError if not.

    Outside a request no site is known, and every URL is the programmer's.
    """
    if not isinstance(url, str) or has_control(url):
        raise OffsiteRedirectError(f"{url!r} is no text or has a control character: it is no URL")
    request = current_request()
    text = header_text(as_browsers_read(url))
    if request is None:
        return below("", text)
    if is_ours(text, request.own_sites()):
        return below(request.script_name(), text)
    raise OffsiteRedirectError(
        f"the redirect to {url!r} leads off this site: use redirect().away(url) if that is meant"
    )


def chosen(url: str) -> str:
    """*url* that the programmer chose, such as where the login is: a path of ours, or any URL."""
    request = current_request()
    return below("" if request is None else request.script_name(), header_text(url))
