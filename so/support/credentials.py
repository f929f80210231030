"""What secrets look like in a text: keys, tokens of well-known makers, logins, headers, arguments.

Steps of `Masker.text`, which knows names and learned values besides. A form that a
sentence can have, too (`token: …`), is only covered where what follows is no word.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Final

_KEY_BLOCK: Final = re.compile(
    r"(?P<head>-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----).*?"
    r"(?P<tail>-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----|\Z)",
    re.DOTALL,
)
_TOKEN: Final = re.compile(
    r"(?<![\w-])(?:"
    r"(?:AKIA|ASIA)[0-9A-Z]{16}"  # AWS
    r"|gh[pousr]_\w{20,}|github_pat_\w{20,}|glpat-[\w-]{15,}|npm_\w{30,}"
    r"|xox[a-z]-[\w-]{10,}|xapp-[\w-]{10,}"  # Slack
    # With a digit: `pk_purchase_order_items` is the name of a constraint.
    r"|(?:sk|pk|rk|whsec)_(?:(?:live|test)_\w{16,}|(?=[a-z]{0,99}\d)[0-9a-z]{16,})"
    r"|sk-(?=[\w-]{0,99}\d)[\w-]{20,}"
    r"|AIza[\w-]{30,}|ya29\.[\w-]{20,}"  # Google
    r"|SG\.[\w-]{16,}\.[\w-]{16,}"
    r"|eyJ[\w-]{8,}\.eyJ[\w-]{4,}\.[\w-]*"  # a JSON web token
    r")(?![\w-])"
)
_LOGIN: Final = re.compile(
    # user/password@ of Oracle, user:password of curl, a token as the user of an address.
    r"(?P<head>(?:jdbc:oracle:\w{1,10}:|\b(?:sqlplus|impdp|expdp|rman)\s{1,9})[^\s/@:\"']{1,99}/)"
    r"(?:\"[^\"\s]{1,99}\"|[^\s@\"']{1,99})(?=@)"
    r"|(?P<head2>\s(?:-u|--user)[\s=][^\s:\"']{1,99}:)[^\s\"']{1,99}"
    r"|(?P<head3>://)(?=[\w.~-]{0,99}\d)[\w.~-]{12,99}(?=@)"
    r"|(?P<head4>hooks\.slack\.com/services/)[\w/]{1,99}"
    r"|(?P<head5>[?&]sig=)[^&#\s\"'<>]{1,999}",
    re.IGNORECASE,
)
_HEADER: Final = re.compile(
    r"(?P<head>\b(?:proxy-)?authorization\s{0,9}[:=]\s{0,9}"
    r"(?:(?:bearer|basic|digest|token|apikey|negotiate|ntlm|aws4[\w-]{0,30})\s{1,9})?)"
    r"(?P<value>[^\s\"'(]+)(?P<rest>[^\r\n]*)"
    r"|(?P<head2>\b(?:set-)?cookie:\s{0,9})(?P<pairs>[\w.-]+=[^\r\n\"']*)",
    re.IGNORECASE,
)
_SIGNS: Final = ("@", "-u", "--user", "slack", "sig=")  # one stands in every text of _LOGIN
_LONG: Final = 20  # characters from which a value is no word


def cover(text: str, mask: str) -> str:
    """*text* with *mask* in the place of what looks like a secret, whatever its name."""
    if "-----BEGIN " in text:
        text = _KEY_BLOCK.sub(rf"\g<head>{mask}\g<tail>", text)
    if any(sign in text for sign in _SIGNS):
        text = _LOGIN.sub(lambda found: _head(found) + mask, text)
    return _TOKEN.sub(mask, text)


def cover_named(text: str, words: str, is_secret: Callable[[str], bool], mask: str) -> str:
    """*text* with what stands in it under a secret name covered, without quotes around it.

    *words* is a pattern for the parts of such names.
    """
    text = _HEADER.sub(lambda found: _header(found, mask), text)
    for pattern in _named(words):
        text = pattern.sub(lambda found: _judged(found, is_secret, mask), text)
    return text


@lru_cache(maxsize=64)
def _named(words: str) -> tuple[re.Pattern[str], ...]:
    """A value without quotes behind a name, an argument of a command, the content of a tag."""
    name = rf"(?<![\w.-])(?P<name>[\w.-]{{0,60}}?(?:{words})[\w.-]{{0,40}}+)"
    value = r"(?P<value>[^\s\"'<>,;&(){}\[\]*\\]++)(?![(\[{])"
    return (
        re.compile(
            rf"(?P<head>{name}\\?[\"']?\s{{0,9}}(?::=|=>|[:=])\s{{0,9}}){value}", re.IGNORECASE
        ),
        re.compile(
            rf"(?P<head>(?<![\w-])--?(?P<name>[\w-]{{0,40}}(?:{words})[\w-]{{0,40}}+)\s{{1,9}})"
            rf"{value}",
            re.IGNORECASE,
        ),
        re.compile(
            rf"(?P<head><(?P<name>[\w:.-]{{0,40}}(?:{words})[\w.-]{{0,40}}+)(?:\s[^<>]{{0,200}})?>)"
            r"(?P<all>[^<>]+)(?=</)",
            re.IGNORECASE,
        ),
    )


def _head(found: re.Match[str]) -> str:
    return next(text for name, text in found.groupdict().items() if text and name[:4] == "head")


def _header(found: re.Match[str], mask: str) -> str:
    value = found["value"]
    if value is None or "=" in value or is_key(value):
        return _head(found) + mask
    return found[0]


def _judged(found: re.Match[str], is_secret: Callable[[str], bool], mask: str) -> str:
    value = found.groupdict().get("value")
    if not is_secret(found["name"]):
        return found[0]
    return found["head"] + mask if value is None or is_key(value) else found[0]


def is_key(value: str) -> bool:
    """Is it no word, no short number and no name in code?"""
    if value.isdecimal():
        return len(value) >= 8
    return len(value) >= 4 and (len(value) >= _LONG or any(map(str.isdigit, value)))
