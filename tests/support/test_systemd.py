"""What is said to and heard from systemd, over a real datagram socket."""

import os
import socket

import pytest

from so.support import systemd
from so.support.systemd import Notifier


@pytest.fixture(params=["path", "abstract"])
def manager(request, tmp_path):
    address = str(tmp_path / "notify") if request.param == "path" else f"@so-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as inlet:
        inlet.bind("\0" + address[1:] if address.startswith("@") else address)
        inlet.settimeout(10)
        yield inlet, address


def test_each_state_is_sent_as_systemd_spells_it(manager):
    inlet, address = manager
    notifier = Notifier(address)

    assert notifier.ready("two\nworkers")
    assert notifier.status("busy")
    assert notifier.reloading()
    assert notifier.watchdog()
    assert notifier.stopping()

    said = [inlet.recv(1000).decode() for _ in range(5)]
    assert said[0] == "READY=1\nSTATUS=two workers"
    assert said[1] == "STATUS=busy"
    assert said[2].startswith("RELOADING=1\nMONOTONIC_USEC=")
    assert said[3:] == ["WATCHDOG=1", "STOPPING=1"]


def test_the_address_comes_from_the_environment(manager, monkeypatch):
    inlet, address = manager
    monkeypatch.setenv("NOTIFY_SOCKET", address)

    assert Notifier().ready()

    assert inlet.recv(1000) == b"READY=1"


def test_without_systemd_nothing_happens(monkeypatch):
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)

    assert not Notifier().ready()
    assert not Notifier().status("")


def test_a_manager_that_is_gone_is_no_error(tmp_path):
    assert not Notifier(str(tmp_path / "nobody")).ready()


@pytest.mark.parametrize(
    ("usec", "pid", "seconds"),
    [
        ("30000000", "", 15.0),
        ("30000000", "ours", 15.0),
        ("30000000", "1", None),
        ("0", "", None),
        ("", "", None),
        ("soon", "", None),
    ],
)
def test_the_watchdog_is_answered_at_half_its_limit(monkeypatch, usec, pid, seconds):
    monkeypatch.setenv("WATCHDOG_USEC", usec)
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()) if pid == "ours" else pid)

    assert systemd.watchdog_interval() == seconds


def test_inherited_sockets_are_handed_out_once_and_not_passed_on(monkeypatch):
    marked: list[tuple[int, bool]] = []
    monkeypatch.setattr(os, "set_inheritable", lambda *call: marked.append(call))
    monkeypatch.setenv("LISTEN_PID", str(os.getpid()))
    monkeypatch.setenv("LISTEN_FDS", "2")
    monkeypatch.setenv("LISTEN_FDNAMES", "web:api")

    assert systemd.listen_fds() == [3, 4]
    assert systemd.listen_fds() == []
    assert marked == [(3, False), (4, False)]
    assert not {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"} & set(os.environ)


@pytest.mark.parametrize(("pid", "count"), [("1", "2"), ("ours", "many"), ("", "")])
def test_sockets_meant_for_another_process_are_left_alone(monkeypatch, pid, count):
    monkeypatch.setenv("LISTEN_PID", str(os.getpid()) if pid == "ours" else pid)
    monkeypatch.setenv("LISTEN_FDS", count)

    assert systemd.listen_fds() == []
