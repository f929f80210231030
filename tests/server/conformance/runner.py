"""Puts one case to a server over a raw socket and says what was wrong with the answer."""

from __future__ import annotations

import contextlib
import json
import socket
from dataclasses import dataclass, field

from tests.server.conformance.cases import Case, get

SECONDS = 20.0


@dataclass
class Answer:
    status: int
    fields: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


class Wrong(Exception):
    """What the server did and should not have done."""


class Client:
    """A connection that reads responses one by one."""

    def __init__(self, address: tuple[str, int], seconds: float = SECONDS) -> None:
        self.link = socket.create_connection(address, seconds)
        self.buffer = b""

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.link.close()

    def send(self, data: bytes) -> None:
        # A server may have answered and hung up before it read everything.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.link.sendall(data)

    def _more(self) -> bool:
        try:
            piece = self.link.recv(65536)
        except ConnectionResetError:
            return False
        except TimeoutError:
            raise Wrong("neither an answer nor the end of the connection") from None
        self.buffer += piece
        return bool(piece)

    def _until(self, mark: bytes) -> bytes:
        while mark not in self.buffer:
            if not self._more():
                raise EOFError
        found, _, self.buffer = self.buffer.partition(mark)
        return found

    def _take(self, count: int) -> bytes:
        while len(self.buffer) < count:
            if not self._more():
                raise Wrong("the response is shorter than it says")
        found, self.buffer = self.buffer[:count], self.buffer[count:]
        return found

    def read(self, method: str = "GET") -> Answer:
        """The next response but 100; EOFError when the connection has ended."""
        lines = self._until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        version, status, *_ = lines[0].split(" ")
        if version not in ("HTTP/1.1", "HTTP/1.0"):
            raise Wrong(f"the answer begins with {lines[0]!r}")
        fields: dict[str, str] = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            fields[name.lower()] = value.strip()
        answer = Answer(int(status), fields)
        if answer.status == 100:
            return self.read(method)
        if method != "HEAD" and answer.status not in (204, 304):
            answer.body = self._read_body(fields)
        return answer

    def _read_body(self, fields: dict[str, str]) -> bytes:
        if "chunked" in fields.get("transfer-encoding", ""):
            body = b""
            while size := int(self._until(b"\r\n").split(b";")[0], 16):
                body += self._take(size)
                self._take(2)
            self._until(b"\r\n")
            return body
        if "content-length" in fields:
            return self._take(int(fields["content-length"]))
        while self._more():
            pass
        found, self.buffer = self.buffer, b""
        return found

    def has_ended(self) -> bool:
        """True at the end of the connection; anything more is a fault."""
        with contextlib.suppress(ConnectionResetError):
            while self._more():
                pass
        if self.buffer:
            raise Wrong(f"more came than was due: {self.buffer[:80]!r}")
        return True


def check(case: Case, address: tuple[str, int], seconds: float = SECONDS) -> None:
    """Put *case* to the server at *address*. Wrong when it fails."""
    with Client(address, seconds) as client:
        client.send(case.raw)
        answer = Answer(0)
        for place, wanted in enumerate(case.statuses):
            method = case.methods[place] if place < len(case.methods) else "GET"
            try:
                answer = client.read(method)
            except EOFError:
                raise Wrong(f"the connection ended without answer {place + 1}") from None
            if answer.status not in wanted:
                raise Wrong(f"answered {answer.status}, wanted {wanted}")
        _check_told(case, answer)
        if case.kept:
            _check_kept(client, answer)
        elif case.kept is False:
            client.has_ended()


def _check_told(case: Case, answer: Answer) -> None:
    for name, value in case.answers.items():
        found = answer.fields.get(name)
        if (found is None) != (value is None) or (value and found and found.lower() != value):
            raise Wrong(f"the answer's {name} is {found!r}, wanted {value!r}")
    if not case.told:
        return
    told = json.loads(answer.body)
    for name, value in case.told.items():
        if name != "fields":
            if told[name] != value:
                raise Wrong(f"{name} arrived as {told[name]!r}, wanted {value!r}")
            continue
        for key, wanted in value.items():
            if told["fields"].get(key) != wanted:
                raise Wrong(f"{key} arrived as {told['fields'].get(key)!r}, wanted {wanted!r}")


def _check_kept(client: Client, answer: Answer) -> None:
    if answer.fields.get("connection", "").lower() == "close":
        raise Wrong("the connection is said to close, and should be kept")
    client.send(get(b"/three", b"Connection: close"))
    try:
        again = client.read()
    except EOFError:
        raise Wrong("the connection was not kept") from None
    if again.status != 200 or again.body != b"bye":
        raise Wrong(f"the next request on the connection was answered {again.status}")
    client.has_ended()
