"""Slows down guessing: five failed logins a minute for each account, and for each address.

Failures are counted, not attempts. An attempt takes a place before the password is looked at and
gives it back if the password was right, so that a whole office behind one address gets in at
once, and a thousand guesses at once get five checks: who finds the places taken waits until it is
known what they were taken for. The counters are the cache system's.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

from so.errors import LockoutException, ServiceUnavailableException
from so.settings.auth import AuthSettings
from so.systems.auth.users import normal_name

ADDRESS, ACCOUNT = "login:address:", "login:account:"
WAIT_SECONDS = 20.0  # for a place, while others hash their passwords

logger = logging.getLogger("so.auth")


class GuessPlace(Protocol):
    """A place among the attempts of a window."""

    def count(self) -> object: ...
    def give_back(self) -> object: ...


class GuessCounter(Protocol):
    """What is needed of a rate limiter; the cache system's is one."""

    def reserve(
        self, key: str, max_attempts: int, decay: int = 60, wait_seconds: float = 10
    ) -> GuessPlace | None:
        """A place, or None where *max_attempts* have counted in this window."""
        ...

    def hit(self, key: str, decay: int = 60) -> int:
        """Count; how many there were in this window."""
        ...

    def available_in(self, key: str) -> int:
        """Seconds until the window ends."""
        ...

    def clear(self, key: str) -> Any:
        """Forget what was counted."""
        ...


class _Full(Exception):
    """All places of a window were taken by failures."""

    def __init__(self, wait_seconds: int) -> None:
        super().__init__(wait_seconds)
        self.wait_seconds = wait_seconds


class Attempt:
    """One attempt on its way; it has failed unless it is said to have succeeded."""

    def __init__(self) -> None:
        self.has_succeeded = False

    def succeeded(self) -> None:
        """The password was right: nothing counts."""
        self.has_succeeded = True


class LoginThrottle:
    """Counts the failures among logins; raises LockoutException once there were too many."""

    def __init__(
        self,
        limiter: GuessCounter | None,
        *,
        per_account: int = AuthSettings.attempts_per_account,
        per_address: int = AuthSettings.attempts_per_address,
        window_seconds: int = AuthSettings.attempt_window_seconds,
    ) -> None:
        """A limit of 0 is no limit, and without a *limiter* there is none."""
        self._limiter = limiter
        self._per_account, self._per_address = per_account, per_address
        self._window_seconds = window_seconds

    @contextmanager
    def attempt(
        self,
        account: str,
        address: str | None,
        device: str | None = None,
        on_lockout: Callable[[int], object] = lambda seconds: None,
    ) -> Iterator[Attempt]:
        """The block is one attempt at *account*; LockoutException instead of one too many.

        A *device* that the account's owner has logged in from is counted by itself, so that
        strangers who guess at the account cannot lock him out.
        """
        attempt, held = Attempt(), []
        try:
            for key, most in self._limits(account, address, device):
                held.append((key, self._place(key, most)))
            yield attempt
        except (_Full, ServiceUnavailableException) as error:
            for _, place in held:  # no password was looked at
                place.give_back()
            if not isinstance(error, _Full):
                raise
            logger.warning("too many logins for account %s from %s", account[:12], address)
            on_lockout(error.wait_seconds)
            raise LockoutException(error.wait_seconds) from None
        except BaseException:
            self._settle(held, attempt)
            raise
        self._settle(held, attempt)

    def asked(self, what: str, account: str, address: str | None) -> None:
        """Count that *what* was asked for; LockoutException once that was too often."""
        for name, most in ((account, self._per_account), (address, self._per_address)):
            if name is None or not most or self._limiter is None:
                continue
            key = f"{what}:{name}"
            place = self._limiter.reserve(key, most, self._window_seconds, 0)
            if place is None:
                raise LockoutException(max(1, self._limiter.available_in(key)))
            place.count()

    def is_first(self, what: str, seconds: int) -> bool:
        """True once for *what* within so many seconds; always where nothing is limited."""
        if self._limiter is None:
            return True
        digest = hashlib.sha256(what.encode("utf-8", "surrogatepass")).hexdigest()
        return self._limiter.hit(f"once:{digest}", seconds) == 1

    def _place(self, key: str, most: int) -> GuessPlace:
        assert self._limiter is not None
        place = self._limiter.reserve(key, most, self._window_seconds, WAIT_SECONDS)
        if place is None:
            raise _Full(max(1, self._limiter.available_in(key)))
        return place

    def _settle(self, held: list[tuple[str, GuessPlace]], attempt: Attempt) -> None:
        for key, place in held:
            if not attempt.has_succeeded:
                place.count()
                continue
            place.give_back()
            # Of the account its owner has come; others may be guessing from the same address.
            if key.startswith(ACCOUNT) and self._limiter is not None:
                self._limiter.clear(key)

    def _limits(
        self, account: str, address: str | None, device: str | None
    ) -> list[tuple[str, int]]:
        if self._limiter is None:
            return []
        keys = [
            (f"{ADDRESS}{address or 'unknown'}", self._per_address),
            (f"{ACCOUNT}{account}:{device or ''}", self._per_account),
        ]
        return [(key, most) for key, most in keys if most]


def account_of(credentials: object) -> str:
    """One name for all spellings of the same login: case, width and space make no difference.

    A hash, so that neither the limiter's table nor the log holds anybody's address.
    """
    given = credentials.items() if isinstance(credentials, Mapping) else ()
    parts = [
        f"{name}={normal_name(str(value))}"
        for name, value in sorted(given, key=lambda pair: str(pair[0]))
        if name != "password"
    ]
    return hashlib.sha256("\n".join(parts).encode("utf-8", "surrogatepass")).hexdigest()
