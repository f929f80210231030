"""The inbox over HTTP: JSON for programs and pages, a stream for pages that listen."""

from __future__ import annotations

import json
from uuid import uuid4

import pytest

from so import Model, Notifiable, Notification, Router, auth
from so.application import Application
from so.testing import Client

PROVIDER = "so.web.inbox.InboxProvider"
PAGE = {"Sec-Fetch-Site": "same-origin", "Accept": "application/json"}


class Reader(Notifiable, Model):
    table = "readers"
    type_alias = "inbox_reader"
    timestamps = False
    guarded = []


class Told(Notification):
    type_alias = "inbox_told"

    def __init__(self, number):
        self.number = number

    def via(self):
        return ["database"]

    def to_database(self, notifiable):
        return {"number": self.number}


@pytest.fixture
def make_erp(tmp_path, db, db_config):
    opened = []

    def make(**topics):
        settings = {
            "app": {"key": "k" * 40, "env": "testing", "providers": [PROVIDER], "routes": []},
            "database": {
                "default": "main", "connections": {"main": db_config, "cache": db_config}
            },
            "auth": {"model": Reader},
            "logging": {"default": "null", "channels": {}},
            **topics,
        }  # fmt: skip
        app = Application(tmp_path, settings).__enter__()
        opened.append(app)
        app.db.statement("create table readers (id integer primary key, name varchar(40))")
        for key, name in ((1, "Ada"), (2, "Bob")):
            app.db.table("readers").insert({"id": key, "name": name})
        Router.get("/in/{key}", lambda key: auth().login_using_id(int(key)) and "in").middleware(
            "web"
        )
        Router.get("/login", lambda: "log in")
        return app

    yield make
    for app in opened:
        app.db.statement("drop table readers")
        app.__exit__(None, None, None)


@pytest.fixture
def erp(make_erp):
    return make_erp()


@pytest.fixture
def ada(erp):
    return as_(erp, 1)


def as_(erp, key: int) -> Client:
    client = Client(erp, headers=PAGE)
    assert client.get(f"/in/{key}").text == "in"
    return client


def reader(key: int = 1) -> Reader:
    return Reader.find(key)


def tell(*numbers: int, key: int = 1) -> list[str]:
    """Tell somebody; the ids, oldest first."""
    for number in numbers:
        reader(key).notify(Told(number))
    return [n.id for n in reversed(reader(key).notifications)]


def test_the_list_is_paged_newest_first(erp, ada):
    erp.clock.freeze()
    for number in range(5):
        tell(number)
        erp.clock.travel(1)

    first = ada.get("/notifications?per_page=2").assert_ok().json("data")
    second = ada.get(f"/notifications?per_page=2&cursor={first['next_cursor']}").json("data")

    assert [n["data"]["number"] for n in first["data"]] == [4, 3]
    assert [n["data"]["number"] for n in second["data"]] == [2, 1]
    assert second["has_more"]


def test_the_list_can_be_of_unread_ones(ada):
    read, _ = tell(1, 2)
    reader().notifications.first(lambda n: n.id == read).mark_as_read()

    found = ada.get("/notifications?unread=1").json("data.data")

    assert [n["data"]["number"] for n in found] == [2]
    assert len(ada.get("/notifications?unread=0").json("data.data")) == 2


def test_a_wrong_question_is_refused_by_its_field(ada):
    for wrong in (
        "per_page=0", "per_page=-1", "per_page=201", "per_page=x", "per_page=1.5", "per_page[]=1",
        "unread=maybe", "cursor=junk", "cursor[]=1", "cursor=%00", "cursor=W10=",
    ):  # fmt: skip
        field = wrong.partition("=")[0].removesuffix("[]")
        ada.get(f"/notifications?{wrong}").assert_invalid(field)


def test_counting_reading_and_deleting(ada):
    one, two, three = tell(1, 2, 3)
    assert ada.get("/notifications/count").json("data") == {"unread": 3}

    read = ada.post(f"/notifications/{one}/read").assert_ok().json("data")
    assert read["id"] == one
    assert read["read_at"]
    assert ada.delete(f"/notifications/{two}").status == 204
    assert ada.get("/notifications/count").json("data") == {"unread": 1}

    assert ada.post("/notifications/read").json("data") == {"read": 1, "unread": 0}
    assert [n.id for n in reader().notifications if n.unread()] == []
    assert {n.id for n in reader().notifications} == {one, three}


