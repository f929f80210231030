"""What the errors of MySQL and MariaDB mean: by their numbers, which never change, not their texts.

It knows no driver; so/db/dialects/mysql.py asks.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from so.db.errortext import LOOK_FIRST
from so.errors import (
    DeadlockError,
    ForeignKeyError,
    LockTimeoutError,
    LostConnectionError,
    NotNullError,
    QueryError,
    ReadOnlyError,
    StatementTimeoutError,
    UnavailableError,
    UnfitValueError,
    UniqueConstraintError,
)

_UNIQUE: Final = (1062, 1169, 1586)
_FOREIGN: Final = (1216, 1217, 1451, 1452)
_NOT_NULL: Final = (1048, 1364, 1263)
# 1020 is MariaDB's "record has changed", 3101 Group Replication's and 1213 everybody's "try again".
# 1412: the table was changed since this transaction's snapshot, which cannot read it any more.
_DEADLOCK: Final = (1213, 1020, 3101, 1614, 1412)
_LOCK_WAIT: Final = (1205, 3572)
_LOST: Final = (2000, 2002, 2003, 2005, 2006, 2013, 2014, 2055, 4031, 1053, 1927, 1184, 3169)
_LOST_NETWORK: Final = (1158, 1159, 1160, 1161)
_NOT_READY: Final = (1040, 1047, 1129, 1130, 1203)
_READ_ONLY: Final = (1223, 1792, 1836)
_READ_ONLY_SERVER: Final = (1836,)  # the others are this session's own transaction or lock
_TIMED_OUT: Final = (1317, 1969, 3024)
# Of the disk, the table, memory, transactions, and what one user may have.
_FULL: Final = (1021, 1114, 1037, 1038, 1041, 1637, 1226)
# The driver's own number for anything it noticed itself.
_GONE: Final = re.compile(r"not available|not connected|can not reconnect", re.IGNORECASE)
_UNKNOWN_AT_COMMIT: Final = (1180,)
# A packet too big for the server, or for us: whoever refuses it closes the connection.
ENDS_SESSION: Final = (1153, 2020)
# Of a text that is no number or no time: strict mode, and MySQL in every comparison with a time.
# 1264 is a number too large for its column.
_UNFIT: Final = (1264, 1292, 1366, 1525)
_SHOWN_VALUE: Final = re.compile(r"incorrect \w+ value: '(.*?)'(?: for column .*)?$", re.I | re.S)
_SHOWN_OTHERWISE: Final = re.compile(r"[\\\x00-\x1f]|\.\.\.$")  # escapes, what is cut off
# The server says so itself: nothing of the statement was executed.
NEVER_RAN: Final = (4031, 1047)


def text_of(error: BaseException) -> str:
    """`number: text`, as the server gave them."""
    number, text = getattr(error, "errno", None), getattr(error, "msg", None)
    return f"{number}: {text}" if number is not None and text else str(error)


def is_read_only(error: BaseException | None) -> bool:
    """True for a server without writes; 1290 is every option that forbids something, so its text
    decides."""
    number = getattr(error, "errno", None)
    return number in _READ_ONLY_SERVER or (number == 1290 and "read-only" in str(error).lower())


_CLASSES: Final[tuple[tuple[tuple[int, ...], type[QueryError]], ...]] = (
    (_UNIQUE, UniqueConstraintError),
    (_FOREIGN, ForeignKeyError),
    (_NOT_NULL, NotNullError),
    (_DEADLOCK, DeadlockError),
    (_LOCK_WAIT, LockTimeoutError),
    (_LOST + _LOST_NETWORK + _NOT_READY + _UNKNOWN_AT_COMMIT, LostConnectionError),
    (_READ_ONLY, ReadOnlyError),
    (_TIMED_OUT, StatementTimeoutError),
    (_FULL, UnavailableError),
    (_UNFIT, UnfitValueError),
)
_BY_NUMBER: Final = {number: cls for numbers, cls in _CLASSES for number in numbers}


def class_of(error: BaseException, text: str) -> type[QueryError]:
    """What *error*, whose text this is, means by its number."""
    number = getattr(error, "errno", None)
    if isinstance(error, UnicodeEncodeError):
        return UnfitValueError
    if number == 1290 and "read-only" in text.lower():
        return ReadOnlyError
    if number == -1:
        return LostConnectionError if _GONE.search(text) else QueryError
    return _BY_NUMBER.get(number or 0, QueryError)


def unfit(text: str, bindings: Any) -> tuple[type[QueryError], str]:
    """What it is that fits no column: a number, a text that was bound, or one in a column."""
    if text.startswith("1264:"):
        return UnfitValueError, f"{text}: it holds no such number; {LOOK_FIRST}"
    if "surrogates not allowed" in text:
        return UnfitValueError, f"{text}: no column holds such a text; {LOOK_FIRST}"
    shown = _SHOWN_VALUE.search(text)
    if shown is None:
        return QueryError, text
    given = bindings.values() if isinstance(bindings, Mapping) else bindings
    value = _SHOWN_OTHERWISE.split(shown.group(1))[0]
    if any(isinstance(one, str) and one.startswith(value) for one in given):
        return UnfitValueError, f"{text}: the column holds numbers or times; {LOOK_FIRST}"
    return QueryError, f"{text}: a column of texts; compare it with a text"


def key_of(text: str) -> str | None:
    """The key that 1062 names: `for key 'users.email_unique'` or `for key 'email_unique'`."""
    match = re.search(r"for key '([^']*)'\s*$", text)
    return match.group(1).rpartition(".")[2] if match else None
