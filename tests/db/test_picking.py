"""The verbs of collections that Laravel's users look for, without a database."""

from __future__ import annotations

from decimal import Decimal

import pytest

from so.db.rows import Collection, Row
from so.errors import InvalidArgumentError, MultipleRecordsFoundError, RecordNotFoundError

PEOPLE = Collection(
    Row(one)
    for one in (
        {"id": 1, "name": "Ada", "age": 36},
        {"id": 2, "name": "Ben", "age": None},
        {"id": 3, "name": "Cyd", "age": 41},
    )
)
NUMBERS = Collection([1, 2, 3, 4, 5])


def is_even(number: int) -> bool:
    return number % 2 == 0


@pytest.mark.parametrize(
    ("pick", "found"),
    [
        (lambda c: c.where_null("age"), [2]),
        (lambda c: c.where_not_null("age"), [1, 3]),
        (lambda c: c.where_between("age", [30, 40]), [1]),
        (lambda c: c.where_between("age", 36, 41), [1, 3]),
        (lambda c: c.where_not_between("age", 30, 40), [2, 3]),
        (lambda c: c.where_instance_of(Row), [1, 2, 3]),
        (lambda c: c.where(lambda one: one.id > 1), [2, 3]),
        (lambda c: c.skip(1).values(), [2, 3]),
        (lambda c: c.nth(2), [1, 3]),
        (lambda c: c.nth(2, 1), [2]),
        (lambda c: c.slice(1), [2, 3]),
        (lambda c: c.slice(-2, 1), [2]),
        (lambda c: c.for_page(2, 2), [3]),
        (lambda c: c.take_while(lambda one: one.age), [1]),
        (lambda c: c.take_until(lambda one: one.id == 3), [1, 2]),
        (lambda c: c.skip_while(lambda one: one.age), [2, 3]),
        (lambda c: c.skip_until(lambda one: one.id == 2), [2, 3]),
        (lambda c: c.sort_by([("age", "desc"), "name"]), [3, 1, 2]),
        (lambda c: c.diff([c[0]]), [2, 3]),
        (lambda c: c.intersect([c[0], "x"]), [1]),
        (lambda c: c.partition("age", ">", 40)[0], [3]),
        (lambda c: c.partition("age", ">", 40)[1], [1, 2]),
    ],
)
def test_a_pick_is_a_collection_of_the_same_kind(pick, found):
    picked = pick(PEOPLE)

    assert type(picked) is Collection
    assert picked.pluck("id") == found