def test_somebody_elses_is_not_there_and_stays_as_it_is(ada):
    (other,) = tell(1, key=2)

    for id in (other, other.upper(), str(uuid4()), "1", "x' or 1=1 --", "%00"):
        ada.post(f"/notifications/{id}/read").assert_not_found()
        ada.delete(f"/notifications/{id}").assert_not_found()

    (left,) = reader(2).notifications
    assert left.unread()


def test_reading_all_leaves_other_peoples_alone(ada):
    tell(1, key=2)

    assert ada.post("/notifications/read").json("data.read") == 0
    assert reader(2).unread_count() == 1


def test_a_guest_is_refused(erp):
    guest, id = Client(erp, headers=PAGE), uuid4()
    for path in ("", "/count", "/stream"):
        guest.get(f"/notifications{path}").assert_unauthorized()
    for path in ("/read", f"/{id}/read"):
        guest.post(f"/notifications{path}").assert_unauthorized()
    guest.delete(f"/notifications/{id}").assert_unauthorized()


def test_a_listener_who_is_logged_out_is_told_so_and_sent_nowhere(erp):
    guest = Client(erp, headers={"Accept": "text/event-stream"})

    guest.get("/notifications/stream").assert_unauthorized()


def test_a_page_of_another_site_can_change_nothing(ada):
    (id,) = tell(1)
    foreign = {"Sec-Fetch-Site": "cross-site"}

    ada.post("/notifications/read", headers=foreign).assert_status(419)
    ada.delete(f"/notifications/{id}", headers=foreign).assert_status(419)

    assert reader().unread_count() == 1


def test_where_no_stream_can_be_held_it_ends_at_once_and_says_when_to_ask_again(erp, ada):
    tell(1)
    answer = ada.get("/notifications/stream").assert_ok()
    assert answer.headers.get("Content-Type") == "text/event-stream; charset=utf-8"
    assert "no-store" in answer.headers.get("Cache-Control")
    assert answer.text == 'retry: 5000\n\nevent: unread\ndata: {"unread":1}\n\n'

    again = ada.get("/notifications/stream?last=0")
    assert json.loads(again.text.split("data: ")[1].split("\n")[0])["data"] == {"number": 1}
    id = again.text.split("id: ")[1].split("\n")[0]
    told = ada.get("/notifications/stream", headers={"Last-Event-ID": id}).text

    assert "event: notification" not in told


class Held:
    def __init__(self):
        self.sent, self.is_open = b"", True

    def send(self, data):
        self.sent += data
        return self.is_open

    def end(self):
        self.is_open = False


def test_where_it_can_be_held_what_is_new_follows(erp, ada):
    held = Held()
    erp.make("live_inbox")._runs = False
    answer = ada.get("/notifications/stream", environ={"so.hold": lambda: held})
    assert 500 <= int(answer.text.split("\n")[0].removeprefix("retry: ")) <= 3000
    assert held.sent == b""

    tell(7)
    erp.make("live_inbox").look()

    assert b'"number":7' in held.sent
    assert held.sent.endswith(b'event: unread\ndata: {"unread":1}\n\n')


def test_a_server_without_room_is_asked_again_later(erp, ada):
    answer = ada.get("/notifications/stream", environ={"so.hold": lambda: None})

    assert answer.text.startswith("retry: 5000\n")
    assert len(erp.make("live_inbox")) == 0


def test_a_page_that_only_listens_keeps_no_session_alive(make_erp):
    erp = make_erp(session={"lifetime": 10})
    erp.clock.freeze()
    ada = as_(erp, 1)

    for _ in range(3):
        erp.clock.travel(5 * 60)
        status = ada.get("/notifications/stream").status

    assert status == 401


def test_the_applications_own_routes_come_first_and_the_path_can_be_moved(make_erp):
    erp = make_erp(notifications={"inbox_path": "/inbox"})
    Router.get("/notifications", lambda: "a page of our own")
    ada = as_(erp, 1)

    assert ada.get("/notifications").text == "a page of our own"
    assert ada.get("/inbox/count").json("data") == {"unread": 0}


def test_the_bell_is_a_script_that_a_browser_keeps(erp):
    client = Client(erp)
    script = client.get("/notifications/bell.js").assert_ok()

    assert script.headers.get("Content-Type").startswith("text/javascript")
    again = client.get("/notifications/bell.js", headers={"If-None-Match": script.headers["ETag"]})
    assert again.status == 304
