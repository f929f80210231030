"""What a page costs among many rows: few statements, none of which walks a large table."""

from __future__ import annotations

import re
import threading
import time

import pytest

from so import activity
from so.web.console import health
from so.web.console.site import PAGES
from tests.support.crowd import LARGE, be_honest, pretend, seed
from tests.support.plans import explained
from tests.web.console.conftest import KEYS, empty, seal

ROWS = 500  # that are there; how many the planner is told that there are is another matter

SEARCHES = (
    "/queue/default", "/queue/mails?state=waiting", "/queue/default?state=delayed&q=zzz",
    "/queue?q=zzz", "/queue/reports?before=1700000000~77", "/queue?state=running", "/jobs/77",
    "/jobs/f77", "/failed/1007", "/sessions?user=77", "/cache?key=a", "/audit?log=auth",
    "/audit?event=nosuch", "/audit?subject=Order:77", "/audit?causer=User:7", "/audit?field=x",
    "/audit?from=2000-01-01&to=2100-01-01", "/audit?log=auth&to=2100-01-01&q=zzz",
    "/audit?before=500", "/document?type=Order&id=77&on=2100-01-01",
)  # fmt: skip
ADDRESSES = [path for path in PAGES if "{" not in path and path != "/document"] + [*SEARCHES]


@pytest.fixture(scope="module")
def crowded(house):
    """The application of the module with many rows in every table."""
    empty(house)
    seed(house.db.connection(), ROWS, int(time.time()), others=ROWS)
    pretend(house.db.connection(), 1_000_000)
    yield house
    empty(house)
    be_honest(house.db.connection())


@pytest.fixture(scope="module")
def ran(crowded):
    """The statements that each page took, as (sql, bindings)."""
    from so.testing import Client

    before, health.VERIFY_SECONDS = health.VERIFY_SECONDS, 3600.0  # once in a while only
    client = Client(crowded, follow_redirects=False)
    client.get(f"/in/{KEYS['operator']}")
    found = {}
    for address in ADDRESSES:
        client.get(f"/console{address}")  # what is looked up once is looked up now
        told = []

        def listener(query, told=told):
            if threading.current_thread() is threading.main_thread():
                told.append((query.sql, query.bindings))

        crowded.db.listen(listener)
        assert client.get(f"/console{address}").status == 200, address
        crowded.db.forget_listener(listener)
        found[address] = told
    health.VERIFY_SECONDS = before
    return found


def test_no_page_takes_more_than_twelve_statements(ran):
    assert {address: len(told) for address, told in ran.items() if len(told) > 12} == {}


def test_no_statement_of_a_page_walks_a_large_table(crowded, ran):
    walks = [
        (address, sql, plan)
        for address, told in ran.items()
        for sql, bindings in told
        if sql.lstrip("( ").lower().startswith(("select", "with"))
        for plan in walking(crowded.db.connection(), sql, bindings)
    ]

    assert walks == [], "\n".join(map(str, walks))


def walking(connection, sql, bindings):
    """The lines of the plan by which a large table is read as a whole, or sorted."""
    if connection.dialect.name == "sqlite":
        rows = connection.select_tuples(f"explain query plan {sql}", bindings)
        lines = [str(row[3]) for row in rows]
        # By its key from the newest row on, no further than the limit, and in a step of its own.
        has_end = " limit " in sql and not any("ORDER BY" in line for line in lines)
        has_end |= "CO-ROUTINE f" in lines
        return [
            line
            for line in lines
            if line.startswith("SCAN") and line.split()[1].strip('"') in LARGE and not has_end
        ]
    if re.search(r"^select [^()]* order by `(sent|created)_at` desc limit \d+$", sql):
        return []  # a server that holds so few reads them all; on SQLite we see the index
    rows = explained(connection, sql, bindings)

    def has_end(row):  # by its key from the newest row on, and no further than the limit
        return row["key"] == "PRIMARY" and " limit " in sql and "filesort" not in row["Extra"]

    return [
        f"{row['table']} {row['type']} {row['key']} {row['rows']} {row['Extra']}"
        for row in rows
        if row["table"] in LARGE
        and (row["type"] == "ALL" or row["type"] == "index" and not has_end(row))
    ]


def test_the_overview_takes_no_more_when_a_sealed_trail_is_looked_at_anew(erp, operator):
    for number in range(30):
        activity().log(f"paid {number}")
        seal(erp)
    operator.get("/console/queue")
    ran = []
    health.forget(erp)
    erp.db.listen(ran.append)

    page = operator.get("/console")

    erp.db.forget_listener(ran.append)
    assert "the newest entries are whole" in page.text
    assert len(ran) <= 12


def test_the_lights_say_which_one_of_them_cannot_be_asked(erp, viewer):
    erp.db.statement("alter table console_requests rename to elsewhere")
    try:
        told = viewer.get("/console?format=json").json()["lights"]
    finally:
        erp.db.statement("alter table elsewhere rename to console_requests")

    blind = [light["name"] for light in told if light["text"].startswith("cannot be asked")]
    assert blind == ["Web"]
