"""Random and mutated bytes for the wire parser: `python -m tests.fuzz.wire [COUNT] [SEED]`.

Whatever comes in, the parser must end, raise nothing but WireError, and give the same events
however the bytes are cut.
"""

from __future__ import annotations

import random
import sys
import time

from so.errors import WireError
from so.server.limits import CheckedLimits
from so.server.wire import Data, RequestHead, RequestParser
from tests.server.conformance.cases import CASES

# Small, so that the limits are met often.
TIGHT = CheckedLimits.of(
    request_line_bytes=64,
    header_bytes=160,
    header_count=6,
    body_bytes=64,
    chunk_line_bytes=24,
    trailer_bytes=48,
    trailer_count=2,
)
SEEDS = [case.raw for case in CASES if len(case.raw) < 400]
SNIPPETS = [
    b"\r\n", b"\n", b"\r", b"\r\n\r\n", b" ", b"\t", b":", b"\x00", b"\x7f", b"\x80", b"\xff", b"_",
    b"Host: a\r\n", b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n", b"0\r\n\r\n",
    b"GET / HTTP/1.1\r\n", b"Connection: close\r\n", b"Expect: 100-continue\r\n",
    b"3;a=b\r\nabc\r\n",
    b"http://a/", b"*", b"%00", b"[::1]", b"HTTP/2.0", b"a" * 70, b"A: " + b"b" * 170 + b"\r\n",
    b"A: b\r\n" * 7,
]  # fmt: skip


def events(pieces: list[bytes], limits: CheckedLimits) -> list[object]:
    """What the parser makes of *pieces*; data of one body in one item, a refusal last."""
    parser = RequestParser(limits)
    found: list[object] = []
    body = b""
    for piece in pieces:
        parser.feed(piece)
        try:
            while (event := parser.next_event()) is not None:
                if isinstance(event, RequestHead):
                    found.append(
                        (event.method, event.target, event.path, event.query, event.minor,
                         event.keep_alive, event.length, event.expects_continue,
                         tuple(event.fields.items()))
                    )  # fmt: skip
                elif isinstance(event, Data):
                    body += event.data
                    if event.last:
                        found.append(body)
                        body = b""
        except WireError as fault:
            return [*found, body, fault.status, fault.reason]
    return [*found, body]


def mutate(random_: random.Random) -> bytes:
    """A case or two, damaged in a few places; sometimes plain noise."""
    if random_.random() < 0.05:
        return random_.randbytes(random_.randrange(200))
    data = bytearray(random_.choice(SEEDS))
    if random_.random() < 0.3:
        data += random_.choice(SEEDS)
    for _ in range(random_.randrange(6)):
        place = random_.randrange(len(data) + 1)
        kind = random_.random()
        if kind < 0.35:
            data[place:place] = random_.choice(SNIPPETS)
        elif kind < 0.6 and data:
            data[min(place, len(data) - 1)] = random_.randrange(256)
        elif kind < 0.8:
            del data[place : place + random_.randrange(1, 9)]
        else:
            data[place:place] = data[place : place + random_.randrange(1, 40)]
    return bytes(data)


def cut(data: bytes, random_: random.Random) -> list[bytes]:
    """*data* in a few pieces."""
    places = sorted(random_.randrange(len(data) + 1) for _ in range(random_.randrange(1, 5)))
    return [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True)]


def run(count: int, seed: int) -> int:
    """Try *count* inputs, AssertionError for the first that goes wrong; how many were accepted."""
    random_ = random.Random(seed)
    accepted = 0
    for _ in range(count):
        data = mutate(random_)
        limits = TIGHT if random_.random() < 0.7 else CheckedLimits()
        whole = events([data], limits)
        pieces = (
            [data[at : at + 1] for at in range(len(data))]
            if random_.random() < 0.2
            else cut(data, random_)
        )
        assert events(pieces, limits) == whole, (data, pieces, limits is TIGHT)
        accepted += not (len(whole) > 1 and isinstance(whole[-1], str))
    return accepted


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    begun = time.monotonic()
    accepted = run(count, seed)
    seconds = time.monotonic() - begun
    print(f"{count} inputs in {seconds:.0f} s, {accepted} without a refusal, seed {seed}: no fault")


if __name__ == "__main__":
    main()
