"""What is written down of a failure: one line, the whole traceback, a fingerprint of its kind.

Nothing here raises, whatever an exception or a payload has to say, and everything that comes out
can be stored: text that is no Unicode is written with escapes.
"""

from __future__ import annotations

import hashlib
import traceback

LONGEST_LINE = 500
LONGEST_TRACE = 60_000


def storable(text: str) -> str:
    """*text* with what no database takes, such as half a surrogate pair, written as `\\ud800`."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def one_line(exception: BaseException | None, longest: int = LONGEST_LINE) -> str:
    """Kind and message of *exception*, in one line."""
    if exception is None:
        return "failed"
    return f"{type(exception).__name__}: {message_of(exception)}"[:longest].replace("\n", " ")


def message_of(exception: BaseException) -> str:
    """What *exception* says, even if its own `__str__` raises."""
    try:
        return storable(str(exception))
    except Exception:
        return "<its text cannot be read>"


def trace_of(exception: BaseException | None) -> str:
    """The whole traceback of *exception*, as failed_jobs keeps it."""
    if exception is None:
        return "failed without an exception"
    try:
        text = "".join(traceback.format_exception(exception))
    except Exception:
        text = one_line(exception)
    stack = getattr(exception, "stack", "")
    if stack:
        text = f"Stack of the process when it was killed:\n{stack.rstrip()}\n\n{text}"
    text = storable(text)
    # The end tells more than the beginning.
    return text if len(text) <= LONGEST_TRACE else "…" + text[-LONGEST_TRACE:]


def fingerprint(name: str, exception: BaseException | None) -> str:
    """16 hex characters, the same for failures of one class, kind and place in the code."""
    place = ""
    if exception is not None and exception.__traceback__ is not None:
        frames = traceback.extract_tb(exception.__traceback__)
        if frames:
            place = f"{frames[-1].filename}:{frames[-1].name}"
    kind = type(exception).__name__ if exception is not None else ""
    return hashlib.sha256(storable(f"{name}|{kind}|{place}").encode()).hexdigest()[:16]
