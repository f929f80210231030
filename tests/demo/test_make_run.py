"""`make run` as a person does it: in a clone, with nothing but Python and make."""

from __future__ import annotations

import contextlib
import http.client
import io
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import time
from pathlib import Path

import pytest

from app.seed import write_orders

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("so", "app", "bin", "config", "database", "docs", "Makefile")
LINES = 15_000
BAD = LINES // 1000
DEADLINE = 120  # seconds for anything; the machine may be busy


@pytest.fixture
def clone(tmp_path):
    folder = tmp_path / "clone"
    folder.mkdir()
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            shutil.copytree(source, folder / part, ignore=shutil.ignore_patterns("*.pyc.*"))
        else:
            shutil.copy(source, folder / part)
    return folder


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


class Visitor:
    """curl, as far as this test needs it."""

    def __init__(self, port):
        self.port, self.token = port, None

    def call(self, method, path, body=None, headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        sent = {"Accept": "application/json", **(headers or {})}
        if isinstance(body, dict):
            body, sent["Content-Type"] = json.dumps(body), "application/json"
        if self.token:
            sent["Authorization"] = f"Bearer {self.token}"
        with contextlib.closing(connection):
            connection.request(method, path, body, sent)
            answer = connection.getresponse()
            text = answer.read()
        assert answer.status < 400, (path, answer.status, text[:500])
        return json.loads(text)["data"] if text else None

    def login(self, role):
        given = {"email": f"{role}@demo.example", "password": "demo-password"}
        self.token = None
        self.token = self.call("POST", "/api/v1/login", given)["token"]

    def upload(self, text):
        edge = "edge-of-a-part"
        body = (
            f'--{edge}\r\nContent-Disposition: form-data; name="file"; filename="orders.csv"\r\n'
            f"Content-Type: text/csv\r\n\r\n{text}\r\n--{edge}--\r\n"
        ).encode()
        kind = {"Content-Type": f"multipart/form-data; boundary={edge}"}
        return self.call("POST", "/api/v1/imports", body, kind)


def until(what):
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError, http.client.HTTPException):
            found = what()
            if found:
                return found
        time.sleep(0.05)
    raise AssertionError(f"{what} did not come true within {DEADLINE} seconds")


def processes_of(folder, word):
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            words = (entry / "cmdline").read_bytes().decode().split("\0")
            if any(str(folder) in w for w in words) and word in words:
                found.append(int(entry.name))
    return found


def progress(clone):
    """(lines done, status) of the last import, past the API, whose limit is 60 calls a minute."""
    path = clone / "storage" / "database.sqlite"
    sql = "select done_lines, status from order_imports order by id desc"
    with contextlib.closing(sqlite3.connect(path, timeout=10)) as database:
        return database.execute(sql).fetchone()


@pytest.mark.slow
def test_make_run_serves_the_erp_and_an_import_survives_kill_9_of_the_worker(clone):
    port = free_port()
    environ = {k: v for k, v in os.environ.items() if not k.startswith(("DB_", "APP_", "COVERAGE"))}
    log = (clone / "run.log").open("wb")
    run = subprocess.Popen(
        ["make", "run", f"PORT={port}"], cwd=clone, stdout=log, stderr=log, env=environ,
        start_new_session=True,
    )  # fmt: skip
    visitor = Visitor(port)
    try:
        until(lambda: b"demo-password" in (clone / "run.log").read_bytes())
        visitor.login("clerk")
        assert len(visitor.call("GET", "/api/v1/products")) > 50
        items = [{"product_id": 1, "quantity": 1}]
        order = visitor.call("POST", "/api/v1/orders", {"customer_id": 1, "items": items})
        invoice = visitor.call("POST", f"/api/v1/orders/{order['id']}/invoice")
        visitor.call("POST", f"/api/v1/invoices/{invoice['id']}/submit")

        text = io.StringIO(newline="")
        write_orders(text, LINES, seed=5, bad_every=LINES // BAD)
        job = visitor.upload(text.getvalue())
        where = f"/api/v1/imports/{job['id']}"
        until(lambda: progress(clone)[0] >= 2000)
        for pid in processes_of(clone, "queue:work"):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        assert progress(clone)[0] < LINES

        visitor.login("manager")
        visitor.call("POST", f"/api/v1/invoices/{invoice['id']}/approve")
        trail = visitor.call("GET", "/api/v1/activity?subject_type=invoice")["data"]
        assert "Invoice approved for payment" in [row["description"] for row in trail]
        visitor.login("clerk")
        assert (
            visitor.call("GET", "/api/v1/notifications")[0]["data"]["title"] == "Invoice approved"
        )

        until(lambda: progress(clone)[1] == "finished")
        done = visitor.call("GET", where)
        assert (done["imported"], done["repeated"], done["rejected"]) == (LINES - BAD, 0, BAD)
    finally:
        os.killpg(run.pid, signal.SIGINT)
        run.wait(60)
        log.close()
    output = (clone / "run.log").read_text()
    assert "Stopping" in output
    assert "at once" not in output  # as a second signal would have made them
    assert processes_of(clone, "serve") == []
    assert processes_of(clone, "queue:work") == []
    assert processes_of(clone, "schedule:work") == []
    with contextlib.closing(sqlite3.connect(clone / "storage" / "database.sqlite")) as database:
        sql = "select count(*), count(distinct order_id || '/' || line_no) from order_lines"
        sql += " where order_id in (select id from orders where number like 'X5-%')"
        assert database.execute(sql).fetchone() == (LINES - BAD, LINES - BAD)


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ("PORT={taken}", "the port is in use; stop the other server or choose another port"),
        ("PORT=many", "--port must be a whole number"),
        ("PORT=99999", "there is no port 99999"),
        ("HOST=nowhere.invalid", "give an address of this machine"),
    ],
)
def test_make_run_says_before_it_does_anything_that_it_cannot_have_the_address(
    clone, choice, message
):
    with socket.create_server(("127.0.0.1", 0)) as other:
        words = ["make", "run", choice.format(taken=other.getsockname()[1])]
        run = subprocess.run(
            words, cwd=clone, capture_output=True, text=True, timeout=DEADLINE, check=False
        )

    assert run.returncode != 0
    assert message in run.stdout + run.stderr
    assert "demo-password" not in run.stdout
    assert not (clone / "storage").exists()
