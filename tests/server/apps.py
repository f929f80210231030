"""WSGI applications for the tests of the server: each path misbehaves in its own way."""

from __future__ import annotations

import gzip
import io
import itertools
import json
import os
import sys
import tempfile
import threading
import time
from wsgiref.validate import validator

from so.support.processes import fork

TEXT = [("Content-Type", "text/plain")]


def whole(environ, start_response):
    start_response("200 OK", [*TEXT, ("Content-Length", "5")])
    return [b"hello"]


def pid(environ, start_response):
    body = str(os.getpid()).encode()
    start_response("200 OK", [*TEXT, ("Content-Length", str(len(body)))])
    return [body]


def told(environ, start_response):
    """The environ, as far as JSON can hold it."""
    plain = {key: value for key, value in environ.items() if isinstance(value, str | bool | int)}
    plain["thread"] = threading.current_thread().name
    body = json.dumps(plain).encode()
    start_response("200 OK", [("Content-Type", "application/json")])
    return [body]


def upload(environ, start_response):
    """What kind of file the body is, and what is in it."""
    source = environ["wsgi.input"]
    kind = "memory" if isinstance(source, io.BytesIO) else "file"
    first = source.readline()
    rest = source.read()
    body = f"{kind} {len(first)} {len(rest)} {environ['CONTENT_LENGTH']}".encode()
    start_response("200 OK", TEXT)
    return [body]


def sleep(environ, start_response):
    time.sleep(float(environ["QUERY_STRING"]))
    start_response("200 OK", [*TEXT, ("Content-Length", "5")])
    return [b"slept"]


def stuck(environ, start_response):
    print("stuck", file=sys.stderr, flush=True)
    threading.Event().wait()


def frozen(environ, start_response):
    """Holds the interpreter's lock for a minute: the whole process stands still."""
    pow(3, 10**9, 10**400_000 + 1)
    return whole(environ, start_response)


def forking(environ, start_response):
    """Forks a process that ends as scripts do, and waits for it; beside threads on purpose."""
    child = fork()
    if child == 0:
        sys.exit()
    os.waitpid(child, 0)
    return whole(environ, start_response)


def close_all(environ, start_response):
    os.closerange(3, 256)
    return whole(environ, start_response)


def crash(environ, start_response):
    os._exit(9)


def fail(environ, start_response):
    raise RuntimeError("the application failed")


def fail_half_way(environ, start_response):
    start_response("200 OK", TEXT)
    yield b"begun"
    raise RuntimeError("the application failed half way")


def aborting(environ, start_response):
    """Ends in good order, but for the call that says it did not."""
    start_response("200 OK", TEXT)
    yield b"begun"
    environ["so.abort"]()


def replaced(environ, start_response):
    """An error found late replaces the status, as long as nothing was sent."""
    start_response("200 OK", TEXT)
    try:
        raise RuntimeError("late")
    except RuntimeError:
        start_response("503 Service Unavailable", TEXT, sys.exc_info())
    return [b"late"]


def replaced_too_late(environ, start_response):
    write = start_response("200 OK", TEXT)
    write(b"begun")
    try:
        raise RuntimeError("too late")
    except RuntimeError:
        start_response("503 Service Unavailable", TEXT, sys.exc_info())
    return [b"late"]


def twice(environ, start_response):
    start_response("200 OK", TEXT)
    start_response("200 OK", TEXT)
    return [b""]


def answer(status, headers, body=(b"",)):
    def application(environ, start_response):
        start_response(status, headers)
        return body

    return application


def never_started(environ, start_response):
    return [b"body"]


def writing(environ, start_response):
    write = start_response("200 OK", TEXT)
    write(b"one,")
    write(b"")
    write(b"two,")
    return [b"three"]


def big(environ, start_response):
    """So many pieces of 64 KiB, made one by one, without a length."""
    start_response("200 OK", TEXT)
    piece = b"x" * 65536
    for _ in range(int(environ["QUERY_STRING"])):
        yield piece


