"""The middleware `throttle:60,1` and `throttle:name`: so many requests, then 429.

Counted for each user, or for each address where nobody is logged in. The limiter is the cache
system's; while it cannot be reached, each process counts for itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from math import inf
from typing import Any

from so.edge.session import AUTH
from so.errors import RouteDefinitionError, TooManyRequestsException
from so.http.request import Request
from so.http.response import Response
from so.support import numbers
from so.support.clock import Clock
from so.support.scope import current_scope
from so.systems.cache import RateLimiter

Make = Callable[[Any], Any]


class Throttle:
    """Counts requests and refuses those above a limit."""

    def __init__(self, limiter: RateLimiter, clock: Clock) -> None:
        self._limiter, self._clock = limiter, clock

    @staticmethod
    def check(make: Make, limit: str = "60", minutes: str = "1") -> None:
        """RouteDefinitionError for minutes that are no number above 0."""
        _seconds(minutes)

    @staticmethod
    def check_at_boot(make: Make, limit: str = "60", minutes: str = "1") -> None:
        """RouteDefinitionError for the name of a limit that nobody has defined."""
        if not _is_number(limit) and make(RateLimiter).limiter(limit) is None:
            raise _unknown(limit)

    def handle(
        self,
        request: Request,
        next: Callable[[Request], Response],
        limit: str = "60",
        minutes: str = "1",
    ) -> Response:
        """*limit* is a number of requests in *minutes*, or the name of a defined limit."""
        tightest: tuple[int, int] | None = None
        for key, most, seconds in self._limits(request, limit, minutes):
            left = most - self._limiter.hit(key, seconds)
            if left < 0:
                self._refuse(key, most)
            if tightest is None or left < tightest[1]:
                tightest = (most, left)
        response = next(request)
        if tightest is not None and tightest[1] <= _left_within(response):
            response.header("X-RateLimit-Limit", tightest[0])
            response.header("X-RateLimit-Remaining", tightest[1])
        return response

    def _limits(self, request: Request, limit: str, minutes: str) -> Iterable[tuple[str, int, int]]:
        """(key, requests, seconds) of each limit that holds for this request."""
        who = _client(request)
        if _is_number(limit):
            seconds = _seconds(minutes)
            return [(f"throttle:{limit}:{seconds}:{who}", int(limit), seconds)]
        define = self._limiter.limiter(limit)
        if define is None:
            raise _unknown(limit)
        found = define(request)
        if found is None:
            return []
        limits = found if isinstance(found, (list, tuple)) else [found]
        # Each limit counts for itself, whatever its key: by the hour is not by the minute.
        return dict.fromkeys(
            (
                f"throttle:{limit}:{one.max_attempts}/{one.decay_seconds}:{one.key or who}",
                one.max_attempts,
                one.decay_seconds,
            )
            for one in limits
        )

    def _refuse(self, key: str, most: int) -> None:
        wait = max(1, self._limiter.available_in(key))
        raise TooManyRequestsException(
            headers={
                "Retry-After": str(wait),
                "X-RateLimit-Limit": str(most),
                "X-RateLimit-Remaining": "0",
                "X-RateLimit-Reset": str(int(self._clock.time()) + wait),
            }
        )


def _left_within(response: Response) -> float:
    """What another limit, nearer to the action, has said to be left."""
    return float(response.headers.get("X-RateLimit-Remaining") or inf)


def _is_number(limit: str) -> bool:
    return limit.isascii() and limit.isdecimal()


def _unknown(limit: str) -> RouteDefinitionError:
    return RouteDefinitionError(
        f"unknown limit {limit!r} in `throttle:{limit}`: define it with "
        f"rate_limiter().limit({limit!r}, …), or give a number"
    )


def _client(request: Request) -> str:
    """Who is counted: the user, if one is logged in, else the address."""
    scope = current_scope()
    auth = None if scope is None else scope.data.get(AUTH)
    key = None if auth is None else auth.key()
    if key is not None:
        return f"user:{key}"
    address = (request.ip() or "unknown").encode("utf-8", "replace")
    return f"ip:{hashlib.sha256(address).hexdigest()[:32]}"


def _seconds(minutes: str) -> int:
    try:
        seconds = int(numbers.amount(minutes) * 60)
    except ValueError:
        seconds = 0
    if seconds < 1:
        raise RouteDefinitionError(
            f"`throttle:…,{minutes}` needs a number of minutes above 0, such as `throttle:60,1`"
        )
    return seconds
