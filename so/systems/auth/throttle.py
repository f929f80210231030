"""Slows down guessing: five failed logins a minute for each account, and for each address.

An attempt is counted against its account before the password is looked at, in one step of the
shared rate limiter, so that a thousand parallel attempts get five checks. When the limiter
cannot be reached this process counts for itself: logins stay limited, never unlimited.
"""

from __future__ import annotations

import hashlib
import logging
import math
import threading
import unicodedata
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar

from so.errors import LockoutException
from so.settings.auth import AuthSettings
from so.support.clock import Clock

T = TypeVar("T")
LOCAL_KEYS = 100_000
ADDRESS, ACCOUNT = "login:address:", "login:account:"

logger = logging.getLogger("so.auth")


class RateLimiter(Protocol):
    """What is needed of a rate limiter; the cache system's is one."""

    def hit(self, key: str, decay: int = 60, by: int = 1) -> int:
        """Count *by* → how many there are in this window of *decay* seconds."""
        ...

    def available_in(self, key: str) -> int:
        """Seconds until the window ends."""
        ...

    def clear(self, key: str) -> Any:
        """Forget what was counted."""
        ...


class LocalLimiter:
    """A rate limiter in this process's memory, for when there is no better one."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or Clock()
        self._windows: dict[str, tuple[int, float]] = {}
        self._lock = threading.Lock()

    def hit(self, key: str, decay: int = 60, by: int = 1) -> int:
        """Count *by* → how many there are in this window of *decay* seconds."""
        now = self._clock.time()
        with self._lock:
            count, ends = self._windows.get(key, (0, 0.0))
            if ends <= now:
                self._make_room(now)
                count, ends = 0, now + decay
            self._windows[key] = (count + by, ends)
            return count + by

    def _make_room(self, now: float) -> None:
        if len(self._windows) >= LOCAL_KEYS:
            self._windows = {k: w for k, w in self._windows.items() if w[1] > now}
        while len(self._windows) >= LOCAL_KEYS:
            self._windows.pop(next(iter(self._windows)))

    def available_in(self, key: str) -> int:
        """Seconds until the window ends."""
        _, ends = self._windows.get(key, (0, 0.0))
        return max(0, math.ceil(ends - self._clock.time()))

    def clear(self, key: str) -> None:
        """Forget what was counted."""
        with self._lock:
            self._windows.pop(key, None)


class SteadyLimiter:
    """A shared limiter with a local one behind it, for the times when the shared one fails."""

    def __init__(self, shared: RateLimiter | None, clock: Clock | None = None) -> None:
        self._shared = shared
        self._local = LocalLimiter(clock)

    def hit(self, key: str, decay: int = 60, by: int = 1) -> int:
        """Count *by* → how many there are in this window of *decay* seconds."""
        return self._try(lambda limiter: limiter.hit(key, decay, by))

    def available_in(self, key: str) -> int:
        """Seconds until the window ends."""
        return self._try(lambda limiter: limiter.available_in(key))

    def clear(self, key: str) -> None:
        """Forget what was counted."""
        self._try(lambda limiter: limiter.clear(key))

    def limiter(self, name: str) -> Callable[[Any], Any] | None:
        """The function behind the limit *name* of the shared limiter; None if there is none."""
        find = getattr(self._shared, "limiter", None)
        return find(name) if callable(find) else None

    def _try(self, ask: Callable[[RateLimiter], T]) -> T:
        if self._shared is not None:
            try:
                return ask(self._shared)
            except Exception:
                logger.exception("the rate limiter cannot be reached: this process counts alone")
        return ask(self._local)


class LoginThrottle:
    """Counts logins; `attempting` raises LockoutException once there were too many."""

    def __init__(
        self,
        limiter: RateLimiter | None = None,
        *,
        per_account: int = AuthSettings.attempts_per_account,
        per_address: int = AuthSettings.attempts_per_address,
        window_seconds: int = AuthSettings.attempt_window_seconds,
        clock: Clock | None = None,
    ) -> None:
        """A limit of 0 is no limit."""
        self._limiter = SteadyLimiter(limiter, clock)
        self._per_account, self._per_address = per_account, per_address
        self._window_seconds = window_seconds

    def attempting(self, account: str, address: str | None, device: str | None = None) -> None:
        """Count an attempt at *account*; raises LockoutException instead of letting it pass.

        A *device* that the account's owner has logged in from is counted by itself, so that
        strangers who guess at the account cannot lock him out.
        """
        for key, most in self._limits(account, address, device):
            if self._limiter.hit(key, self._window_seconds) > most:
                self._refuse(key, account, address)

    def succeeded(self, account: str, address: str | None, device: str | None = None) -> None:
        """Take back what a right login has cost: its owner has come."""
        for key, _ in self._limits(account, address, device):
            if key.startswith(ADDRESS):
                # Others may be guessing from the same address: only this one attempt is undone.
                self._limiter.hit(key, self._window_seconds, -1)
            else:
                self._limiter.clear(key)

    def _limits(
        self, account: str, address: str | None, device: str | None
    ) -> list[tuple[str, int]]:
        keys = [
            (f"{ADDRESS}{address or 'unknown'}", self._per_address),
            (f"{ACCOUNT}{account}:{device or ''}", self._per_account),
        ]
        return [(key, most) for key, most in keys if most]

    def _refuse(self, key: str, account: str, address: str | None) -> None:
        logger.warning("too many logins for account %s from %s", account[:12], address)
        raise LockoutException(max(1, self._limiter.available_in(key)))


def account_of(credentials: Mapping[str, Any]) -> str:
    """One name for all spellings of the same login: case, width and space make no difference.

    A hash, so that neither the limiter's table nor the log holds anybody's address.
    """
    parts = [
        f"{name}={unicodedata.normalize('NFKC', str(value)).casefold().strip()}"
        for name, value in sorted(credentials.items())
        if name != "password"
    ]
    return hashlib.sha256("\n".join(parts).encode("utf-8", "surrogatepass")).hexdigest()
