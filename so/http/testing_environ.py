"""WSGI environs made by hand, for `Request.create` and tests."""

from __future__ import annotations

import io
import json as jsonlib
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote_to_bytes, urlencode, urlsplit

from so.http.request_base import Environ
from so.http.request_input import MULTIPART, URLENCODED
from so.http.uploads import UploadedFile


def make_environ(
    uri: str,
    method: str = "GET",
    data: Any = None,
    json: Any = None,
    headers: Mapping[str, Any] | None = None,
    cookies: Mapping[str, str] | None = None,
    files: Mapping[str, Any] | None = None,
    environ: Mapping[str, Any] | None = None,
) -> Environ:
    """A complete environ; `Request.create` describes the arguments."""
    method = method.upper()
    # A path may begin with two slashes, which would make its first segment a host.
    target = urlsplit(f"//localhost{uri}" if uri.startswith("/") else uri)
    query = target.query
    if data and isinstance(data, Mapping) and method in ("GET", "HEAD") and not files:
        query = "&".join(part for part in (query, _urlencoded(data)) if part)
        data = None
    body, kind = _body(data, json, files)
    made: Environ = {
        **_address(target.scheme, target.netloc),
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(target.path or "/").decode("latin-1"),
        "QUERY_STRING": _ascii(query),
        "REQUEST_URI": _ascii(target.path or "/") + (f"?{_ascii(query)}" if query else ""),
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.version": (1, 0),
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    if body or method not in ("GET", "HEAD"):
        made["CONTENT_LENGTH"] = str(len(body))
    if kind:
        made["CONTENT_TYPE"] = kind
    return {**made, **_fields(headers or {}, cookies or {}), **(environ or {})}


def _fields(headers: Mapping[str, Any], cookies: Mapping[str, str]) -> Environ:
    made: Environ = {}
    if cookies:
        made["HTTP_COOKIE"] = "; ".join(
            f"{name}={quote(str(value))}" for name, value in cookies.items()
        )
    for name, value in headers.items():
        key = name.upper().replace("-", "_")
        key = key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"
        made[key] = str(value).encode().decode("latin-1")
    return made


def _address(scheme: str, netloc: str) -> Environ:
    scheme = scheme or "http"
    host, _, port = netloc.partition(":")
    port = port or ("443" if scheme == "https" else "80")
    name = host or "localhost"
    return {
        "wsgi.url_scheme": scheme,
        "SERVER_NAME": name,
        "SERVER_PORT": port,
        "HTTP_HOST": netloc or name,
    }


def _body(data: Any, json: Any, files: Mapping[str, Any] | None) -> tuple[bytes, str]:
    if json is not None:
        return jsonlib.dumps(json, ensure_ascii=False).encode(), "application/json"
    if files:
        return _multipart(data or {}, files)
    if isinstance(data, Mapping):
        return _urlencoded(data).encode(), URLENCODED
    if isinstance(data, (list, tuple)):
        return urlencode(data).encode(), URLENCODED
    if isinstance(data, str):
        return data.encode(), ""
    return bytes(data or b""), ""


def _urlencoded(data: Mapping[str, Any]) -> str:
    return urlencode(list(_pairs(data)))


def _pairs(data: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    for key, value in data.items():
        name = f"{prefix}[{key}]" if prefix else str(key)
        if isinstance(value, Mapping):
            yield from _pairs(value, name)
        elif isinstance(value, (list, tuple)):
            for at, item in enumerate(value):
                inner = item if isinstance(item, Mapping) else None
                if inner is None:
                    yield _many(name), _text(item)
                else:
                    yield from _pairs(inner, f"{name}[{at}]")
        else:
            yield name, _text(value)


def _many(name: str) -> str:
    """*name* as it stands for each item of a list."""
    return name if name.endswith("[]") else f"{name}[]"


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "1" if value else "0"
    return "" if value is None else str(value)


def _multipart(data: Mapping[str, Any], files: Mapping[str, Any]) -> tuple[bytes, str]:
    boundary = f"so-{os.urandom(12).hex()}"
    parts = [
        f'Content-Disposition: form-data; name="{_quoted(name)}"\r\n\r\n{value}'.encode()
        for name, value in _pairs(data)
    ]
    for name, given in files.items():
        many = isinstance(given, list)
        for one in given if many else [given]:
            parts.append(_file_part(_many(name) if many else name, one))
    joined = b"".join(f"--{boundary}\r\n".encode() + part + b"\r\n" for part in parts)
    return joined + f"--{boundary}--\r\n".encode(), f"{MULTIPART}; boundary={boundary}"


def _file_part(name: str, given: Any) -> bytes:
    filename, content, kind = _file(given)
    head = (
        f'Content-Disposition: form-data; name="{_quoted(name)}"; filename="{_quoted(filename)}"'
        f"\r\nContent-Type: {kind}\r\n\r\n"
    )
    return head.encode() + content


def _file(given: Any) -> tuple[str, bytes, str]:
    kind = "application/octet-stream"
    if isinstance(given, UploadedFile):
        return given.client_name, given.read(), given.client_mime_type or kind
    if isinstance(given, tuple):
        name, content, *rest = given
        return name, _bytes(content), rest[0] if rest else kind
    if isinstance(given, (str, Path)):
        return Path(given).name, Path(given).read_bytes(), kind
    return Path(str(getattr(given, "name", "file"))).name, _bytes(given), kind


def _bytes(content: Any) -> bytes:
    if hasattr(content, "read"):
        content = content.read()
    return content.encode() if isinstance(content, str) else bytes(content)


def _quoted(text: str) -> str:
    return text.replace("\r", "%0D").replace("\n", "%0A").replace('"', "%22")


def _ascii(text: str) -> str:
    """*text* as a client sends it: what is not ASCII escaped, what is stays as it is."""
    return quote(text, safe="".join(map(chr, range(33, 127))))
