"""What a session holds, and the log of what this request did to it.

The log is the point: a save lays the request's own changes over the stored values, and when
another request saved first, lays the same changes over the newer values. So parallel requests
of one session lose nothing, increments add up, and nothing is written that was only read.

Values are typed JSON. Where the text is kept, and who may have it, is not known here.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from typing import Any

from so.errors import SessionError
from so.support.codec import Codec, default_codec
from so.support.ids import token as new_secret
from so.support.paths import MISSING, find, position, step

Data = dict[str, Any]
Change = Callable[[Data], None]

TOKEN, LOGIN, FLASH, PREVIOUS = "_token", "_auth", "_flash", "_previous"
BESIDE = "_beside"  # the rows of further logins, by whose they are
INTERNAL = frozenset((TOKEN, LOGIN, FLASH, PREVIOUS, BESIDE))

_CONSTANT = (str, int, float, bool, bytes, type(None))


class Bag:
    """The values of one session as one request sees them, and its changes in order."""

    def __init__(self, text: str = "{}", codec: Codec = default_codec) -> None:
        """Raises CodecError if *text* is not what `merged()` once gave."""
        self._codec = codec
        self._text = text
        self._changes: list[Change] = []
        self._shared: set[str] = set()
        self._data: Data = _as_dict(codec.decode(text))
        marks = self._data.pop(FLASH, None)
        # Flashed by an earlier request, each with the mark of that flash: gone after this one.
        self._passing: dict[str, str] = dict(marks) if isinstance(marks, dict) else {}
        # Set by `now()`: shown in this request and never stored.
        self._momentary: set[str] = set()
        self.closed: str | None = None  # why nothing may be changed any more

    # --- reading ---

    def get(self, key: str, default: Any = None) -> Any:
        """The value at the dotted *key*; *default*, called if it can be, when there is none."""
        key = text_of_key(key)
        value = find(self._data, key)
        if value is MISSING:
            return default() if callable(default) else default
        if type(value) not in _CONSTANT:
            self._share(key)
        return value

    def has_key(self, key: str) -> bool:
        """True if there is something at the dotted *key*, even None."""
        key = text_of_key(key)
        return find(self._data, key) is not MISSING

    def visible(self) -> Data:
        """Every value an application put here, without the session's own book-keeping."""
        shown = {key: value for key, value in self._data.items() if key not in INTERNAL}
        self._shared.update(key for key, value in shown.items() if type(value) not in _CONSTANT)
        return shown

    def _share(self, key: str) -> None:
        # A list handed out may be changed in place; `merged()` compares what was handed out.
        self._shared.add(key if key in self._data else key.split(".")[0])

    # --- changing ---

    def put(self, key: str, value: Any) -> None:
        """Set the dotted *key*; raises CodecError for what cannot be stored."""
        self.put_all({key: value})

    def put_all(self, values: Mapping[Any, Any]) -> None:
        """Set several dotted keys; raises CodecError, and sets none, if one cannot be stored."""
        wanted = [
            (key, value, _setting(key, self._stored_form(value)))
            for key, value in ((self._changeable(name), value) for name, value in values.items())
        ]
        for key, value, change in wanted:
            self._keep_for_good(key)
            _set(self._data, key, value)
            if type(value) not in _CONSTANT:
                self._share(key)
            self._changes.append(change)

    def add(self, key: str, by: int | float, sign: int = 1) -> Any:
        """Add *by* (or with *sign* -1 take it) to the number at *key*, 0 if none → the sum."""
        key = self._changeable(key)
        if isinstance(by, bool) or not isinstance(by, (int, float)) or not math.isfinite(by):
            raise TypeError(f"cannot add {by!r} to session key {key!r}: give a number")
        here = find(self._data, key)
        if here is not MISSING and (isinstance(here, bool) or not isinstance(here, (int, float))):
            raise TypeError(f"cannot add to session key {key!r}: it holds a {type(here).__name__}")
        self._keep_for_good(key)
        change = _adding(key, sign * by)
        change(self._data)
        self._changes.append(change)
        return find(self._data, key)

    def push(self, key: str, value: Any) -> None:
        """Put *value* at the end of the list at *key*, which is begun if there is none."""
        key = self._changeable(key)
        change = _pushing(key, self._stored_form(value))
        self._keep_for_good(key)
        change(self._data)
        self._share(key)
        self._changes.append(change)

    def forget(self, key: str) -> None:
        """Remove the dotted *key*, if it is there."""
        key = self._changeable(key)
        if not self.has_key(key):
            return
        self._keep_for_good(key)
        change = _forgetting(key)
        change(self._data)
        self._changes.append(change)

    def clear(self) -> None:
        """Remove everything, the book-keeping included."""
        self._changeable("")
        self._changes.append(Data.clear)
        self._data.clear()
        self._passing.clear()
        self._momentary.clear()
        self._shared.clear()

    # --- the token of forms ---

    def new_token(self) -> None:
        """Make forms rendered so far worthless."""
        self.put(TOKEN, new_secret())

    def ensure_token(self) -> str:
        """The secret of forms, made if there is none."""
        if not isinstance(self._data.get(TOKEN), str):
            self.new_token()
        return str(self._data[TOKEN])

    # --- flash ---

    def flash(self, key: str, value: Any) -> None:
        """Set *key* for this request and the next one."""
        key = self._changeable(key)
        self.put(key, value)
        self._changes.append(_flashing({key: secrets.token_hex(4)}))

    def now(self, key: str, value: Any) -> None:
        """Set *key* for this request only; what is stored under it stays stored."""
        key = text_of_key(key)
        self._data[key] = value
        self._momentary.add(key)

    def keep(self, keys: Iterable[str] | None = None) -> None:
        """Let what was flashed for this request last one more; all of it, or *keys*."""
        passing = {*self._passing, *self._momentary}
        wanted = passing if keys is None else passing.intersection(map(text_of_key, keys))
        for key in sorted(wanted):
            self.flash(key, find(self._data, key))

    def take_over(self, other: Bag) -> None:
        """Make the changes of *other* here as well."""
        for change in other._changes:
            change(self._data)
        self._changes.extend(other._changes)

    # --- saving ---

    @property
    def is_changed(self) -> bool:
        """False if this request certainly leaves everything as it was stored."""
        return bool(self._changes or self._passing or self._shared)

    @property
    def has_changes(self) -> bool:
        """True if something was put, removed or flashed; changes in place do not count yet."""
        return bool(self._changes)

    def merged(self, newer: str | None = None) -> tuple[str, Data | None]:
        """The stored text with this request's changes laid over it, and the values in it.

        With *newer*, over what somebody else has stored since this request read it. Where this
        request changed nothing, the same text comes back, with None.
        """
        if newer is None:
            self._log_changes_in_place()
        before = self._text if newer is None else newer
        if not self._changes and not self._passing:
            return before, None
        data = self._replayed(before)
        self._end_flashes(data)
        text = self._codec.encode(data)
        return text, None if text == before else data

    def saved(self, text: str, newer: str | None = None) -> None:
        """Note that *text* is stored now, merged from *newer* if that was needed."""
        if newer is not None:
            # Others' changes came in: show them, or the next save would take them for ours.
            shown = {key: self._data[key] for key in self._momentary if key in self._data}
            self._data = _as_dict(self._codec.decode(text)) | shown
            self._data.pop(FLASH, None)
            self._shared.clear()
        self._text = text
        self._changes.clear()
        self._passing.clear()

    def _replayed(self, text: str) -> Data:
        data = _as_dict(self._codec.decode(text))
        for change in self._changes:
            change(data)
        return data

    def _log_changes_in_place(self) -> None:
        """Find what was changed inside lists and dicts that were handed out, and log it."""
        looked_at = sorted(self._shared - self._momentary)
        stored = self._replayed(self._text) if looked_at else {}
        for key in looked_at:
            here = self._data.get(key, MISSING)
            if here is not MISSING and here != stored.get(key, MISSING):
                self._changes.append(_setting(key, self._stored_form(here), whole=True))

    def _end_flashes(self, data: Data) -> None:
        marks = data.get(FLASH)
        if not isinstance(marks, dict):
            return
        for key, mark in self._passing.items():
            # Another mark: a parallel request flashed the same key again, for its own next page.
            if marks.get(key) == mark:
                del marks[key]
                _forgetting(key)(data)
        if not marks:
            del data[FLASH]

    def _keep_for_good(self, key: str) -> None:
        for name in {key, key.split(".")[0]}:
            self._momentary.discard(name)
            mark = self._passing.pop(name, None)
            if mark is not None:
                self._changes.append(_unflashing(name, mark))

    def _changeable(self, key: str) -> str:
        """*key* as it is stored; raises SessionError if nothing may be changed any more."""
        if self.closed is not None:
            raise SessionError(self.closed)
        return text_of_key(key)

    def _stored_form(self, value: Any) -> Callable[[], Any]:
        """Gives a fresh copy of *value* at each call, as it will come back from the store."""
        if type(value) in _CONSTANT:
            return lambda: value
        text = self._codec.encode(value)
        return lambda: self._codec.decode(text)


