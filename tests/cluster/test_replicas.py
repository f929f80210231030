"""What console and `check` say of a real replica that runs, is stopped, breaks and is late.

Runs with `SIXORBIT_TEST_CLUSTER=1`: it starts two servers.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Any

import pytest

from so.console.commands import about
from so.console.kernel import Kernel
from so.db.connection import Connection
from so.settings.console import ConsoleSettings
from so.testing import Client
from so.web.console import health
from so.web.console.history import History
from tests.support import mariadb
from tests.support.needed import lacking
from tests.web.console.conftest import KEYS, build, empty

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        os.environ.get("SIXORBIT_TEST_CLUSTER") != "1",
        reason="set SIXORBIT_TEST_CLUSTER=1 to start a writer and its replica",
    ),
]


class Pair:
    """A writer, its replica, and an application that reads from the replica."""

    def __init__(self, folder: Any) -> None:
        self._folder = folder
        self.first = mariadb.launch("--log-bin=bin", "--server-id=1", "--binlog-format=row")
        self.second = mariadb.launch("--server-id=2", "--relay-log=relay")
        self.writer, self.replica = (Connection(s.config()) for s in (self.first, self.second))
        self.writer.statement("create user copy@'%' identified by 'x'")
        self.writer.statement("grant replication slave on *.* to copy@'%'")
        self.writer.statement("create database erp collate utf8mb4_unicode_ci")
        self.replica.unprepared(
            f"change master to master_host='127.0.0.1', master_port={self.first.port}, "
            "master_user='copy', master_password='x', master_use_gtid=slave_pos"
        )
        self.tell("start slave")
        self.until("runs")

    def open(self) -> Any:
        """The application, entered."""
        read = {"host": "127.0.0.1", "port": self.second.port}
        app = build(self._folder, self.first.config("erp", read=read, sticky=True))
        empty(app)
        return app

    def tell(self, statement: str) -> None:
        """The replica *statement*."""
        self.replica.unprepared(statement)

    def until(self, state: str, behind: int = 0) -> None:
        """Wait until the replica says so itself."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            (row,) = self.replica.select("show slave status")
            runs = row["Slave_IO_Running"] == row["Slave_SQL_Running"] == "Yes"
            if (state == "runs") == runs and (row["Seconds_Behind_Master"] or 0) >= behind:
                return
            time.sleep(0.1)
        raise AssertionError(f"the replica was never {state}")

    def caught_up(self) -> None:
        """Wait until the replica has what the writer has."""
        at = self.writer.scalar("select @@gtid_binlog_pos")
        assert self.replica.scalar("select master_gtid_wait(?, 60)", [at]) == 0

    def stop(self) -> None:
        """End both."""
        self.first.stop()
        self.second.stop()


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    try:
        found = Pair(tmp_path_factory.mktemp("erp"))
    except mariadb.ServerMissing as missing:
        lacking(str(missing))
    yield found
    found.stop()


@pytest.fixture(scope="module")
def erp(pair: Pair) -> Iterator[Any]:
    app = pair.open()
    pair.caught_up()
    yield app
    app.__exit__(None, None, None)


@pytest.fixture
def viewer(erp: Any, pair: Pair) -> Client:
    client = Client(erp)
    assert client.get(f"/in/{KEYS['viewer']}").status == 200
    return client


def said(viewer: Client) -> dict[str, Any]:
    (one,) = viewer.get("/console/database?format=json").json()["replicas"]
    return one


def light(erp: Any, viewer: Client) -> dict[str, Any]:
    """Database on the overview, once a worker has written the figures of its minute."""
    erp.db.table("console_history").delete()
    History(erp, erp.settings(ConsoleSettings)).write()
    health.forget(erp)
    lights = viewer.get("/console?format=json").json()["lights"]
    return next(one for one in lights if one["name"] == "Database")


def faults(erp: Any) -> str:
    kernel = Kernel(erp)
    kernel.call("check")
    return "\n".join(line for line in kernel.output().splitlines() if "replica" in line)


def test_a_replica_that_runs_is_in_order(erp: Any, viewer: Client) -> None:
    one = said(viewer)

    assert (one["state"], one["up"], one["error"]) == ("runs", True, "")
    assert light(erp, viewer)["state"] == "warn"  # for want of a backup alone
    assert faults(erp) == ""


def test_a_replica_that_was_stopped_is_told_of(erp: Any, viewer: Client, pair: Pair) -> None:
    pair.caught_up()
    pair.tell("stop slave")
    try:
        assert said(viewer)["state"] == "stopped"
        assert "has stopped following; what is read there is old" in faults(erp)
        # Who reads at the replica would never hear of it: the console asks the writer.
        found = light(erp, viewer)
        assert (found["state"], "does not follow" in found["text"]) == ("bad", True)
    finally:
        pair.tell("start slave")
        pair.until("runs")


def test_a_replica_that_broke_says_why(erp: Any, viewer: Client, pair: Pair) -> None:
    pair.writer.statement("create table erp.odd (id int primary key)")
    pair.caught_up()
    pair.tell("insert into erp.odd values (1)")
    pair.writer.statement("insert into erp.odd values (1)")
    pair.until("stopped")
    try:
        assert "Duplicate entry '1'" in said(viewer)["error"]
        assert "Duplicate entry '1'" in viewer.get("/console/database").text.replace("&#x27;", "'")
        assert "Duplicate entry '1'" in faults(erp)
    finally:
        pair.tell("delete from erp.odd")
        pair.tell("start slave")
        pair.until("runs")


def test_a_replica_that_is_late_is_told_of(
    erp: Any, viewer: Client, pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module, name in ((health, "BEHIND_SECONDS"), (about, "LATE_REPLICA")):
        monkeypatch.setattr(module, name, 0)
    pair.caught_up()
    pair.tell("stop slave")
    pair.tell("change master to master_delay=3600")
    pair.tell("start slave")
    try:
        pair.writer.statement("create table erp.later (id int primary key)")
        pair.until("runs", behind=1)

        assert said(viewer)["behind_seconds"] >= 1
        assert "behind: what is read there is old" in light(erp, viewer)["text"]
        assert "seconds behind; what is read there is old" in faults(erp)
    finally:
        pair.tell("stop slave")
        pair.tell("change master to master_delay=0")
        pair.tell("start slave")
        pair.until("runs")


def test_a_replica_that_is_gone_keeps_nobody_waiting(erp: Any, viewer: Client, pair: Pair) -> None:
    pair.second.kill()

    assert said(viewer)["state"] == "unreachable"
    assert "is unreachable" in faults(erp)
