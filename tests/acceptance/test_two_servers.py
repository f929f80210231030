"""Two servers and two workers in folders of their own, one MariaDB, the same `.env`."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from so.db.connection import Connection
from so.support.ids import token
from so.systems.auth import PasswordHasher

ROOT = Path(__file__).resolve().parents[2]
DEADLINE = 90  # seconds for anything; the machine may be busy
APP = {
    "__init__.py": "",
    "providers.py": """from so import ServiceProvider


class AppProvider(ServiceProvider):
    def boot(self):
        import app.jobs
""",
    "models.py": """from so import Model


class User(Model):
    table = "two_users"
    type_alias = "user"
    timestamps = False
""",
    "jobs.py": """import time

from so import DB, Job, app


class Mark(Job):
    def __init__(self, number):
        self.number = number

    def handle(self):
        time.sleep(0.03)
        DB.table("two_marks").insert({"n": self.number, "place": app().base_path().name})
""",
    "routes.py": """import time

from app.jobs import Mark
from so import DB, JsonResponse, Request, Router, auth, cache, dispatch, session, sessions


def login(request: Request):
    return JsonResponse({"in": auth().attempt(request.only(["email", "password"]))})


def me():
    return JsonResponse({"user": auth().id(), "seen": session().increment("seen")})


def leave_everywhere():
    sessions().logout_everywhere(auth().user())
    return JsonResponse({})


def read(key: str):
    return JsonResponse({"value": cache().get(key), "count": cache().increment("reads")})


def write(key: str, request: Request):
    cache().put(key, request.json("value"), 600)
    return JsonResponse({})


def flush():
    cache().tags("two").flush()
    return JsonResponse({})


def computed():
    def compute():
        time.sleep(0.3)
        DB.table("two_marks").insert({"n": -1, "place": "computed"})
        return "made"

    return JsonResponse({"value": cache().tags("two").remember("slow", 600, compute)})


def take():
    lock = cache().lock("one", 600)
    got = lock.acquire()
    return JsonResponse({"owner": lock.owner if got else None, "token": lock.token})


def give(owner: str):
    return JsonResponse({"released": cache().restore_lock("one", owner).release()})


def work(count: int):
    for number in range(count):
        dispatch(Mark(number))
    return JsonResponse({})


with Router.group(middleware="web"):
    Router.post("/login", login)
    Router.get("/me", me)
    Router.post("/everywhere", leave_everywhere)
Router.get("/cache/{key}", read)
Router.put("/cache/{key}", write)
Router.post("/flush", flush)
Router.get("/computed", computed)
Router.post("/lock", take)
Router.delete("/lock/{owner}", give)
Router.post("/tasks/{count}", work)
Router.get("/limited", lambda: JsonResponse({})).middleware("throttle:7,1")
""",
}


def a_server(folder, env):
    """What a deployment puts on a machine: the code, and the `.env`."""
    folder.mkdir()
    (folder / "so").symlink_to(ROOT / "so")
    for part in ("bin", "config"):
        shutil.copytree(ROOT / part, folder / part)
    (folder / "app").mkdir()
    for name, text in APP.items():
        (folder / "app" / name).write_text(text)
    (folder / ".env").write_text(env)
    return folder


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def until(what):
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError, http.client.HTTPException):
            found = what()
            if found:
                return found
        time.sleep(0.05)
    raise AssertionError(f"{what} did not come true within {DEADLINE} seconds")


class Browser:
    """One person's browser, whom a load balancer sends to any server."""

    def __init__(self):
        self.cookies = {}

    def call(self, port, method, path, body=None):
        headers = {"Accept": "application/json", "Sec-Fetch-Site": "same-origin"}
        if self.cookies:
            headers["Cookie"] = "; ".join(f"{k}={v}" for k, v in self.cookies.items())
        if body is not None:
            headers["Content-Type"] = "application/json"
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE)
        with contextlib.closing(connection):
            connection.request(method, path, body and json.dumps(body), headers)
            answer = connection.getresponse()
            text = answer.read()
            for name, value in answer.getheaders():
                if name.lower() == "set-cookie":
                    key, _, rest = value.partition("=")
                    self.cookies[key] = rest.partition(";")[0]
        return answer.status, json.loads(text) if text else None


@pytest.fixture
def database(mysql_config):
    with Connection(mysql_config) as connection:
        connection.statement(
            "create table two_users (id int primary key, email varchar(50), password varchar(255))"
        )
        connection.statement("create table two_marks (n int, place varchar(50))")
        hashed = PasswordHasher(ln=4, r=1, p=1).make("secret-password")
        connection.table("two_users").insert(
            {"id": 7, "email": "ada@x.example", "password": hashed}
        )
        yield connection
        connection.statement("drop table two_users")
        connection.statement("drop table two_marks")


