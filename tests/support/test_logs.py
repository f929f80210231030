"""Logging channels: what a line looks like, where it goes, and what stands in its way."""

from __future__ import annotations

import json
import logging
import os
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from so.errors import ConfigError
from so.support import logs
from so.support.journal import JournalHandler
from so.support.scope import Scope, entered

NAME = "so.test_logs"


@pytest.fixture(autouse=True)
def _released():
    yield
    logs.release(NAME)


WHOLE = {"level": "debug", "channels": {}}


def configured(tmp_path: Path, **settings: object) -> logging.Logger:
    settings.setdefault("driver", "file")
    settings.setdefault("path", "a/so.log") if settings["driver"] in ("file", "daily") else None
    config = {"default": "it", "level": "debug", "channels": {"it": settings}}
    return logs.configure(config, NAME, tmp_path)


def written(tmp_path: Path) -> list[str]:
    return (tmp_path / "a/so.log").read_text().splitlines()


def test_a_line_has_time_level_logger_and_message(tmp_path):
    logger = configured(tmp_path)

    logger.warning("stock of %s is low", "A-17")

    [line] = written(tmp_path)
    time, rest = line.split(" ", 1)
    assert datetime.fromisoformat(time).tzinfo is not None
    assert rest == f"WARNING {NAME} [-] stock of A-17 is low"


def test_every_line_of_a_request_or_job_carries_its_id(tmp_path):
    logger = configured(tmp_path)

    with entered(Scope("request", request_id="req-1")):
        logger.info("one")
    with entered(Scope("job", request_id="job-2")):
        logger.info("two")
    logger.info("three", extra={"request_id": "given-3"})

    assert [line.split(" ")[3] for line in written(tmp_path)] == ["[req-1]", "[job-2]", "[given-3]"]


def test_a_newline_in_a_message_cannot_forge_a_second_entry(tmp_path):
    logger = configured(tmp_path)

    logger.info("bad\r\n2026-01-15T12:00:00Z ERROR forged \x1b[31m\u2028red\x85")

    [line] = written(tmp_path)
    assert r"bad\r\n2026-01-15T12:00:00Z ERROR forged \x1b[31m\u2028red\x85" in line


def test_a_traceback_follows_its_line_set_in(tmp_path):
    logger = configured(tmp_path)

    try:
        raise ValueError("broken\nERROR forged")
    except ValueError:
        logger.exception("import failed", stack_info=True)

    first, *rest = written(tmp_path)
    assert first.endswith("import failed")
    assert all(line.startswith("    ") for line in rest)
    assert "    ValueError: broken" in rest
    assert any("Stack (most recent call last)" in line for line in rest)


def test_context_is_written_with_its_secrets_masked(tmp_path):
    logger = configured(tmp_path)

    logger.info("login", extra={"context": {"user": 7, "password": "hunter2"}})

    assert written(tmp_path)[0].endswith('login {"user": 7, "password": "***"}')


def test_json_lines_are_one_object_each(tmp_path):
    logger = configured(tmp_path, format="json")

    with entered(Scope("job", request_id="job-9")):
        logger.info("zwölf\n\u2028", extra={"context": {"rows": 3}})
    try:
        raise KeyError("x")
    except KeyError:
        logger.exception("lost")

    one, two = [json.loads(line) for line in written(tmp_path)]
    assert one["message"] == "zwölf\n\u2028"
    assert (one["level"], one["request_id"], one["kind"]) == ("info", "job-9", "job")
    assert one["context"] == {"rows": 3}
    assert two["exception"].endswith("KeyError: 'x'")
    assert "request_id" not in two


def test_what_json_cannot_hold_is_told_as_text(tmp_path):
    logger = configured(tmp_path, format="json")

    logger.info("odd", extra={"context": {"ratio": float("nan")}})

    assert "nan" in json.loads(written(tmp_path)[0])


def test_levels_may_differ_by_channel(tmp_path):
    config = {
        "default": "both",
        "level": "debug",
        "channels": {
            "both": {"driver": "stack", "channels": ["all", "bad"]},
            "all": {"driver": "file", "path": "all.log"},
            "bad": {"driver": "file", "path": "bad.log", "level": "error"},
        },
    }
    logger = logs.configure(config, NAME, tmp_path)

    logger.debug("small")
    logger.error("big")

    assert len((tmp_path / "all.log").read_text().splitlines()) == 2
    assert len((tmp_path / "bad.log").read_text().splitlines()) == 1


