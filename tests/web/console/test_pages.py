"""Every page of the console: who sees it, what it says, the same as JSON."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from so import (
    Job,
    LogsActivity,
    Model,
    Router,
    activity,
    activity_batch,
    cache,
    dispatch,
    queue,
    relation,
)
from so.db.tables import table_names
from so.systems.worker import Worker
from so.testing import Client
from so.web.console import ConsoleProvider
from so.web.console.site import PAGES
from tests.web.console.conftest import Person

SAME = {"Sec-Fetch-Site": "same-origin"}
PLAIN = [path for path in PAGES if "{" not in path and path != "/document"]


class Greet(Job):
    def __init__(self, name: str, password: str = "geheim-123") -> None:
        self.name, self.password = name, password

    def handle(self) -> None:
        pass

    def tags(self) -> list[str]:
        return ["greeting"]


class Breaks(Job):
    tries = 1

    def handle(self) -> None:
        raise ValueError("no such customer")


def test_every_page_answers_a_viewer(viewer):
    answers = {path: viewer.get(f"/console{path}") for path in PLAIN}

    assert {path for path, answer in answers.items() if answer.status != 200} == set()
    assert {path for path, answer in answers.items() if "<main" not in answer.text} == set()


def test_every_page_gives_the_same_as_json(viewer):
    answers = {path: viewer.get(f"/console{path}?format=json") for path in PLAIN}

    assert {
        path for path, answer in answers.items() if not isinstance(answer.json(), dict)
    } == set()


def test_every_page_is_refused_to_others(client):
    nobody = client("nobody")

    assert {nobody.get(f"/console{path}").status for path in PLAIN} == {403}


def test_a_guest_is_asked_to_log_in(erp):
    answer = Client(erp, follow_redirects=False).get("/console")

    assert answer.status == 302
    assert "/login" in answer.headers["Location"]
    assert (
        Client(erp).get("/console?format=json", headers={"Accept": "application/json"}).status
        == 401
    )


@pytest.mark.parametrize(
    ("env", "address", "status"),
    [
        ("local", "127.0.0.1", 200),
        ("local", "::1", 200),
        ("local", "10.0.0.5", 302),
        ("testing", "127.0.0.1", 302),
        ("production", "127.0.0.1", 302),
    ],
)
def test_without_abilities_only_this_machine_looks_and_only_locally(make_erp, env, address, status):
    app = make_erp(env, abilities=False)

    answer = Client(app, follow_redirects=False).get("/console", environ={"REMOTE_ADDR": address})

    assert answer.status == status


def test_no_page_may_be_kept_framed_or_run_foreign_scripts(viewer):
    answer = viewer.get("/console")

    assert answer.headers["Cache-Control"] == "no-store"
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    nonce = policy.partition("script-src 'nonce-")[2].partition("'")[0]
    assert f'<script nonce="{nonce}">' in answer.text
    assert " style=" not in answer.text.partition("</style>")[2]


def test_switched_off_there_is_no_page(make_erp):
    app = make_erp(console={"enabled": False})

    assert Client(app).get("/console").status == 404


def test_it_stands_where_the_setting_says(make_erp):
    app = make_erp("local", abilities=False, console={"path": "/ops/panel"})
    client = Client(app)

    assert client.get("/ops/panel/queue").status == 200
    assert 'href="/ops/panel/failed"' in client.get("/ops/panel").text


def test_below_a_prefix_all_links_stay_below_it(make_erp):
    app = make_erp("local", abilities=False)

    text = Client(app).get("/console/queue", environ={"SCRIPT_NAME": "/erp"}).text

    assert 'href="/erp/console/failed"' in text
    assert 'href="/console' not in text


# --- what the pages say ---------------------------------------------------------------------------


def test_jobs_are_listed_with_their_state_and_found_by_class_tag_and_text(erp, viewer):
    dispatch(Greet("Ada")).send()
    dispatch(Greet("Bob")).delay(timedelta(hours=1)).send()
    dispatch(Breaks()).on_queue("mails").send()

    def found(query: str) -> list[str]:
        jobs = viewer.get(f"/console/queue?format=json&{query}").json()["jobs"]
        return [f"{job['job'].rpartition('.')[2]} {job['state']}" for job in jobs]

    assert found("") == ["Breaks waiting", "Greet delayed", "Greet waiting"]
    assert found("job=greet") == ["Greet delayed", "Greet waiting"]
    assert found("state=delayed") == ["Greet delayed"]
    assert found("q=greeting") == ["Greet delayed", "Greet waiting"]
    assert found("q=bob") == ["Greet delayed"]
    assert [j["queue"] for j in viewer.get("/console/queue/mails?format=json").json()["jobs"]] == [
        "mails"
    ]


def test_pages_of_jobs_follow_each_other_without_a_gap(erp, viewer):
    queue().bulk([Greet(str(number)) for number in range(120)])
    seen, before = [], None
    while True:
        more = f"&before={before}" if before else ""
        page = viewer.get(f"/console/queue?format=json{more}").json()
        seen += [job["id"] for job in page["jobs"]]
        before = page["next"]
        if before is None:
            break

    assert seen == sorted(set(seen), reverse=True)
    assert len(seen) == 120


def test_pages_of_one_queue_follow_each_other_by_the_time_they_are_due(erp, viewer):
    queue().bulk([Greet(str(number)) for number in range(70)], "mails")
    queue().bulk([Greet(str(number)) for number in range(10)])
    first = viewer.get("/console/queue/mails?format=json").json()

    second = viewer.get(f"/console/queue/mails?format=json&before={first['next']}").json()

    ids = [job["id"] for job in first["jobs"] + second["jobs"]]
    assert (len(ids), len(set(ids)), second["next"]) == (70, 70, None)


@pytest.mark.parametrize(
    "forged", ["x", "1~2~3", "~", "-5", "9" * 40, "1e9", "٣", "0", "%00", "1~x"]
)
def test_a_forged_place_to_go_on_from_is_the_newest_or_nothing(erp, viewer, forged):
    dispatch(Greet("Ada")).send()
    activity().log("something")

    for path in ("/queue", "/queue/default", "/audit", "/audit?to=2999-01-01", "/failed/x"):
        more = f"{'&' if '?' in path else '?'}before={forged}"
        assert viewer.get(f"/console{path}{more}").status == 200, path


def test_running_jobs_are_those_that_workers_tell_of(erp, viewer):
    busy, _ = queue().push(Greet("Ada")), queue().push(Greet("Bob"))
    now = int(erp.clock.time())
    erp.db.table("jobs").where("id", busy).update({"reserved_at": now, "available_at": now + 60})
    job = {"id": busy, "job": "Greet", "queue": "default", "seconds": 3, "stack": "in <handle>"}
    queue().control.beat(
        erp.db.connection(),
        {"id": "w", "host": "h", "pid": 1, "queues": ["default"], "processes": 1,
         "state": "running", "generation": 0, "done": 0, "failed": 0, "started_at": now,
         "current": [job]},
    )  # fmt: skip

    for path in ("/queue?state=running", "/queue/default?state=running"):
        jobs = viewer.get(f"/console{path}&format=json").json()["jobs"]
        assert [(one["id"], one["state"]) for one in jobs] == [(busy, "running")]
    page = viewer.get(f"/console/jobs/{busy}").text
    assert "for 3 s" in page
    assert "in &lt;handle&gt;" in page
    assert "in &lt;handle&gt;" in viewer.get("/console/workers").text


def test_a_search_cannot_find_out_a_secret(erp, viewer):
    queue().push(Greet("Ada"))

    for guess in ("geheim", "geheim-123"):
        assert viewer.get(f"/console/queue?q={guess}&format=json").json()["jobs"] == []


def test_secrets_of_a_payload_are_masked(erp, viewer):
    id = queue().push(Greet("Ada"))

    for url in (
        f"/console/jobs/{id}",
        f"/console/jobs/{id}?format=json",
        "/console/queue?format=json",
    ):
        text = viewer.get(url).text
        assert "Ada" in text
        assert "geheim-123" not in text


@pytest.mark.parametrize("id", ["999999999", "no-such-uuid", "9" * 40, "%00", "-1", "١٢"])
def test_a_job_nobody_knows_is_not_found(viewer, id):
    assert viewer.get(f"/console/jobs/{id}").status in (400, 404)


def test_failures_are_grouped_and_shown_with_their_traceback(erp, viewer):
    for _ in range(3):
        dispatch(Breaks()).send()
    Worker(queue()).run_all()

    groups = viewer.get("/console/failed?format=json").json()["groups"]
    assert [(g["count"], g["reason"]) for g in groups] == [(3, "ValueError: no such customer")]
    page = viewer.get(f"/console/failed/{groups[0]['fingerprint']}")
    assert "Traceback" in page.text
    uuid = viewer.get(f"/console/failed/{groups[0]['fingerprint']}?format=json").json()["failures"][
        0
    ]["uuid"]
    assert "no such customer" in viewer.get(f"/console/jobs/{uuid}").text


def test_what_a_row_holds_is_never_markup(erp, viewer):
    queue().push(Greet("<script>alert(1)</script>"))
    activity().log("<img src=x onerror=alert(1)>")
    cache().put("<b>", "<script>")

    for path in ("/queue", "/audit", "/cache?key=%3Cb%3E"):
        text = viewer.get(f"/console{path}").text
        assert "<script>alert" not in text
        assert "<img" not in text


def test_the_trail_is_filtered_by_everything_an_entry_has(erp, viewer):
    activity("orders").event("shipped").with_properties({"note": "by sea"}).log("Order 7 shipped")
    activity("users").event("created").log("User made")

    def found(query: str) -> list[str]:
        entries = viewer.get(f"/console/audit?format=json&{query}").json()["entries"]
        return [entry["description"] for entry in entries if entry["log"] in ("orders", "users")]

    assert found("") == ["User made", "Order 7 shipped"]
    assert found("log=orders") == ["Order 7 shipped"]
    assert found("event=created") == ["User made"]
    assert found("q=by%20sea") == ["Order 7 shipped"]
    assert found("from=2999-01-01") == []
    assert found("to=2999-01-01") == ["User made", "Order 7 shipped"]


class Buyer(Model):
    table = "people"
    timestamps = False
    type_alias = "buyer"


class Deal(LogsActivity, Model):
    table = "deals"
    type_alias = "deal"
    timestamps = False
    fillable = ("state", "buyer_id", "api_key")

    @relation
    def buyer(self):
        return self.belongs_to(Buyer)


@pytest.fixture
def deal(erp):
    columns = "state varchar(20), buyer_id int, api_key varchar(20)"
    erp.db.statement(f"create table deals (id integer primary key auto_increment, {columns})"
        if erp.db.connection().dialect.name == "mysql"
        else f"create table deals (id integer primary key, {columns})")  # fmt: skip
    yield Deal.create(state="draft", buyer_id=1, api_key="sk-hidden")
    erp.db.statement("drop table deals")


def test_keys_in_a_change_are_shown_with_the_names_they_stand_for(deal, viewer):
    deal.update(buyer_id=2)

    page = viewer.get("/console/audit?subject=deal:1")

    assert "Operator (1)" in page.text
    assert "Viewer (2)" in page.text


def test_a_document_shows_its_history_and_what_it_was_on_a_day(deal, viewer):
    deal.update(state="signed")

    page = viewer.get("/console/document?type=deal&id=1&on=2999-01-01")

    told = viewer.get("/console/document?type=deal&id=1&on=2999-01-01&format=json").json()
    assert [entry["event"] for entry in told["entries"]] == ["updated", "created"]
    assert told["state"]["fields"]["state"] == "signed"
    assert "sk-hidden" not in page.text
    early = viewer.get("/console/document?type=deal&id=1&on=1999-01-01&format=json").json()
    assert early["state"] == {"told": False, "why": "It was not there on that day."}


def test_what_was_saved_together_with_a_document_is_shown_with_it(erp, deal, viewer):
    with activity_batch():
        deal.update(state="signed")
        activity("stock").on(Person.find(3)).event("updated").log("Line of the deal")

    told = viewer.get("/console/document?type=deal&id=1&format=json").json()

    assert [entry["description"] for entry in told["lines"]] == ["Line of the deal"]


@pytest.mark.parametrize(
    "query", ["", "?type=deal", "?type=deal&id=99", "?type=no.such&id=1", "?type=deal&id=%00"]
)
def test_a_document_that_the_trail_knows_nothing_of_is_not_found(erp, viewer, query):
    assert viewer.get(f"/console/document{query}").status in (400, 404)


def test_the_trail_is_exported_as_it_is_filtered_and_that_is_in_the_trail(erp, operator):
    activity("orders").event("shipped").log("Order 7 shipped")
    activity("users").log("=cmd()")

    answer = operator.post("/console/do/export", {"log": "orders", "format": "jsonl"}, headers=SAME)

    assert answer.headers["Content-Disposition"] == 'attachment; filename="audit.jsonl"'
    assert [json.loads(line)["description"] for line in answer.text.splitlines()] == [
        "Order 7 shipped"
    ]
    everything = operator.post("/console/do/export", {"format": "csv"}, headers=SAME).text
    assert "'=cmd()" in everything
    logs = erp.db.table("activity_log").where("log_name", "console").pluck("event")
    assert list(logs) == ["export", "export"]


def test_a_key_of_the_cache_is_looked_at_with_its_secrets_masked(erp, viewer):
    cache().put("report:7", {"rows": 3, "api_key": "abc-secret"}, 60)

    text = viewer.get("/console/cache?key=report:7").text

    assert "rows" in text
    assert "abc-secret" not in text


def test_the_keys_of_a_group_lead_to_each(erp, viewer):
    for name in ("rates:eur", "rates:usd", "ratio", "users:1"):
        cache().put(name, 1)

    page = viewer.get("/console/cache?group=rates")

    assert "key=rates%3Aeur" in page.text
    found = viewer.get("/console/cache?group=rates&format=json").json()
    assert found["keys"] == ["rates:eur", "rates:usd"]


def test_rows_of_another_prefix_never_show(erp, viewer):
    mine, other = cache().store(), erp.make("db").table("cache_locks")
    mine.lock("mine", 60).acquire()
    other.insert({"key": "elsewhere:lock", "owner": "x", "expiration": 9_999_999_999, "token": 1})

    locks = viewer.get("/console/cache?format=json").json()["locks"]

    assert [lock["name"] for lock in locks] == ["mine"]


def test_a_failing_request_is_kept_with_its_route_and_exception(erp, viewer):
    Client(erp).get("/broken?token=abcdef")

    (kept, *_) = viewer.get("/console/requests?format=json").json()["requests"]

    assert (kept["route"], kept["status"]) == ("/broken", 500)
    assert kept["exception"] == "ZeroDivisionError: of the test"
    assert "abcdef" not in json.dumps(kept)


def test_switched_off_no_request_is_kept(make_erp):
    app = make_erp("local", abilities=False, console={"requests": False, "slow_ms": 0})

    Client(app).get("/broken")

    assert not app.db.table("console_requests").exists()
    assert "Nothing is kept" in Client(app).get("/console/requests").text


def test_the_ring_of_requests_is_bounded(make_erp):
    app = make_erp("local", abilities=False, console={"keep_requests": 10})
    client = Client(app)
    for _ in range(100):
        client.get("/broken")

    assert app.db.table("console_requests").count() <= 10 + 32


def test_who_is_signed_in_is_named(erp, operator, viewer):
    sessions = viewer.get("/console/sessions?format=json").json()["sessions"]

    assert {session["user"] for session in sessions} == {"Operator", "Viewer"}
    assert sum(session["current"] for session in sessions) == 1


def test_statements_of_a_slow_request_are_counted_and_slow_ones_kept_without_their_values(make_erp):
    app = make_erp("local", abilities=False, console={"slow_ms": 0, "slow_statement_ms": 0})
    client = Client(app)
    Router.get("/three/{id}", lambda id: [app.db.table("people").where("name", id).get()] and "x")
    client.get("/three/geheim-123")

    (kept,) = [
        one
        for one in client.get("/console/requests?format=json").json()["requests"]
        if one["route"] == "/three/{id}"
    ]
    assert kept["statements"] == 1
    statements = app.register(ConsoleProvider)._statements
    statements._flushed_at -= 60
    client.get("/console")
    slow = client.get("/console/database?format=json").json()["slow"]
    assert any("people" in one["statement"] for one in slow)
    assert "geheim-123" not in json.dumps(slow)
    assert "/three/{id}" in {one["source"] for one in slow if "people" in one["statement"]}


def test_the_tables_show_by_how_much_they_have_grown(erp, viewer):
    day = int(erp.clock.time()) // 86_400 - 1
    told = {"jobs": [0, 0]}
    erp.db.table("console_sizes").insert({"day": day, "sizes": json.dumps(told)})
    queue().bulk([Greet(str(number)) for number in range(9)])
    if erp.db.connection().dialect.name == "mysql":
        erp.db.statement("analyze table jobs")

    found = viewer.get("/console/database?format=json").json()

    (jobs,) = [one for one in found["tables"] if one["name"] == "jobs"]
    assert jobs["more_rows"] >= 9
    assert found["since"] == day * 86_400


def test_a_server_alone_is_told_of_no_cluster_and_no_replica(erp, viewer):
    found = viewer.get("/console/database?format=json").json()

    assert [name for name in found["server"] if "wsrep" in name or "Slave" in name] == []
    assert found["replicas"] == []


def test_every_table_is_listed_and_an_empty_one_has_no_rows(erp, viewer):
    tables = viewer.get("/console/database?format=json").json()["tables"]

    rows = {one["name"]: one["rows"] for one in tables}
    assert sorted(rows) == sorted(table_names(erp.db.connection()))
    if erp.db.connection().dialect.name == "sqlite":  # a server's estimate follows when it likes
        assert rows["jobs"] == 0


def test_inboxes_are_called_by_the_names_of_their_users(erp, viewer):
    row = {"type": "Told", "notifiable_type": "Person", "notifiable_id": "1", "data": "{}",
           "created_at": erp.clock.now()}  # fmt: skip
    erp.db.table("notifications").insert([{**row, "id": "a"}, {**row, "id": "b"}])

    found = viewer.get("/console/notifications?format=json").json()

    assert found["unread"]["inboxes"] == [{"inbox": "Operator", "unread": 2}]
    assert "Person:1" not in viewer.get("/console/notifications").text


def test_a_moment_in_the_trail_is_told_by_the_readers_clock(erp, viewer):
    given = {"attributes": {"at": "2026-03-01T10:00:00.5Z", "none": None}, "old": {"none": None}}
    activity().event("updated").with_properties(given).log("changed")

    text = viewer.get("/console/audit?field=at").text

    assert "2026-03-01 10:00:00" in text
    assert "<b>none</b>" not in text


@pytest.mark.parametrize(
    ("who", "path", "status"),
    [("viewer", "/jobs/99999", 404), ("viewer", "/document", 404), ("nobody", "/queue", 403)],
)
def test_a_program_is_told_of_an_error_in_json(client, who, path, status):
    answer = client(who).get(f"/console{path}?format=json")

    assert (answer.status, list(answer.json())) == (status, ["message"])


@pytest.mark.parametrize("day", ["9999-12-31", "0001-01-01", "2026-02-30", "x", "~"])
def test_any_day_may_be_asked_for(viewer, day):
    for query in (f"from={day}", f"to={day}", f"from={day}&to={day}&q=a"):
        assert viewer.get(f"/console/audit?{query}").status == 200


def test_a_search_that_has_looked_through_enough_offers_to_go_on(erp, viewer):
    row = {"log_name": "orders", "description": "paid", "created_at": erp.clock.now()}
    erp.db.table("activity_log").insert([{**row, "uid": f"u{n}"} for n in range(1100)])

    text = viewer.get("/console/audit?q=no-such-thing").text

    assert "Search on in older ones" in text


def test_the_counters_of_the_cache_are_no_group_of_keys(erp, viewer):
    cache().put("rates:today", 1)
    cache().get("rates:today")
    cache().stats()

    groups = viewer.get("/console/cache?format=json").json()["groups"]

    assert [one["group"] for one in groups] == ["rates"]


def test_failed_logins_are_shown_with_where_they_came_from(erp, viewer):
    activity("auth").event("failed").with_properties(
        {
            "address": "10.0.0.9",
            "account": "ab12",
            "agent": "Mozilla/5.0 (Windows NT 10.0) Firefox/1",
        }
    ).log("failed")

    text = viewer.get("/console/sessions").text

    assert "10.0.0.9" in text
    assert "account ab12" in text
    assert "Firefox on Windows" in text
