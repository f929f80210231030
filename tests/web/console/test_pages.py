"""Every page of the console: who sees it, what it says, the same as JSON."""

from __future__ import annotations

import json
import threading
from datetime import timedelta

import pytest

from so import Job, activity, cache, dispatch, queue
from so.systems.worker import Worker
from so.testing import Client
from so.web.console import health
from so.web.console.site import PAGES

PLAIN = [path for path in PAGES if "{" not in path]


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


def test_a_key_of_the_cache_is_looked_at_with_its_secrets_masked(erp, viewer):
    cache().put("report:7", {"rows": 3, "api_key": "abc-secret"}, 60)

    text = viewer.get("/console/cache?key=report:7").text

    assert "rows" in text
    assert "abc-secret" not in text


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


# --- what a page costs ----------------------------------------------------------------------------


def test_no_page_takes_more_than_twelve_statements(erp, viewer, monkeypatch):
    monkeypatch.setattr(health, "VERIFY_SECONDS", 3600.0)  # the newest seals, once in a while
    for name in ("default", "mails", "reports", "imports"):
        queue().push(Greet("Ada"), name)
    dispatch(Breaks()).send()
    Worker(queue()).run_all()
    activity().log("something")
    counts = {}
    for path in PLAIN:
        viewer.get(f"/console{path}")  # what is looked up once is looked up now
        ran: list[str] = []

        def listener(query, ran=ran):
            if threading.current_thread() is threading.main_thread():  # the sealer has one as well
                ran.append(query.sql)

        erp.db.listen(listener)
        viewer.get(f"/console{path}")
        erp.db.forget_listener(listener)
        counts[path] = ran

    assert {path: ran for path, ran in counts.items() if len(ran) > 12} == {}
