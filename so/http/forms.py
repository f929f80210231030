"""Form bodies: urlencoded text, and multipart read in a stream, files to disk (RFC 7578).

Names in brackets become lists and dicts as in PHP: `a[b][]=1`. What breaks a rule is a 400, what
is over a limit a 413 or 400 that names the limit; memory stays bounded whatever is sent.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import unquote, unquote_to_bytes

from so.errors import BadRequestException, PayloadTooLargeException
from so.http.settings import HttpSettings
from so.http.uploads import Spool, UploadedFile

Pairs = list[tuple[str, Any]]
Read = Callable[[int], bytes]

CHUNK_BYTES = 64 * 1024
_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,\-./:=? ]{0,69}[0-9A-Za-z'()+_,\-./:=?]")
_PARAMETER = re.compile(r';\s*([\w!#$%&\'*+.^`|~-]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^;"]*)')
_KEY_PART = re.compile(r"\[([^\[\]]*)\]")


def parse_urlencoded(
    text: str, settings: HttpSettings, what: str = "form", charset: str = "utf-8"
) -> Pairs:
    """The fields of a query or form, in order. *text* is bytes read as Latin-1, as WSGI has it.

    What is none in *charset* comes as U+FFFD.
    """
    if not text:
        return []
    if text.count("&") >= settings.max_form_fields:
        raise too_many_fields(settings, what)
    pairs = []
    for field in text.split("&"):
        if field:
            name, _, value = field.partition("=")
            pairs.append((_unquoted(name, charset), _unquoted(value, charset)))
    return pairs


def _unquoted(text: str, charset: str) -> str:
    if "%" not in text and "+" not in text and text.isascii():
        return text
    return decoded(unquote_to_bytes(text.replace("+", " ").encode("latin-1", "replace")), charset)


def too_many_fields(settings: HttpSettings, what: str = "form") -> BadRequestException:
    """The 400 for more fields than allowed."""
    return BadRequestException(
        f"The {what} has more than {settings.max_form_fields} fields (http.max_form_fields)."
    )


# --- names in brackets ----------------------------------------------------------------------------


def nested(pairs: Iterable[tuple[str, Any]], settings: HttpSettings) -> dict[str, Any]:
    """*pairs* as one dict: brackets nest, a repeated plain name keeps its last value."""
    result: dict[str, Any] = {}
    marked = False
    for name, value in pairs:
        if "[" in name:
            marked = True
            _place(result, name, value, settings)
        else:
            result[name] = value
    return {k: _listed(v) for k, v in result.items()} if marked else result


class _Branch(dict[str, Any]):
    """What brackets build, told from a dict that is a value; a list at the end if it counts."""

    __slots__ = ()


def _place(result: dict[str, Any], name: str, value: Any, settings: HttpSettings) -> None:
    keys = _keys(name)
    if len(keys) > settings.max_input_depth:
        raise BadRequestException(
            f"A field name has more than {settings.max_input_depth} brackets "
            "(http.max_input_depth)."
        )
    place = result
    for key in keys[:-1]:
        inner = place.get(key) if key or place is result else None
        if not isinstance(inner, _Branch):
            inner = _Branch()
            place[key or _next_key(place)] = inner
        place = inner
    last = keys[-1]
    place[last if last or place is result else _next_key(place)] = value


def _keys(name: str) -> list[str]:
    """`a[b][]` as ['a', 'b', '']; a name that does not follow the rule is taken whole."""
    base, bracket, rest = name.partition("[")
    rest = bracket + rest
    found = _KEY_PART.findall(rest)
    if not base or sum(len(key) + 2 for key in found) != len(rest):
        return [name]
    return [base, *found]


def _next_key(place: dict[str, Any]) -> str:
    """The number that `[]` stands for: one more than the highest there is."""
    size = len(place)
    if size == 0 or str(size - 1) in place and str(size) not in place:
        return str(size)
    numbers = [int(k) for k in place if k.isascii() and k.isdigit() and len(k) < 10]
    return str(max(numbers, default=-1) + 1)


def _listed(value: Any) -> Any:
    if not isinstance(value, _Branch):
        return value
    items = [_listed(item) for item in value.values()]
    if list(value) == [str(n) for n in range(len(items))]:
        return items
    return dict(zip(value, items, strict=True))


# --- headers with parameters ----------------------------------------------------------------------


def parse_header(text: str) -> tuple[str, dict[str, str]]:
    """`form-data; name="a"` as its value in lower case and its parameters."""
    value, semicolon, rest = text.partition(";")
    params: dict[str, str] = {}
    for name, given in _PARAMETER.findall(semicolon + rest):
        given = given.strip()
        if given[:1] == '"':
            # Browsers escape only the quote, as %22; a backslash is part of a Windows path.
            given = given[1:-1].replace('\\"', '"')
        params.setdefault(name.lower(), given)
    return value.strip().lower(), params


def boundary_of(content_type: str) -> bytes:
    """The boundary of a multipart body; BadRequestException if there is none worth the name."""
    boundary = parse_header(content_type)[1].get("boundary", "")
    if _BOUNDARY.fullmatch(boundary) is None:
        raise BadRequestException("The multipart form has no valid boundary in its Content-Type.")
    return boundary.encode()


# --- multipart ------------------------------------------------------------------------------------


class MultipartParser:
    """Reads one multipart body from `read(n)`; `parse` gives fields and files in order."""

    def __init__(self, read: Read, boundary: bytes, settings: HttpSettings) -> None:
        self._read = read
        self._settings = settings
        self._delimiter = b"\r\n--" + boundary
        # The first delimiter needs no line end before it: pretend there was one.
        self._buffer = bytearray(b"\r\n")
        self._ended = False
        self._parts = 0
        self._text_bytes = 0
        self._memory_left = settings.spool_bytes  # for all files of the form together

    def parse(self) -> tuple[Pairs, Pairs]:
        """(fields, files), each as (name, value); an empty file input is left out."""
        fields: Pairs = []
        files: Pairs = []
        for _ in self._copy_until_delimiter():
            pass  # the preamble means nothing
        while self._another_part():
            name, filename, kind = self._head()
            if filename is None:
                fields.append((name, self._text(kind)))
            else:
                upload = self._file(filename, kind)
                if upload is not None:
                    files.append((name, upload))
        return fields, files

    def _another_part(self) -> bool:
        """True after a delimiter that begins a part, False after the one that ends the body."""
        mark = self._exactly(2)
        if mark == b"--":
            return False
        while mark[:1] in (b" ", b"\t"):  # transport padding
            mark = mark[1:] + self._exactly(1)
        if mark != b"\r\n":
            raise _broken("a boundary is not followed by a line end")
        self._parts += 1
        if self._parts > self._settings.max_parts:
            raise BadRequestException(
                f"The form has more than {self._settings.max_parts} parts (http.max_parts)."
            )
        return True

    def _head(self) -> tuple[str, str | None, str]:
        """Name, filename (None for a field) and content type of the part that begins here."""
        disposition, kind = None, ""
        for line in self._head_lines():
            key, colon, value = line.partition(b":")
            if not colon:
                raise _broken("a header line of a part has no colon")
            text = value.decode("utf-8", "replace").strip()
            if key.strip().lower() == b"content-disposition":
                disposition = text
            elif key.strip().lower() == b"content-type":
                kind = text
        value_, params = parse_header(disposition or "")
        if value_ != "form-data" or "name" not in params:
            raise _broken("a part has no Content-Disposition: form-data with a name")
        filename = params.get("filename")
        if filename is None and "filename*" in params:
            filename = unquote(params["filename*"].rpartition("'")[2])
        return params["name"].replace("%22", '"'), filename, kind

    def _head_lines(self) -> list[bytes]:
        limit = self._settings.max_part_header_bytes
        # A head without any line begins with its empty line at once.
        while (end := self._buffer.find(b"\r\n\r\n")) < 0 and self._buffer[:2] != b"\r\n":
            if len(self._buffer) > limit or not self._fill():
                break
        if self._buffer[:2] == b"\r\n":
            raise _broken("a part has no Content-Disposition: form-data with a name")
        if end > limit or (end < 0 and len(self._buffer) > limit):
            raise BadRequestException(
                f"The head of a part is longer than {limit} bytes (http.max_part_header_bytes)."
            )
        if end < 0:
            raise _broken("it ends inside the head of a part")
        lines = bytes(self._buffer[:end]).split(b"\r\n")
        # The line end of the empty line stays: it is the one before a delimiter at once.
        del self._buffer[: end + 2]
        return lines

    def _text(self, kind: str) -> str:
        value = bytearray()
        for chunk in self._content():
            value += chunk
            self._text_bytes += len(chunk)
            if self._text_bytes > self._settings.max_form_bytes:
                raise too_large("The fields of the form are", "max_form_bytes", self._settings)
        charset = parse_header(kind)[1].get("charset", "utf-8")
        return decoded(bytes(value), charset)

    def _file(self, filename: str, kind: str) -> UploadedFile | None:
        spool = Spool(self._memory_left, self._settings.upload_dir)
        try:
            for chunk in self._content():
                spool.write(chunk)
                if spool.size > self._settings.max_part_bytes:
                    raise too_large("An uploaded file is", "max_part_bytes", self._settings)
        except BaseException:
            spool.discard()
            raise
        if not filename and not spool.size:
            spool.discard()
            return None
        if spool.path is None:
            self._memory_left -= spool.size
        return UploadedFile(spool, filename, parse_header(kind)[0], self._settings)

    def _content(self) -> Iterable[bytes]:
        """The bytes of the part, less the line end that belongs to its head."""
        first = True
        for chunk in self._copy_until_delimiter():
            if first:
                chunk = chunk[2:]
                first = False
            if chunk:
                yield chunk

    def _copy_until_delimiter(self) -> Iterable[bytes]:
        delimiter, buffer = self._delimiter, self._buffer
        keep = len(delimiter) - 1
        while (at := buffer.find(delimiter)) < 0:
            # Never less than two bytes, so that `_content` can take the line end off the first.
            if len(buffer) > keep + 2:
                yield bytes(buffer[:-keep])
                del buffer[:-keep]
            if not self._fill():
                raise _broken("it ends before its closing boundary")
        yield bytes(buffer[:at])
        del buffer[: at + len(delimiter)]

    def _exactly(self, size: int) -> bytes:
        while len(self._buffer) < size:
            if not self._fill():
                raise _broken("it ends after a boundary")
        found = bytes(self._buffer[:size])
        del self._buffer[:size]
        return found

    def _fill(self) -> bool:
        chunk = b"" if self._ended else self._read(CHUNK_BYTES)
        self._ended = not chunk
        self._buffer += chunk
        return bool(chunk)


def decoded(raw: bytes, charset: str) -> str:
    """*raw* as text in *charset*, or in UTF-8 if that is unknown; bad bytes as U+FFFD."""
    if charset.lower() in ("utf-8", "utf8", ""):
        return raw.decode("utf-8", "replace")
    if charset.lower() in ("iso-8859-1", "latin1", "latin-1", "us-ascii", "windows-1252"):
        return raw.decode("cp1252" if charset.lower() != "us-ascii" else "ascii", "replace")
    return raw.decode("utf-8", "replace")


def too_large(what: str, limit: str, settings: HttpSettings) -> PayloadTooLargeException:
    """The 413 that names the limit."""
    return PayloadTooLargeException(
        f"{what} larger than {getattr(settings, limit)} bytes (http.{limit})."
    )


def _broken(why: str) -> BadRequestException:
    return BadRequestException(f"The multipart form is malformed: {why}.")
