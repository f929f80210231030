"""Jobs for the tests. They write into DIARY, which a test in the same process can read."""

from __future__ import annotations

from typing import Any

from so.systems.queue import Job

DIARY: list[Any] = []


class Note(Job):
    """Writes its word down."""

    def __init__(self, word: Any, count: int = 1) -> None:
        self.word = word
        self.count = count

    def handle(self) -> None:
        DIARY.append(self.word)


class NoteAttempt(Job):
    """Writes down which attempt it is."""

    def handle(self) -> None:
        DIARY.append(self.attempts())


class Fails(Job):
    """Never succeeds."""

    tries = 3

    def __init__(self, text: str = "no luck") -> None:
        self.text = text

    def handle(self) -> None:
        DIARY.append("try")
        raise ValueError(self.text)

    def failed(self, exception: BaseException) -> None:
        DIARY.append(f"failed: {exception}")


class FailsOnce(Job):
    """Succeeds at its second attempt."""

    backoff = [10, 60]

    def handle(self) -> None:
        DIARY.append(self.attempts())
        if self.attempts() == 1:
            raise ValueError("not yet")