@pytest.mark.parametrize(
    ("ask", "answer"),
    [
        (lambda: NUMBERS.get(1), 2),
        (lambda: NUMBERS.get(9, "none"), "none"),
        (lambda: PEOPLE.value("age"), 36),
        (lambda: NUMBERS.search(3), 2),
        (lambda: NUMBERS.search(is_even), 1),
        (lambda: NUMBERS.search(9), None),
        (lambda: (NUMBERS.before(3), NUMBERS.before(1)), (2, None)),
        (lambda: (NUMBERS.after(3), NUMBERS.after(5)), (4, None)),
        (lambda: (NUMBERS.every(is_even), NUMBERS.some(is_even)), (False, True)),
        (lambda: PEOPLE.every("id", ">", 0), True),
        (lambda: PEOPLE.doesnt_contain("name", "Eve"), True),
        (lambda: Collection([7]).contains_one_item(), True),
        (lambda: NUMBERS.sole(lambda n: n > 4), 5),
        (lambda: NUMBERS.first_or_fail(is_even), 2),
        (lambda: Collection("abca").count_by(), {"a": 2, "b": 1, "c": 1}),
        (lambda: Collection("abcab").duplicates(), ["a", "b"]),
        (lambda: (NUMBERS.median(), Collection().median()), (3, None)),
        (lambda: Collection([1, 2]).median(), 1.5),
        (lambda: Collection([Decimal(1), Decimal(2)]).median(), Decimal("1.5")),
        (lambda: (Collection([1, 2, 2]).mode(), Collection().mode()), ([2], None)),
        (lambda: NUMBERS.percentage(is_even), 40.0),
        (lambda: NUMBERS.average(), 3),
        (lambda: NUMBERS.split(2), [[1, 2, 3], [4, 5]]),
        (lambda: NUMBERS.split_in(3), [[1, 2], [3, 4], [5]]),
        (lambda: NUMBERS.take(3).sliding(), [[1, 2], [2, 3]]),
        (lambda: NUMBERS.sliding(3, 2), [[1, 2, 3], [3, 4, 5]]),
        (lambda: Collection("aab").chunk_while(lambda x, run: x in run), [["a", "a"], ["b"]]),
        (lambda: NUMBERS.take(2).zip("ab", "c"), [(1, "a", "c"), (2, "b", None)]),
        (lambda: NUMBERS.take(2).cross_join("ab"), [(1, "a"), (1, "b"), (2, "a"), (2, "b")]),
        (lambda: (NUMBERS.take(1).pad(3, 0), NUMBERS.take(1).pad(-3, 0)), ([1, 0, 0], [0, 0, 1])),
        (lambda: NUMBERS.sort_desc(), [5, 4, 3, 2, 1]),
        (lambda: NUMBERS.take(3).join(", ", " and "), "1, 2 and 3"),
        (lambda: Collection([None, "a"]).implode(","), ",a"),
        (lambda: NUMBERS.flat_map(lambda n: [n] * (n == 2) * 2), [2, 2]),
        (lambda: Collection([1, [2, [3, {"a": 4}]]]).flatten(), [1, 2, 3, 4]),
        (lambda: Collection([[1], [2, [3]]]).collapse(), [1, 2, [3]]),
        (lambda: Collection([(1, 2), (3, 4)]).map_spread(lambda a, b: a + b), [3, 7]),
        (lambda: NUMBERS.take(2).map_into(str), ["1", "2"]),
        (lambda: PEOPLE.take(1).select("id", "age"), [{"id": 1, "age": 36}]),
        (lambda: PEOPLE.take(2).map_with_keys(lambda p: (p.id, p.name)), {1: "Ada", 2: "Ben"}),
        (lambda: NUMBERS.map_to_groups(lambda n: (n % 2, n)), {1: [1, 3, 5], 0: [2, 4]}),
        (lambda: Collection.times(3, lambda n: n * n), [1, 4, 9]),
        (lambda: NUMBERS.when(True, lambda c: c.take(1)), [1]),
        (lambda: NUMBERS.unless(True, lambda c: c.take(1)), NUMBERS),
        (lambda: NUMBERS.when_empty(len, sum), 15),
        (lambda: NUMBERS.when_not_empty(len), 5),
        (lambda: (NUMBERS.pipe(len), NUMBERS.tap(len)), (5, NUMBERS)),
        (lambda: sorted(NUMBERS.shuffle()), [1, 2, 3, 4, 5]),
        (lambda: len(set(NUMBERS.random(3))), 3),
        (lambda: NUMBERS.random() in NUMBERS, True),
    ],
)  # fmt: skip
def test_a_collection_answers_as_it_does_in_laravel(ask, answer):
    assert ask() == answer


def test_what_is_asked_for_and_not_there_is_an_error():
    with pytest.raises(RecordNotFoundError):
        NUMBERS.first_or_fail(lambda n: n > 9)
    with pytest.raises(MultipleRecordsFoundError):
        PEOPLE.sole("id", ">", 1)
    with pytest.raises(InvalidArgumentError, match="9 items were asked for; there are 5"):
        NUMBERS.random(9)


def test_items_that_cannot_be_hashed_are_told_apart_all_the_same():
    lists = Collection([[1], [2], [1]])

    assert lists.unique() == [[1], [2]]
    assert lists.diff([[2]]) == [[1], [1]]
    assert lists.duplicates() == [[1]]
