"""Odd requests at the WSGI callable: every answer is valid, below 500, and soon there."""

from __future__ import annotations

import io
import json
import sys
import time
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from so.http.errors import ErrorHandler
from so.http.kernel import Kernel
from so.http.request import Request
from so.http.response import Response
from so.http.router import Router
from tests.http.wsgi import Answer, send

SECONDS = 1.0


def everything(request: Request) -> dict[str, Any]:
    """Reads every part of a request that parses something."""
    return {
        "method": request.method(),
        "path": request.path(),
        "decoded": str(request.decoded_path),
        "segments": request.segments(),
        "url": request.full_url(),
        "added": request.full_url_with_query({"page": 2}),
        "host": [str(request.host), int(request.port), str(request.scheme)],
        "ips": request.ips(),
        "headers": request.headers,
        "cookies": request.cookies,
        "agent": request.user_agent(),
        "token": request.bearer_token(),
        "query": request.query(),
        "input": request.all(),
        "typed": [
            request.string("a"),
            request.integer("a"),
            request.float("a"),
            str(request.decimal("a")),
            request.boolean("a"),
            request.array("a"),
            request.input_list("a"),
            request.input("a.b.c"),
            request.input("a.*.b"),
        ],
        "wants": [request.wants_json(), request.expects_json(), request.format()],
        "accepts": [request.accepts("json", "text/html"), request.prefers(["html", "json"])],
        "json": request.json() if request.is_json() else None,
        "previous": request.previous_url(),
        "root": request.root(),
    }


def page(request: Request, name: str) -> Response:
    """Sends what it was sent, in every place where a response can carry it."""
    response = Response.html(name)
    response.header("X-Name", request.string("name").encode("unicode_escape").decode())
    # What has a line break is refused, as in a header: an application takes it out.
    return response.cookie("name", name.translate(dict.fromkeys(map(ord, "\r\n\0"))))


def odd_app() -> Kernel:
    router = Router(signer=None)
    router.any("/", everything)
    router.any("/echo", everything)
    router.get("/users/{id}", lambda id: {"id": id}).where_number("id")
    router.any("/pages/{name}", page)
    router.get("/files/{name}.{ext}", lambda name, ext: [name, ext])
    router.any("/deep/{path}", lambda path: path).where("path", ".*")
    router.any("/body", lambda request: request.body())
    router.get("/sum/{a}/{b?}", lambda a, b=None: {"a": a, "b": b})
    router.put("/forms", everything)
    router.post("/forms", everything)
    return Kernel(router, ErrorHandler())


APP = odd_app()


