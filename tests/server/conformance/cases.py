"""Raw bytes and what a server has to answer, each with the clause that says so.

`refused`: exactly one answer with one of the statuses, then the connection ends. `served`: these
statuses in this order; `kept` says whether the connection must stay open (True), end (False), or
may do either (None); `told` is a part of what the echo application must have been given.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

HOST = b"Host: example.com\r\n"


@dataclass(frozen=True)
class Case:
    name: str
    clause: str
    raw: bytes
    statuses: tuple[tuple[int, ...], ...]
    kept: bool | None = None
    told: dict[str, Any] = field(default_factory=dict)
    methods: tuple[str, ...] = ()
    # Fields of the last response that must (text) or must not (None) be there.
    answers: dict[str, str | None] = field(default_factory=dict)


CASES: list[Case] = []


def refused(name: str, clause: str, raw: bytes, *statuses: int) -> None:
    CASES.append(Case(name, clause, raw, (statuses or (400,),), kept=False))


def served(
    name: str, clause: str, raw: bytes, *statuses: int, kept: bool | None = True, **more: Any
) -> None:
    wanted = tuple((status,) for status in (statuses or (200,)))
    CASES.append(Case(name, clause, raw, wanted, kept, **more))


def get(target: bytes = b"/", *lines: bytes, version: bytes = b"HTTP/1.1", host: bytes = HOST):
    fields = b"".join(line + b"\r\n" for line in lines)
    return b"GET " + target + b" " + version + b"\r\n" + host + fields + b"\r\n"


def post(body: bytes, *lines: bytes, target: bytes = b"/", version: bytes = b"HTTP/1.1") -> bytes:
    fields = b"".join(line + b"\r\n" for line in lines)
    return b"POST " + target + b" " + version + b"\r\n" + HOST + fields + b"\r\n" + body


def chunked(body: bytes, *lines: bytes) -> bytes:
    return post(body, b"Transfer-Encoding: chunked", *lines)


# --- request line, RFC 9112 section 3 -------------------------------------------------------------

served("a plain GET", "9112 3", get())
served("a query", "9112 3.2.1", get(b"/a?b=c&d"), told={"path": "/a", "query": "b=c&d"})
served("an empty query", "9112 3.2.1", get(b"/a?"), told={"path": "/a", "query": ""})
served("question marks in a query", "3986 3.4", get(b"/a?b?c"), told={"query": "b?c"})
served("percent forms in a path", "3986 2.1", get(b"/a%20b%2Fc"), told={"path": "/a b/c"})
served("percent forms in a query stay", "3986 2.1", get(b"/?a=%20b"), told={"query": "a=%20b"})
served("all characters of a path", "3986 3.3", get(b"/-._~!$&'()*+,;=:@"))
served("two slashes at the start", "9112 3.2.1", get(b"//a/b"), told={"path": "//a/b"})
served("brackets in a query", "WHATWG URL", get(b"/?ids[]=1"), told={"query": "ids[]=1"})
served("brackets in a path", "WHATWG URL", get(b"/a[1]|b"), told={"path": "/a[1]|b"})
served("a request line of 8000 octets", "9112 3", get(b"/" + b"a" * 7980))
served("an empty line before the request", "9112 2.2", b"\r\n" + get())
served("two empty lines before the request", "9112 2.2", b"\r\n\r\n" + get())
served("a method of its own", "9110 9.1", b"PROPFIND / HTTP/1.1\r\n" + HOST + b"\r\n")
served("a method of odd tokens", "9110 5.6.2", b"A!#$%&'*+-.^_`|~9 / HTTP/1.1\r\n" + HOST + b"\r\n")
served("HTTP/1.2 is answered as HTTP/1.1", "9110 2.5", get(version=b"HTTP/1.2"))
for method in (b"PUT", b"PATCH", b"DELETE"):
    served(
        f"{method.decode()} with a body",
        "9110 9.3",
        post(b"abc", b"Content-Length: 3").replace(b"POST", method),
        told={"body": "abc", "method": method.decode()},
    )
served(
    "GET with a body", "9110 9.3.1", get(b"/", b"Content-Length: 3") + b"abc", told={"body": "abc"}
)
served("OPTIONS on a path", "9110 9.3.7", b"OPTIONS /a HTTP/1.1\r\n" + HOST + b"\r\n")
served("OPTIONS *", "9112 3.2.4", b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n")

refused("no version", "9112 3", b"GET /\r\n" + HOST + b"\r\n")
refused("an HTTP/0.9 request", "9112 3", b"GET /\r\n\r\n")
refused("no target", "9112 3", b"GET HTTP/1.1\r\n" + HOST + b"\r\n")
refused("an empty target", "9112 3", b"GET  HTTP/1.1\r\n" + HOST + b"\r\n")
refused("two spaces before the target", "9112 3", get().replace(b"GET /", b"GET  /"))
refused("two spaces before the version", "9112 3", get().replace(b" HTTP", b"  HTTP"))
refused("a space after the version", "9112 3", get().replace(b"/1.1\r", b"/1.1 \r"))
refused("a space before the method", "9112 3", b" " + get())
refused("a tab instead of a space", "9112 3", get().replace(b"GET /", b"GET\t/"))
refused("a vertical tab instead of a space", "9112 3", get().replace(b"GET /", b"GET\x0b/"))
refused("a space in the target", "9112 3.2", get(b"/a b"))
refused("four words", "9112 3", get(b"/ x"))
refused("no method", "9112 3.1", b"/ HTTP/1.1\r\n" + HOST + b"\r\n")
for bad in (
    b"G@T",
    b"G(T",
    b"GE\x01T",
    b"G\xc3T",
    b'"GET"',
    b"GET:",
    b"G/T",
    b"[GET]",
    b"G,T",
    b"get",
    b"Get",
    b"gET",
):
    refused(f"method {bad!r}", "9110 5.6.2", bad + b" / HTTP/1.1\r\n" + HOST + b"\r\n")
for bad in (
    b"HTTP/1", b"HTTP/1.", b"HTTP/.1", b"HTTP/1.1.1", b"HTTP/11.1", b"HTTP/1.11", b"HTTP/1,1",
    b"http/1.1", b"Http/1.1", b"HTTP-1.1", b"HTTP/a.b", b"HTTP/1.x", b"HTTP/ 1.1", b"HTTP/+1.1",
    b"HTTPS/1.1", b"XTTP/1.1", b"1.1", b"HTTP/1.1x", b"HTTP/1.\xb9", b"HTTP/01.1", b"HTTP//1.1",
    b"SIP/2.0",
):  # fmt: skip
    refused(f"version {bad!r}", "9112 2.3", get(version=bad))
for bad in (b"HTTP/2.0", b"HTTP/3.0", b"HTTP/9.9", b"HTTP/0.9", b"HTTP/0.0", b"HTTP/2.1"):
    refused(f"version {bad.decode()} is not supported", "9110 15.6.6", get(version=bad), 505)
refused("the preface of HTTP/2", "9113 3.4", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505)
refused("a request line too long", "9112 3", get(b"/" + b"a" * 70000), 414)
refused("a request line without an end", "9112 3", b"GET /" + b"a" * 70000, 414)
refused("a TLS hello", "9112 3", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n")
for bad in (
    b"/a#b", b"/a<b", b"/a>b", b'/a"b', b"/a\\b", b"/a^b", b"/a`b", b"/a{b}", b"/a\x7fb",
    b"/a\x80b", b"/\xc3\xa9", b"/a%", b"/a%2", b"/a%zz", b"/a%-1", b"/%00", b"/a\x00b", b"/a\x01",
    b"/?a\xff", b"/?a<b", b"/?a#b", b'/?a"b', b"/a\tb",
):  # fmt: skip
    refused(f"target {bad!r}", "9112 3.2", get(bad))
for bad in (
    b"a",
    b"example.com",
    b"example.com/a",
    b"?a",
    b"#",
    b"\\a",
    b"**",
    b"*/a",
    b"%2f",
    b"a/b",
):
    refused(f"target {bad!r} has no form", "9112 3.2", get(bad))
refused("a byte order mark", "9112 3", b"\xef\xbb\xbf" + get())
refused("a no-break space as the separator", "9112 3", get().replace(b"GET ", b"GET\xa0"))
refused("a form feed as the separator", "9112 3", get().replace(b"GET ", b"GET\x0c"))
refused("LF CR as line ends", "9112 2.2", get().replace(b"\r\n", b"\n\r"))
refused("a line of one space before the fields", "9112 2.2", get(host=b" \r\n" + HOST))
refused("five hundred empty lines", "9112 2.2", b"\r\n" * 500 + get())
for bad in (b"*x", b"**", b"*?q"):
    refused(f"OPTIONS {bad.decode()}", "9112 3.2.4", get(bad).replace(b"GET", b"OPTIONS"))
refused("* with GET", "9112 3.2.4", get(b"*"))
refused("* with POST", "9112 3.2.4", post(b"", b"Content-Length: 0", target=b"*"))

# --- absolute-form and CONNECT --------------------------------------------------------------------

served(
    "absolute-form", "9112 3.2.2", get(b"http://example.com/a?b"), told={"path": "/a", "query": "b"}
)
served("absolute-form without a path", "9112 3.2.2", get(b"http://example.com"), told={"path": "/"})
served(
    "absolute-form, query without a path",
    "9112 3.2.2",
    get(b"http://example.com?b"),
    told={"path": "/", "query": "b"},
)
served("absolute-form, the scheme in any case", "3986 3.1", get(b"HTTP://example.com/"))
served("absolute-form with https", "9112 3.2.2", get(b"https://example.com/a"), told={"path": "/a"})
served(
    "absolute-form with a port",
    "9112 3.2.2",
    get(b"http://example.com:8080/"),
    told={"fields": {"HTTP_HOST": "example.com:8080"}},
)
served(
    "the authority of the target beats Host",
    "9112 3.2.2",
    get(b"http://other.example/", host=b"Host: example.com\r\n"),
    told={"fields": {"HTTP_HOST": "other.example"}},
)
served(
    "absolute-form in HTTP/1.0 without Host",
    "9112 3.2.2",
    get(b"http://example.com/a", version=b"HTTP/1.0", host=b""),
    kept=False,
    told={"path": "/a", "fields": {"HTTP_HOST": "example.com"}},
)
served(
    "OPTIONS with absolute-form and no path",
    "9112 3.2.4",
    get(b"http://example.com").replace(b"GET", b"OPTIONS"),
)
served("absolute-form with IPv6", "3986 3.2.2", get(b"http://[::1]:80/"))
for bad in (
    b"http:///a", b"http://", b"http://user@example.com/", b"http://u:p@example.com/",
    b"http://example.com:x/", b"http://example.com:99999/", b"http://exa mple.com/",
    b"http://[::1/", b"http://example.com/#f", b"ftp://example.com/", b"http:/example.com/",
    b"http:example.com", b"//", b"http://a,b/", b"http://a\\b/", b"http://%zz/", b"file:///etc",
    b"http://:80/", b"javascript:alert(1)", b"http://a\x80/", b"http://a#b", b"http://@a/",
    b"http://a:-1/", b"http://::1/", b"http://[]/", b"http://a:80:80/", b"http://a/%zz",
    b"http://?x", b"://a/",
):  # fmt: skip
    if bad != b"//":
        refused(f"target {bad!r}", "9110 4.2, 9112 3.2.2", get(bad))
refused("absolute-form with an invalid Host", "9112 3.2", get(b"http://a/", host=b"Host: a b\r\n"))
refused("absolute-form without Host", "9112 3.2", get(b"http://example.com/", host=b""))
refused(
    "absolute-form with two Hosts", "9112 3.2", get(b"http://a/", host=b"Host: a\r\nHost: a\r\n")
)
refused(
    "CONNECT is not for an origin server",
    "9110 9.3.6",
    b"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n",
    501,
    405,
    400,
)
for bad in (b"*", b"a:", b"u@a:1", b"a:x", b"http://a/"):
    refused(
        f"CONNECT {bad.decode()}",
        "9112 3.2.3",
        b"CONNECT " + bad + b" HTTP/1.1\r\n" + HOST + b"\r\n",
    )
for method in (b"OPTIONS * ", b"CONNECT a:80 "):
    refused(
        f"{method.decode()}with an invalid Host",
        "9112 3.2",
        method + b"HTTP/1.1\r\nHost: a b\r\n\r\n",
    )
refused("CONNECT with a path", "9112 3.2.3", b"CONNECT /a HTTP/1.1\r\n" + HOST + b"\r\n")
refused("CONNECT without a port", "9112 3.2.3", b"CONNECT a.example HTTP/1.1\r\n" + HOST + b"\r\n")

# --- Host, RFC 9112 section 3.2, RFC 3986 section 3.2.2 -------------------------------------------

for good in (
    b"a", b"example.com", b"EXAMPLE.com", b"example.com.", b"localhost:8000", b"example.com:",
    b"example.com:80", b"example.com:00080", b"example.com:65535", b"127.0.0.1", b"127.0.0.1:1",
    b"[::1]", b"[::1]:80", b"[2001:db8::1:2]", b"[::ffff:1.2.3.4]", b"[1:2:3:4:5:6:7:8]", b"[::]",
    b"xn--bcher-kva.example", b"my-host", b"a_b", b"1host", b"a~b", b"a%41b", b"12345",
):  # fmt: skip
    served(
        f"Host {good.decode()}",
        "3986 3.2.2",
        get(host=b"Host: " + good + b"\r\n"),
        told={"fields": {"HTTP_HOST": good.decode()}},
    )
served(
    "white space around Host",
    "9112 5.1",
    get(host=b"Host: \t example.com \t\r\n"),
    told={"fields": {"HTTP_HOST": "example.com"}},
)
served("Host without white space", "9112 5.1", get(host=b"Host:example.com\r\n"))
served("hOsT in any case", "9110 5.1", get(host=b"hOsT: example.com\r\n"))
served("Host after other fields", "9112 3.2", get(host=b"A: b\r\nHost: example.com\r\n"))
served("no Host in HTTP/1.0", "9112 3.2", get(version=b"HTTP/1.0", host=b""), kept=False)

refused("no Host", "9112 3.2", get(host=b""))
refused("no Host but a proxy's", "9112 3.2", get(host=b"X-Forwarded-Host: a\r\n"))
refused("two Hosts", "9112 3.2", get(host=b"Host: a\r\nHost: b\r\n"))
refused("two equal Hosts", "9112 3.2", get(host=b"Host: a\r\nHost: a\r\n"))
refused("a second Host that is empty", "9112 3.2", get(host=b"Host: a\r\nHost:\r\n"))
refused("a folded Host", "9112 5.2", get(host=b"Host:\r\n a\r\n"))
refused("two Hosts far apart", "9112 3.2", get(b"/", b"A: b", b"host: a"))
refused(
    "two Hosts in HTTP/1.0", "9112 3.2", get(version=b"HTTP/1.0", host=b"Host: a\r\nHost: b\r\n")
)
refused("an invalid Host in HTTP/1.0", "9112 3.2", get(version=b"HTTP/1.0", host=b"Host: a/b\r\n"))
for bad in (
    b"a b", b"a\tb", b"a,b", b"a, b", b"a/b", b"a/", b"/", b"a?b", b"a#b", b"user@a", b"u:p@a",
    b"@a", b"http://a", b"//a", b"a\\b", b"a:b", b"a:-1", b"a:+80", b"a:80:80", b"a:8 0", b"a :80",
    b"a: 80", b"a:99999", b"a:65536", b"a:0x50", b"a:80/", b":80", b":", b"a:\xd9\xa1", b"[::1",
    b"::1", b"[::1]x", b"[::1]80", b"[g::1]", b"[]", b"[1:2:3]", b"[1::2::3]", b"[:::]",
    b"[12345::]", b"[1:2:3:4:5:6:7:8:9]", b"[1.2.3.4]", b"[::1.2.3.256]", b"[fe80::1%25eth0]",
    b"[fe80::1%eth0]", b"[ ::1]", b"[[::1]]", b"a[b]", b"[::1]:b", b"[::1]:99999", b"256.1.1.1",
    b"1.2.3", b"1.2.3.4.5", b"01.2.3.4", b"a..b", b".a", b".", b"..", b"%zz", b"a%", b"a%2",
    b"a%00b", b"a%20b", b"a%2fb", b"a%40b", b"a%0d%0ab", b"<a>", b'a"b', b'"a"', b"a{b}", b"a|b",
    b"a^b", b"a`b", b"a\x00b", b"a\x01b", b"a\x7fb", b"a\x80b", b"\xc3\xa9.example", b"a" * 64,
    b".".join([b"a" * 60] * 5), b"a=b c", b"[v]", b"[v1]", b"a;b,c", b"a:80,", b",a", b",",
    b"a:80, b:80", b"a:80.0", b"[::1]%eth0", b"[::1/64]", b"[::1 ]", b"[1:]", b"[:1]", b"[v1.]",
    b"a[::1]", b"a:\t80", b"a:80\t80", b"\xa0a", b"${a}", b"a:" + b"1" * 20, b"\xff",
):  # fmt: skip
    refused(
        f"Host {bad[:40]!r} of {len(bad)}",
        "9112 3.2, 3986 3.2.2",
        get(host=b"Host: " + bad + b"\r\n"),
    )

# --- fields, RFC 9112 section 5, RFC 9110 section 5 -----------------------------------------------

served("a field without a value", "9110 5.5", get(b"/", b"A:"), told={"fields": {"HTTP_A": ""}})
served("no space after the colon", "9112 5.1", get(b"/", b"A:b"), told={"fields": {"HTTP_A": "b"}})
served("tabs around a value", "9112 5.1", get(b"/", b"A:\t b \t"), told={"fields": {"HTTP_A": "b"}})
served("a tab in a value", "9110 5.5", get(b"/", b"A: b\tc"), told={"fields": {"HTTP_A": "b\tc"}})
served("a colon in a value", "9110 5.5", get(b"/", b"A: b:c"), told={"fields": {"HTTP_A": "b:c"}})
served(
    "obs-text in a value", "9110 5.5", get(b"/", b"A: \xe9"), told={"fields": {"HTTP_A": "\xe9"}}
)
served("a repeated field is a list", "9110 5.3", get(b"/", b"A: b", b"A: c"))
served("odd characters in a name", "9110 5.6.2", get(b"/", b"A!#$%&'*+-.^`|~9: b"))
served("a long field", "9110 5.4", get(b"/", b"A: " + b"b" * 4000))
served("fifty fields", "9110 5.4", get(b"/", *(b"A%d: b" % n for n in range(50))))
refused("obs-fold", "9112 5.2", get(b"/", b"A: b", b" c"))
refused("obs-fold by tab", "9112 5.2", get(b"/", b"A: b", b"\tc"))
refused("white space before the first field", "9112 2.2", get(host=b" Host: example.com\r\n"))
refused("a space before the colon", "9112 5.1", get(b"/", b"A : b"))
refused("a tab before the colon", "9112 5.1", get(b"/", b"A\t: b"))
refused("a space before the colon of Host", "9112 5.1", get(host=b"Host : a\r\n"))
refused("a space before the colon of Content-Length", "9112 5.1", post(b"a", b"Content-Length : 1"))
refused(
    "a space before the colon of Transfer-Encoding",
    "9112 5.1",
    post(b"0\r\n\r\n", b"Transfer-Encoding : chunked"),
)
refused("no colon", "9112 5", get(b"/", b"A b"))
refused("no colon in a token", "9112 5", get(b"/", b"Accept"))
refused("an empty name", "9112 5", get(b"/", b": b"))
for bad in (
    b"A B",
    b"A(B",
    b"A@B",
    b"A/B",
    b"A\x01B",
    b"A\xe9",
    b'"A"',
    b"A[",
    b"A=B",
    b"A{",
    b"A\\",
):
    refused(f"field name {bad!r}", "9110 5.1", get(b"/", bad + b": c"))
refused("a name with an underscore", "house rule: A_B is A-B to WSGI", get(b"/", b"X_Auth_User: a"))
refused("Content_Length", "house rule: A_B is A-B to WSGI", post(b"a", b"Content_Length: 1"))
for bad in (b"\x00", b"\x01", b"\x08", b"\x0b", b"\x0c", b"\x1b", b"\x1f", b"\x7f"):
    refused(f"{bad!r} in a value", "9110 5.5", get(b"/", b"A: b" + bad + b"c"))
refused("a bare CR in a value", "9112 2.2", get(b"/", b"A: b\rc"))
refused("a bare CR at the end of a value", "9112 2.2", get(b"/", b"A: b\r"))
refused("a bare LF in a value", "9112 2.2", get(b"/", b"A: b\nC: d"))
refused("bare LF everywhere", "9112 2.2", get().replace(b"\r\n", b"\n"))
refused("bare LF after the request line", "9112 2.2", get().replace(b"1.1\r\n", b"1.1\n"))
refused("bare CR everywhere", "9112 2.2", get().replace(b"\r\n", b"\r"))
refused("a bare LF as the empty line", "9112 2.2", b"GET / HTTP/1.1\r\n" + HOST + b"\n")
refused("a bare LF before the request", "9112 2.2", b"\n" + get())
refused("CR CR LF", "9112 2.2", get().replace(b"com\r\n", b"com\r\r\n"))
refused("NUL in the name", "9110 5.5", get(b"/", b"A\x00: b"))
refused("a field too long", "6585 5", get(b"/", b"A: " + b"b" * 300_000), 431)
refused("fields without an end", "6585 5", get()[:-2] + b"A: " + b"b" * 300_000, 431)
refused("too many fields", "6585 5", get(b"/", *(b"A%d: b" % n for n in range(3000))), 431)

# --- bodies with a length, RFC 9112 section 6 -----------------------------------------------------

served("a body", "9112 6.2", post(b"abc", b"Content-Length: 3"), told={"body": "abc"})
served("an empty body", "9112 6.2", post(b"", b"Content-Length: 0"), told={"body": ""})
served("POST without a length", "9112 6.3", post(b""), told={"body": ""})
served("leading zeros", "9110 8.6", post(b"abc", b"Content-Length: 0003"), told={"body": "abc"})
served(
    "white space around a length",
    "9112 5.1",
    post(b"abc", b"Content-Length: \t3 "),
    told={"body": "abc"},
)
served(
    "a body of line ends",
    "9112 6.2",
    post(b"\r\n\r\n", b"Content-Length: 4"),
    told={"body": "\r\n\r\n"},
)
served(
    "a body in HTTP/1.0",
    "9112 6.3",
    post(b"abc", b"Content-Length: 3", version=b"HTTP/1.0"),
    kept=False,
    told={"body": "abc"},
)
for bad in (
    b"", b"a", b"-1", b"+1", b" ", b"1 1", b"1,1", b"3, 3", b"3,", b",3", b"0x3", b"3.0", b"1e1",
    b"3;q=1", b'"3"', b"3abc", b"\xb2", b"\xd9\xa3", b"3_0", b"--3", b"NaN", b"3\x00",
    b"3\x0b", b"0b1", b"'3'", b"0o3", b"3L", b"%33", b"Infinity", b"3\xa0", b"3\x85", b"-0",
):  # fmt: skip
    refused(f"Content-Length {bad!r}", "9110 8.6", post(b"abc", b"Content-Length: " + bad))
refused(
    "two lengths that differ", "9112 6.3", post(b"abc", b"Content-Length: 3", b"Content-Length: 2")
)
refused("a folded length", "9112 5.2", post(b"abc", b"Content-Length: 3", b" 0"))
refused(
    "a second length that is empty",
    "9110 8.6",
    post(b"a", b"Content-Length: 1", b"Content-Length:"),
)
refused(
    "a negative length with HEAD",
    "9110 8.6",
    post(b"", b"Content-Length: -1").replace(b"POST", b"HEAD"),
)
refused("Transfer_Encoding", "house rule: A_B is A-B to WSGI", post(b"a", b"Transfer_Encoding: x"))
refused("two equal lengths", "9112 6.3", post(b"abc", b"Content-Length: 3", b"Content-Length: 3"))
refused(
    "a length over the limit", "9110 15.5.14", post(b"abc", b"Content-Length: 99999999999999"), 413
)
refused(
    "a length of a thousand digits",
    "9110 15.5.14",
    post(b"abc", b"Content-Length: " + b"9" * 1000),
    413,
)

# --- transfer codings, RFC 9112 sections 6.1 and 7 ------------------------------------------------

served("chunks", "9112 7.1", chunked(b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"), told={"body": "abcde"})
served("no chunk but the last", "9112 7.1", chunked(b"0\r\n\r\n"), told={"body": ""})
served(
    "CHUNKED in any case",
    "9112 7",
    post(b"1\r\na\r\n0\r\n\r\n", b"transfer-encoding: CHUNKED"),
    told={"body": "a"},
)
served(
    "sizes in any case",
    "9112 7.1",
    chunked(b"A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n"),
    told={"body": "0123456789" * 2},
)
served(
    "leading zeros in a size",
    "9112 7.1",
    chunked(b"0003\r\nabc\r\n000\r\n\r\n"),
    told={"body": "abc"},
)
served(
    "many leading zeros in a size",
    "9112 7.1",
    chunked(b"0" * 40 + b"3\r\nabc\r\n0\r\n\r\n"),
    told={"body": "abc"},
)
served("an extension", "9112 7.1.1", chunked(b"3;a=b\r\nabc\r\n0\r\n\r\n"), told={"body": "abc"})
served(
    "an extension without a value",
    "9112 7.1.1",
    chunked(b"3;a\r\nabc\r\n0;b\r\n\r\n"),
    told={"body": "abc"},
)
served(
    "a quoted extension",
    "9112 7.1.1",
    chunked(b'3;a="b;\\"c"\r\nabc\r\n0\r\n\r\n'),
    told={"body": "abc"},
)
served(
    "white space around an extension",
    "9112 7.1.1",
    chunked(b"3 ; a = b\r\nabc\r\n0\r\n\r\n"),
    told={"body": "abc"},
)
served(
    "line ends in chunk data",
    "9112 7.1",
    chunked(b"4\r\n\r\n\r\n\r\n0\r\n\r\n"),
    told={"body": "\r\n\r\n"},
)
served("a trailer", "9112 7.1.2", chunked(b"1\r\na\r\n0\r\nA: b\r\n\r\n"), told={"body": "a"})
served(
    "a trailer is no field",
    "9110 6.5.1",
    chunked(b"0\r\nX-A: b\r\n\r\n"),
    told={"fields": {"HTTP_X_A": None}},
)
for bad in (
    b"x\r\nabc\r\n0\r\n\r\n", b"\r\nabc\r\n0\r\n\r\n", b"-3\r\nabc\r\n0\r\n\r\n",
    b"+3\r\nabc\r\n0\r\n\r\n", b"0x3\r\nabc\r\n0\r\n\r\n", b"3_0\r\nabc\r\n0\r\n\r\n",
    b" 3\r\nabc\r\n0\r\n\r\n", b"3 \r\nabc\r\n0\r\n\r\n", b"3\t\r\nabc\r\n0\r\n\r\n",
    b"3.0\r\nabc\r\n0\r\n\r\n", b"3g\r\nabc\r\n0\r\n\r\n", b"\xd9\xa3\r\nabc\r\n0\r\n\r\n",
    b"3\nabc\n0\n\n", b"3\r\nabc\n0\r\n\r\n", b"3\nabc\r\n0\r\n\r\n", b"3\rabc\r0\r\r",
    b"3\r\nabcd\r\n0\r\n\r\n", b"3\r\nabcde\r\n0\r\n\r\n", b"3\r\nabc0\r\n\r\n",
    b"3;\r\nabc\r\n0\r\n\r\n", b"3;=b\r\nabc\r\n0\r\n\r\n", b"3;a=\r\nabc\r\n0\r\n\r\n",
    b'3;a="b\r\nabc\r\n0\r\n\r\n', b"3;a b\r\nabc\r\n0\r\n\r\n", b"3;a=b\x00\r\nabc\r\n0\r\n\r\n",
    b"3;a\nb\r\nabc\r\n0\r\n\r\n", b"3,a\r\nabc\r\n0\r\n\r\n", b"3 a\r\nabc\r\n0\r\n\r\n",
    b"3\x00\r\nabc\r\n0\r\n\r\n", b"3\r\r\nabc\r\n0\r\n\r\n", b"3\r\nabc\r\r\n0\r\n\r\n",
    b"3;" + b"a" * 100_000 + b"\r\nabc\r\n0\r\n\r\n", b"%33\r\nabc\r\n0\r\n\r\n",
    b"3:\r\nabc\r\n0\r\n\r\n", b"3=\r\nabc\r\n0\r\n\r\n", b"3/\r\nabc\r\n0\r\n\r\n",
    b"0x\r\nabc\r\n0\r\n\r\n", b"+0\r\n\r\n", b"-0\r\n\r\n", b"0\r\n\rX", b"0\r\n\n",
    b'3;b="\r\n"\r\nabc\r\n0\r\n\r\n', b'3;b="\x00"\r\nabc\r\n0\r\n\r\n',
    b'3;b="c"d\r\nabc\r\n0\r\n\r\n', b"3;b=c;\r\nabc\r\n0\r\n\r\n",
    b"3;(b)\r\nabc\r\n0\r\n\r\n", b"3;b=[c]\r\nabc\r\n0\r\n\r\n",
):  # fmt: skip
    refused(f"chunks {bad[:20]!r}", "9112 7.1", chunked(bad))
served(
    "three thousand chunks of one byte",
    "9112 7.1",
    chunked(b"1\r\na\r\n" * 3000 + b"0\r\n\r\n"),
    told={"body": "a" * 3000},
)
refused(
    "chunk sizes of nothing but zeros",
    "9112 7.1.1",
    chunked((b"0" * 4000 + b"1\r\na\r\n") * 200 + b"0\r\n\r\n"),
)
refused("a chunk of 2**63 bytes", "9112 7.1", chunked(b"8000000000000000\r\nabc"), 413, 400)
refused("a chunk of 2**68 bytes", "9112 7.1", chunked(b"100000000000000000\r\nabc"), 413, 400)
for bad in (
    b"A b\r\n\r\n",
    b" A: b\r\n\r\n",
    b"A : b\r\n\r\n",
    b"A: b\n\r\n",
    b"A: b\x00\r\n\r\n",
    b": b\r\n\r\n",
    b"A_B: c\r\n\r\n",
    b"A: b\r\n c\r\n\r\n",
    b"\t\r\n\r\n",
    b"A: b\rc\r\n\r\n",
    b"A\xff: b\r\n\r\n",
):
    refused(f"trailer {bad!r}", "9112 7.1.2", chunked(b"0\r\n" + bad))
refused(
    "trailers too long", "6585 5", chunked(b"0\r\nA: " + b"b" * 300_000 + b"\r\n\r\n"), 431, 400
)
refused("too many trailers", "6585 5", chunked(b"0\r\n" + b"A: b\r\n" * 5000 + b"\r\n"), 431, 400)
refused("both length and coding", "9112 6.3", chunked(b"0\r\n\r\n", b"Content-Length: 5"))
refused(
    "coding before length",
    "9112 6.3",
    post(b"0\r\n\r\n", b"Content-Length: 5", b"Transfer-Encoding: chunked"),
)
refused(
    "an unknown coding beside a length",
    "9112 6.3",
    post(b"abc", b"Content-Length: 3", b"Transfer-Encoding: x"),
)
refused("chunked twice", "9112 6.1", post(b"0\r\n\r\n", b"Transfer-Encoding: chunked, chunked"))
refused("chunked in two fields", "9112 6.1", chunked(b"0\r\n\r\n", b"Transfer-Encoding: chunked"))
refused("chunked not last", "9112 6.3", post(b"0\r\n\r\n", b"Transfer-Encoding: chunked, gzip"))
refused("gzip without chunked", "9112 6.3", post(b"0\r\n\r\n", b"Transfer-Encoding: gzip"))
refused("identity", "9112 6.3", post(b"0\r\n\r\n", b"Transfer-Encoding: identity"), 400, 501)
refused(
    "gzip before chunked", "9112 6.1", post(b"0\r\n\r\n", b"Transfer-Encoding: gzip, chunked"), 501
)
refused(
    "an unknown coding", "9112 6.1", post(b"0\r\n\r\n", b"Transfer-Encoding: xchunked"), 501, 400
)
refused(
    "an unknown coding before chunked",
    "9112 6.1",
    post(b"0\r\n\r\n", b"Transfer-Encoding: a, chunked"),
    501,
    400,
)
for bad in (
    b"", b"chunked;a=b", b'"chunked"', b"chunked\x0b", b"\x0bchunked", b"chunked,", b",chunked",
    b"chunked foo",
    b"chun ked", b"chunked\x00", b"[chunked]", b"chunked chunked", b"=chunked", b"(chunked)",
    b"chunked/1", b"chunked\x85", b"\xa0chunked",
):  # fmt: skip
    refused(
        f"Transfer-Encoding {bad!r}",
        "9112 6.1",
        post(b"0\r\n\r\n", b"Transfer-Encoding: " + bad),
        400,
        501,
    )
refused(
    "chunked, then a second coding that is empty",
    "9112 6.1",
    chunked(b"0\r\n\r\n", b"Transfer-Encoding:"),
    400,
    501,
)
refused(
    "a coding in HTTP/1.0 that is kept alive",
    "9112 6.1",
    chunked(b"0\r\n\r\n", b"Connection: keep-alive").replace(b"/1.1", b"/1.0"),
)
refused("a coding in HTTP/1.0", "9112 6.1", chunked(b"0\r\n\r\n").replace(b"/1.1", b"/1.0"))
refused("a coding by obs-fold", "9112 5.2", post(b"0\r\n\r\n", b"Transfer-Encoding:", b" chunked"))
refused(
    "TRACE with a body",
    "9110 9.3.8",
    post(b"abc", b"Content-Length: 3").replace(b"POST", b"TRACE"),
    400,
    405,
)

# --- connections, RFC 9112 section 9 --------------------------------------------------------------

served(
    "two requests in one packet",
    "9112 9.3.2",
    get(b"/1") + get(b"/2"),
    200,
    200,
    told={"path": "/2"},
)
served("five requests in one packet", "9112 9.3.2", get() * 5, *[200] * 5)
served(
    "a body, then a request",
    "9112 9.3.2",
    post(b"GET /", b"Content-Length: 5") + get(b"/2"),
    200,
    200,
    told={"path": "/2"},
)
served(
    "chunks, then a request",
    "9112 9.3.2",
    chunked(b"1\r\na\r\n0\r\n\r\n") + get(b"/2"),
    200,
    200,
    told={"path": "/2"},
)
served(
    "an empty line after a body",
    "9112 2.2",
    post(b"abc", b"Content-Length: 3") + b"\r\n" + get(b"/2"),
    200,
    200,
    told={"path": "/2"},
)
served(
    "close",
    "9112 9.6",
    get(b"/", b"Connection: close"),
    kept=False,
    answers={"connection": "close"},
)
served("Close in any case", "9112 9.6", get(b"/", b"Connection: Close"), kept=False)
served("close in a list", "9112 9.6", get(b"/", b"Connection: foo, close"), kept=False)
served(
    "close in two fields",
    "9112 9.6",
    get(b"/", b"Connection: foo", b"Connection: close"),
    kept=False,
)
served(
    "nothing after close is read",
    "9112 9.6",
    get(b"/", b"Connection: close") + get(b"/2"),
    kept=False,
)
served("close between commas", "9110 5.6.1", get(b"/", b"Connection: ,,close,,"), kept=False)
served("keep-alive and close", "9112 9.3", get(b"/", b"Connection: keep-alive, close"), kept=False)
served("closed is not close", "9112 9.6", get(b"/", b"Connection: closed"))
served("x-close is not close", "9112 9.6", get(b"/", b"Connection: x-close"))
served(
    "Keep-Alive alone keeps no HTTP/1.0 connection",
    "9112 C.2.2",
    get(b"/", b"Keep-Alive: timeout=5", version=b"HTTP/1.0"),
    kept=False,
)
served(
    "OPTIONS * of HTTP/1.0 that is kept alive says so",
    "9112 C.2.2",
    get(b"*", b"Connection: keep-alive", version=b"HTTP/1.0").replace(b"GET", b"OPTIONS"),
    answers={"connection": "keep-alive"},
)
served(
    "the application's own close ends it",
    "9112 9.6",
    get(b"/says-close") + get(b"/2"),
    kept=False,
    answers={"connection": "close"},
)
CASES.append(
    Case(
        "a good request, then one of HTTP/2",
        "9110 15.6.6",
        get() + get(version=b"HTTP/2.0") + get(),
        ((200,), (505,)),
        False,
    )
)
CASES.append(
    Case(
        "two bytes too many are no part of the body",
        "9112 6.3",
        post(b"hello", b"Content-Length: 5") + b"XX" + get(),
        ((200,), (200, 400)),
        None,
    )
)
served("keep-alive says nothing new", "9112 9.3", get(b"/", b"Connection: keep-alive"))
served("an unknown connection option", "9110 7.6.1", get(b"/", b"Connection: foo"))
served("HTTP/1.0 ends", "9112 9.3", get(version=b"HTTP/1.0"), kept=False)
served(
    "HTTP/1.0 keep-alive",
    "9112 C.2.2",
    get(b"/three", b"Connection: keep-alive", version=b"HTTP/1.0"),
    answers={"connection": "keep-alive"},
)
served(
    "HTTP/1.0 keep-alive, then close",
    "9112 9.3",
    get(b"/", b"Connection: Keep-Alive", version=b"HTTP/1.0") + get(version=b"HTTP/1.0"),
    200,
    200,
    kept=False,
)
served("an upgrade nobody offers", "9110 7.8", get(b"/", b"Connection: Upgrade", b"Upgrade: h2c"))
CASES.append(
    Case(
        "a good request, then a bad one",
        "9112 2.2",
        get() + b"G@T / HTTP/1.1\r\n\r\n",
        ((200,), (400,)),
        False,
    )
)
CASES.append(
    Case(
        "a good request, then one without Host",
        "9112 3.2",
        get() + get(host=b""),
        ((200,), (400,)),
        False,
    )
)
CASES.append(
    Case(
        "a smuggled prefix is no request",
        "9112 11.2",
        post(b"", b"Content-Length: 0") + b"0\r\n\r\nGET /evil HTTP/1.1\r\n" + HOST + b"\r\n",
        ((200,), (400,)),
        False,
    )
)

# --- responses ------------------------------------------------------------------------------------

served(
    "HEAD has no body",
    "9110 9.3.2",
    get(b"/three").replace(b"GET", b"HEAD"),
    methods=("HEAD",),
    answers={"content-length": "3"},
)
served(
    "HEAD, then GET",
    "9112 6.3",
    get(b"/three").replace(b"GET", b"HEAD") + get(b"/three"),
    200,
    200,
    methods=("HEAD", "GET"),
)
served(
    "HEAD of a stream", "9110 9.3.2", get(b"/stream").replace(b"GET", b"HEAD"), methods=("HEAD",)
)
served(
    "a stream comes in chunks",
    "9112 7.1",
    get(b"/stream"),
    answers={"transfer-encoding": "chunked"},
)
served(
    "a stream to HTTP/1.0 ends with the connection",
    "9112 6.1",
    get(b"/stream", version=b"HTTP/1.0"),
    kept=False,
    answers={"transfer-encoding": None, "content-length": None},
)
served(
    "a stream ends an HTTP/1.0 keep-alive",
    "9112 6.3",
    get(b"/stream", b"Connection: keep-alive", version=b"HTTP/1.0"),
    kept=False,
    answers={"transfer-encoding": None},
)
served(
    "204 has neither length nor coding",
    "9112 6.1",
    get(b"/empty"),
    204,
    answers={"transfer-encoding": None, "content-length": None},
)
served(
    "304 has no body",
    "9110 15.4.5",
    get(b"/not-modified"),
    304,
    answers={"transfer-encoding": None},
)
served(
    "204 with a length of the application's",
    "9110 8.6",
    get(b"/empty-with-length"),
    204,
    answers={"transfer-encoding": None, "content-length": None},
)
served(
    "205 has no content",
    "9110 15.3.6",
    get(b"/reset"),
    205,
    answers={"transfer-encoding": None, "content-length": "0"},
)
served(
    "304 with a length has no content",
    "9110 8.6",
    get(b"/not-modified-with-length") + get(b"/three"),
    304,
    200,
)
served(
    "a coding of the application's is the server's own business",
    "9112 6.1",
    get(b"/own-coding"),
    answers={"transfer-encoding": None, "content-length": "3"},
)
for name, raw in {
    "without Host": get(host=b""),
    "with a bad length": get(b"/", b"Content-Length: x"),
    "with an unknown expectation": get(b"/", b"Expect: foo"),
    "with a length over the limit": get(b"/", b"Content-Length: 99999999999999"),
    "of *": get(b"*"),
}.items():
    CASES.append(
        Case(
            f"the answer to HEAD {name} has no content",
            "9110 9.3.2",
            raw.replace(b"GET", b"HEAD"),
            ((400, 413, 417),),
            False,
            methods=("HEAD",),
        )
    )
served("a Date", "9110 6.6.1", get(b"/three"), answers={"date": ""})

# --- Expect, RFC 9110 section 10.1.1 --------------------------------------------------------------

CASES.append(
    Case(
        "100-continue with its body",
        "9110 10.1.1",
        post(b"abc", b"Content-Length: 3", b"Expect: 100-continue"),
        ((200,),),
        True,
    )
)
served(
    "100-Continue in any case",
    "9110 10.1.1",
    post(b"abc", b"Content-Length: 3", b"Expect: 100-Continue"),
)
served("100-continue without a body", "9110 10.1.1", get(b"/", b"Expect: 100-continue"))
served(
    "Expect in HTTP/1.0 is ignored",
    "9110 10.1.1",
    post(b"abc", b"Content-Length: 3", b"Expect: 100-continue", version=b"HTTP/1.0"),
    kept=False,
)
served(
    "an expectation that is an empty list",
    "9110 10.1.1",
    get(b"/", b"Expect:"),
)
served(
    "100-continue twice",
    "9110 10.1.1",
    get(b"/", b"Expect: 100-continue, 100-Continue", b"Expect: 100-continue"),
)
refused(
    "an unknown expectation beside a known one",
    "9110 10.1.1",
    get(b"/", b"Expect: 100-continue, foo"),
    417,
)
for bad in (b'"100-continue"', b"100-continue;a=b"):
    refused(f"Expect: {bad.decode()}", "9110 10.1.1", get(b"/", b"Expect: " + bad), 417)
refused("an unknown expectation", "9110 10.1.1", get(b"/", b"Expect: foo"), 417)
refused(
    "100-continue with a body too long",
    "9110 10.1.1",
    post(b"", b"Content-Length: 99999999999999", b"Expect: 100-continue"),
    413,
)
