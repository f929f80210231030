"""`make check` believes a record of the suite only of this very checkout, and only once."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.support.coverage_run import DATA, RECORD, digest, state, taken

WORDS = ("-n", "4")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A git checkout of which a record was kept."""
    (tmp_path / ".gitignore").write_text(".coverage*\n")
    (tmp_path / "code.py").write_text("one = 1\n")
    for command in (["init", "-q"], ["add", "."]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    (tmp_path / DATA).write_bytes(b"what was measured")
    record = {"state": state(tmp_path, WORDS), "data": digest(tmp_path / DATA)}
    (tmp_path / RECORD).write_text(json.dumps(record))
    return tmp_path


def test_the_record_of_an_unchanged_checkout_is_taken(checkout):
    assert taken(checkout, WORDS)


def test_it_is_taken_once(checkout):
    taken(checkout, WORDS)

    assert not taken(checkout, WORDS)


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "code.py").write_text("one = 2\n"),
        lambda folder: (folder / "code.py").chmod(0o755),
        lambda folder: (folder / "code.py").unlink(),
        lambda folder: (folder / "code.py").rename(folder / "other.py"),
        lambda folder: (folder / "new.py").write_text(""),
        lambda folder: (folder / DATA).write_bytes(b"of another run"),
        lambda folder: (folder / DATA).unlink(),
    ],
    ids=["content", "mode", "gone", "renamed", "new", "other data", "no data"],
)
def test_after_any_change_the_suite_runs_again(checkout, change):
    change(checkout)

    assert not taken(checkout, WORDS)


def test_a_run_of_part_of_the_suite_is_no_record_of_all_of_it(checkout):
    assert not taken(checkout, ("-n", "4", "tests/db"))


def test_another_environment_asks_for_a_run_of_its_own(checkout, monkeypatch):
    monkeypatch.setenv("SIXORBIT_TEST_MYSQL", "mysql://root@127.0.0.1:3399")

    assert not taken(checkout, WORDS)


def test_outside_a_git_checkout_there_is_none(tmp_path):
    assert state(tmp_path, WORDS) is None
