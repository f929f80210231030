"""Audited writes under `kill -9`: a change if and only if its row; and whose name stands on it.

8 kills an engine and 8 threads in the normal run; `SIXORBIT_CRASH_KILLS=500` for more kills,
`SIXORBIT_CRASH_THREADS=64` for 64 threads of 1,000 units of work each.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import threading
import time

from so.db.manager import Database
from so.db.model import Model
from so.support.current import replaced
from so.support.scope import Scope, entered
from so.systems.activity import ActivityLog, LogsActivity
from tests.systems.activity.conftest import KEY

KILLS = int(os.environ.get("SIXORBIT_CRASH_KILLS", "8"))
THREADS = int(os.environ.get("SIXORBIT_CRASH_THREADS", "8"))
UNITS = 1000 if THREADS >= 64 else 20


class Stock(LogsActivity, Model):
    table = "killed_stock"
    type_alias = "killed_stock"
    timestamps = False
    guarded = []


class Undone(Exception):
    """Rolls a transaction back."""


def make_table(connection):
    auto = " auto_increment" if connection.dialect.name == "mysql" else " autoincrement"
    connection.unprepared("drop table if exists killed_stock")
    connection.unprepared(
        f"create table killed_stock (id integer primary key{auto}, code varchar(40), qty int,"
        " unique (code))"
    )


def write_until_killed(config, seed, begun):
    """Changes of every kind, each with a value that no other has; *begun* is told of the first."""
    dice = random.Random(seed)
    db = Database({"default": config})
    log = ActivityLog(db, keys=[KEY], seal_delay_seconds=0.01)
    with replaced("db", db), replaced("activity", log):
        n = seed * 100_000
        while True:
            n += 1
            change(db, dice.randrange(8), n)
            if n % 100_000 == 1:
                os.write(begun, b"1")


def change(db, kind, n):
    if kind == 0:
        Stock.create(code=f"c{n}", qty=n)
    elif kind == 1:
        Stock.in_random_order().limit(3).update(qty=n)
    elif kind == 2:
        Stock.insert([{"code": f"i{n}-{m}", "qty": n} for m in range(3)])
    elif kind == 3:
        found = Stock.in_random_order().first()
        if found is not None:
            found.update(qty=n)
    elif kind == 4:
        Stock.in_random_order().limit(2).delete()
    elif kind == 5:
        Stock.upsert([{"code": f"u{n % 7}", "qty": n}, {"code": f"u{n}", "qty": n}], ["code"])
    else:
        undone(db, n, inner=kind == 6)


def undone(db, n, *, inner):
    """A transaction that is taken back, or of which a part is."""

    def work():
        Stock.create(code=f"t{n}", qty=n)
        raise Undone

    def outer():
        Stock.query().increment("qty", 1)
        try:
            db.transaction(work)
        except Undone:
            if not inner:
                raise

    with contextlib.suppress(Undone):
        db.transaction(outer)


def played_again(connection):
    """What the trail says the table is."""
    table = {}
    sql = "subject_type = 'killed_stock' order by id"
    for row in connection.table("activity_log").where_raw(sql).get():
        properties = json.loads(row["properties"])
        if row["event"] == "deleted":
            del table[row["subject_id"]]
        else:
            table.setdefault(row["subject_id"], {}).update(properties["attributes"])
    return table


def test_a_change_is_there_if_and_only_if_its_row_is(db, db_config):
    connection = db.connection()
    make_table(connection)
    dice = random.Random(11)

    for kill in range(KILLS):
        begun, begin = os.pipe()
        child = os.fork()
        if not child:
            try:
                write_until_killed(db_config, kill, begin)
            finally:
                os._exit(1)
        os.close(begin)
        assert os.read(begun, 1), "the writer ended before its first change"
        os.close(begun)
        time.sleep(dice.random() / 5)
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status), "the writer ended by itself"
        if kill % 10 == 0 or kill == KILLS - 1:
            compare(connection)

    log = ActivityLog(db, keys=[KEY], seal_delay_seconds=None)
    log.sealer.seal(recheck=True)
    report = log.verify()
    assert report.is_clean, report
    assert report.rows > KILLS
    connection.unprepared("drop table killed_stock")


def compare(connection):
    with connection.transaction(mode="deferred" if connection.dialect.name == "sqlite" else "read"):
        there = {
            str(row["id"]): {name: row[name] for name in row if row[name] is not None}
            for row in connection.table("killed_stock").get()
        }
        assert played_again(connection) == there


def test_no_row_has_the_name_of_another(db, db_config):
    make_table(db.connection())
    failed = []

    def work(number):
        try:
            for unit in range(UNITS):
                with entered(Scope("request")) as scope:
                    scope.user = User(number)
                    Stock.create(code=f"{number}-{unit}", qty=number)
        except Exception as error:
            failed.append(error)

    with replaced("db", db), replaced("activity", ActivityLog(db)):
        threads = [threading.Thread(target=work, args=(number,)) for number in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert not failed
    rows = db.connection().table("activity_log").get(["causer_type", "causer_id", "properties"])
    assert len(rows) == THREADS * UNITS
    for row in rows:
        assert row["causer_type"] == "user"
        assert f'"code":"{row["causer_id"]}-' in row["properties"]
    db.connection().unprepared("drop table killed_stock")


class User:
    """Somebody who is logged in."""

    type_alias = "user"

    def __init__(self, key):
        self.key = key

    def get_key(self):
        return self.key