@pytest.fixture
def places(tmp_path, mysql_config):
    """Two folders with the same `.env` and nothing else in common."""
    env = "\n".join(
        [
            "APP_ENV=production", f"APP_KEY={token(32)}", "DB_CONNECTION=mysql",
            f"DB_HOST={mysql_config['host']}", f"DB_PORT={mysql_config['port']}",
            f"DB_DATABASE={mysql_config['database']}", f"DB_USERNAME={mysql_config['username']}",
            f"DB_PASSWORD={mysql_config['password']}", "SESSION_SECURE_COOKIE=false",
            "",
        ]
    )  # fmt: skip
    return [a_server(tmp_path / name, env) for name in ("north", "south")]


@pytest.fixture
def servers(places, database):
    """The ports of two web servers; a worker runs beside each."""
    own = ("DB_", "APP_", "CACHE_", "SESSION_", "QUEUE_", "COVERAGE", "SIXORBIT_")
    environ = {k: v for k, v in os.environ.items() if not k.startswith(own)}
    ports, processes = [free_port(), free_port()], []
    for place, port in zip(places, ports, strict=True):
        serve = ["serve", "--host=127.0.0.1", f"--port={port}", "--workers=1", "--threads=4"]
        for command in (serve, ["queue:work", "--sleep=1"]):
            with (place / f"{command[0].replace(':', '-')}.log").open("wb") as log:
                processes.append(
                    subprocess.Popen(
                        [sys.executable, "bin/sixorbit", *command],
                        cwd=place, env=environ, stdout=log, stderr=log, start_new_session=True,
                    )
                )  # fmt: skip
    try:
        for port in ports:
            until(lambda port=port: Browser().call(port, "GET", "/cache/none")[0] == 200)
        yield ports
        for process in processes:
            process.send_signal(signal.SIGTERM)
        assert [process.wait(DEADLINE) for process in processes] == [0] * 4
    finally:
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(DEADLINE)


def both(ports, times, method, path):
    """The same request *times* over, half of them to each server, side by side."""
    with ThreadPoolExecutor(8) as pool:
        calls = [
            pool.submit(Browser().call, ports[number % 2], method, path) for number in range(times)
        ]
        return [call.result() for call in calls]


def test_two_servers_and_two_workers_share_everything(servers, database):
    north, south = servers

    # Sessions: log in here, be somebody there; values of both stay.
    laptop, phone = Browser(), Browser()
    who = {"email": "ada@x.example", "password": "secret-password"}
    assert laptop.call(north, "POST", "/login", who) == (200, {"in": True})
    assert laptop.call(south, "GET", "/me") == (200, {"user": 7, "seen": 1})
    assert laptop.call(north, "GET", "/me") == (200, {"user": 7, "seen": 2})
    assert phone.call(south, "POST", "/login", who) == (200, {"in": True})
    assert phone.call(north, "GET", "/me")[1]["user"] == 7

    # Logging out everywhere on one ends it on the other, at once.
    assert phone.call(north, "POST", "/everywhere")[0] == 200
    assert laptop.call(south, "GET", "/me")[1]["user"] is None
    assert phone.call(south, "GET", "/me")[1]["user"] is None

    # The cache: what one writes the other reads; counters count both.
    visitor = Browser()
    assert visitor.call(north, "PUT", "/cache/price", {"value": {"a": 1}})[0] == 200
    first = visitor.call(south, "GET", "/cache/price")[1]
    second = visitor.call(north, "GET", "/cache/price")[1]
    assert (first["value"], second["count"]) == ({"a": 1}, first["count"] + 1)

    # A cold key is computed once, by one of them, and once again after its tag was flushed.
    answers = both(servers, 8, "GET", "/computed")
    assert answers == [(200, {"value": "made"})] * 8
    assert database.table("two_marks").where("n", -1).count() == 1
    visitor.call(south, "POST", "/flush")
    assert visitor.call(north, "GET", "/computed")[0] == 200
    assert database.table("two_marks").where("n", -1).count() == 2

    # A lock has one holder, whom the other server can release; the next token is larger.
    holders = [answer for _, answer in both(servers, 16, "POST", "/lock") if answer["owner"]]
    assert len(holders) == 1
    owner, token = holders[0]["owner"], holders[0]["token"]
    assert visitor.call(south, "DELETE", "/lock/somebody-else") == (200, {"released": False})
    assert visitor.call(south, "DELETE", f"/lock/{owner}") == (200, {"released": True})
    assert visitor.call(north, "POST", "/lock")[1]["token"] > token

    # A limit lets so many through in all, and not one more.
    statuses = [status for status, _ in both(servers, 24, "GET", "/limited")]
    assert sorted(statuses) == [200] * 7 + [429] * 17

    # The queue: what one puts in, both work off, each job once.
    until(lambda: database.table("queue_workers").count() >= 2)
    visitor.call(north, "POST", "/tasks/30")
    visitor.call(south, "POST", "/tasks/30")
    marks = database.table("two_marks").where("n", ">=", 0)
    until(lambda: marks.clone().count() >= 60)
    assert sorted(marks.clone().pluck("n")) == sorted([*range(30), *range(30)])
    assert set(marks.clone().pluck("place")) == {"north", "south"}


def test_the_second_server_needs_nothing_but_the_env(places):
    assert {file.name for file in places[1].iterdir()} == {"so", "bin", "config", "app", ".env"}
    assert (places[0] / ".env").read_text() == (places[1] / ".env").read_text()