def test_a_line_below_the_level_costs_no_formatting(tmp_path):
    logger = configured(tmp_path, level="error")

    assert not logger.isEnabledFor(logging.INFO)


def test_configuring_again_closes_the_channels_of_before(tmp_path):
    logger = configured(tmp_path)
    stranger = logging.NullHandler()
    logger.addHandler(stranger)
    [old] = [h for h in logger.handlers if h is not stranger]

    configured(tmp_path)

    assert old not in logger.handlers
    assert stranger in logger.handlers
    assert len(logger.handlers) == 2
    logger.removeHandler(stranger)


def test_neither_the_root_logger_nor_any_other_is_touched(tmp_path):
    root = logging.getLogger()
    before = (list(root.handlers), root.level, logging.getLogger("so").level)

    configured(tmp_path)

    assert (list(root.handlers), root.level, logging.getLogger("so").level) == before


def test_a_file_moved_by_logrotate_is_opened_anew(tmp_path):
    logger = configured(tmp_path)
    logger.info("before")

    (tmp_path / "a/so.log").rename(tmp_path / "a/so.log.1")
    logger.info("after")

    assert "before" in (tmp_path / "a/so.log.1").read_text()
    assert [line.endswith("after") for line in written(tmp_path)] == [True]


def test_a_log_file_is_not_readable_by_everybody(tmp_path):
    configured(tmp_path)

    assert (tmp_path / "a/so.log").stat().st_mode & 0o007 == 0


def test_lines_of_several_processes_do_not_mix(tmp_path):
    logger = configured(tmp_path)
    children = []
    for name in "xy":
        child = os.fork()
        if child == 0:
            for _ in range(200):
                logger.info(name * 3000)
            os._exit(0)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)

    lines = written(tmp_path)
    assert len(lines) == 400
    assert {len(set(line.rsplit(" ", 1)[1])) for line in lines} == {1}


def test_the_daily_channel_writes_one_file_a_day_and_clears_old_ones_away(tmp_path):
    today = datetime.now(UTC).date()
    folder = tmp_path / "a"
    folder.mkdir()
    old = [folder / f"so-{today - timedelta(days=n)}.log" for n in (1, 2, 3, 30)]
    for path in (*old, folder / "so-notes.log", folder / "other-2020-01-01.log"):
        path.write_text("x")

    logger = configured(tmp_path, driver="daily", days=3)
    logger.info("here")

    left = sorted(path.name for path in folder.iterdir())
    kept = [f"so-{today - timedelta(days=n)}.log" for n in (2, 1, 0)]
    assert left == ["other-2020-01-01.log", *kept, "so-notes.log"]
    assert "here" in (folder / kept[-1]).read_text()


def test_the_daily_channel_moves_on_at_midnight(tmp_path):
    logger = configured(tmp_path, driver="daily", days=0)
    record = logger.makeRecord(NAME, logging.INFO, "f", 1, "new year", (), None)
    record.created = datetime(2026, 1, 1, 0, 0, 1, tzinfo=UTC).timestamp()

    logger.handle(record)

    assert "new year" in (tmp_path / "a/so-2026-01-01.log").read_text()


def test_syslog_gets_the_line_with_facility_and_ident(tmp_path):
    path = str(tmp_path / "log.sock")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(path)
        server.settimeout(10)
        logger = configured(tmp_path, driver="syslog", address=path, facility="local3", ident="erp")

        logger.error("disk full")

        received = server.recv(4096)
    assert received.startswith(b"<155>erp: ")
    assert b"disk full" in received
    logs.release(NAME)


def test_syslog_may_be_another_machine(tmp_path):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(10)
        address = f"127.0.0.1:{server.getsockname()[1]}"
        logger = configured(tmp_path, driver="syslog", address=address)

        logger.info("over the wire")

        assert b"over the wire" in server.recv(4096)
    logs.release(NAME)


