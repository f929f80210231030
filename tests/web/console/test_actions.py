"""What can be done in the console: by whom, asked twice where it counts, always in the trail."""

from __future__ import annotations

import pytest

from so import Job, activity, cache, dispatch, queue
from so.systems.worker import Worker
from so.web.console.actions import ACTIONS
from tests.web.console.conftest import seal

SAME = {"Sec-Fetch-Site": "same-origin", "Referer": "http://localhost/console/queue"}
runs: list[str] = []


class Breaks(Job):
    tries = 1

    def __init__(self, name: str = "x") -> None:
        self.name = name

    def handle(self) -> None:
        runs.append(self.name)
        if len(runs) <= 3:
            raise ValueError("no such customer")


class Waits(Job):
    def handle(self) -> None:
        pass


@pytest.fixture(autouse=True)
def _fresh():
    runs.clear()


def do(client, action, sure=True, **fields):
    data = {**fields, **({"sure": "yes"} if sure else {})}
    return client.post(f"/console/do/{action}", data, headers=SAME)


def test_every_action_is_refused_to_who_may_only_look(viewer):
    assert {do(viewer, action, queue="default").status for action in ACTIONS} == {403}


def test_every_action_from_another_site_is_refused(operator):
    foreign = {"Sec-Fetch-Site": "cross-site"}

    answers = [operator.post(f"/console/do/{action}", {}, headers=foreign) for action in ACTIONS]

    assert {answer.status for answer in answers} == {419}


def test_no_button_is_shown_to_who_may_only_look(erp, operator, viewer):
    assert "/console/do/" in operator.get("/console/queue").text
    assert "/console/do/" not in viewer.get("/console/queue").text


def test_read_only_is_for_everybody(make_erp):
    from so.testing import Client

    app = make_erp("local", abilities=False, console={"read_only": True})
    client = Client(app)

    assert client.get("/console").status == 200
    answer = client.post("/console/do/pause", {"queue": "default"}, headers=SAME)
    assert answer.status == 403
    assert "read-only" in answer.text


def test_an_action_is_in_the_trail_with_who_did_it(erp, operator):
    do(operator, "pause", queue="mails")

    entry = erp.db.table("activity_log").where("log_name", "console").first()

    assert (entry.event, entry.description, entry.causer_id) == ("pause", "Queue mails rests.", "1")


def test_pause_and_resume_reach_the_workers(erp, operator):
    dispatch(Waits()).send()
    do(operator, "pause", queue="default")
    assert not Worker(queue()).run_one()

    do(operator, "resume", queue="default")

    assert Worker(queue()).run_one()


def test_afterwards_the_page_it_was_asked_on_says_what_was_done(erp, operator):
    answer = do(operator, "pause", queue="mails")

    assert (answer.status, answer.headers["Location"]) == (303, "/console/queue")
    assert "Queue mails rests." in operator.get("/console/queue").text
    assert "Queue mails rests." not in operator.get("/console/queue").text


@pytest.mark.parametrize(
    "referer",
    ["http://evil.example/console", "http://localhost/consoles", "//evil", "/console/\\evil", ""],
)
def test_it_never_leads_elsewhere_afterwards(operator, referer):
    headers = {**SAME, "Referer": referer}

    answer = operator.post("/console/do/pause", {"queue": "a", "_back": referer}, headers=headers)

    assert answer.headers["Location"] == "/console"


def test_what_cannot_be_undone_is_asked_for_once_more(erp, operator):
    id = queue().push(Waits())

    asked = do(operator, "cancel-job", sure=False, id=id)

    assert asked.status == 200
    assert "No, go back" in asked.text
    assert queue().size() == 1
    do(operator, "cancel-job", id=id)
    assert queue().size() == 0


def test_a_selection_survives_the_question(erp, operator):
    for name in "ab":
        dispatch(Breaks(name)).send()
    Worker(queue()).run_all()
    uuids = [job.uuid for job in queue().failed()]

    asked = operator.post("/console/do/forget", {"uuid": uuids}, headers=SAME)

    assert all(asked.text.count(uuid) == 1 for uuid in uuids)
    do(operator, "forget", uuid=uuids)
    assert queue().failed() == []


def test_failed_jobs_are_tried_again_by_kind(erp, operator):
    for _ in range(3):
        dispatch(Breaks()).send()
    Worker(queue()).run_all()
    fingerprint = queue().failed()[0].fingerprint

    do(operator, "retry-group", fingerprint=fingerprint)

    assert queue().size() == 3
    Worker(queue()).run_all()
    assert queue().failed() == []