def big_whole(environ, start_response):
    body = b"x" * int(environ["QUERY_STRING"])
    start_response("200 OK", [*TEXT, ("Content-Length", str(len(body)))])
    return [body]


def slow_whole(environ, start_response):
    print("slow-whole", file=sys.stderr, flush=True)
    time.sleep(0.3)
    return big_whole(environ, start_response)


def file(environ, start_response):
    source = tempfile.TemporaryFile()  # noqa: SIM115 (the server closes it)
    source.write(b"skipped" + b"0123456789" * 100_000)
    source.seek(7)
    headers = [*TEXT]
    if environ["QUERY_STRING"]:
        headers.append(("Content-Length", environ["QUERY_STRING"]))
    start_response("200 OK", headers)
    return environ["wsgi.file_wrapper"](source)


def closed_file(environ, start_response):
    """Closes its file too early, but not before the server has begun with it."""
    source = tempfile.TemporaryFile()  # noqa: SIM115 (closed below)
    source.truncate(50_000_000)
    start_response("200 OK", TEXT)

    def close():
        source.close()
        Closing.notes.append("closed")

    threading.Timer(0.2, close).start()
    return environ["wsgi.file_wrapper"](source)


def packed_file(environ, start_response):
    packed = io.BytesIO()
    with gzip.open(packed, "wb") as target:
        target.write(b"unpacked")
    source = tempfile.TemporaryFile()  # noqa: SIM115 (the server closes it)
    source.write(packed.getvalue())
    source.seek(0)
    start_response("200 OK", TEXT)
    return environ["wsgi.file_wrapper"](gzip.open(source))


def file_in_memory(environ, start_response):
    start_response("200 OK", TEXT)
    return environ["wsgi.file_wrapper"](io.BytesIO(b"in memory"), 4)


class Closing:
    """An iterable whose close() leaves a note for the next request."""

    notes: list[str] = []

    def __init__(self, *pieces, failing=False):
        self.pieces = pieces
        self.failing = failing

    def __iter__(self):
        return iter(self.pieces)

    def close(self):
        Closing.notes.append("closed")
        if self.failing:
            raise RuntimeError("closing failed")


def endless(status, *headers):
    def application(environ, start_response):
        start_response(status, [*headers])
        return itertools.repeat(b"x" * 1000)

    return application


def closing(environ, start_response):
    start_response("200 OK", [*TEXT, ("Content-Length", "5")])
    return Closing(b"", b"hel", b"lo")


def failing_close(environ, start_response):
    start_response("200 OK", [*TEXT, ("Content-Length", "5")])
    return Closing(b"hello", failing=True)


def notes(environ, start_response):
    found, Closing.notes = Closing.notes, []
    body = json.dumps(found).encode()
    start_response("200 OK", TEXT)
    return [body]


def gone(environ, start_response):
    """Waits until the client has gone, and notes that."""
    deadline = time.monotonic() + 30
    while not environ["so.disconnected"]():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.01)
    Closing.notes.append("gone")
    return whole(environ, start_response)


def still_there(environ, start_response):
    body = b"gone" if environ["so.disconnected"]() else b"there"
    start_response("200 OK", TEXT)
    return [body]


HELD = []


def hold(environ, start_response):
    """Answers, and goes on answering later, or does something else after all."""
    held = environ["so.hold"]()
    if held is not None:
        HELD.append(held)
    if environ["QUERY_STRING"] == "fail":
        raise RuntimeError("no answer after all")
    headers = [("Content-Length", "5")] if environ["QUERY_STRING"] == "length" else []
    start_response("200 OK", [*TEXT, *headers])
    return iter([b"hello" if held is not None else b"no room"])


def tell(environ, start_response):
    """Says something so many times in all that is held; how many are there."""
    HELD[:] = [held for held in HELD if held.is_open]
    word, _, times = environ["QUERY_STRING"].partition("*")
    reached = [held.send(word.encode() * int(times or 1)) for held in HELD]
    start_response("200 OK", TEXT)
    return [str(sum(reached)).encode()]


