"""`down` and `up`: who is refused, who gets in, and what rests meanwhile."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from so import Job, Router, dispatch, queue
from so.application import Application
from so.console.kernel import Kernel
from so.errors import ConfigError
from so.support.maintenance import MESSAGE, Maintenance, Notice
from so.systems.worker import Worker
from so.testing import Client

ran: list[str] = []


class Note(Job):
    def handle(self) -> None:
        ran.append("note")


@pytest.fixture
def erp(tmp_path: Path, db_config: dict[str, Any]) -> Iterator[Application]:
    ran.clear()
    connections = {"main": db_config, "cache": db_config}
    settings = {
        "app": {"key": "k" * 40, "env": "testing", "providers": [], "routes": []},
        "database": {"default": "main", "connections": connections},
        "logging": {"default": "null", "channels": {}},
        "trustedproxy": {"proxies": ["*"]},
    }
    with Application(tmp_path, settings) as application:
        Router.get("/", lambda: "home")
        Router.get("/api/orders", lambda: {"ok": 1})
        yield application


def run(app: Application, *argv: str) -> int:
    return Kernel(app).run(list(argv))


def test_a_visitor_is_answered_503_with_the_time_to_try_again(erp):
    run(erp, "down", "--message=Stocktaking until noon.", "--retry=120")

    answer = Client(erp).get("/")

    assert (answer.status, answer.headers["Retry-After"]) == (503, "120")
    assert "Stocktaking until noon." in answer.text


def test_visitors_write_no_errors_into_the_log_while_it_is_meant(erp, caplog):
    run(erp, "down")

    assert Client(erp).get("/").status == 503

    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


def test_a_program_is_answered_in_json(erp):
    run(erp, "down")

    answer = Client(erp).get("/api/orders", headers={"Accept": "application/json"})

    assert answer.status == 503
    assert answer.json()["message"] == MESSAGE


def test_paths_without_a_route_are_down_as_well(erp):
    run(erp, "down")

    assert Client(erp).get("/nowhere").status == 503


def test_after_up_everybody_is_served_again(erp):
    client = Client(erp)
    run(erp, "down")
    assert client.get("/").status == 503

    run(erp, "up")

    assert client.get("/").status == 200


def test_a_tester_opens_the_secret_once_and_is_let_in(erp):
    run(erp, "down", "--secret=tea-at-five")
    tester, visitor = Client(erp, follow_redirects=False), Client(erp)

    answer = tester.get("/tea-at-five")

    assert (answer.status, answer.headers["Location"]) == (302, "http://localhost/")
    assert tester.get("/").status == 200
    assert visitor.get("/").status == 503


def test_the_cookie_of_a_tester_does_not_tell_the_secret_and_ends_with_it(erp):
    run(erp, "down", "--secret=tea-at-five")
    tester = Client(erp, follow_redirects=False)
    cookie = tester.get("/tea-at-five").headers["Set-Cookie"]
    run(erp, "down", "--secret=another-one")

    assert "tea" not in cookie
    assert tester.get("/").status == 503


@pytest.mark.parametrize("path", ["/", "/tea-at-fivE", "/tea-at-five/x", "/%ff"])
def test_other_paths_open_nothing(erp, path):
    run(erp, "down", "--secret=tea-at-five")

    answer = Client(erp, follow_redirects=False).get(path)

    assert (answer.status, answer.headers.get("Set-Cookie")) == (503, None)


def test_without_a_secret_no_cookie_lets_anybody_in(erp):
    run(erp, "down")
    ticket = Notice().ticket

    assert Client(erp).get("/", headers={"Cookie": f"so_maintenance={ticket}"}).status == 503


@pytest.mark.parametrize(
    ("address", "status"),
    [("10.1.2.3", 200), ("10.2.0.1", 503), ("2001:db8::7", 200), ("192.0.2.9", 200)],
)
def test_allowed_addresses_and_networks_get_in(erp, address, status):
    run(erp, "down", "--allow=10.1.0.0/16, 2001:db8::/32", "--allow=192.0.2.9")

    assert Client(erp).get("/", headers={"X-Forwarded-For": address}).status == status


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--allow=10.1.0.0/99"], "'10.1.0.0/99' is no address or network"),
        (["--secret=short"], "8 characters or more"),
        (["--secret=with/a/slash"], "no /"),
        (["--retry=soon"], "--retry='soon' is no number of seconds"),
        (["--retry=0"], "use 1 or more"),
    ],
)
def test_what_cannot_work_is_refused_and_nothing_goes_down(erp, argv, message, capsys):
    assert run(erp, "down", *argv) != 0

    assert message in capsys.readouterr().err
    assert Client(erp).get("/").status == 200


@pytest.mark.parametrize("text", ["", "{", "[]", '{"retry_seconds": "x"}', '{"allow": ["x"]}'])
def test_a_notice_that_cannot_be_read_still_means_down(tmp_path, text):
    state = Maintenance(tmp_path / "down.json")
    state.path.write_text(text)

    assert state.notice().message == MESSAGE


def test_the_notice_can_be_read_by_the_services_and_not_by_everybody(tmp_path):
    state = Maintenance(tmp_path / "storage" / "down.json")

    state.begin(Notice(secret="tea-at-five"))

    assert state.path.stat().st_mode & 0o777 == 0o640
    assert json.loads(state.path.read_text())["secret"] == "tea-at-five"


def test_a_wrong_network_is_refused_in_words():
    with pytest.raises(ConfigError, match=r"write 10\.0\.0\.7 or 10\.0\.0\.0/8"):
        Notice(allow=("localhost",))


def test_up_says_when_it_was_not_down(erp, capsys):
    assert run(erp, "up") == 0

    assert "It was not down." in capsys.readouterr().out


def test_workers_take_no_job_until_up(erp):
    erp.install_tables()
    dispatch(Note()).send()
    run(erp, "down")
    assert not Worker(queue()).run_one()

    run(erp, "up")

    assert Worker(queue()).run_one()
    assert ran == ["note"]


def test_the_schedule_begins_nothing_until_up(erp, capsys):
    erp.install_tables()
    queue().schedule.call(lambda: ran.append("call")).every_minute().name("each")
    queue().schedule.is_defined = True
    run(erp, "down")

    assert run(erp, "schedule:run") == 0

    assert ran == []
    assert "nothing is begun until `up`" in capsys.readouterr().out
