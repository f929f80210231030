"""The text of a `.env` file: what it assigns, and how one assignment is changed.

    export KEY=value        # a comment has white space before its sign: KEY=#fff is a value
    NAME='literal text'     # to the character, over several lines as well
    TEXT="with \\n \\" \\\\ \\$ and ${KEY}"

Reading and changing see the same assignments. Of several with one key the last one counts.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from so.errors import ConfigError, EnvSyntaxError

_LINE = re.compile(r"[ \t]*(?:#[^\r\n]*)?(?:\r\n|\r|\n|$)")
_HEAD = re.compile(r"[ \t]*(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_.]*)[ \t]*=([ \t]*)")
_BARE = re.compile(r"[^\r\n]*")
_SPACES = ("", " ", "\t")
_COMMENT = re.compile(r"\s#")
_REST = re.compile(r"(?:[ \t]*|\s#[^\r\n]*|[ \t]+\s#[^\r\n]*)(?:\r\n|\r|\n|$)")
_QUOTED = {"'": re.compile(r"'([^']*)'"), '"': re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)}
_KINDS = {"'": "single", '"': "double"}
_VARIABLE = re.compile(r"\\\$|\$\{([A-Za-z_][A-Za-z0-9_.]*)\}")
_ESCAPED = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_.]*)\}|\\(.)", re.DOTALL)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\", "$": "$"}
_PLAIN = re.compile(r"[A-Za-z0-9_.,:;/+=@%^&*()\[\]{}<>|~?!-]*")


@dataclass(frozen=True)
class Assignment:
    """One `KEY=value`; its value as it is written, quotes and all, is `text[start:end]`."""

    key: str
    value: str
    start: int
    end: int


def assignments(text: str, file: str, lookup: Callable[[str], str | None]) -> list[Assignment]:
    """What *text* assigns, in order; *lookup* knows the variables from elsewhere.

    Raises EnvSyntaxError naming *file* and line for what makes no sense.
    """
    return _Reader(text, file, lookup).read()


def values(text: str, file: str, lookup: Callable[[str], str | None]) -> dict[str, str]:
    """The value of each key."""
    return {one.key: one.value for one in assignments(text, file, lookup)}


def with_value(text: str, key: str, value: str, file: str = ".env") -> str:
    """*text* with *value* for *key*: in the assignment that counts, or as a new last line."""
    found = [one for one in assignments(text, file, os.environ.get) if one.key == key]
    if found:
        rest = text[found[-1].end :]
        gap = " " if rest.startswith("#") else ""
        return text[: found[-1].start] + _written(value) + gap + rest
    end = "\r\n" if "\r\n" in text else "\n"
    gap = "" if not text.strip("\ufeff") or text.endswith("\n") else end
    return f"{text}{gap}{key}={_written(value)}{end}"


def _written(value: str) -> str:
    if _PLAIN.fullmatch(value):
        return value
    if "'" not in value and "\r" not in value:
        return f"'{value}'"
    signs = {"\\": "\\\\", '"': '\\"', "$": "\\$", "\r": "\\r"}
    return '"' + "".join(signs.get(sign, sign) for sign in value) + '"'


class _Reader:
    def __init__(self, text: str, file: str, lookup: Callable[[str], str | None]) -> None:
        self._text = text
        self._file = file
        self._lookup = lookup
        self._at = 1 if text.startswith("\ufeff") else 0
        self._values: dict[str, str] = {}

    def read(self) -> list[Assignment]:
        found = []
        while self._at < len(self._text):
            if (blank := _LINE.match(self._text, self._at)) is not None:
                self._at = blank.end()
                continue
            found.append(self._assignment())
            self._values[found[-1].key] = found[-1].value
        return found

    def _assignment(self) -> Assignment:
        head = _HEAD.match(self._text, self._at)
        if head is None:
            line = _BARE.match(self._text, self._at)
            self._fail(f"expected KEY=value, found {line and line.group().strip()!r}")
        quote = self._text[head.end() : head.end() + 1]
        value, end = self._quoted(head.end(), quote) if quote in _QUOTED else self._bare(head)
        return Assignment(head.group(1), value, head.start(2), end)

    def _bare(self, head: re.Match[str]) -> tuple[str, int]:
        line = _BARE.match(self._text, head.end())
        written = line.group() if line else ""
        self._at = head.end() + len(written)
        # KEY=#fff is a value; KEY= # and KEY=# have white space that makes it a comment.
        if not written or (written[0] == "#" and (head.group(2) or written[1:2] in _SPACES)):
            return "", head.start(2)
        value = _COMMENT.split(written, maxsplit=1)[0].rstrip()
        return self._expand(value), head.end() + len(value)

    def _quoted(self, start: int, quote: str) -> tuple[str, int]:
        found = _QUOTED[quote].match(self._text, start)
        if found is None:
            self._fail(f"a {_KINDS[quote]}-quoted value has no closing quote")
        rest = _REST.match(self._text, found.end())
        if rest is None:
            line = _BARE.match(self._text, found.end())
            self._fail(f"unexpected text after the closing quote: {line and line.group()!r}")
        self._at = rest.end()
        text = found.group(1).replace("\r\n", "\n")
        return (text if quote == "'" else self._unescape(text)), found.end()

    def _unescape(self, text: str) -> str:
        def one(match: re.Match[str]) -> str:
            if match.group(1):
                return self._variable(match.group(1))
            return _ESCAPES.get(match.group(2), match.group(0))

        return _ESCAPED.sub(one, text)

    def _expand(self, text: str) -> str:
        return _VARIABLE.sub(lambda m: self._variable(m.group(1)) if m.group(1) else "$", text)

    def _variable(self, key: str) -> str:
        if key in os.environ:
            return os.environ[key]
        return self._values.get(key) or self._lookup(key) or ""

    def _fail(self, message: str) -> NoReturn:
        before = self._text[: self._at].replace("\r\n", "\n").replace("\r", "\n")
        raise EnvSyntaxError(message, self._file, before.count("\n") + 1)


# --- the file -------------------------------------------------------------------------------------


def read(file: str | Path) -> str | None:
    """The text of *file* to the character, a byte order mark as well; None if there is none."""
    try:
        return Path(file).read_bytes().decode("utf-8")
    except FileNotFoundError:
        return None
    except PermissionError as error:
        raise ConfigError(
            f"cannot read environment file {file}: give it to the group of the user who runs "
            f"this, `chown root:GROUP {file}` and `chmod 640 {file}`"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read environment file {file}: {error}") from error


def write(file: Path, text: str) -> None:
    """Put *text* in the place of *file* in one step; a new one is its owner's alone.

    A link stays one, and the file keeps its owner, group, mode and extended attributes. Where that
    cannot be had (it belongs to somebody else, or is a mount of its own), it is written over.
    """
    place = Path(os.path.realpath(file))
    try:
        old = place.stat()
    except FileNotFoundError:
        old = None
    new = place.with_name(f".{place.name}.{os.urandom(4).hex()}")
    try:
        _write_new(new, text)
        if old is not None:
            _take_after(new, place, old)
        new.replace(place)
    except OSError:
        with contextlib.suppress(FileNotFoundError):
            new.unlink()
        if old is None:
            raise
        _write_over(place, text)


def _write_new(file: Path, text: str) -> None:
    handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as out:
        out.write(text.encode())
        out.flush()
        os.fsync(handle)


def _take_after(new: Path, old: Path, facts: os.stat_result) -> None:
    """Give *new* what belongs to *old*; its owner before its mode, which a change would clear."""
    mine = new.stat()
    if (mine.st_uid, mine.st_gid) != (facts.st_uid, facts.st_gid):
        os.chown(new, facts.st_uid, facts.st_gid)
    for name in os.listxattr(old) if hasattr(os, "listxattr") else ():
        with contextlib.suppress(OSError):
            os.setxattr(new, name, os.getxattr(old, name))
    new.chmod(stat.S_IMODE(facts.st_mode))


def _write_over(file: Path, text: str) -> None:
    with file.open("r+b") as out:
        out.write(text.encode())
        out.truncate()
        out.flush()
        os.fsync(out.fileno())
