"""Hashes of passwords: strength, exactness, and what a planted hash cannot do."""

from __future__ import annotations

import hashlib
import re
import threading
from typing import Any

import pytest

from so.errors import ConfigError, ServiceUnavailableException
from so.systems.auth import Hash, PasswordHasher, legacy_sha1

cheap = PasswordHasher(ln=4, r=1, p=1)


def test_a_hash_of_default_strength_is_the_one_owasp_asks_for_and_works():
    hashed = Hash.make("correct horse")

    assert re.fullmatch(r"\$scrypt\$ln=15,r=8,p=3\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}", hashed)
    assert Hash.check("correct horse", hashed)
    assert not Hash.needs_rehash(hashed)


def test_the_same_password_gives_another_hash_each_time():
    assert cheap.make("x") != cheap.make("x")


@pytest.mark.parametrize(
    "password",
    [
        "",
        " leading and trailing ",
        "nul\x00inside",
        "nul behind\x00",
        "\x00",
        "😀" * 20,
        "x" * 1000,
        "\ud800",
        "é",
        "e\u0301",
    ],
)
def test_passwords_are_taken_exactly_as_they_are(password: str):
    hashed = cheap.make(password)

    assert cheap.check(password, hashed)
    assert not cheap.check(password + "x", hashed)
    assert not cheap.check(password + "\x00", hashed)
    assert not cheap.check(password.rstrip("\x00"), hashed) or not password.endswith("\x00")
    assert not cheap.check(password.strip() + " ", hashed) or password == password.strip() + " "


def test_differently_composed_letters_are_different_passwords():
    assert not cheap.check("e\u0301", cheap.make("é"))


def test_a_password_of_megabytes_is_refused_before_it_costs_anything():
    with pytest.raises(ValueError, match="4096"):
        cheap.make("x" * 10_000_000)
    assert cheap.check("x" * 10_000_000, cheap.make("x")) is False


@pytest.mark.parametrize(
    "planted",
    [
        None,
        "",
        "plain text",
        "$2y$12$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ0123",
        "$scrypt$ln=30,r=8,p=1$AAAAAAAAAAAAAAAAAAAAAA$" + "A" * 43,
        "$scrypt$ln=4,r=1,p=99$AAAAAAAAAAAAAAAAAAAAAA$" + "A" * 43,
        "$scrypt$ln=0,r=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$" + "A" * 43,
        "$scrypt$ln=4,r=1,p=1$A$" + "A" * 43,
        "$scrypt$ln=4,r=1,p=1$AAAAA$" + "A" * 43,
        "$scrypt$ln=4,r=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$" + "A" * 43 + "\n",
    ],
)
def test_a_foreign_or_planted_hash_fits_nothing_and_is_to_be_renewed(planted: str | None):
    assert cheap.check("x", planted) is False
    assert cheap.needs_rehash(planted)
    assert not cheap.is_hash(planted)


def test_a_hash_of_other_strength_is_checked_by_its_own_parameters_and_is_to_be_renewed():
    weak = PasswordHasher(ln=2, r=1, p=1).make("x")

    assert cheap.check("x", weak)
    assert cheap.needs_rehash(weak)


def test_nobodys_password_never_fits():
    assert cheap.check_level("x", None) is False


class Recording(PasswordHasher):
    """Adds up what scrypt is asked for."""

    work = 0

    def _derive(self, raw: bytes, salt: bytes, cost: Any) -> bytes:
        self.work += cost.work
        return super()._derive(raw, salt, cost)

    def spent_on(self, stored: str | None, password: str = "wrong") -> int:
        self.work = 0
        self.check_level(password, stored)
        return self.work


@pytest.mark.parametrize("old", [{"ln": 2}, {"ln": 3, "p": 2}, {"ln": 4, "p": 3}, {"ln": 6}])
def test_after_the_strength_was_changed_no_wrong_password_tells_who_exists(old: dict[str, int]):
    stored = PasswordHasher(**{"ln": 4, "r": 1, "p": 1, **old}).make("x")
    hasher = Recording(ln=4, r=1, p=1)
    new = hasher.make("x")
    hasher.spent_on(stored)  # from the first login with a dearer hash on

    assert hasher.spent_on(stored) == hasher.spent_on(new) == hasher.spent_on(None)
    assert hasher.check_level("x", stored)
    assert hasher.check_level("x", new)


@pytest.mark.parametrize("cost", [{"ln": 30}, {"ln": 4, "p": 17}, {"ln": 0}, {"ln": 4, "r": 0}])
def test_a_strength_that_cannot_be_borne_is_refused_at_the_start(cost: dict[str, int]):
    with pytest.raises(ConfigError, match="scrypt"):
        PasswordHasher(**cost)


def test_only_so_many_hashes_are_computed_at_once_and_the_rest_wait(monkeypatch):
    hasher = PasswordHasher(ln=4, r=1, p=1, max_concurrent=2)
    running, most, guard = 0, 0, threading.Lock()
    real, pause = hashlib.scrypt, threading.Event()

    def counted(*arguments: object, **options: object) -> bytes:
        nonlocal running, most
        with guard:
            running += 1
            most = max(most, running)
        pause.wait(0.01)
        with guard:
            running -= 1
        return real(*arguments, **options)

    monkeypatch.setattr(hashlib, "scrypt", counted)
    threads = [threading.Thread(target=hasher.make, args=("x",)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert most == 2


def test_who_waits_too_long_is_told_to_come_back():
    hasher = PasswordHasher(ln=4, r=1, p=1, max_concurrent=1, wait_seconds=0.01)
    hasher._turns.acquire()

    with pytest.raises(ServiceUnavailableException) as caught:
        hasher.make("x")

    assert caught.value.headers["Retry-After"] == "5"


def test_the_original_frameworks_hashes_can_be_checked():
    salt = hashlib.md5(b"pepper").hexdigest()
    old = hashlib.sha1(f"{salt}secret".encode()).hexdigest()
    check = legacy_sha1("pepper")

    assert check("secret", old)
    assert check("secret", old.upper())
    assert not check("Secret", old)
    assert not check("secret", "é")
