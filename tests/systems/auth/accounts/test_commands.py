"""`user:*`: everything about an account without a browser and without mail."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from so import Role, accounts
from so.console import Kernel
from so.console.output import Output
from tests.systems.auth.accounts.conftest import NEW, PASSWORD, Worker, browser, log_in


def run(erp: Any, *words: str) -> tuple[int, str]:
    out = io.StringIO()
    code = Kernel(erp).run(list(words), Output(out, out))
    return code, out.getvalue()


def test_a_user_is_created_with_a_password_and_roles(erp):
    Role.named("clerk")
    code, text = run(
        erp, "user:create", "bob@x.y", "--name=Bob", f"--password={NEW}", "--role=clerk"
    )

    assert (code, text) == (0, "User bob@x.y created.\n")
    assert log_in(browser(erp), "bob@x.y", NEW) is True
    assert Worker.first_where({"email": "bob@x.y"}).roles() == ["clerk"]


def test_without_a_password_it_prints_the_link_for_one(erp):
    code, text = run(erp, "user:create", "bob@x.y", "--name=Bob")

    assert code == 0
    token = text.strip().rpartition("/reset-password/")[2]
    accounts().reset(token, NEW)
    assert log_in(browser(erp), "bob@x.y", NEW) is True


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["ada@x.y", f"--password={NEW}"], "taken"),
        (["bob@x.y", "--password=short"], "at least 12"),
        (["bob@x.y", f"--password={NEW}", "--role=clrk"], "did you mean 'clerk'"),
    ],
)
def test_what_will_not_do_is_refused_and_nobody_made(erp, ada, words: list[str], said: str):
    Role.named("clerk")
    code, text = run(erp, "user:create", *words)

    assert code == 1
    assert said in text
    assert Worker.count() == 1


def test_the_password_is_set_and_ends_sessions(erp, ada):
    client = browser(erp)
    log_in(client)

    assert run(erp, "user:password", "ada@x.y", f"--password={NEW}")[0] == 0

    client.get("/me").assert_redirect("/login")
    assert log_in(browser(erp), password=NEW) is True
    assert run(erp, "user:password", "ada@x.y", "--password=short")[0] == 1
    assert run(erp, "user:password", "ada@x.y")[0] == 2


def test_the_link_for_a_new_password_is_printed(erp, ada):
    code, text = run(erp, "user:reset-link", "ADA@x.y")

    assert code == 0
    assert text.startswith("http://localhost/reset-password/")
    assert accounts().reset(text.strip().rpartition("/")[2], NEW).id == ada.id


def test_a_user_is_locked_and_unlocked(erp, ada):
    assert run(erp, "user:lock", "ada@x.y", "--reason=left", "--until=3d")[0] == 0
    assert log_in(browser(erp)) is False
    assert run(erp, "user:reset-link", "ada@x.y")[0] == 1
    assert "left" in str(erp.make("security").read(str(ada.id)).lock_reason)

    assert run(erp, "user:unlock", "ada@x.y")[0] == 0
    assert run(erp, "user:unlock", "ada@x.y")[0] == 1
    assert log_in(browser(erp)) is True


@pytest.mark.parametrize(
    ("until", "code"),
    [("2030-01-01", 0), ("2030-01-01T08:00", 0), ("12h", 0), ("soon", 2), ("0d", 2)],
)
def test_until_when_is_a_date_or_a_span(erp, ada, until: str, code: int):
    assert run(erp, "user:lock", "ada@x.y", f"--until={until}")[0] == code
    assert accounts().is_locked(ada) is (code == 0)


def test_unlocking_can_turn_the_second_factor_off(erp, ada):
    from tests.systems.auth.accounts.test_two_factor import enrolled

    enrolled(erp, ada)

    assert run(erp, "user:unlock", "ada@x.y", "--second-factor")[0] == 0
    assert log_in(browser(erp)) is True


def test_roles_are_given_shown_and_taken(erp, ada):
    Role.named("clerk")

    assert run(erp, "user:role", "ada@x.y") == (0, "no roles\n")
    assert run(erp, "user:role", "ada@x.y", "clerk") == (0, "clerk\n")
    code, text = run(erp, "user:role", "ada@x.y", "clrk")
    assert code == 1
    assert "did you mean 'clerk'" in text
    assert run(erp, "user:role", "ada@x.y", "boss", "--create") == (0, "boss, clerk\n")
    assert run(erp, "user:role", "ada@x.y", "clerk", "--remove") == (0, "boss\n")


def test_sessions_are_listed_and_ended(erp, ada):
    client = browser(erp)
    log_in(client)

    code, text = run(erp, "user:sessions", "ada@x.y", "--json")
    assert [one["ip"] for one in json.loads(text)] == ["127.0.0.1"]
    assert run(erp, "user:sessions", "ada@x.y", "--end") == (0, "1 sessions ended.\n")
    client.get("/me").assert_redirect("/login")


def test_users_are_listed(erp, ada):
    ada.assign_role("clerk")
    accounts().register({"email": "bob@x.y", "name": "Bob"}, PASSWORD)
    accounts().lock(Worker.first_where({"email": "bob@x.y"}))

    assert [one["email"] for one in json.loads(run(erp, "user:list", "--json")[1])] == [
        "ada@x.y",
        "bob@x.y",
    ]
    assert "bob@x.y" in run(erp, "user:list", "--locked")[1]
    assert "ada@x.y" not in run(erp, "user:list", "--locked")[1]
    assert "1 users" in run(erp, "user:list", "--role=clerk")[1]


@pytest.mark.parametrize(
    "command",
    ["user:password", "user:reset-link", "user:lock", "user:unlock", "user:role", "user:sessions"],
)
def test_nobody_is_an_error_that_says_so(erp, command: str):
    code, text = run(erp, command, "nobody@x.y")

    assert code == 1
    assert "there is no user with the address 'nobody@x.y'" in text
