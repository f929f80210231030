"""The live inbox: who hears of what, once, and what that costs the database."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from so.systems.notifications.live import CATCH_UP, KNOWN, LATE_EVERY, LiveInbox, Position
from tests.systems.notifications.conftest import OrderShipped
from tests.systems.notifications.test_rows_users_ask_for import counted


class Line:
    """A way to a listener that notes what comes."""

    def __init__(self):
        self.data, self.is_open, self.has_ended = b"", True, False

    def send(self, data):
        self.data += data if self.is_open else b""
        return self.is_open

    def end(self):
        self.has_ended = True

    def heard(self):
        """The numbers of the orders that were told since, and the last count of unread ones."""
        found, self.data = events(self.data), b""
        return numbers(found), [e["data"]["unread"] for e in found if e["event"] == "unread"][-1:]


def events(data: bytes) -> list[dict]:
    found = []
    for block in data.decode().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.split("\n") if ": " in line)
        if "data" in fields:
            found.append({**fields, "data": json.loads(fields["data"])})
    return found


def numbers(found: list[dict]) -> list[int]:
    told = [event for event in found if event["event"] == "notification"]
    return [int(event["data"]["data"]["message"].split()[0][1:]) for event in told]


@pytest.fixture
def live(db, service, clock):
    return LiveInbox(db, clock, seconds=120, runs=False)


@pytest.fixture
def listen(live):
    def begin(user, last=None):
        line = Line()
        position, told = live.first(user, last)
        line.send(told)
        live.listen(user, position, line)
        return line

    return begin


def statements(db):
    """The texts of the statements that are run from here on."""
    ran = []
    db.listen(lambda query: ran.append(query.sql))
    return ran


def test_a_listener_hears_of_what_comes_and_of_nothing_that_was_there(live, listen, ada, clock):
    ada.notify(OrderShipped(1))
    line = listen(ada)
    assert line.heard() == ([], [1])

    clock.travel(1)
    ada.notify(OrderShipped(2))
    live.look()
    live.look()

    assert line.heard() == ([2], [2])


def test_an_event_holds_the_notification_as_the_inbox_gives_it(live, listen, ada):
    line = listen(ada)
    ada.notify(OrderShipped(1))
    live.look()

    (told, _) = events(line.data.split(b"\n\n", 1)[1])
    assert told["data"] == json.loads(json.dumps(ada.notifications[0].to_dict(), default=str)) | {
        "created_at": "2026-01-15T12:00:00.000000Z",
        "updated_at": "2026-01-15T12:00:00.000000Z",
    }


def test_nobody_hears_of_somebody_elses(live, listen, ada, bob):
    line, other = listen(ada), listen(bob)
    bob.notify(OrderShipped(1))
    live.look()

    assert line.heard() == ([], [0])
    assert other.heard() == ([1], [1])


def test_all_pages_of_a_person_hear_it(live, listen, ada):
    lines = [listen(ada) for _ in range(3)]
    ada.notify(OrderShipped(1))
    live.look()

    assert [line.heard() for line in lines] == [([1], [1])] * 3


def test_what_is_read_elsewhere_changes_the_count_at_once(live, listen, ada, clock):
    ada.notify(OrderShipped(1))
    ada.notify(OrderShipped(2))
    line = listen(ada)
    line.heard()
    clock.travel(60)

    ada.notifications[0].mark_as_read()
    live.look()
    assert line.heard() == ([], [1])
    live.look()
    assert line.heard() == ([], [])

    clock.travel(1)
    ada.mark_all_as_read()
    live.look()
    assert line.heard() == ([], [0])


def test_who_comes_back_hears_what_he_missed_and_nothing_twice(live, listen, ada, clock):
    line = listen(ada)
    for number in (1, 2):
        ada.notify(OrderShipped(number))
        clock.travel(1)
        live.look()
    last = events(line.data)[-2]["id"]

    clock.travel(3600)
    for number in (3, 4):
        ada.notify(OrderShipped(number))
        clock.travel(1)

    assert listen(ada, last).heard() == ([3, 4], [4])


def test_a_row_that_shows_later_than_it_was_written_is_heard_of(live, listen, ada, clock):
    """A long transaction: its rows are older than what was told meanwhile."""
    line = listen(ada)
    clock.travel(60)
    ada.notify(OrderShipped(2))
    live.look()
    last = events(line.data)[-2]["id"]
    clock.travel(-40)
    ada.notify(OrderShipped(1))
    clock.travel(41)

    for _ in range(LATE_EVERY):
        live.look()

    assert line.heard()[0] == [2, 1]
    assert listen(ada, last).heard()[0] == [1], "and also by who comes back"


def test_many_at_once_are_all_heard_and_ids_stay_short(live, listen, ada):
    line = listen(ada)
    for number in range(KNOWN + 30):
        ada.notify(OrderShipped(number))
    live.look()

    found = events(line.data)
    assert sorted(numbers(found)) == list(range(KNOWN + 30))
    assert all(len(event["id"]) < 700 for event in found if "id" in event)
    assert listen(ada, found[-2]["id"]).heard()[0] == []


def test_who_was_away_for_long_hears_the_newest(live, listen, ada, clock):
    line = listen(ada)
    ada.notify(OrderShipped(0))
    live.look()
    last = events(line.data)[-2]["id"]
    for number in range(1, CATCH_UP + 11):
        clock.travel(1)
        ada.notify(OrderShipped(number))

    assert listen(ada, last).heard()[0] == list(range(11, CATCH_UP + 11))


@pytest.mark.parametrize(
    "last", ["", "x", "-1", "9" * 40, "1-" * 99, "\u0661", None, "0x10", "1.5"]
)
def test_who_comes_with_a_strange_id_begins_anew(live, listen, ada, last):
    ada.notify(OrderShipped(1))

    assert listen(ada, last).heard() == ([], [1])


@pytest.mark.parametrize("last", ["99999999999999999", "4102444800000000-abc"])
def test_who_comes_with_an_id_of_a_time_to_come_is_told_of_what_comes_now(
    live, listen, ada, clock, last
):
    line = listen(ada, last)
    clock.travel(1)
    ada.notify(OrderShipped(1))
    live.look()

    assert line.heard() == ([1], [1])


def test_a_position_reads_back_as_it_was_written(clock):
    position = Position(clock.now() - timedelta(seconds=5))
    position.note("00000000-0000-4000-8000-0000deadbeef", clock.now())

    again = Position.read(str(position))

    assert str(again) == str(position)
    assert not again.is_new("00000000-0000-4000-8000-0000deadbeef", clock.now())
    assert again.is_new("00000000-0000-4000-8000-0000cafecafe", clock.now())


def test_a_look_is_one_statement_whatever_the_number_of_listeners(
    db, live, listen, ada, bob, clock
):
    for _ in range(50):
        listen(ada), listen(bob)
    ran = statements(db)

    for _ in range(LATE_EVERY):
        live.look()
        clock.travel(1)
    assert len(ran) == LATE_EVERY

    ran.clear()
    ada.notify(OrderShipped(1))
    before = len(ran)
    live.look()
    assert len(ran) - before == 3, "one more for the notifications, one for the counts"


def test_nobody_listens_means_no_statement(db, live):
    ran = statements(db)

    live.look()

    assert ran == []


def test_a_look_reads_from_indexes_only(db, service, ada, clock):
    connection = db.connection()
    service.send([ada] * 400, OrderShipped(1))
    ada.notifications().update({"read_at": clock.now()})
    clock.travel(3600)
    counted(db)
    ran = []
    db.listen(lambda query: ran.append((query.sql, query.bindings)))
    live = LiveInbox(db, service.clock, runs=False)
    list(live._rows(service.clock.now(), service.clock.now()))
    ((sql, bindings),) = ran
    explain = "explain query plan" if connection.dialect.name == "sqlite" else "explain"

    plan = str([dict(row) for row in connection.select(f"{explain} {sql}", bindings)])

    assert "notifications_created_at_index" in plan
    assert "notifications_read_at_index" in plan


def test_rows_that_were_written_by_hand_stop_nobody(db, live, listen, ada, clock):
    line = listen(ada)
    owner = {"notifiable_type": "told_user", "notifiable_id": str(ada.id)}
    rows = [{"id": f"by-hand-{n}", "type": "x", "data": "{}", **owner} for n in range(2)]
    db.connection().table("notifications").insert(rows[0])
    read = {"read_at": clock.now(), "created_at": None}
    db.connection().table("notifications").insert({**rows[1], **read})
    ada.notify(OrderShipped(1))

    live.look()

    assert line.heard() == ([1], [2])


def test_everybody_is_sent_away_when_the_application_ends(live, listen, ada):
    line = listen(ada)

    live.close()

    assert line.has_ended
    assert len(live) == 0


def test_who_has_left_is_forgotten(live, listen, ada):
    line = listen(ada)
    line.is_open = False
    ada.notify(OrderShipped(1))

    live.look()

    assert len(live) == 0


def test_signs_of_life_and_an_end_by_and_by(live, listen, ada, clock):
    line = listen(ada)
    line.heard()

    clock.travel(16)
    live.look()
    assert line.data == b":\n\n"

    clock.travel(105)
    live.look()
    assert line.has_ended
    assert len(live) == 0


def test_a_database_that_is_away_is_asked_again(db, live, listen, ada, caplog):
    line = listen(ada)
    line.heard()
    table = db.connection()
    table.unprepared("alter table notifications rename to away")
    live.look()
    live.look()
    table.unprepared("alter table away rename to notifications")
    assert len([r for r in caplog.records if "cannot be looked at" in r.message]) == 1

    ada.notify(OrderShipped(1))
    live.look()

    assert line.heard() == ([1], [1])


def test_it_looks_by_itself_while_somebody_listens(db, service, ada):
    live = LiveInbox(db, service.clock)
    line = Line()
    position, _ = live.first(ada)
    line.is_open = False
    live._seconds = 0  # sent away at the first look
    live.listen(ada, position, line)

    thread = live._thread
    if thread is not None:
        thread.join(10)

    assert line.has_ended
    assert len(live) == 0
