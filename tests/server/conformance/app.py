"""The application the conformance cases are run against: it tells what it was given, as JSON.

Plain WSGI, so that any server can run it: `gunicorn tests.server.conformance.app:application`.
"""

import json

PIECES = [b"one,", b"two,", b"three"]


def application(environ, start_response):
    """Echo the request; a few paths answer in special ways."""
    path = environ.get("PATH_INFO", "")
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0) or -1)
    special = SPECIAL.get(path)
    if special:
        return special(environ, start_response)
    told = {
        "method": environ["REQUEST_METHOD"],
        "path": path,
        "query": environ.get("QUERY_STRING", ""),
        "protocol": environ["SERVER_PROTOCOL"],
        "body": body.decode("latin-1"),
        "fields": {
            key: value
            for key, value in environ.items()
            if key.startswith("HTTP_") or key in ("CONTENT_TYPE", "CONTENT_LENGTH")
        },
    }
    answer = json.dumps(told).encode()
    headers = [("Content-Type", "application/json"), ("Content-Length", str(len(answer)))]
    start_response("200 OK", headers)
    return [answer]


def _stream(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return iter(PIECES)


def _empty(environ, start_response):
    start_response("204 No Content", [])
    return []


def _not_modified(environ, start_response):
    start_response("304 Not Modified", [("ETag", '"1"')])
    return []


def _closing(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "3")])
    return [b"bye"]


def _saying(status, *headers, body=b"abc"):
    def special(environ, start_response):
        start_response(status, [("Content-Type", "text/plain"), *headers])
        return [body]

    return special


SPECIAL = {
    "/says-close": _saying("200 OK", ("Connection", "close")),
    "/empty-with-length": _saying("204 No Content", ("Content-Length", "3")),
    "/not-modified-with-length": _saying("304 Not Modified", ("Content-Length", "3")),
    "/reset": _saying("205 Reset Content", ("Content-Length", "3")),
    "/own-coding": _saying("200 OK", ("Transfer-Encoding", "chunked")),
    "/stream": _stream,
    "/empty": _empty,
    "/not-modified": _not_modified,
    "/three": _closing,
}
