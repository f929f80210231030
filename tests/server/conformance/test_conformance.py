"""Every case against a real server process, over real sockets."""

import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from tests.server.conformance.cases import CASES
from tests.server.conformance.runner import Client, check
from tests.server.processes import Server, free_port, serving


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    log = tmp_path_factory.mktemp("conformance") / "server.log"
    app = "tests.server.conformance.app:application"
    with serving(app, log, workers=1, threads=2, pages="off") as running:
        yield running


def test_there_are_at_least_two_hundred_cases_and_each_has_a_name_of_its_own():
    assert len(CASES) >= 200
    assert len({case.name for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.clause}: {case.name}")
def test_case(case, server):
    check(case, server.address)


def test_100_continue_is_sent_before_the_body_is(server):
    with Client(server.address) as client:
        client.send(
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n"
        )
        while b"\r\n\r\n" not in client.buffer:
            assert client._more()
        assert client.buffer == b"HTTP/1.1 100 Continue\r\n\r\n"

        client.send(b"abc")
        assert client.read().status == 200


def test_a_request_cut_at_any_byte_is_the_same_request(server):
    raw = (
        b"POST /a?b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    )
    for place in range(1, len(raw)):
        with Client(server.address) as client:
            client.send(raw[:place])
            client.send(raw[place:])
            answer = client.read()
            assert (answer.status, b'"body": "abc"' in answer.body) == (200, True)


def test_a_half_closed_connection_is_still_answered(server):
    with Client(server.address) as client:
        client.send(b"GET /three HTTP/1.1\r\nHost: a\r\n\r\n" * 3)
        client.link.shutdown(1)

        assert [client.read().body for _ in range(3)] == [b"bye"] * 3
        assert client.has_ended()


@pytest.mark.parametrize(
    "raw",
    [
        b"GET / HT",
        b"GET / HTTP/1.1\r\nHost: a\r\nA: ",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
    ],
)
def test_a_request_that_ends_in_the_middle_is_refused(server, raw):
    with Client(server.address) as client:
        client.send(raw)
        client.link.shutdown(1)

        assert client.read().status == 400
        assert client.has_ended()


SIMPLE = """
from so.server.simple import serve_simple
from tests.server.conformance.app import application
serve_simple(application, port=%d)
"""
OF_A_LINK_THAT_STAYS = {"connection", "transfer-encoding"}


def test_the_simple_server_takes_the_same_for_a_request(tmp_path):
    """`serve --simple` answers one request of each connection, and that as the other one does."""
    port = free_port()
    server = Server([sys.executable, "-c", SIMPLE % port], port, tmp_path / "log")
    server.wait_ready()

    def fault(case):
        answers = {k: v for k, v in case.answers.items() if k not in OF_A_LINK_THAT_STAYS}
        told = case.told if len(case.statuses) == 1 else {}
        alone = replace(case, statuses=case.statuses[:1], kept=False, answers=answers, told=told)
        try:
            check(alone, server.address)
        except Exception as error:
            return f"{case.name}: {error}"

    with ThreadPoolExecutor(8) as crowd:
        assert [found for found in crowd.map(fault, CASES) if found] == []
    assert server.stop() == 0
    assert "Traceback" not in server.log.read_text()
