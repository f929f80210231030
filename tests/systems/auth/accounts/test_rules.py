"""What a new password must be."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from so import Password, accounts, validate
from so.errors import ValidationException
from so.systems.auth.rules import common
from tests.systems.auth.accounts.conftest import NEW, PASSWORD, worker


def faults(rule: Any, password: Any, **data: Any) -> list[str]:
    try:
        validate({"password": password, **data}, {"password": ["required", rule]})
    except ValidationException as error:
        return error.errors["password"]
    return []


@pytest.mark.parametrize(
    ("rule", "good", "bad"),
    [
        (Password.min(8), "12345678", "1234567"),
        (Password.min(1).max(5), "12345", "123456"),
        (Password.min(1).letters(), "1é", "12-"),
        (Password.min(1).mixed_case(), "aB", "ab1"),
        (Password.min(1).numbers(), "a1", "ab-"),
        (Password.min(1).symbols(), "a-", "ab 1"),
        (Password.min(1).not_common(), "Kx7-tower", "iloveyou"),
        (
            Password.min(12).letters().mixed_case().numbers().symbols(),
            "Ax7-tower-lamp",
            "ax7-tower",
        ),
    ],
)
def test_each_step_of_a_rule_asks_for_one_thing(rule: Any, good: str, bad: str):
    assert faults(rule, good) == []
    assert faults(rule, bad) != []


def test_all_that_is_wrong_is_said_at_once():
    said = faults(Password.min(12).mixed_case().numbers().symbols(), "tower")

    assert said == [
        "The password field must be at least 12 characters.",
        "The password field must contain at least one uppercase and one lowercase letter.",
        "The password field must contain at least one number.",
        "The password field must contain at least one symbol.",
    ]


def test_the_list_is_offline_and_long():
    assert len(common()) > 10_000


@pytest.mark.parametrize(
    "password",
    ["password", "PassWord", "Password2026!", "!!dragon99", "letmeinletmein", " qwerty "],
)
def test_common_passwords_are_known_with_digits_and_signs_around_them(password: str):
    assert faults(Password.min(1).not_common(), password) != []


def test_a_file_adds_to_the_list(tmp_path: Path):
    (tmp_path / "own.txt").write_text("Sixorbit-Rocks\n")
    rule = Password.min(1).not_common(str(tmp_path / "own.txt"))

    assert faults(rule, "sixorbit-rocks") != []
    assert faults(rule, "tower-of-lamps") == []


@pytest.mark.parametrize("password", ["adaking-was-here", "xxADAxx-1234", "ada.king@example.com!"])
def test_names_and_addresses_are_no_passwords(password: str):
    rule = Password.min(1).unlike("name", "email")

    assert faults(rule, password, name="Ada King", email="ada.king@example.com") != []
    assert faults(rule, "tower-of-lamps", name="Ada King", email="ada.king@example.com") == []
    assert faults(rule, "tower-of-lamps", name="Al", email=None) == []


@pytest.mark.parametrize("value", [5, ["x"], {"a": 1}, True])
def test_a_password_is_text(value: Any):
    assert faults(Password.min(1), value) == ["The password field must be a string."]


def test_one_rule_serves_many_threads_and_mixes_nothing_up():
    rule = Password.min(1).unlike("name")

    def check(number: int) -> bool:
        name = f"person{number:04}"
        return faults(rule, f"x-{name}", name=name) != [] and not faults(rule, "lamp", name=name)

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(check, range(200)))


def test_earlier_passwords_do_not_come_again(erp, ada):
    rule = Password.min(1).not_used(3).for_user(ada)
    passwords = [PASSWORD, "one lamp of three", "two lamps of three", "three lamps of three"]
    for password in passwords[1:]:
        accounts().change_password(ada, password)

    said = "The password must not be one of your last 3 passwords."
    assert faults(rule, passwords[3]) == [said]  # the present one
    assert faults(rule, passwords[2]) == [said]
    assert faults(rule, passwords[1]) == [said]
    assert faults(rule, passwords[0]) == []


def test_passwords_that_the_application_sets_itself_are_remembered_too(erp, ada):
    ada.update({"password": erp.make("hasher").make(NEW)})

    assert accounts().has_used(ada, PASSWORD, 2)
    assert not accounts().has_used(ada, PASSWORD, 1)


def test_the_settings_say_what_default_is(make_app):
    make_app(password={"min": 8, "numbers": True, "not_common": False, "not_used": 2})
    ada = worker("ada@x.y", "Ada King")

    assert faults(Password.default(), "lamps-77") == []
    assert faults(Password.default(), "lamps-seven") != []
    assert faults(Password.default().for_user(ada), "adaking-77") != []
    assert faults(Password.default().for_user(ada), PASSWORD + "7") == []


def test_a_text_is_the_name_of_the_column(make_app):
    app = make_app(password="password")

    assert app.make("users").column == "password"
    assert faults(Password.default(), "short") != []
