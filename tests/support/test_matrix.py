"""The page of supported versions is written by what was run, and README says the same."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.matrix import MARKS, Cell, key_of, missing, written

ROOT = Path(__file__).parent.parent.parent
PAGE = f"before\n{MARKS[0]}\n{MARKS[1]}\nafter\n"


def cell(version: str, server: str, **counts: int) -> str:
    return Cell("python", version, "3.40.1", server, counts=counts).row("tests")


def test_a_row_takes_the_place_of_the_older_one_of_its_cell() -> None:
    page = PAGE
    for failed in (3, 0):
        row = cell("3.11.7", "MySQL 9.7.4", passed=9, failed=failed)
        page = written(page, {key_of(row): row})
    row = cell("3.9.1", "MySQL 9.7.4", passed=1)

    page = written(page, {key_of(row): row})

    rows = [line for line in page.splitlines() if line.startswith("| 3.")]
    assert [line.split(" | ")[:1] + line.split(" | ")[4:7] for line in rows] == [
        ["| 3.9.1", "1", "0", "0"],
        ["| 3.11.7", "9", "0", "0"],
    ]
    assert page.startswith("before\n")
    assert page.endswith("after\n")


def test_a_run_of_the_whole_takes_the_place_of_its_parts() -> None:
    page = PAGE
    parts = [("none", "tests/db"), ("MariaDB 10.11.19", "tests/db, its half")]
    others = [("MySQL 9.7.4", "tests/web, its half"), ("MySQL 8.4.8", "tests/db, its half")]
    wholes = [("MariaDB 10.11.19", "tests"), ("MySQL 9.7.4", "tests, its half")]
    for server, part in parts + others + wholes:
        row = f"| 3.13.0 | 3.40.1 | {server} | {part} | 1 | 0 | 0 | 2026-11-30 |"
        page = written(page, {key_of(row): row})

    rows = [key_of(line)[2:] for line in page.splitlines() if line.startswith("| 3.")]
    assert sorted(rows) == sorted([others[1], *wholes])


def test_what_was_not_run_is_named() -> None:
    rows = [cell(f"3.{minor}.0", "MariaDB 10.11.6") for minor in (11, 12, 14)]

    pythons = ["Python 3.13", "Python 3.15"]
    assert missing(rows) == [*pythons, "MariaDB 10.6", "MariaDB 11.8", "MySQL 8.4", "MySQL 9"]


def test_readme_promises_what_the_page_says() -> None:
    page = (ROOT / "docs" / "versions.md").read_text("utf-8")
    oldest = re.findall(r"^\| (Python|SQLite|MariaDB|MySQL) \| (\S+) and later", page, re.MULTILINE)

    promised = ", ".join(f"{name} {version}" for name, version in oldest)

    assert len(oldest) == 4
    assert f"Supported: {promised}," in (ROOT / "README.md").read_text("utf-8")
    assert f'requires-python = ">={oldest[0][1]}"' in (ROOT / "pyproject.toml").read_text("utf-8")


def test_a_test_is_in_the_half_of_the_engine_that_it_runs_on(
    engine: str, request: pytest.FixtureRequest
) -> None:
    marked = request.node.get_closest_marker("mysql") is not None

    assert marked is (engine == "mysql")


def test_a_test_that_asks_for_the_server_is_in_its_half(
    mysql_config: dict[str, object], request: pytest.FixtureRequest
) -> None:
    assert request.node.get_closest_marker("mysql") is not None
