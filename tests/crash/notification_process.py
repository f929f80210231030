"""Delivers queued notifications, and is killed at it: `python -m tests.crash.notification_process`.

The process loads everything once, then has one child after the other deliver, and kills each with
SIGKILL after a random moment. At last one runs to the end. Prints how many were killed.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import sys
import time

from so import Model, Notifiable, Notification
from so.application import Application
from so.systems.worker import WorkerOptions, work

LEASE_SECONDS = 1


class Reader(Notifiable, Model):
    table = "readers"
    type_alias = "killed_reader"
    timestamps = False


class Killed(Notification):
    type_alias = "killed_notification"
    queued = True

    def __init__(self, number):
        self.number = number

    def via(self):
        return ["database", "paper"]

    def to_database(self, notifiable):
        return {"number": self.number}


class Paper:
    """A channel that leaves the house: what is printed can't be taken back."""

    def __init__(self, path):
        self.path = path

    def send(self, notifiable, notification, id):
        with open(self.path, "a") as file:
            file.write(f"{notifiable.id} {notification.number}\n")


def make(order) -> Application:
    app = Application(order["folder"], order["settings"]).__enter__()
    app.make("notifications").extend("paper", lambda: Paper(order["paper"]))
    return app


def deliver(app: Application, forever: bool) -> None:
    options = WorkerOptions(
        processes=0, lease_seconds=LEASE_SECONDS, stop_when_empty=not forever, quiet=True,
        memory_mb=0, rest_seconds=0.001,
    )  # fmt: skip
    work(app.make("queue"), options, None)


def child(app: Application, forever: bool) -> int:
    pid = os.fork()
    if pid == 0:
        with contextlib.suppress(BaseException):
            deliver(app, forever)
        os._exit(0)
    return pid


def main() -> None:
    order = json.loads(sys.argv[1])
    app, chance = make(order), random.Random(order["seed"])
    killed = 0
    for _ in range(order["kills"]):
        pid = child(app, forever=True)
        time.sleep(chance.uniform(0.005, 0.12))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        killed += 1
    until = time.monotonic() + 60
    while time.monotonic() < until:
        os.waitpid(child(app, forever=False), 0)
        if not app.make("queue").size():
            break
        time.sleep(0.2)
    app.db.connection().close()
    print(killed, flush=True)


if __name__ == "__main__":
    main()