def test_many_failed_jobs_are_left_to_a_worker_that_tells_how_far_it_is(erp, operator):
    dispatch(Breaks()).send()
    Worker(queue()).run_all()
    row = dict(erp.db.table("failed_jobs").first())
    row.pop("id")
    rows = [{**row, "uuid": f"u-{number}"} for number in range(300)]
    erp.db.table("failed_jobs").insert(rows)

    do(operator, "retry-group")
    assert queue().size() == 1
    id = erp.db.table("jobs").value("id")
    assert f'href="/console/jobs/{id}"' in operator.get("/console/failed").text.partition("<h2")[0]
    Worker(queue()).run_one()

    assert erp.db.table("failed_jobs").count() == 0
    progress = erp.db.table("job_progress").first()
    assert (progress.done, progress.total) == (301, 301)


def test_a_lock_is_released_and_a_key_forgotten(erp, operator):
    cache().lock("stock", 0).acquire()
    cache().put("a", 1)

    do(operator, "release-lock", name="stock")
    do(operator, "forget-key", key="a")

    assert not cache().lock("stock", 1).is_locked()
    assert cache().missing("a")


def test_a_session_is_ended_and_its_browser_logged_out(erp, operator, viewer):
    sessions = operator.get("/console/sessions?format=json").json()["sessions"]
    (handle,) = [one["handle"] for one in sessions if one["user"] == "Viewer"]

    do(operator, "end-session", handle=handle)

    assert viewer.get("/console").status == 302


def test_all_sessions_of_a_user_are_ended(erp, operator, client):
    devices = [client("viewer"), client("viewer")]

    do(operator, "end-user", user="2")

    assert [device.get("/console").status for device in devices] == [302, 302]


@pytest.mark.parametrize(
    ("action", "fields", "words"),
    [
        ("retry", {}, "Nothing was chosen."),
        ("cancel-job", {"id": "99"}, "Job 99 is not there any more."),
        ("cancel-job", {"id": "x"}, "is no number of a job"),
        ("end-session", {"handle": "zz"}, "over already"),
        ("forget-key", {"key": "zz"}, "is not in the cache"),
        ("forget-key", {}, "lacks key"),
        ("run-task", {"task": "zz"}, "no task"),
    ],
)
def test_what_cannot_be_done_is_said_in_words_and_is_no_entry(erp, operator, action, fields, words):
    do(operator, action, **fields)

    text = operator.get("/console/queue").text
    assert words in text.replace("&#x27;", "'")
    assert erp.db.table("activity_log").where("log_name", "console").count() == 0


def test_an_unknown_action_is_not_found(operator):
    assert do(operator, "drop-tables").status == 404


def test_a_program_gets_json(erp, operator):
    headers = {**SAME, "Accept": "application/json"}

    answer = operator.post("/console/do/pause", {"queue": "mails"}, headers=headers)

    assert answer.json() == {"ok": True, "message": "Queue mails rests."}


@pytest.mark.parametrize(
    ("who", "action", "fields", "status"),
    [
        ("operator", "cancel-job", {"id": "1"}, 409),
        ("operator", "cancel-job", {"id": "1", "sure": "yes"}, 422),
        ("operator", "no-such", {}, 404),
        ("viewer", "pause", {"queue": "default"}, 403),
    ],
)
def test_a_program_is_told_in_json_why_not(erp, client, who, action, fields, status):
    url = f"/console/do/{action}?format=json"

    answer = client(who).post(url, fields, headers=SAME)

    assert (answer.status, answer.json()["ok"]) == (status, False)
    assert answer.json()["message"]


def test_a_task_rests_until_it_is_resumed_and_runs_when_it_is_told(erp, operator):
    schedule = queue().schedule
    schedule.call(lambda: runs.append("task")).every_minute().name("each")
    schedule.is_defined = True

    do(operator, "pause-task", task="each")
    schedule.run_due()
    assert runs == []
    assert operator.get("/console/schedule?format=json").json()["tasks"][0]["paused"]

    do(operator, "resume-task", task="each")
    do(operator, "run-task", task="each")
    Worker(queue()).run_all()
    assert runs == ["task"]


def test_a_notification_that_failed_is_sent_again_and_says_why_it_failed(erp, operator):
    from so import Notification, NotificationFailed, notifications, route
    from so.console.kernel import Kernel

    class ConsoleTold(Notification):
        def via(self, notifiable=None):
            return ["pager"]

    sent = []

    class Pager:
        def send(self, notifiable, notification, id):
            if not sent:
                sent.append("failed")
                raise OSError("no line")
            sent.append("sent")

    notifications().extend("pager", Pager)
    with pytest.raises(NotificationFailed):
        route("pager", "7").notify(ConsoleTold())
    (row,) = operator.get("/console/notifications?format=json").json()["deliveries"]
    assert (row["status"], row["reason"], row["may_resend"]) == ("failed", "OSError: no line", True)
    assert "payload" not in row
    assert "Send again" in operator.get("/console/notifications").text
    id = row["notification_id"]
    assert Kernel(erp).call(f"notification:why {id}") == 0
    assert Kernel(erp).call("notification:why nobody") == 1

    do(operator, "resend", id=id, channel="pager")

    assert sent == ["failed", "sent"]
    (row,) = operator.get("/console/notifications?format=json").json()["deliveries"]
    assert (row["status"], row["may_resend"]) == ("sent", False)
    assert "Send again" not in operator.get("/console/notifications").text


