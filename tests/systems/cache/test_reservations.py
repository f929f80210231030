"""Attempts that may come to count: reserved first, settled later, on both engines and in memory."""

from __future__ import annotations

import logging
import multiprocessing
import threading
import time

import pytest

from so.db.manager import Database
from so.errors import CacheError
from so.support.clock import Clock
from so.systems.cache import DatabaseCounters, MemoryCounters, RateLimiter, SteadyCounters


@pytest.fixture(params=["sqlite", "mysql", "memory"])
def limiter(request, clock):
    if request.param == "memory":
        return RateLimiter(MemoryCounters(clock), "so")
    return RateLimiter(
        DatabaseCounters(request.getfixturevalue(f"{request.param}_db"), clock), "so"
    )


def test_what_is_given_back_leaves_no_trace(limiter):
    for _ in range(12):
        limiter.reserve("office", 5).give_back()

    assert limiter.attempts("office") == 0
    assert limiter.remaining("office", 5) == 5


def test_what_counts_uses_the_limit_up_and_the_next_is_refused_at_once(limiter):
    for _ in range(5):
        limiter.reserve("guesser", 5).count()

    assert limiter.attempts("guesser") == 5
    assert limiter.reserve("guesser", 5) is None
    assert limiter.available_in("guesser") == 60


def test_places_that_are_held_are_not_given_twice(limiter):
    held = [limiter.reserve("k", 3) for _ in range(3)]

    assert limiter.reserve("k", 3, wait_seconds=0) is None
    assert limiter.attempts("k") == 0

    held[0].give_back()
    assert limiter.reserve("k", 3, wait_seconds=0) is not None


def test_counted_hits_and_held_places_share_the_limit(limiter):
    limiter.hit("k", 60)
    held = limiter.reserve("k", 2)

    assert limiter.reserve("k", 2, wait_seconds=0) is None

    held.count()
    assert limiter.attempts("k") == 2


def test_a_place_is_settled_once(limiter):
    held = limiter.reserve("k", 5)
    held.count()
    held.count()
    held.give_back()

    assert limiter.attempts("k") == 1


def test_a_place_counts_in_the_next_window_if_its_own_has_ended(limiter, clock):
    held, other = limiter.reserve("k", 5), limiter.reserve("k", 5)
    clock.travel(61)
    held.count()
    other.give_back()

    assert limiter.attempts("k") == 1
    assert limiter.available_in("k") == 60


def test_a_place_that_was_never_settled_is_free_with_the_next_window(limiter, clock):
    limiter.reserve("k", 1)
    clock.travel(60)

    assert limiter.reserve("k", 1, wait_seconds=0) is not None


def test_a_window_that_was_cleared_meanwhile_never_counts_below_zero(limiter):
    held = [limiter.reserve("k", 5) for _ in range(3)]
    limiter.clear("k")
    for one in held:
        one.give_back()

    assert limiter.attempts("k") == 0
    assert [limiter.hit("k") for _ in range(2)] == [1, 2]


def test_a_hit_in_a_new_window_forgets_the_places_of_the_old_one(limiter, clock):
    limiter.reserve("k", 2)
    clock.travel(60)
    limiter.hit("k")

    assert limiter.reserve("k", 2, wait_seconds=0) is not None


@pytest.mark.parametrize("by", [-1, 0, True, 1.5, "1"])
def test_what_was_counted_is_not_taken_back(limiter, by):
    with pytest.raises(CacheError, match="reserve"):
        limiter.hit("k", 60, by)

    assert limiter.hit("k") == 1


def test_a_limit_of_none_gives_no_place(limiter):
    assert limiter.reserve("k", 0, wait_seconds=0) is None


@pytest.mark.parametrize("users", [12, 50])
def test_as_many_as_like_get_in_at_once_when_nothing_counts(db_config, users):
    limiter = RateLimiter(DatabaseCounters(Database({"default": db_config}), Clock()), "so")
    places = []

    def attempt():
        place = limiter.reserve("office", 5)
        time.sleep(0.005)  # a password is looked at
        if place is not None:
            place.give_back()
        places.append(place)

    threads = [threading.Thread(target=attempt) for _ in range(users)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(places) == users
    assert None not in places


def _guess(config, times, allowed):
    limiter = RateLimiter(DatabaseCounters(Database({"default": config})), "so")
    places = [limiter.reserve("victim", 5, 3600) for _ in range(times)]
    for place in places:
        if place is not None:
            place.count()
    allowed.put(sum(place is not None for place in places))


def test_four_processes_that_guess_get_five_attempts_in_all(db_config):
    context = multiprocessing.get_context("fork")
    allowed = context.SimpleQueue()
    children = [
        context.Process(target=_guess, args=(db_config, 1 if n else 2, allowed)) for n in range(8)
    ]
    for child in children:
        child.start()
    for child in children:
        child.join(60)

    assert sum(allowed.get() for _ in children) == 5


class Away:
    """Counters whose database cannot be reached."""

    def __init__(self, clock):
        self.clock = clock
        self.asked = 0

    def __getattr__(self, name):
        def ask(*args):
            self.asked += 1
            raise OSError("connection refused")

        return ask


def test_with_the_database_away_each_process_counts_alone_and_says_so_once(clock, caplog):
    away = Away(clock)
    limiter = RateLimiter(SteadyCounters(away, clock), "so")

    with caplog.at_level(logging.WARNING, "so.cache"):
        results = [limiter.attempt("login", 2, lambda: "in") for _ in range(4)]
        limiter.reserve("other", 1).count()

    assert results == ["in", "in", False, False]
    assert limiter.reserve("other", 1) is None
    assert len(caplog.records) == 1
    assert "connection refused" in caplog.text
    assert away.asked == 1  # nobody else waited to find that out


def test_counters_in_memory_stay_bounded_and_keep_what_ends_last(clock):
    counters = MemoryCounters(clock, most=100)
    counters.hit("kept", 3600, 1)
    for number in range(1000):
        counters.hit(f"k{number}", 60, 1)

    assert len(counters._windows) <= 100
    assert counters.read("kept")[0] == 1
