"""Long work tells how far it is: to whoever listens, and costs nothing where nobody does."""

from __future__ import annotations

from so.support.progress import heard, steps


def test_work_is_counted_only_if_somebody_listens():
    def never() -> int:
        raise AssertionError("counted for nobody")

    steps(never)(1)


def test_a_listener_hears_the_beginning_each_step_and_what_came_on_top():
    told: list[tuple[int, int]] = []

    with heard(lambda done, total: told.append((done, total))):
        step = steps(lambda: 2)
        step(1)
        step(2)
        steps(lambda: 0)  # nothing to do is nothing to tell
    steps(lambda: 5)(1)

    assert told == [(0, 2), (1, 2), (3, 3)]