def test_from_the_page_of_a_job_that_is_gone_it_leads_to_its_list(erp, operator):
    dispatch(Breaks()).send()
    Worker(queue()).run_all()
    (uuid,) = [job.uuid for job in queue().failed()]
    headers = {**SAME, "Referer": f"http://localhost/console/jobs/{uuid}"}

    answer = operator.post("/console/do/retry", {"uuid": uuid}, headers=headers)

    assert answer.headers["Location"] == "/console/failed"


def test_every_failed_job_is_forgotten_by_a_worker_where_there_are_many(erp, operator):
    dispatch(Breaks()).send()
    Worker(queue()).run_all()
    row = dict(erp.db.table("failed_jobs").first())
    row.pop("id")
    erp.db.table("failed_jobs").insert([{**row, "uuid": f"u-{n}"} for n in range(250)])

    do(operator, "forget-every")
    Worker(queue()).run_one()

    assert erp.db.table("failed_jobs").count() == 0


def test_failures_of_an_unknown_kind_are_tried_again_without_the_others(erp, operator):
    for _ in range(2):
        dispatch(Breaks()).send()
    Worker(queue()).run_all()
    erp.db.table("failed_jobs").order_by("id").limit(1).update({"fingerprint": ""})

    do(operator, "retry-group", fingerprint="")

    assert (queue().size(), erp.db.table("failed_jobs").count()) == (1, 1)


def test_a_task_shows_how_long_it_took_how_it_ended_and_what_its_failure_said(erp, operator):
    def breaks():
        raise ValueError("no rates for today at /rates?token=geheim")

    schedule = queue().schedule
    schedule.tasks.clear()
    schedule.call(breaks).every_minute().name("rates")
    schedule.command("key:generate --show").every_minute().name("keys")
    schedule.is_defined = True

    do(operator, "run-task", task="rates")
    do(operator, "run-task", task="keys")
    Worker(queue()).run_all()

    told = operator.get("/console/schedule?format=json").json()["tasks"]
    assert [(one["key"], one["outcome"]) for one in told] == [("rates", "failed"), ("keys", "done")]
    assert "no rates for today" in told[0]["output"]
    assert "geheim" not in told[0]["output"]
    assert told[1]["ms"] >= 0
    assert "Last failure" in operator.get("/console/schedule").text
    assert "no rates for today" in queue().failed()[0].exception
    schedule.tasks.clear()


def test_a_task_with_a_long_name_rests_as_well(erp, operator):
    schedule = queue().schedule
    schedule.tasks.clear()
    schedule.call(lambda: runs.append("task")).every_minute().name("long-" * 23)
    schedule.is_defined = True

    do(operator, "pause-task", task="long-" * 23)

    assert schedule.run_due() == []
    assert operator.get("/console/schedule?format=json").json()["tasks"][0]["paused"]
    do(operator, "resume-task", task="long-" * 23)
    assert not operator.get("/console/schedule?format=json").json()["tasks"][0]["paused"]
    schedule.tasks.clear()


def test_the_trail_is_verified_by_a_worker_that_tells_how_far_it_is(erp, operator):
    activity().log("paid 100")
    seal(erp)

    do(operator, "verify")
    Worker(queue()).run_one()

    progress = erp.db.table("job_progress").first()
    assert (progress.state, progress.done) == ("done", progress.total)
    assert progress.total >= 1
    told = operator.get("/console/audit?format=json").json()["seals"]
    assert (told["verified_at"] is not None, told["findings"]) == (True, 0)


def test_below_a_prefix_an_action_leads_back_below_it(erp, operator):
    headers = {**SAME, "Referer": "http://localhost/erp/console/queue?state=delayed"}

    answer = operator.post(
        "/console/do/pause", {"queue": "mails"}, headers=headers, environ={"SCRIPT_NAME": "/erp"}
    )

    assert answer.headers["Location"] == "/erp/console/queue?state=delayed"


@pytest.mark.parametrize(
    "value", ["\x00", "x" * 9000, "\r\nSet-Cookie: a=b", ["a", "b"], "-1", "é"]
)
def test_no_action_breaks_over_what_a_form_says(erp, operator, value):
    names = ("id", "uuid", "queue", "fingerprint", "task", "handle", "key", "name", "channel")
    fields = dict.fromkeys((*names, "log", "subject", "from", "format"), value)

    answers = {action: do(operator, action, **fields) for action in ACTIONS if action != "end-user"}

    assert {action for action, answer in answers.items() if answer.status >= 500} == set()
    assert "Set-Cookie: a" not in str([answer.headers for answer in answers.values()])
