"""Many who listen at once, on two processes: all hear, none holds a thread.

`SIXORBIT_CHAOS=1` runs it on both engines; what a look asks is tested on both anyway.
"""

from __future__ import annotations

import contextlib
import json
import os
import time

import pytest

from so.systems.notifications import Notifications
from tests.server.conformance.runner import Client
from tests.server.processes import serving
from tests.web.test_inbox import PROVIDER, Reader, Told

LISTENERS = 500
ENGINES = ("sqlite", "mysql") if os.environ.get("SIXORBIT_CHAOS") == "1" else ("sqlite",)
USERS = 10
THREADS = 2


class Listener(Client):
    def __init__(self, server, cookie: str) -> None:
        super().__init__(server.address, 20)
        lines = f"Host: localhost\r\nCookie: {cookie}\r\nAccept: text/event-stream\r\n"
        self.send(f"GET /notifications/stream HTTP/1.1\r\n{lines}\r\n".encode())

    def begin(self) -> None:
        assert self._until(b"\r\n\r\n").startswith(b"HTTP/1.1 200 ")
        self._until(b"event: unread\ndata: ")

    def hear(self) -> int:
        self._until(b"event: notification\ndata: ")
        return json.loads(self._until(b"\n\n"))["data"]["number"]


@pytest.fixture
def server(db, db_config, tmp_path, monkeypatch):
    connection = db.connection()
    connection.statement("create table readers (id integer primary key, name varchar(40))")
    for key in range(1, USERS + 1):
        connection.table("readers").insert({"id": key, "name": f"Reader {key}"})
    settings = {
        "app": {"key": "k" * 40, "env": "testing", "providers": [PROVIDER], "routes": [],
                "storage": str(tmp_path), "url": "http://localhost"},
        "database": {"default": "main", "connections": {"main": db_config, "cache": db_config}},
        "logging": {"default": "null", "channels": {}},
    }  # fmt: skip
    monkeypatch.setenv("INBOX_SETTINGS", json.dumps(settings))
    with serving(
        "tests.web.inbox_app:application", tmp_path / "log", workers=2, threads=THREADS
    ) as running:
        yield running
    connection.statement("drop table readers")


def cookie_of(server, key: int) -> str:
    with Client(server.address) as client:
        client.send(f"GET /in/{key} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
        head = client._until(b"\r\n\r\n").decode()
    cookies = [
        line[12:].split(";")[0] for line in head.split("\r\n") if line[:12] == "Set-Cookie: "
    ]
    return "; ".join(cookies)


def processes(server) -> dict[int, tuple[int, int]]:
    """Threads and statements of each process, asked until both have answered."""
    found: dict[int, tuple[int, int]] = {}
    while len(found) < 2:
        with Client(server.address) as client:
            client.send(b"GET /threads HTTP/1.0\r\nHost: localhost\r\n\r\n")
            pid, threads, statements = json.loads(client.read().body)
            found[pid] = threads, statements
    return found


@pytest.mark.parametrize("engine", ENGINES, indirect=True)
def test_five_hundred_listen_on_two_processes(server, db, clock):
    clock.unfreeze()
    sender = Notifications(db, clock=clock)
    cookies = [cookie_of(server, key) for key in range(1, USERS + 1)]
    with contextlib.ExitStack() as stack:
        listeners = [
            stack.enter_context(Listener(server, cookies[n % USERS])) for n in range(LISTENERS)
        ]
        for listener in listeners:
            listener.begin()
        before, begun = processes(server), time.monotonic()
        assert all(threads <= THREADS + 4 for threads, _ in before.values())

        for key in range(1, USERS + 1):
            sender.send(Reader.find(key), Told(key))
        heard = [listener.hear() for listener in listeners]

        assert heard == [n % USERS + 1 for n in range(LISTENERS)]
        seconds, after = time.monotonic() - begun, processes(server)
        for pid, (_, ran) in after.items():
            assert ran - before[pid][1] <= 3 * (seconds + 2), "some a second, whoever listens"
