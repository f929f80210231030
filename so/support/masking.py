"""Keeping secrets out of what people read: error pages, log lines, printed settings.

A secret is known in two ways: by the name it stands under (`password`, `X-Api-Key`, …), or by its
value once it was learned (from the request, from the settings). Whatever is shown goes through
one `Masker`, so a secret that turns up in a message or a line of SQL is covered as well.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Iterable, Mapping
from typing import Final

from so.support.credentials import cover, cover_named

MASK: Final = "***"

SECRET_NAMES: Final = (
    "password",
    "passwd",
    "passphrase",
    "passwort",
    "pwd",
    "secret",
    "token",
    "csrf",
    "xsrf",
    "authorization",
    "cookie",
    "credential",
    "signature",
    "api_key",
    "apikey",
    "app_key",
    "audit_key",
    "private_key",
    "access_key",
    "account_key",
    "card_number",
    "cvv",
    "cvc",
    "iban",
    "session_id",
    "sessid",
    "so_session",
    "otp_code",
    "mfa_code",
    "one_time_code",
    "verification_code",
    "recovery_code",
    "backup_code",
    "social_security",
)

SECRET_WORDS: Final = ("pin", "otp", "totp", "puk", "ssn")
"""Secret as the last word of a name alone: `card_pin` and `userPin`, but not `spinner`."""

_HELD_AS: Final = ("hash", "digest", "value", "number")
"""What may stand behind such a word: the digest of four digits is soon tried out."""

_INNOCENT: Final = re.compile(r"secretar|secretion|tokeni[sz]|passwordless", re.IGNORECASE)
"""What only looks like a secret name."""

_ABOUT: Final = re.compile(r"^(?:is|has)_|_(?:at|on|until|count|attempts|days|length)$")
"""A name that tells when, whether or how many, and not what."""

_NAME: Final = re.compile(r"[\w-]+")
_WORD: Final = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[0-9]+")

SHORTEST_LEARNED: Final = 4
"""Characters: masking a shorter value everywhere would blot out half of the page."""

LONG_WORD: Final = 12
"""Characters from which one word of a secret is taken for a secret itself."""

LONG_KEY: Final = 20
"""Characters from which what follows `Bearer` is no word of a sentence."""

_USER_INFO: Final = re.compile(
    # The password of an address, scheme://user:password@host …
    r"(?P<head>(?<![\w+.-])[a-z][\w+.-]*://[^\s/?#:@\"'<>]*:)[^\s/?#\"'<>]+(?=@)"
    # … and of user:password@host:port, user:password@host/name, user:password@tcp(host).
    r"|(?P<head2>(?<![\w:/.%+-])[\w.%+-]+:)[^\s/:@\"'<>]+(?=@(?:(?:tcp|unix)\(|[\w.-]+(?::\d|/\w)))",
    re.IGNORECASE,
)
_HELD: Final = re.compile(rf"(?<![a-z])(?:{'|'.join(SECRET_WORDS)})(?![a-z])", re.IGNORECASE)
_CREDENTIALS: Final = re.compile(
    r"\b(?P<scheme>bearer|basic)(?P<space>\s+|:\s*)(?P<value>[\w.~+/-]{4,}=*)", re.IGNORECASE
)

_DEEPEST: Final = 12
"""Levels of nesting shown; below that an ellipsis stands."""


_MOST_JUDGED: Final = 10_000
"""Names whose judgement is kept: clients may send any number of them."""


class Masker:
    """Replaces secrets by `***`, by name and by learned value."""

    def __init__(
        self,
        names: Iterable[str] = SECRET_NAMES,
        values: Iterable[object] = (),
    ) -> None:
        """Mask what stands under a name containing one of *names*, and each of *values*."""
        self.names = tuple(_plain(name) for name in names)
        self._bare = tuple(name.replace("_", "") for name in self.names)
        self.exact: frozenset[str] = frozenset()
        self._judged: dict[str, bool] = {}
        self._values: set[str] = set()
        self._own = frozenset(self.names).difference(SECRET_NAMES)
        self._words, self._assignment, self._in_query = _patterns((*self.names, *SECRET_WORDS))
        self.learn(values)

    def beside(self, exact: Iterable[str] = ()) -> Masker:
        """A masker like this one, to which the names *exact* are secret as well.

        What it learns, this one does not hear of.
        """
        twin = object.__new__(Masker)
        twin.__dict__.update(self.__dict__)
        twin.exact = self.exact.union(exact)
        twin._judged = {}
        twin._values = set(self._values)
        return twin

    def learn(self, values: Iterable[object]) -> None:
        """Mask each of *values* (texts of at least four characters) wherever it turns up.

        The long words of a value are secrets as well: of `Bearer abc…` the second.
        """
        for value in values:
            if isinstance(value, str) and len(value) >= SHORTEST_LEARNED:
                self._values.add(value)
                self._values.update(w for w in value.split() if len(w) >= LONG_WORD)

    def learn_from(self, data: object, depth: int = 0) -> None:
        """Learn every text that stands under a secret name anywhere in *data*."""
        if depth > _DEEPEST:
            return
        if isinstance(data, Mapping):
            for name, value in data.items():
                if self.is_secret(name):
                    self.learn(_leaves(value))
                else:
                    self.learn_from(value, depth + 1)
        elif isinstance(data, (list, tuple)):
            for value in data:
                self.learn_from(value, depth + 1)

    def is_secret(self, name: object) -> bool:
        """True when what stands under *name* should not be shown."""
        text = str(name)
        known = self._judged.get(text)
        if known is None:
            known = text in self.exact or self._is_told_by(text)
            if len(self._judged) < _MOST_JUDGED:
                self._judged[text] = known
        return known

    def _is_told_by(self, name: str) -> bool:
        words = [word.lower() for word in _WORD.findall(name)]
        is_about = _ABOUT.search("_".join(words)) is not None
        plain = _plain(_INNOCENT.sub("", name))
        joined = plain.replace("_", "")  # `accessKey` is an access_key
        return (words != [] and not is_about and _is_held(words)) or any(
            (part in plain or ("_" in part and bare in joined))
            and (not is_about or part in self._own)
            for part, bare in zip(self.names, self._bare, strict=True)
        )

    def mask(self, value: object, name: object = "", depth: int = 0) -> object:
        """*value* fit to be shown: secret entries replaced, texts cleaned, the shape kept."""
        if name != "" and self.is_secret(name) and value not in (None, "", [], {}):
            return MASK
        if isinstance(value, str):
            return self.text(value)
        if depth > _DEEPEST:
            return "…"
        if isinstance(value, Mapping):
            return {
                self.text(key) if isinstance(key, str) else key: self.mask(item, key, depth + 1)
                for key, item in value.items()
            }
        if isinstance(value, (list, tuple)):
            return [self.mask(item, "", depth + 1) for item in value]
        return value

    def named(self, value: object) -> object:
        """*value* with what stands under a secret name replaced, at any depth; texts are kept."""
        if isinstance(value, Mapping):
            return {
                key: MASK if item is not None and self.is_secret(key) else self.named(item)
                for key, item in value.items()
            }
        return [self.named(item) for item in value] if isinstance(value, (list, tuple)) else value

    def text(self, text: str) -> str:
        """*text* with learned values, `password = '…'`, `?token=…` and keys covered."""
        for value in sorted(self._values, key=len, reverse=True):
            text = text.replace(value, MASK)
        text = cover(text, MASK)
        if "@" in text:
            text = _USER_INFO.sub(_behind_head, text)
        text = _CREDENTIALS.sub(self._credentials, text)
        if not self._names_one(text):
            return text
        text = cover_named(text, self._words, self.is_secret, MASK)
        text = self._in_query.sub(self._behind_name, text)
        return self._assignment.sub(self._behind_name, text)

    def _behind_name(self, found: re.Match[str]) -> str:
        """What stands behind a name, covered if that is a secret one."""
        held = found.groupdict()
        if not self.is_secret(held["name"] or held["name2"]):
            return found[0]
        return f"{held['head'] or held['head2']}{MASK}{held.get('tail') or ''}"

    def _names_one(self, text: str) -> bool:
        """Does a part of a secret name stand in *text*? Hardly ever; the rest takes its time."""
        plain = text.lower().replace("-", "").replace("_", "")
        return any(part in plain for part in self._bare) or bool(_HELD.search(text))

    def _credentials(self, found: re.Match[str]) -> str:
        """What follows `Bearer` or `Basic`, unless it is a word of a sentence."""
        scheme, value = found["scheme"], found["value"].rstrip(".")
        is_secret = _is_pair(value) if scheme.lower() == "basic" else self._is_key(value)
        rest = found["value"][len(value) :]
        return f"{scheme}{found['space']}{MASK}{rest}" if is_secret else found[0]

    def _is_key(self, value: str) -> bool:
        if len(value) >= LONG_KEY or any(c.isdigit() or c in "_.~+" for c in value):
            return True
        is_mixed = not value.isupper() and value[1:] != value[1:].lower()
        return is_mixed or (self.is_secret(value) and value.lower().rstrip("s") not in self.names)

    def bindings(self, sql: str, bindings: Iterable[object]) -> list[object]:
        """The *bindings* of *sql*, all texts covered when the statement names a secret column."""
        if self._names_one(sql) and any(map(self.is_secret, _NAME.findall(sql))):
            return [MASK if isinstance(value, (str, bytes)) else value for value in bindings]
        return [self.mask(value) for value in bindings]


def _behind_head(found: re.Match[str]) -> str:
    return f"{found['head'] or found['head2']}{MASK}"


def _is_pair(value: str) -> bool:
    """Is it `user:password` in base64?"""
    try:
        return b":" in b64decode(value + "=" * (-len(value) % 4), validate=True)
    except ValueError:
        return False


def _is_held(words: list[str]) -> bool:
    """Do the *words* of a name end with one that is a secret by itself?"""
    end = -1 if words[-1] not in _HELD_AS else -2
    return words[end:][:1] != [] and words[end:][0] in SECRET_WORDS


def _plain(name: str) -> str:
    return name.lower().replace("-", "_")


def _leaves(value: object) -> Iterable[object]:
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        for item in value:
            yield from _leaves(item)
    else:
        yield value


def _patterns(names: tuple[str, ...]) -> tuple[str, re.Pattern[str], re.Pattern[str]]:
    """What secret names look like; a value under one in code, and in the query of an address."""
    words = "|".join(re.escape(name).replace("_", "[-_]?") for name in names) or r"(?!)"
    assignment = (
        rf"(?P<head>(?<!\w)(?P<name>\w{{0,60}}(?:{words})\w{{0,60}}+)\\?[\"']?\]?\s*"
        r"(?::=|=>|[:=])\s*[rbf]?"
        r"(?P<quote>\\?[\"']))(?:(?!(?P=quote))(?:\\.|.))+(?P<tail>(?P=quote)|$)"
    )
    some = r"[\w%.\[\]-]{0,60}"
    value = r"[^&#;\s\"'<>]"
    named = rf"{some}(?:{words}){some})="  # closes the group
    # After a blank or a semicolon, as in a DSN; what ends an argument of a call in code stays.
    in_query = (
        rf"(?:(?P<head>(?:^|[?&#])(?P<name>{named}){value}+"
        rf"|(?P<head2>(?:^|[;\s(])(?P<name2>{named}){value}*[^&#;\s\"'<>,)](?=[;\s,)]|$))"
    )
    return words, re.compile(assignment, re.I | re.M), re.compile(in_query, re.I)