def text_of_key(key: Any) -> str:
    """*key* as text; an Enum is its value. Raises TypeError for what is neither."""
    if type(key) is str:
        return key
    plain = key.value if isinstance(key, Enum) else key
    if isinstance(plain, str):
        return str.__str__(plain)
    if isinstance(key, Enum) and type(plain) is int:
        return str(plain)
    raise TypeError(f"a session key is text, or an Enum of text or int, not {key!r}")


def _as_dict(value: Any) -> Data:
    return value if isinstance(value, dict) else {}


def _set(data: Data, key: str, value: Any) -> None:
    if key in data or "." not in key:
        data[key] = value
        return
    place, last = _parent(data, key)
    if isinstance(place, list):
        place[int(last) : int(last) + 1] = [value]
    else:
        place[last] = value


def _parent(data: Data, key: str) -> tuple[Any, str]:
    """Where the last part of the dotted *key* belongs; what is in the way becomes a dict."""
    *parts, last = key.split(".")
    place: Any = data
    for part, after in zip(parts, [*parts[1:], last], strict=True):
        inner = step(place, part)
        fits = isinstance(inner, dict) or (isinstance(inner, list) and position(after) is not None)
        if not fits:
            inner = {}
            if isinstance(place, list):
                place[int(part) : int(part) + 1] = [inner]
            else:
                place[part] = inner
        place = inner
    return place, last


