"""Header fields: names without case, several values, nothing that could split a response.

Values are kept as WSGI wants them (bytes read as Latin-1), text beyond ASCII as its UTF-8;
`readable` turns those of a request back into text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

# What wsgiref.validate accepts, which is RFC 9110's token less the exotic characters.
_NAME = re.compile(r"[A-Za-z](?:[A-Za-z0-9_-]*[A-Za-z0-9])?")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
# They speak about one connection, which is the server's; WSGI forbids them to applications.
_HOP_BY_HOP = frozenset(
    "connection keep-alive proxy-authenticate proxy-authorization te trailer trailers"
    " transfer-encoding upgrade".split()
)

Items = Mapping[str, Any] | Iterable[tuple[str, Any]]


class Headers:
    """A case-insensitive mapping that keeps order and may hold several values for a name.

    Reading a name gives its last value; `get_all` gives all. Setting raises ValueError for CR,
    LF, NUL and other control characters.
    """

    __slots__ = ("_fields", "_is_plain")

    def __init__(self, items: Items | None = None) -> None:
        # lower-case name → (name as written, value, …)
        self._fields: dict[str, tuple[str, ...]] = {}
        self._is_plain = True  # no name has several values, so that the fields are pairs
        if items is not None:
            self.update(items)

    def set(self, name: str, value: object) -> None:
        """Give *name* the one *value*."""
        if type(value) is str and value.isascii() and value.isprintable():
            self._fields[_key(name)] = (name, value)
        else:
            self._fields[_key(name)] = (name, _wire(name, value))

    def trust(self, key: str, field: tuple[str, str]) -> None:
        """Set *field* (name and value) under its lower-case *key*, known to be sound."""
        self._fields[key] = field

    def complete_with(self, fields: Mapping[str, tuple[str, str]]) -> None:
        """Set those of *fields* that are not there: lower-case key → name and value, all sound."""
        for key, field in fields.items():
            self._fields.setdefault(key, field)

    def complete(self, length: int, kind: str) -> None:
        """Note the *length* of a body, and that it is of *kind* if nobody has said."""
        self._fields["content-length"] = ("Content-Length", str(length))
        if "content-type" not in self._fields:
            self._fields["content-type"] = ("Content-Type", kind)

    def add(self, name: str, value: object) -> None:
        """Give *name* one more value."""
        key = _key(name)
        before = self._fields.get(key)
        if before is not None:
            self._is_plain = False
        self._fields[key] = (*(before or (name,)), _wire(name, value))

    def get(self, name: str, default: Any = None) -> Any:
        """The last value of *name*, else *default*."""
        field = self._fields.get(name.lower())
        return default if field is None else _text(field[-1])

    def get_all(self, name: str) -> list[str]:
        """Every value of *name*, in order."""
        return [_text(value) for value in self._fields.get(name.lower(), ("",))[1:]]

    def update(self, items: Items) -> None:
        """Set each of *items*; a list as value sets several."""
        for name, value in items.items() if isinstance(items, Mapping) else items:
            if isinstance(value, (list, tuple)):
                self.discard(name)
                for one in value:
                    self.add(name, one)
            else:
                self.set(name, value)

    def setdefault(self, name: str, value: object) -> None:
        """Set *name* unless it is there."""
        if name.lower() not in self._fields:
            self.set(name, value)

    def discard(self, name: str) -> None:
        """Remove *name* with all its values, if it is there."""
        self._fields.pop(name.lower(), None)

    def items(self) -> list[tuple[str, str]]:
        """Every name and value, a name with several values several times."""
        return [(name, _text(value)) for name, value in self.wsgi()]

    def wsgi(self) -> list[tuple[str, str]]:
        """As `start_response` takes them."""
        if self._is_plain:
            return list(self._fields.values())  # type: ignore[arg-type]
        found: list[tuple[str, str]] = []
        for field in self._fields.values():
            if len(field) == 2:
                found.append(field)
            else:
                found += [(field[0], value) for value in field[1:]]
        return found

    def copy(self) -> Headers:
        """An independent copy."""
        twin = Headers()
        twin._fields = dict(self._fields)
        twin._is_plain = self._is_plain
        return twin

    def __getitem__(self, name: str) -> str:
        field = self._fields.get(name.lower())
        if field is None:
            raise KeyError(name)
        return _text(field[-1])

    __setitem__ = set

    def __delitem__(self, name: str) -> None:
        del self._fields[name.lower()]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._fields

    def __iter__(self) -> Iterator[str]:
        return iter([field[0] for field in self._fields.values()])

    def keys(self) -> list[str]:
        """The names as written."""
        return list(self)

    def __len__(self) -> int:
        return len(self._fields)

    def __repr__(self) -> str:
        return f"Headers({self.items()!r})"


@lru_cache(maxsize=512)
def _key(name: str) -> str:
    """The name in lower case; ValueError for what is no name, or not an application's to set."""
    key = name.lower()
    if _NAME.fullmatch(name) is None or key == "status":
        raise ValueError(f"{name!r} is not a header name: use letters, digits and hyphens")
    if key in _HOP_BY_HOP:
        raise ValueError(f"the header {name!r} belongs to the server: leave it out")
    return key


def _wire(name: str, value: object) -> str:
    if value is None:
        raise ValueError(f"the header {name!r} is None: give it a text, or leave it out")
    text = value if type(value) is str else str(value)
    if text.isascii() and text.isprintable():
        return text
    if _CONTROL.search(text):
        raise ValueError(
            f"the header {name!r} has a control character (CR, LF, NUL, …) in its value: {text!r}"
        )
    try:
        return text.encode().decode("latin-1")
    except UnicodeEncodeError as error:
        raise ValueError(f"the header {name!r} has a value that is no text: {text!r}") from error


def _text(wire: str) -> str:
    return wire if wire.isascii() else wire.encode("latin-1").decode("utf-8", "replace")


def readable(value: str) -> str:
    """A value as received, as text: bytes beyond ASCII are UTF-8 if they can be, else Latin-1."""
    if value.isascii():
        return value
    try:
        return value.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return value