@pytest.fixture
def journal(tmp_path):
    path = str(tmp_path / "journal.sock")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(path)
        server.settimeout(10)
        handler = JournalHandler("erp", path)
        handler.setFormatter(logging.Formatter("%(message)s"))
        logger = logging.getLogger(NAME)
        logger.setLevel(logging.DEBUG)
        logger.addHandler(handler)
        yield logger, server
        logger.removeHandler(handler)
        handler.close()


def test_the_journal_gets_fields_to_search_by(journal):
    logger, server = journal

    with entered(Scope(request_id="r-5")):
        logger.warning("two\nlines")

    entry = server.recv(65536)
    assert b"MESSAGE\n" + (9).to_bytes(8, "little") + b"two\nlines\n" in entry
    assert b"\nPRIORITY=4\n" in entry
    assert b"\nSYSLOG_IDENTIFIER=erp\n" in entry
    assert entry.endswith(b"\nREQUEST_ID=r-5\n")


def test_an_entry_too_big_for_a_datagram_goes_to_the_journal_as_a_file(journal):
    logger, server = journal

    logger.debug("x" * 1_000_000)

    _, [descriptor], _, _ = socket.recv_fds(server, 16, 1)
    with os.fdopen(descriptor, "rb") as file:
        file.seek(0)
        content = file.read()
    assert content.startswith(b"MESSAGE=" + b"x" * 1_000_000 + b"\nPRIORITY=7\n")


def test_a_channel_that_cannot_be_opened_becomes_standard_error(tmp_path, capsys):
    (tmp_path / "a").write_text("not a folder")

    configured(tmp_path)

    said = capsys.readouterr().err
    assert "log channel 'it' cannot be opened" in said
    assert "logging to standard error instead" in said


def test_without_a_journal_lines_go_to_standard_error(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("so.support.journal.JournalHandler.__init__.__defaults__", ("so", "/no"))
    logger = configured(tmp_path, driver="journald")

    logger.info("still told")

    assert "still told" in capsys.readouterr().err


def test_a_file_that_vanished_for_good_does_not_stop_the_caller(tmp_path, capsys):
    logger = configured(tmp_path)
    (tmp_path / "a/so.log").unlink()
    (tmp_path / "a").rmdir()
    (tmp_path / "a").write_text("in the way")

    logger.info("lost")

    assert "Logging error" in capsys.readouterr().err


def test_a_driver_may_be_named_where_no_channel_is_defined(tmp_path):
    logger = logs.configure({**WHOLE, "default": "null"}, NAME)

    assert [type(h) for h in logger.handlers] == [logging.NullHandler]


@pytest.mark.parametrize(
    ("config", "mend"),
    [
        ({"default": "dialy", "channels": {"daily": {}}}, "did you mean 'daily'"),
        ({"default": "qqq", "channels": {"daily": {}}}, "use one of daily"),
        ({"default": "a", "channels": {"a": {"driver": "smoke"}}}, "unknown driver 'smoke'"),
        (
            {"default": "a", "channels": {"a": {"driver": "file", "pth": "x"}}},
            "did you mean 'path'",
        ),
        ({"default": "null", "level": "loud"}, "unknown log level 'loud'"),
        ({"default": "a", "channels": {"a": {"driver": "null", "format": "xml"}}}, "line or json"),
        ({"default": "a", "channels": {"a": {"driver": "stack", "channels": ["a"]}}}, "itself"),
        (
            {"default": "a", "channels": {"a": {"driver": "syslog", "facility": "usr"}}},
            "did you mean 'user'",
        ),
        (
            {"default": "a", "channels": {"a": {"driver": "syslog", "address": "here"}}},
            "socket path or host:port",
        ),
    ],
)
def test_a_misspelt_setting_says_what_was_meant(config, mend):
    with pytest.raises(ConfigError, match=mend):
        logs.configure({**WHOLE, **config}, NAME)


def test_the_shipped_configuration_opens_every_channel(tmp_path):
    from so.config import Config

    config = Config(Path(__file__).parents[2] / "config").get("logging")

    for channel in config["channels"]:
        logger = logs.configure(config | {"default": channel}, NAME, tmp_path)
        assert logger.handlers