def _setting(key: str, make: Callable[[], Any], whole: bool = False) -> Change:
    def change(data: Data) -> None:
        if whole:
            data[key] = make()
        else:
            _set(data, key, make())

    return change


def _adding(key: str, by: int | float) -> Change:
    def change(data: Data) -> None:
        here = find(data, key)
        number = isinstance(here, (int, float)) and not isinstance(here, bool)
        _set(data, key, here + by if number else by)

    return change


def _pushing(key: str, make: Callable[[], Any]) -> Change:
    def change(data: Data) -> None:
        here = find(data, key)
        if not isinstance(here, list):
            here = [] if here is MISSING or here is None else [here]
            _set(data, key, here)
        here.append(make())

    return change


def _forgetting(key: str) -> Change:
    def change(data: Data) -> None:
        above, _, last = key.rpartition(".")
        place = data if key in data else find(data, above)
        name = key if key in data else last
        if isinstance(place, dict):
            place.pop(name, None)
        elif isinstance(place, list) and (at := position(name)) is not None and at < len(place):
            del place[at]

    return change


def _flashing(marks: dict[str, str]) -> Change:
    def change(data: Data) -> None:
        here = data.get(FLASH)
        data[FLASH] = {**here, **marks} if isinstance(here, dict) else dict(marks)

    return change


def _unflashing(key: str, mark: str) -> Change:
    def change(data: Data) -> None:
        here = data.get(FLASH)
        if isinstance(here, dict) and here.get(key) == mark:
            del here[key]
            if not here:
                del data[FLASH]

    return change
