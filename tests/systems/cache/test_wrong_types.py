"""What is no key, no tag, no owner, no time and no number is refused alike by every store.

A text is never taken apart into its letters, a number never compared with a text, and nothing
that is refused leaves anything behind.
"""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from so.errors import CacheError, CacheTypeError
from so.systems.cache import Cache, Limit, MemoryCounters, RateLimiter, cached
from tests.systems.cache.test_cache import any_cache

__all__ = ["any_cache"]


def test_a_text_is_no_list_of_keys(any_cache: Cache):
    any_cache.put("a", 1)

    for call in (any_cache.forget_many, any_cache.many):
        with pytest.raises(CacheTypeError, match="letters"):
            call("ab")

    assert any_cache.get("a") == 1


@pytest.mark.parametrize(
    "ttl",
    ["60", b"5", True, False, [5], float("nan"), pytest.param(object(), id="an object")],
    ids=repr,
)
def test_what_is_no_time_is_no_time_to_live(any_cache: Cache, ttl: Any):
    with pytest.raises(CacheError, match="no time to live"):
        any_cache.put("a", 1, ttl)

    assert any_cache.missing("a")


@pytest.mark.parametrize("ttl", [float("inf"), 10**20, Decimal(60), timedelta(days=300_000)])
def test_a_time_to_live_may_be_as_long_as_one_likes(any_cache: Cache, ttl: Any):
    any_cache.put("a", 1, ttl)

    assert any_cache.get("a") == 1


@pytest.mark.parametrize("seconds", [-1, float("nan"), "5", [], True], ids=repr)
def test_what_is_no_time_holds_no_lock(any_cache: Cache, seconds: Any):
    with pytest.raises(CacheError):
        any_cache.lock("l", seconds).acquire()
    taken = any_cache.lock("m", 60)
    taken.acquire()
    with pytest.raises(CacheError):
        taken.refresh(seconds)


@pytest.mark.parametrize("seconds", [float("inf"), timedelta(minutes=1)], ids=repr)
def test_a_lock_may_be_held_for_a_timedelta_or_for_ever(any_cache: Cache, seconds: Any):
    lock = any_cache.lock("l", seconds)

    assert lock.acquire()
    assert lock.refresh()


@pytest.mark.parametrize("owner", [5, 0, True, b"ada", ["ada"], "", "x" * 256, "a\0"], ids=repr)
def test_an_owner_of_a_lock_is_a_text(any_cache: Cache, owner: Any):
    held = any_cache.lock("l", 60, "ada")
    held.acquire()

    with pytest.raises(CacheError, match="owns no lock"):
        any_cache.restore_lock("l", owner).release()

    assert held.is_owned_by_current_process()


@pytest.mark.parametrize("limit", [0, -1, 1.5, "2", None, True], ids=repr)
def test_a_semaphore_needs_a_whole_limit(any_cache: Cache, limit: Any):
    with pytest.raises(CacheError, match="whole limit"):
        any_cache.semaphore("s", limit, 5)


def test_a_place_of_a_semaphore_is_no_lock_that_anybody_names(any_cache: Cache):
    places = any_cache.semaphore("s", 1, 60)

    assert places.acquire()
    assert any_cache.lock("s#0", 60).acquire()
    assert not any_cache.semaphore("s", 1, 60).acquire()


@pytest.mark.parametrize("tag", [None, 5, b"x", ["a", None], {}], ids=repr)
def test_a_tag_is_a_text(any_cache: Cache, tag: Any):
    with pytest.raises(CacheTypeError, match="a tag is a text"):
        any_cache.tags(tag)


def test_an_entry_has_as_many_tags_as_its_row_can_hold(any_cache: Cache):
    names = [f"tag {number}" for number in range(64)]
    for name in names:
        any_cache.tags(name).flush()
    tagged = any_cache.tags(names)
    tagged.put("k", 1, 60)
    assert tagged.get("k") == 1

    any_cache.tags("tag 40").flush()

    assert tagged.get("k") is None
    with pytest.raises(CacheError, match="64 at most"):
        any_cache.tags(names, "one more")


@pytest.mark.parametrize("key", ["k" * 10_240, "ä" * 5_120], ids=["ascii", "ä"])
def test_a_key_of_ten_kilobytes_is_taken_by_every_call(any_cache: Cache, key: str):
    assert any_cache.remember(key, 60, lambda: 1) == 1
    assert any_cache.flexible(key, (5, 60), lambda: 2) == 1
    assert any_cache.lock(key, 5).acquire()
    assert any_cache.semaphore(key, 1, 5).acquire()
    assert any_cache.tags("a").remember(key, 60, lambda: 3) == 3
    assert any_cache.tags("a").get(key) == 3
    with pytest.raises(CacheError, match="at most"):
        any_cache.get(key + "k")


def test_a_cached_function_takes_arguments_of_any_length(any_cache: Cache):
    size = cached(60, cache=lambda: any_cache)(len)

    assert [size("x" * 20_000), size("y" * 20_000 + "z")] == [20_000, 20_001]


@pytest.mark.parametrize("decay", ["60", None, [], True, float("nan")], ids=repr)
def test_a_window_of_a_limit_is_a_time(decay: Any):
    limiter = RateLimiter(MemoryCounters())

    with pytest.raises(CacheError, match="no window"):
        limiter.hit("k", decay)

    assert limiter.attempts("k") == 0


@pytest.mark.parametrize("decay", [0, -1, timedelta(seconds=-1), timedelta(0)], ids=repr)
def test_a_window_of_no_time_counts_nothing_however_it_is_asked_for(decay: Any):
    limiter = RateLimiter(MemoryCounters())

    for call in (limiter.hit, lambda key, decay: limiter.attempt(key, 1, print, decay)):
        with pytest.raises(CacheError, match="counts nothing"):
            call("k", decay)


@pytest.mark.parametrize("make", [Limit, Limit.per_minute, Limit.per_day])
def test_a_limit_below_zero_is_none(make: Any):
    with pytest.raises(CacheError, match="-1 is no limit"):
        make(-1)


@pytest.mark.parametrize("most", ["5", None, 1.5, True, []], ids=repr)
def test_a_limit_is_a_whole_number_of_attempts(most: Any):
    limiter = RateLimiter(MemoryCounters())

    with pytest.raises(CacheError, match="no limit"):
        limiter.attempt("k", max=most, fn=lambda: 1)
    with pytest.raises(CacheError, match="no limit"):
        Limit.per_minute(most)

    assert limiter.attempts("k") == 0


@pytest.mark.parametrize("seconds", [0, -60, "60", float("nan")], ids=repr)
def test_a_named_limit_has_a_window(seconds: Any):
    with pytest.raises(CacheError, match="window"):
        Limit(5, seconds)


@pytest.mark.parametrize("stored", [2**63, 2**63 + 5, -(2**63), 2**64, -(10**30)])
def test_a_number_of_more_than_64_bits_is_not_counted_on(any_cache: Cache, stored: int):
    any_cache.put("n", stored)

    for by in (1, -1):  # one of them leads back among those that fit
        with pytest.raises(CacheTypeError, match="left as it is"):
            any_cache.increment("n", by)

    assert any_cache.get("n") == stored


@pytest.mark.parametrize("most", ["3", 1.5, True, None], ids=repr)
def test_what_is_no_number_of_attempts_is_not_compared_with_one(clock: Any, most: Any):
    limiter = RateLimiter(MemoryCounters(clock))

    for ask in (limiter.too_many_attempts, limiter.remaining, limiter.reserve):
        with pytest.raises(CacheError, match="whole number"):
            ask("login", most)