def end(environ, start_response):
    for held in HELD:
        held.end()
    return whole(environ, start_response)


PATHS = {
    "/": whole,
    "/hold": hold,
    "/tell": tell,
    "/end": end,
    "/pid": pid,
    "/told": told,
    "/upload": upload,
    "/sleep": sleep,
    "/stuck": stuck,
    "/frozen": frozen,
    "/forking": forking,
    "/close-all": close_all,
    "/crash": crash,
    "/fail": fail,
    "/fail-half-way": fail_half_way,
    "/aborting": aborting,
    "/replaced": replaced,
    "/replaced-too-late": replaced_too_late,
    "/twice": twice,
    "/no-list": answer("200 OK", ()),
    "/bad-status": answer("ok", TEXT),
    "/bare-status": answer("200", TEXT, [b"ok"]),
    "/split-status": answer("200 OK\r\nX-Evil: yes", TEXT),
    "/split-value": answer("200 OK", [("X-A", "b\r\nX-Evil: yes")]),
    "/split-name": answer("200 OK", [("X-A\r\nX-Evil", "yes")]),
    "/wide-value": answer("200 OK", [("X-A", "\u2026")]),
    "/bad-length": answer("200 OK", [("Content-Length", "+5")]),
    "/long-body": answer("200 OK", [("Content-Length", "3")], [b"hello"]),
    "/long-pieces": answer("200 OK", [("Content-Length", "3")], iter([b"he", b"llo"])),
    "/short-body": answer("200 OK", [("Content-Length", "9")], [b"hello"]),
    "/short-pieces": answer("200 OK", [("Content-Length", "9")], (b"he", b"", b"llo")),
    "/pieces": answer("200 OK", TEXT, [b"one,", b"two"]),
    "/no-pieces": answer("200 OK", TEXT, []),
    "/empty-pieces": answer("200 OK", TEXT, iter([b"", b""])),
    "/own-fields": answer(
        "200 OK",
        [
            ("Date", "yesterday"),
            ("Connection", "close"),
            ("Transfer-Encoding", "gzip"),
            ("Keep-Alive", "timeout=9"),
        ],
        [b"ok"],
    ),
    "/never-started": never_started,
    "/writing": writing,
    "/big": big,
    "/big-whole": big_whole,
    "/slow-whole": slow_whole,
    "/file": file,
    "/file-in-memory": file_in_memory,
    "/closed-file": closed_file,
    "/packed-file": packed_file,
    "/text": answer("200 OK", TEXT, ["text"]),
    "/text-pieces": answer("200 OK", TEXT, ("text" for _ in range(2))),
    "/bare-bytes": answer("200 OK", TEXT, b"bare"),
    "/wrong-value": answer("200 OK", [("X-Count", 5)]),
    "/endless": endless("200 OK"),
    "/endless-304": endless("304 Not Modified"),
    "/endless-5": endless("200 OK", ("Content-Length", "5")),
    "/closing": closing,
    "/failing-close": failing_close,
    "/notes": notes,
    "/gone": gone,
    "/still-there": still_there,
}


def application(environ, start_response):
    """Choose by path."""
    return PATHS[environ["PATH_INFO"]](environ, start_response)


@validator
def validated(environ, start_response):
    """A decent application, watched by the validator of the standard library."""
    assert environ["wsgi.multithread"]
    assert environ["wsgi.multiprocess"]
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


class Vitals:
    """Of an application that is asked until somebody makes the file `answer`."""

    def fault(self):
        file = os.path.join(os.environ["ANSWER_IN"], "answer")
        while not os.path.exists(file):
            time.sleep(0.01)
        return "no paper left"

    def families(self):
        raise RuntimeError("no figures today")


class Vital:
    """An application with something to say to monitors."""

    vitals = Vitals()

    def __call__(self, environ, start_response):
        return whole(environ, start_response)


vital = Vital()