def environ(**changes: Any) -> dict[str, Any]:
    """A sound environ with *changes*; None takes a key out, `wsgi_` stands for `wsgi.`."""
    made = {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/echo",
        "QUERY_STRING": "",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_HOST": "localhost",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for key, value in changes.items():
        key = key.replace("wsgi_", "wsgi.")
        if value is None:
            made.pop(key, None)
        else:
            made[key] = value
    return made


def with_body(body: bytes, kind: str = "", method: str = "POST", **changes: Any) -> dict[str, Any]:
    changes.setdefault("CONTENT_LENGTH", str(len(body)))
    return environ(REQUEST_METHOD=method, CONTENT_TYPE=kind, wsgi_input=io.BytesIO(body), **changes)


def fire(made: dict[str, Any], *, validate: bool = True) -> Answer:
    started = time.perf_counter()
    answer = send(APP, made, validate=validate)
    took = time.perf_counter() - started
    assert 200 <= answer.status < 500, answer.text
    # Generous, since the machine may be busy: what is quadratic takes far longer.
    assert took < 10 * SECONDS
    return answer


FORM = "application/x-www-form-urlencoded"
MULTI = "multipart/form-data; boundary=xx"
JSON = "application/json"


def part(head: str, body: str = "", end: str = "\r\n--xx--\r\n") -> bytes:
    return f"--xx\r\n{head}\r\n\r\n{body}{end}".encode("utf-8", "surrogateescape")


FIELD = 'Content-Disposition: form-data; name="a"'
FILE = 'Content-Disposition: form-data; name="a"; filename="{}"'

# name → (environ, the statuses that are right)
ODD: dict[str, tuple[dict[str, Any], tuple[int, ...]]] = {
    # --- paths
    "path of bad UTF-8": (environ(PATH_INFO="/\xff\xfe"), (400,)),
    "path of bad UTF-8 in a parameter": (environ(PATH_INFO="/pages/\xc3\x28"), (400,)),
    "path of overlong UTF-8": (environ(PATH_INFO="/pages/\xc0\xaf"), (400,)),
    "path of half a surrogate": (environ(PATH_INFO="/pages/\xed\xa0\x80"), (400,)),
    "path of good UTF-8": (environ(PATH_INFO="/pages/\xc3\xa9"), (200,)),
    "path beyond Latin-1": (environ(PATH_INFO="/pages/\u4e2d"), (400,)),
    "path with NUL": (environ(PATH_INFO="/pages/a\x00b"), (200,)),
    "path with CR LF": (environ(PATH_INFO="/pages/a\r\nSet-Cookie: x=1"), (200,)),
    "path empty": (environ(PATH_INFO="", SCRIPT_NAME="/erp"), (200,)),
    "path of two slashes": (environ(PATH_INFO="//"), (404,)),
    "path begins with two slashes": (environ(PATH_INFO="//echo"), (404,)),
    "path with two slashes inside": (environ(PATH_INFO="/pages//x"), (404,)),
    "path with dots": (environ(PATH_INFO="/pages/../../etc/passwd"), (404,)),
    "path with a dot": (environ(PATH_INFO="/./echo"), (404,)),
    "path with a backslash": (environ(PATH_INFO="/pages/..\\..\\x"), (200,)),
    "path of a percent": (environ(PATH_INFO="/pages/%"), (200,)),
    "path escaped twice": (environ(PATH_INFO="/pages/%2525"), (200,)),
    "path of thousands of segments": (environ(PATH_INFO="/a" * 3000), (404,)),
    "path of thousands of slashes": (environ(PATH_INFO="/" * 6000), (404,)),
    "path too long": (environ(PATH_INFO="/" + "a" * 9000), (414,)),
    "path of dots for a pattern": (environ(PATH_INFO="/files/" + "." * 4000), (404,)),
    "path deep": (environ(PATH_INFO="/deep/" + "a/" * 2000 + "b"), (200,)),
    "path of a number with a sign": (environ(PATH_INFO="/users/+5"), (404,)),
    "path of Arabic digits": (environ(PATH_INFO="/users/\xd9\xa3"), (404,)),
    "path of a huge number": (environ(PATH_INFO="/users/" + "9" * 4000), (200,)),
    "path with a trailing slash": (environ(PATH_INFO="/echo/"), (200,)),
    "raw URI of bad escapes": (
        environ(PATH_INFO="/pages/%zz", REQUEST_URI="/pages/%zz"),
        (200,),
    ),
    "raw URI of another path": (environ(REQUEST_URI="/other/%41"), (200,)),
    "raw URI absolute": (environ(REQUEST_URI="http://evil.example/echo?%41"), (200,)),
    "raw URI of bad UTF-8": (
        environ(PATH_INFO="/pages/\xff", REQUEST_URI="/pages/%ff"),
        (400,),
    ),
    "raw URI with a mount": (
        environ(PATH_INFO="/pages/a b", SCRIPT_NAME="/erp", REQUEST_URI="/erp/pages/a%20b"),
        (200,),
    ),
    # --- queries
    "query of junk": (environ(QUERY_STRING="&&&=&=&a&=b&%&%%&%zz=%f"), (200,)),
    "query of bad UTF-8": (environ(QUERY_STRING="a=%ff%fe&%c3=1"), (200,)),
    "query of raw bytes": (environ(QUERY_STRING="a=\xff\xfe"), (200,)),
    "query of brackets": (environ(QUERY_STRING="a[=1&a]=2&[]=3&[a]=4&a[[b]]=5&a[]b=6"), (200,)),
    "query of both kinds": (environ(QUERY_STRING="a=1&a[]=2&a[b]=3&a=4&a[b][c]=5"), (200,)),
    "query of holes": (environ(QUERY_STRING="a[5]=1&a[]=2&a[999999999]=3&a[-1]=4"), (200,)),
    "query of huge index": (environ(QUERY_STRING="a[" + "9" * 5000 + "]=1&a[]=2"), (200,)),
    "query of deep brackets": (environ(QUERY_STRING="a" + "[b]" * 500 + "=1"), (400,)),
    "query of too many fields": (environ(QUERY_STRING="&".join(["a=1"] * 1500)), (400,)),
    "query of NUL": (environ(QUERY_STRING="a%00b=%00"), (200,)),
    "query of CR LF": (environ(QUERY_STRING="name=%0d%0aSet-Cookie:x"), (200,)),
    "query too long": (environ(QUERY_STRING="a=" + "b" * 9000), (414,)),
    "query of semicolons": (environ(QUERY_STRING="a=1;b=2"), (200,)),
    "query of a huge number": (environ(QUERY_STRING="a=" + "9" * 5000), (200,)),
    "query of NaN": (environ(QUERY_STRING="a=nan"), (200,)),
    "query of infinity": (environ(QUERY_STRING="a=1e999999"), (200,)),
    "query of Unicode digits": (environ(QUERY_STRING="a=%D9%A3"), (200,)),
    # --- methods
    "method of lower case": (environ(REQUEST_METHOD="get"), (405,)),
    "method unknown": (environ(REQUEST_METHOD="BREW"), (405,)),
    "method of letters beyond ASCII": (environ(REQUEST_METHOD="G\xc9T"), (405,)),
    "method with a space": (environ(REQUEST_METHOD="GET POST"), (405,)),
    "method with CR LF": (environ(REQUEST_METHOD="GET\r\nX: y"), (405,)),
    "method very long": (environ(REQUEST_METHOD="A" * 20000), (405,)),
    "method CONNECT": (environ(REQUEST_METHOD="CONNECT"), (405,)),
    "method TRACE": (environ(REQUEST_METHOD="TRACE"), (405,)),
    "method HEAD": (environ(REQUEST_METHOD="HEAD"), (200,)),
    "method OPTIONS": (environ(REQUEST_METHOD="OPTIONS", PATH_INFO="/users/5"), (200,)),
    "method PATCH": (with_body(b"a=1", FORM, "PATCH"), (200,)),
    "method overridden": (with_body(b"_method=PUT", FORM, PATH_INFO="/forms"), (200,)),
    "method overridden by rubbish": (
        with_body(b"_method=TRACE%0d%0a", FORM, PATH_INFO="/forms"),
        (200,),
    ),
    "method overridden by a list": (with_body(b"_method[]=PUT", FORM, PATH_INFO="/forms"), (200,)),
    "method overridden by header": (
        with_body(b"", FORM, PATH_INFO="/forms", HTTP_X_HTTP_METHOD_OVERRIDE="put"),
        (200,),
    ),
    "method overridden in a broken form": (
        with_body(b"--xx", MULTI, PATH_INFO="/forms"),
        (400,),
    ),
    # --- lengths
    "length empty": (with_body(b"a=1", FORM, CONTENT_LENGTH=""), (200,)),
    "length signed": (with_body(b"a=1", FORM, CONTENT_LENGTH="+5"), (400,)),
    "length of Arabic digits": (with_body(b"a=1", FORM, CONTENT_LENGTH="\u0663"), (400,)),
    "length with spaces": (with_body(b"a=1", FORM, CONTENT_LENGTH=" 3 "), (400,)),
    "length with underscore": (with_body(b"a=1", FORM, CONTENT_LENGTH="1_0"), (400,)),
    "length of zeros": (with_body(b"a=1", FORM, CONTENT_LENGTH="0003"), (200,)),
    "length too short": (with_body(b"a=1&b=2", FORM, CONTENT_LENGTH="3"), (200,)),
    "length too long": (with_body(b"a=1", FORM, CONTENT_LENGTH="30"), (400,)),
    "length too long for JSON": (with_body(b"{}", JSON, CONTENT_LENGTH="30"), (400,)),
    "length enormous": (with_body(b"a=1", FORM, CONTENT_LENGTH="9" * 15), (413,)),
    "length of a GET": (environ(CONTENT_LENGTH="5"), (200,)),
    "length missing": (with_body(b"a=1", FORM, CONTENT_LENGTH=None), (200,)),
    "body of chunks not vouched for": (
        with_body(b"a=1", FORM, CONTENT_LENGTH=None, HTTP_TRANSFER_ENCODING="chunked"),
        (200,),
    ),
    "body of chunks": (
        with_body(b"a=1", FORM, CONTENT_LENGTH=None, **{"wsgi.input_terminated": True}),
        (200,),
    ),
    # --- JSON
    "JSON deep": (with_body(b"[" * 100000, JSON), (400,)),
    "JSON deep and closed": (with_body(b"[" * 5000 + b"]" * 5000, JSON), (400,)),
    "JSON deep objects": (with_body(b'{"a":' * 5000 + b"1" + b"}" * 5000, JSON), (400,)),
    "JSON of many lists": (with_body(b"[" + b"[]," * 100000 + b"[]]", JSON), (200,)),
    "JSON of brackets in text": (with_body(b'{"a": "' + b"[" * 10000 + b'"}', JSON), (200,)),
    "JSON of escaped quotes": (with_body(b'{"a": "' + b'\\"[' * 10000 + b'"}', JSON), (200,)),
    "JSON cut": (with_body(b'{"a": ', JSON), (400,)),
    "JSON of an open string": (with_body(b'{"a": "' + b"\\" * 50001, JSON), (400,)),
    "JSON of quotes": (with_body(b'"' * 100001, JSON), (400,)),
    "JSON empty": (with_body(b"", JSON), (200,)),
    "JSON of spaces": (with_body(b"   ", JSON), (200,)),
    "JSON null": (with_body(b"null", JSON), (200,)),
    "JSON list": (with_body(b"[1, 2]", JSON), (200,)),
    "JSON text": (with_body(b'"a"', JSON), (200,)),
    "JSON NaN": (with_body(b'{"a": NaN}', JSON), (400,)),
    "JSON infinity": (with_body(b'{"a": -Infinity}', JSON), (400,)),
    "JSON huge number": (with_body(b'{"a": ' + b"9" * 50000 + b"}", JSON), (400,)),
    "JSON huge exponent": (with_body(b'{"a": 1e9999}', JSON), (400,)),
    "JSON duplicate keys": (with_body(b'{"a": 1, "a": 2}', JSON), (200,)),
    "JSON half a surrogate": (with_body(b'{"a": "\\ud800"}', JSON), (400,)),
    "JSON whole surrogates": (with_body(b'{"a": "\\ud83d\\ude00"}', JSON), (200,)),
    "JSON of bad UTF-8": (with_body(b'{"a": "\xff"}', JSON), (400,)),
    "JSON with BOM": (with_body(b'\xef\xbb\xbf{"a": 1}', JSON), (200,)),
    "JSON in UTF-16": (with_body('{"a": 1}'.encode("utf-16"), JSON), (400,)),
    "JSON of NUL": (with_body(b"\x00", JSON), (400,)),
    "JSON of a trailing comma": (with_body(b'{"a": 1,}', JSON), (400,)),
    "JSON with two values": (with_body(b"{} {}", JSON), (400,)),
    "JSON of an unknown charset": (with_body(b"{}", JSON + "; charset=x-klingon"), (200,)),
    "JSON of a kin": (with_body(b'{"a": 1}', "application/vnd.api+json"), (200,)),
    "JSON too large": (with_body(b"[" + b" " * (9 << 20) + b"]", JSON), (413,)),
    "JSON of keys like methods": (with_body(b'{"_method": "PUT", "method": 1}', JSON), (200,)),
    "JSON of numbers as keys": (with_body(b'{"0": {"1": 2}}', JSON), (200,)),
    # --- forms
    "form of too many fields": (with_body(b"a=1&" * 5000, FORM), (400,)),
    "form of bad escapes": (with_body(b"a=%&%=%zz&%f", FORM), (200,)),
    "form of raw bytes": (with_body(b"a=\xff\x00\xfe", FORM), (200,)),
    "form of deep brackets": (with_body(b"a" + b"[x]" * 1000 + b"=1", FORM), (400,)),
    "form of duplicate fields": (with_body(b"a=1&a=2&a[]=3&a[k]=4", FORM), (200,)),
    "form of an unknown charset": (with_body(b"a=1", FORM + "; charset=nonsense"), (200,)),
    "form of Latin-1": (with_body(b"a=\xe9", FORM + "; charset=iso-8859-1"), (200,)),
    "form of UTF-7": (with_body(b"a=+AGE-", FORM + "; charset=utf-7"), (200,)),
    "form of many brackets": (with_body(b"&".join([b"a[]=1"] * 999), FORM), (200,)),
    "form too large": (with_body(b"a=" + b"b" * (9 << 20), FORM), (413,)),
    "type empty": (with_body(b"a=1", ""), (200,)),
    "type unknown": (with_body(b"a=1", "application/x-unknown"), (200,)),
    "type of rubbish": (with_body(b"a=1", ";;;==;\xff,"), (200,)),
    "type very long": (with_body(b"a=1", "a/" + "b" * 60000), (200,)),
    # --- multipart
    "multipart sound": (with_body(part(FIELD, "1"), MULTI), (200,)),
    "multipart empty": (with_body(b"", MULTI), (200,)),
    "multipart without boundary": (with_body(part(FIELD), "multipart/form-data"), (400,)),
    "multipart of empty boundary": (
        with_body(part(FIELD), "multipart/form-data; boundary="),
        (400,),
    ),
    "multipart of long boundary": (
        with_body(part(FIELD), "multipart/form-data; boundary=" + "x" * 100),
        (400,),
    ),
    "multipart of odd boundary": (
        with_body(part(FIELD), 'multipart/form-data; boundary="\\"\xff"'),
        (400,),
    ),
    "multipart without an end": (with_body(part(FIELD, "1", ""), MULTI), (400,)),
    "multipart cut in its head": (with_body(b"--xx\r\nContent-Dis", MULTI), (400,)),
    "multipart of nothing but its end": (with_body(b"--xx--\r\n", MULTI), (200,)),
    "multipart of another boundary": (with_body(b"--yy\r\n\r\n--yy--", MULTI), (400,)),
    "multipart of rubbish": (with_body(b"\x00\xff" * 1000, MULTI), (400,)),
    "multipart of line feeds": (
        with_body(b"--xx\n" + FIELD.encode() + b"\n\n1\n--xx--", MULTI),
        (400,),
    ),
    "multipart part without a head": (with_body(b"--xx\r\n\r\n1\r\n--xx--\r\n", MULTI), (400,)),
    "multipart part without a name": (
        with_body(part("Content-Disposition: form-data"), MULTI),
        (400,),
    ),
    "multipart part that is an attachment": (
        with_body(part('Content-Disposition: attachment; name="a"'), MULTI),
        (400,),
    ),
    "multipart header without colon": (with_body(part("nonsense"), MULTI), (400,)),
    "multipart long head": (with_body(part(FIELD + "\r\nX: " + "y" * 20000), MULTI), (400,)),
    "multipart of many parts": (
        with_body(part(FIELD, "1", "\r\n") * 200 + b"--xx--\r\n", MULTI),
        (400,),
    ),
    "multipart file": (with_body(part(FILE.format("a.txt"), "hello"), MULTI), (200,)),
    "multipart file of odd name": (
        with_body(part(FILE.format("../../\x00\udcff\\evil\r")), MULTI),
        (200,),
    ),
    "multipart file without a name": (with_body(part(FILE.format("")), MULTI), (200,)),
    "multipart field and file of one name": (
        with_body(part(FIELD, "1", "\r\n") + part(FILE.format("x"), "2"), MULTI),
        (200,),
    ),
    "multipart of an unknown charset": (
        with_body(part(FIELD + "\r\nContent-Type: text/plain; charset=x-no", "\udcff"), MULTI),
        (200,),
    ),
    "multipart of bad UTF-8": (with_body(part(FIELD, "\udcff\udcfe"), MULTI), (200,)),
    "multipart of deep brackets": (
        with_body(part(FIELD.replace('"a"', '"a' + "[b]" * 500 + '"'), "1"), MULTI),
        (400,),
    ),
    "multipart with preamble": (with_body(b"before\r\n" + part(FIELD, "1"), MULTI), (200,)),
    "multipart with epilogue": (with_body(part(FIELD, "1") + b"after", MULTI), (200,)),
    "multipart padded": (
        with_body(part(FIELD, "1").replace(b"--xx\r", b"--xx \t\r"), MULTI),
        (200,),
    ),
    "multipart mixed": (with_body(part(FIELD, "1"), "multipart/mixed; boundary=xx"), (200,)),
    "multipart of almost boundaries": (
        with_body(part(FIELD, "\r\n--x\r\n--xy" * 5000), MULTI),
        (200,),
    ),
    "multipart of a long line of dashes": (with_body(part(FIELD, "-" * 200000), MULTI), (200,)),
    # --- cookies and headers
    "cookies of rubbish": (environ(HTTP_COOKIE='=;;=a;a;"=";\xff=\xfe;a=";b="c'), (200,)),
    "cookies twice": (environ(HTTP_COOKIE="a=1; a=2"), (200,)),
    "cookies of bad escapes": (environ(HTTP_COOKIE="a=%ff%; b=%00"), (200,)),
    "cookies by thousands": (
        environ(HTTP_COOKIE="; ".join(f"c{n}=1" for n in range(5000))),
        (200,),
    ),
    "cookies too long": (environ(HTTP_COOKIE="a=" + "b" * 70000), (431,)),
    "headers too many": (environ(**{f"HTTP_X_{n}": "1" for n in range(200)}), (431,)),
    "header too long": (environ(HTTP_X_LONG="x" * 70000), (431,)),
    "header of raw bytes": (environ(HTTP_X_RAW="\xff\x00\r\n"), (200,)),
    "host of rubbish": (environ(HTTP_HOST='<script>"\r\n/../'), (200,)),
    "host empty": (environ(HTTP_HOST=""), (200,)),
    "host missing": (environ(HTTP_HOST=None), (200,)),
    "host of IPv6": (environ(HTTP_HOST="[::1]:8000"), (200,)),
    "host with a huge port": (environ(HTTP_HOST="a:" + "9" * 5000), (200,)),
    "host with an odd port": (environ(HTTP_HOST="a:\u0663"), (200,)),
    "accept of rubbish": (environ(HTTP_ACCEPT=",;q=;;q=x,*/*;q=9e999,/,;"), (200,)),
    "accept by thousands": (environ(HTTP_ACCEPT=",".join(["a/b;q=0.5"] * 5000)), (200,)),
    "accept NaN": (environ(HTTP_ACCEPT="text/html;q=nan, a/b;q=-1"), (200,)),
    "authorization of rubbish": (environ(HTTP_AUTHORIZATION="Bearer"), (200,)),
    "authorization of bytes": (environ(HTTP_AUTHORIZATION="bEaReR \xff\xfe"), (200,)),
    "referer of rubbish": (environ(HTTP_REFERER="http://[::1/%zz"), (200,)),
    "forwarded by nobody": (
        environ(HTTP_X_FORWARDED_FOR="1,2,;", HTTP_X_FORWARDED_PROTO="gopher"),
        (200,),
    ),
    "range of a page": (environ(HTTP_RANGE="bytes=9-1,-,x"), (200,)),
    "dates of rubbish": (environ(HTTP_IF_MODIFIED_SINCE="yesterday"), (200,)),
    "agent of bytes": (environ(HTTP_USER_AGENT="\xff" * 5000), (200,)),
    # --- environs
    "scheme of TLS": (environ(wsgi_url_scheme="https"), (200,)),
    "address empty": (environ(REMOTE_ADDR=""), (200,)),
    "address missing": (environ(REMOTE_ADDR=None), (200,)),
    "address of rubbish": (environ(REMOTE_ADDR="not an address"), (200,)),
    "mount with bytes": (environ(SCRIPT_NAME="/\xff\xfe"), (200,)),
    "mount odd": (environ(SCRIPT_NAME="/a/../b", PATH_INFO="/echo"), (200,)),
    "server name odd": (environ(HTTP_HOST=None, SERVER_NAME="\xff<>", SERVER_PORT="80"), (200,)),
    "protocol old": (environ(SERVER_PROTOCOL="HTTP/0.9"), (200,)),
}


@pytest.mark.parametrize("name", ODD)
@pytest.mark.filterwarnings("ignore:Unknown REQUEST_METHOD")
def test_an_odd_request_gets_the_right_answer(name: str) -> None:
    made, right = ODD[name]
    answer = fire(made)

    assert answer.status in right, (answer.status, answer.text[:300])


# What the validator itself refuses in an environ, but a careless server may hand over.
BROKEN: dict[str, tuple[dict[str, Any], tuple[int, ...]]] = {
    "path missing": (environ(PATH_INFO=None, SCRIPT_NAME="/erp"), (200,)),
    "path without slash": (environ(PATH_INFO="echo", SCRIPT_NAME="/x"), (404,)),
    "path that is a star": (environ(PATH_INFO="*", REQUEST_METHOD="OPTIONS"), (404,)),
    "query missing": (environ(QUERY_STRING=None), (200,)),
    "length negative": (with_body(b"a=1", FORM, CONTENT_LENGTH="-1"), (400,)),
    "length with exponent": (with_body(b"a=1", FORM, CONTENT_LENGTH="1e3"), (400,)),
    "length hexadecimal": (with_body(b"a=1", FORM, CONTENT_LENGTH="0x3"), (400,)),
    "length fractional": (with_body(b"a=1", FORM, CONTENT_LENGTH="3.0"), (400,)),
    "length twice": (with_body(b"a=1", FORM, CONTENT_LENGTH="3, 3"), (400,)),
    "length of a million digits": (with_body(b"a=1", FORM, CONTENT_LENGTH="9" * 10**6), (413,)),
    "nothing at all": ({}, (200,)),
    "nothing but a path": ({"PATH_INFO": "/echo"}, (200,)),
    "method missing": (environ(REQUEST_METHOD=None), (200,)),
    "method empty": (environ(REQUEST_METHOD=""), (200,)),
    "input missing": (with_body(b"", FORM, CONTENT_LENGTH="3") | {"wsgi.input": None}, (400,)),
    "server missing": (environ(SERVER_NAME=None, SERVER_PORT=None, HTTP_HOST=None), (200,)),
    "scheme missing": (environ(wsgi_url_scheme=None), (200,)),
    "scheme unknown": (environ(wsgi_url_scheme="gopher"), (200,)),
    "length a number": (with_body(b"a=1", FORM) | {"CONTENT_LENGTH": 3}, (400,)),
    "length of bytes": (with_body(b"a=1", FORM) | {"CONTENT_LENGTH": b"3"}, (400,)),
    "header a number": (environ() | {"HTTP_X_N": 5}, (200,)),
    "mount without a slash": (environ(SCRIPT_NAME="erp"), (200,)),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_environ_gets_an_answer_too(name: str) -> None:
    made, right = BROKEN[name]

    answer = fire(made, validate=False)

    assert answer.status in right, (answer.status, answer.text[:300])


def test_the_input_is_read_to_its_announced_length_and_no_further() -> None:
    class Endless(io.RawIOBase):
        def read(self, size: int = -1) -> bytes:
            assert size > 0, "an unbounded read would wait for ever"
            return b"x" * size

    for kind in (FORM, JSON, MULTI, "text/plain"):
        fire(with_body(b"", kind, CONTENT_LENGTH=None) | {"wsgi.input": Endless()})
        fire(with_body(b"", kind, CONTENT_LENGTH="100") | {"wsgi.input": Endless()})


def test_an_input_that_breaks_off_is_the_clients_fault() -> None:
    class Broken(io.RawIOBase):
        def read(self, size: int = -1) -> bytes:
            raise ConnectionResetError("gone")

    answer = fire(
        with_body(b"", "text/plain", CONTENT_LENGTH="5", PATH_INFO="/body")
        | {"wsgi.input": Broken()}
    )

    assert answer.status == 400


# --- drawn at random ------------------------------------------------------------------------------

latin = st.text(st.characters(max_codepoint=255), max_size=60)
words = st.sampled_from(
    [
        "a",
        "b",
        "[",
        "]",
        "=",
        "&",
        "%",
        "%ff",
        "%2F",
        "/",
        "..",
        "+",
        "0",
        "9",
        "-1",
        "_method",
        "PUT",
        ";",
        '"',
        "\\",
        "\r\n",
        "--xx",
        "--",
        "\x00",
        "\xff",
        "name",
        "filename",
        ":",
        " ",
        "{",
        "}",
    ]
)
junk = st.lists(words, max_size=25).map("".join)
either = st.one_of(latin, junk)
kinds = st.sampled_from(["", FORM, MULTI, JSON, "text/plain", MULTI + "; charset=x"])
methods = st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "BREW"])
paths = st.one_of(
    st.sampled_from(["/", "/echo", "/users/5", "/forms", "/body", "/pages/x", "/files/a.b"]),
    either.map(lambda text: f"/pages/{text}"),
    either.map(lambda text: f"/{text}"),
)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@pytest.mark.filterwarnings("ignore:Unknown REQUEST_METHOD")
@given(
    method=methods,
    path=paths,
    query=either,
    kind=kinds,
    body=st.one_of(st.binary(max_size=200), junk.map(lambda t: t.encode("latin-1"))),
    headers=st.dictionaries(
        st.sampled_from(
            [
                "COOKIE",
                "HOST",
                "ACCEPT",
                "RANGE",
                "REFERER",
                "AUTHORIZATION",
                "X_FORWARDED_FOR",
                "X_HTTP_METHOD_OVERRIDE",
                "IF_NONE_MATCH",
                "X_REQUESTED_WITH",
                "USER_AGENT",
            ]
        ),
        either,
        max_size=4,
    ),
)
def test_no_request_drawn_at_random_brings_the_server_down(
    method: str, path: str, query: str, kind: str, body: bytes, headers: dict[str, str]
) -> None:
    made = with_body(body, kind, method, PATH_INFO=path, QUERY_STRING=query)
    made.update({f"HTTP_{name}": value for name, value in headers.items()})

    answer = fire(made)

    if answer.header("Content-Type") == "application/json" and answer.body:
        json.loads(answer.body)


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    pieces=st.lists(
        st.sampled_from(
            [
                "--xx",
                "--xx--",
                "\r\n",
                "\r\n\r\n",
                FIELD,
                FILE.format("f"),
                "Content-Type: text/plain",
                "a",
                "\n",
                "--",
                "x" * 70000,
                "\r",
                ";",
            ]
        ),
        max_size=14,
    )
)
def test_no_order_of_the_parts_of_multipart_brings_the_parser_down(pieces: list[str]) -> None:
    fire(with_body("".join(pieces).encode(), MULTI))


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    value=st.recursive(
        st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4)
        ),
        max_leaves=20,
    )
)
def test_any_json_comes_back_as_it_went(value: Any) -> None:
    try:
        body = json.dumps(value).encode()
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return

    answer = fire(with_body(body, JSON))

    assert answer.json()["json"] == value
