"""An office behind one address gets in; whoever guesses from it gets five tries."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from so import DB
from tests.systems.auth.accounts.conftest import CHEAP, JSON, PASSWORD, browser, worker

OFFICE = 50


@pytest.fixture
def office(erp: Any) -> Any:
    hashed = CHEAP.make(PASSWORD)
    DB.table("workers").insert(
        [{"name": f"W{n}", "email": f"w{n}@x.y", "password": hashed} for n in range(OFFICE)]
    )
    return erp


def status_of(erp: Any, email: Any, password: str = PASSWORD) -> int:
    given = {"email": email, "password": password}
    answer = browser(erp).post("/login", json=given, headers=JSON)
    return 200 if answer.status == 200 and answer.json()["ok"] else answer.status


@pytest.mark.parametrize("users", [12, OFFICE])
def test_colleagues_who_log_in_at_once_all_get_in(office: Any, users: int):
    with ThreadPoolExecutor(16) as pool:
        seen = list(pool.map(lambda n: status_of(office, f"w{n}@x.y"), range(users)))

    assert seen == [200] * users


def test_colleagues_who_log_in_one_after_the_other_all_get_in(office: Any):
    assert [status_of(office, f"w{n}@x.y") for n in range(12)] == [200] * 12


def test_a_guesser_among_them_is_looked_at_five_times(office: Any):
    def attempt(number: int) -> int | None:
        if number % 2:
            return status_of(office, f"w{number}@x.y")
        browser_ = browser(office)
        given = {"email": "w0@x.y", "password": f"guess {number}"}
        return browser_.post("/login", json=given, headers=JSON).status * -1

    with ThreadPoolExecutor(16) as pool:
        seen = list(pool.map(attempt, range(40)))

    assert seen.count(-200) == 5  # looked at, and wrong
    assert seen.count(-429) == 15


def test_one_account_guessed_at_from_many_addresses_by_many_spellings(erp: Any):
    worker("ada@x.y")
    looked_at = 0
    for number, name in enumerate(["ada@x.y", "ADA@X.Y", " ada@x.y ", "ａda@x.y"] * 6):
        answer = browser(erp).post(
            "/login",
            json={"email": name, "password": "guess"},
            headers=JSON,
            environ={"REMOTE_ADDR": f"10.0.0.{number}"},
        )
        looked_at += answer.status == 200

    assert looked_at == 5


def test_names_that_a_collation_takes_for_an_account_are_no_way_around(erp: Any):
    worker("u0@x.y")
    names = ["ü0@x.y", "ú0@x.y", "U\u03080@x.y", "u\u200b0@x.y", "u0@x.y\x00", "ⓤ0@x.y\u00ad"]

    for number, name in enumerate(names):
        answer = browser(erp).post(
            "/login",
            json={"email": name, "password": PASSWORD},
            headers=JSON,
            environ={"REMOTE_ADDR": f"10.0.0.{number}"},
        )
        assert answer.json() == {"ok": False}, name
