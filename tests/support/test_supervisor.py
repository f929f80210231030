"""Real forks and real signals: the supervisor runs inside the test, driven from its own tick."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest

from so.support.supervisor import Child, ChildExit, Lifeline, Supervisor
from so.support.systemd import Notifier

DEADLINE_SECONDS = 60.0
Script = Iterator[None]


def obedient(lifeline: Lifeline) -> int:
    """A child that says hello and leaves with 0 on SIGTERM."""
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    lifeline.send("hello")
    while True:
        signal.pause()


def stubborn(lifeline: Lifeline) -> int:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    lifeline.send("hello")
    while True:
        signal.pause()


def is_alive(pid: int) -> bool:
    """Whether *pid* still runs; a zombie nobody reaps counts as dead."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def until(condition: Callable[[], object]) -> Script:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        yield


class Stage:
    """Runs a supervisor while a generator, stepped by its ticks, does things to it."""

    def __init__(self, run=obedient, *, workers=2, on_message=None, on_exit=None, **options):
        self.messages: list[tuple[Child, object]] = []
        self.exits: list[ChildExit] = []
        self.failure: BaseException | None = None
        self._answer = on_exit
        self._hear = on_message
        self.boss = Supervisor(
            run,
            workers=workers,
            name="stage",
            on_message=self._keep_message,
            on_exit=self._keep_exit,
            on_tick=self._step,
            **options,
        )

    def _keep_message(self, child: Child, message: object) -> None:
        self.messages.append((child, message))
        if self._hear:
            self._hear(child, message)

    def _keep_exit(self, ending: ChildExit) -> bool | None:
        self.exits.append(ending)
        return self._answer(ending) if self._answer else None

    def _step(self) -> float:
        try:
            next(self.script, None)
        except BaseException as problem:
            self.failure = problem
            for child in self.boss.children:
                self.boss.kill(child)
            self.boss.stop()
        return 0.01

    def play(self, script: Callable[[], Script]) -> int:
        self.script = script()
        code = self.boss.run()
        if self.failure:
            raise self.failure
        return code

    def all_heard(self) -> bool:
        return len(self.boss.children) == 2 and all(child.heard for child in self.boss.children)

    def pids(self) -> list[int]:
        return [child.pid for child in self.boss.children]


def test_children_run_in_slots_of_their_own_and_stop_with_status_zero():
    ends: list[str] = []
    stage = Stage(on_start=lambda: ends.append("start"), on_stop=lambda: ends.append("stop"))

    def script() -> Script:
        yield from until(stage.all_heard)
        assert [child.slot for child in stage.boss.children] == [0, 1]
        os.kill(os.getpid(), signal.SIGTERM)

    assert stage.play(script) == 0
    assert [(ending.code, ending.signal) for ending in stage.exits] == [(0, None), (0, None)]
    assert stage.boss.children == []
    assert ends == ["start", "stop"]


def test_signal_handlers_are_as_before_afterwards():
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGCHLD)
    stage = Stage()

    def script() -> Script:
        yield from until(stage.all_heard)
        stage.boss.stop()

    stage.play(script)

    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGCHLD)) == before
    assert signal.set_wakeup_fd(-1) == -1


def test_a_killed_child_is_replaced_in_its_slot():
    stage = Stage()

    def script() -> Script:
        yield from until(stage.all_heard)
        first = stage.boss.children[0]
        os.kill(first.pid, signal.SIGKILL)
        yield from until(lambda: len(stage.exits) == 1)
        yield from until(stage.all_heard)
        assert first.pid not in stage.pids()
        assert [(c.slot, c.generation) for c in stage.boss.children] == [(0, 2), (1, 1)]
        stage.boss.stop()

    assert stage.play(script) == 0
    assert stage.exits[0].signal == signal.SIGKILL
    assert stage.exits[0].code is None


def test_a_child_that_fails_again_and_again_is_restarted_ever_more_slowly():
    starts: list[float] = []

    def failing(lifeline: Lifeline) -> int:
        lifeline.send(time.monotonic())
        raise RuntimeError("broken")

    stage = Stage(
        failing,
        workers=1,
        restart_delay=(0.02, 60.0),
        on_message=lambda child, moment: starts.append(moment),
    )

    def script() -> Script:
        yield from until(lambda: len(starts) >= 6)
        stage.boss.stop()

    stage.play(script)

    gaps = [after - before for before, after in zip(starts, starts[1:], strict=False)]
    # No sleep is ever shorter than asked for, however busy the machine.
    assert all(gap >= 0.02 * 2**step for step, gap in enumerate(gaps))
    assert [ending.code for ending in stage.exits][:5] == [1] * 5


def test_too_many_failures_in_a_row_end_the_supervisor_with_status_one():
    stage = Stage(lambda lifeline: 3, workers=1, restart_delay=(0.001, 60.0), max_restarts=2)

    assert stage.play(lambda: iter(())) == 1
    assert [ending.code for ending in stage.exits] == [3, 3, 3]


def test_a_slot_stays_empty_when_the_owner_says_so_and_the_run_ends_with_the_last():
    stage = Stage(lambda lifeline: 0, workers=3, on_exit=lambda ending: False)

    assert stage.play(lambda: iter(())) == 0
    assert sorted(ending.child.slot for ending in stage.exits) == [0, 1, 2]


def test_a_child_that_ends_in_order_is_started_again():
    stage = Stage(lambda lifeline: 0, workers=1, restart_delay=(0.01, 5.0))

    def script() -> Script:
        yield from until(lambda: len(stage.exits) >= 3)
        stage.boss.stop()

    assert stage.play(script) == 0


@pytest.mark.parametrize(
    ("ending", "code"),
    [
        (lambda: sys.exit(7), 7),
        (lambda: sys.exit("words"), 1),
        (lambda: sys.exit(), 0),
        (lambda: (_ for _ in ()).throw(KeyboardInterrupt), 130),
    ],
)
def test_the_way_a_child_ends_becomes_its_exit_code(ending, code):
    stage = Stage(lambda lifeline: next(ending()) or 0, workers=1, on_exit=lambda ending: False)

    stage.play(lambda: iter(()))

    assert [ending.code for ending in stage.exits] == [code]


def with_offspring(lifeline: Lifeline) -> int:
    """Starts a process of its own, tells its number, and never gives a sign again."""
    offspring = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    lifeline.send(offspring.pid)
    while True:
        time.sleep(600)


def test_a_hung_child_is_killed_with_everything_it_started():
    stage = Stage(with_offspring, workers=1, heartbeat_timeout=0.5)

    def script() -> Script:
        yield from until(lambda: stage.messages)
        offspring = stage.messages[0][1]
        yield from until(lambda: stage.exits)
        yield from until(lambda: not is_alive(offspring))
        for child in stage.boss.children:
            stage.boss.kill(child)
        stage.boss.stop()

    stage.play(script)

    assert stage.exits[0].hung
    assert stage.exits[0].signal == signal.SIGKILL


def test_silence_while_the_supervisor_itself_stood_still_is_no_hang(monkeypatch):
    stage = Stage(heartbeat_timeout=600)
    select = stage.boss._selector.select

    def script() -> Script:
        yield from until(stage.all_heard)
        pause = 1000.0
        now = time.monotonic
        monkeypatch.setattr(stage.boss._selector, "select", lambda _: resume(now, pause))
        yield
        yield
        stage.boss.stop()

    def resume(now, pause):
        monkeypatch.setattr(time, "monotonic", lambda: now() + pause)
        monkeypatch.setattr(stage.boss._selector, "select", select)
        return []

    assert stage.play(script) == 0
    assert [ending.hung for ending in stage.exits] == [False, False]


def test_what_a_crashed_child_started_does_not_outlive_it():
    stage = Stage(with_offspring, workers=1)

    def script() -> Script:
        yield from until(lambda: stage.messages)
        offspring = stage.messages[0][1]
        os.kill(stage.boss.children[0].pid, signal.SIGKILL)
        yield from until(lambda: not is_alive(offspring))
        stage.boss.stop()

    stage.play(script)


def test_a_child_that_beats_is_left_alone():
    def beating(lifeline: Lifeline) -> int:
        signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
        while True:
            lifeline.beat()
            time.sleep(0.01)

    stage = Stage(beating, heartbeat_timeout=10.0)

    def script() -> Script:
        yield from until(stage.all_heard)
        seen = stage.boss.children[0].last_heard
        yield from until(lambda: stage.boss.children[0].last_heard > seen)
        stage.boss.stop()

    assert stage.play(script) == 0
    assert not any(ending.hung for ending in stage.exits)


def test_a_child_that_ignores_the_request_to_stop_is_killed_after_the_grace():
    stage = Stage(stubborn, grace_seconds=0.2)

    def script() -> Script:
        yield from until(stage.all_heard)
        stage.boss.stop()

    assert stage.play(script) == 1
    assert [ending.signal for ending in stage.exits] == [signal.SIGKILL] * 2


def test_a_second_signal_does_not_wait_for_the_grace():
    stage = Stage(stubborn, grace_seconds=3600.0)

    def script() -> Script:
        yield from until(stage.all_heard)
        os.kill(os.getpid(), signal.SIGINT)
        yield from until(lambda: stage.boss.is_stopping)
        os.kill(os.getpid(), signal.SIGTERM)

    assert stage.play(script) == 128 + signal.SIGTERM


def test_a_reload_starts_each_new_child_before_the_old_one_leaves():
    least: list[int] = []
    reloads: list[str] = []
    stage = Stage(on_reload=lambda: reloads.append("reload"))

    def script() -> Script:
        yield from until(stage.all_heard)
        old = stage.pids()
        os.kill(os.getpid(), signal.SIGHUP)
        while not (stage.all_heard() and not set(old) & set(stage.pids())):
            least.append(sum(child.heard for child in stage.boss.children))
            yield
        assert [child.generation for child in stage.boss.children] == [2, 2]
        stage.boss.stop()

    assert stage.play(script) == 0
    assert min(least) == 2
    assert reloads == ["reload"]


FAILS = "SUPERVISOR_TEST_FAILS"


def obedient_at_will(lifeline: Lifeline) -> int:
    """A child that cannot begin as long as FAILS is in the environment."""
    return 1 if os.environ.get(FAILS) else obedient(lifeline)


def test_a_reload_keeps_the_old_child_while_its_successor_fails(monkeypatch):
    stage = Stage(obedient_at_will, workers=1, restart_delay=(0.01, 5.0))

    def script() -> Script:
        yield from until(lambda: stage.boss.children and stage.boss.children[0].heard)
        old = stage.boss.children[0]
        monkeypatch.setenv(FAILS, "1")
        stage.boss.rolling_restart()
        yield from until(lambda: len(stage.exits) >= 2)
        assert old in stage.boss.children
        monkeypatch.delenv(FAILS)
        yield from until(lambda: old not in stage.boss.children)
        yield from until(lambda: stage.boss.children[0].heard)
        stage.boss.stop()

    assert stage.play(script) == 0


def test_another_reload_tries_at_once_what_failed_before(monkeypatch):
    stage = Stage(obedient_at_will, workers=1, restart_delay=(600.0, 600.0), settle_seconds=600)

    def script() -> Script:
        yield from until(lambda: stage.boss.children and stage.boss.children[0].heard)
        old = stage.boss.children[0]
        monkeypatch.setenv(FAILS, "1")
        stage.boss.rolling_restart()
        yield from until(lambda: stage.exits)
        monkeypatch.delenv(FAILS)
        stage.boss.rolling_restart()
        yield from until(lambda: old not in stage.boss.children)
        stage.boss.stop()

    assert stage.play(script) == 0


def test_a_successor_that_dies_after_another_reload_leaves_no_child_too_many():
    class Manager(Notifier):
        readies = 0

        def ready(self, status: str = "") -> bool:
            self.readies += 1
            return True

    def silent_at_first(lifeline: Lifeline) -> int:
        if os.environ.get("SUPERVISOR_TEST_SILENT"):
            signal.pause()
        return obedient(lifeline)

    manager = Manager("")
    stage = Stage(silent_at_first, workers=1, settle_seconds=600, notify=manager)

    def script() -> Script:
        yield from until(lambda: manager.readies == 1)
        os.environ["SUPERVISOR_TEST_SILENT"] = "1"
        stage.boss.rolling_restart()
        yield from until(lambda: len(stage.boss.children) == 2)
        stage.boss.rolling_restart()
        del os.environ["SUPERVISOR_TEST_SILENT"]
        stage.boss.kill(stage.boss.children[1])
        yield from until(lambda: manager.readies == 2 and len(stage.exits) == 2)
        assert len(stage.boss.children) == 1
        stage.boss.stop()

    try:
        assert stage.play(script) == 0
    finally:
        os.environ.pop("SUPERVISOR_TEST_SILENT", None)


def test_the_old_child_may_die_while_its_successor_starts():
    stage = Stage(workers=1)

    def script() -> Script:
        yield from until(lambda: stage.boss.children and stage.boss.children[0].heard)
        old = stage.boss.children[0]
        stage.boss.replace(old)
        stage.boss.replace(old)
        stage.boss.kill(old)
        yield from until(lambda: stage.exits)
        yield from until(lambda: [c.heard for c in stage.boss.children] == [True])
        assert stage.boss.children[0] is not old
        stage.boss.replace(old)
        stage.boss.stop()

    assert stage.play(script) == 0


def test_a_child_that_never_speaks_still_counts_as_started_after_a_while():
    def silent(lifeline: Lifeline) -> int:
        signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
        while True:
            signal.pause()

    stage = Stage(silent, workers=1, settle_seconds=0.05)

    def script() -> Script:
        yield from until(lambda: stage.boss.children)
        old = stage.boss.children[0]
        stage.boss.replace(old)
        yield from until(lambda: stage.boss.children and old not in stage.boss.children)
        yield from until(lambda: stage.boss.is_settled(stage.boss.children[0], time.monotonic()))
        stage.boss.stop()

    assert stage.play(script) == 0


def test_messages_go_both_ways_and_keep_their_order():
    def echo(lifeline: Lifeline) -> int:
        lifeline.send({"slot": lifeline.slot})
        for _ in range(3):
            lifeline.send({"back": lifeline.receive(timeout=60.0)})
        assert lifeline.receive() is None
        return 0

    def greet(child: Child, message: object) -> None:
        if message == {"slot": 0}:
            for word in ("one", "two", "x" * 600_000):
                child.send(word)

    stage = Stage(echo, workers=1, on_message=greet, on_exit=lambda ending: False)

    stage.play(lambda: iter(()))

    said = [message for _, message in stage.messages]
    assert said == [
        {"slot": 0},
        {"back": "one"},
        {"back": "two"},
        {"back": "x" * 600_000},
    ]
    assert stage.exits[0].code == 0


def test_a_message_that_is_too_long_is_refused_with_the_mend():
    stage = Stage(workers=1)

    def script() -> Script:
        yield from until(lambda: stage.boss.children)
        with pytest.raises(ValueError, match="too long for the lifeline"):
            stage.boss.children[0].send("x" * 2_000_000)
        stage.boss.stop()

    stage.play(script)


def test_what_a_child_said_last_is_heard_even_when_it_is_gone():
    def last_words(lifeline: Lifeline) -> int:
        lifeline.send("last words")
        os.kill(os.getpid(), signal.SIGKILL)
        return 0

    stage = Stage(last_words, workers=1, on_exit=lambda ending: False)

    stage.play(lambda: iter(()))

    assert [message for _, message in stage.messages] == ["last words"]


def test_chosen_signals_are_passed_on_to_the_children():
    def listening(lifeline: Lifeline) -> int:
        signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
        signal.signal(signal.SIGUSR1, lambda *_: lifeline.send("usr1"))
        lifeline.send("hello")
        while True:
            signal.pause()

    stage = Stage(listening, forward_signals=[signal.SIGUSR1])

    def script() -> Script:
        yield from until(stage.all_heard)
        os.kill(os.getpid(), signal.SIGUSR1)
        yield from until(lambda: [m for _, m in stage.messages].count("usr1") == 2)
        stage.boss.stop()

    stage.play(script)


@pytest.mark.parametrize("signum", [signal.SIGHUP, signal.SIGUSR1])
def test_a_signal_meant_for_others_does_not_end_a_child(signum):
    def unprepared(lifeline: Lifeline) -> int:
        os.kill(os.getpid(), signum)
        return obedient(lifeline)

    stage = Stage(unprepared, forward_signals=[signal.SIGUSR1])

    def script() -> Script:
        yield from until(stage.all_heard)
        stage.boss.stop()

    assert stage.play(script) == 0
    assert [ending.signal for ending in stage.exits] == [None, None]


def test_a_failing_callback_does_not_bring_the_supervisor_down(caplog):
    def complain(child: Child, message: object) -> None:
        raise RuntimeError("the owner's mistake")

    stage = Stage(on_message=complain)

    def script() -> Script:
        yield from until(stage.all_heard)
        stage.boss.stop()

    assert stage.play(script) == 0
    assert "the owner's mistake" in caplog.text


def test_fork_failures_are_retried(monkeypatch):
    real, refusals = os.fork, [OSError("no more processes")] * 2

    def fork() -> int:
        if refusals:
            raise refusals.pop()
        return real()

    monkeypatch.setattr(os, "fork", fork)
    stage = Stage(workers=1, restart_delay=(0.01, 5.0))

    def script() -> Script:
        yield from until(lambda: stage.boss.children and stage.boss.children[0].heard)
        refusals.append(OSError("no more processes"))
        old = stage.boss.children[0]
        stage.boss.replace(old)
        yield from until(lambda: old not in stage.boss.children)
        stage.boss.stop()

    assert stage.play(script) == 0


def test_readiness_reloading_watchdog_and_stopping_are_reported(monkeypatch):
    monkeypatch.setenv("WATCHDOG_USEC", "20000")
    told: list[str] = []

    class Heard(Notifier):
        def send(self, *lines: str) -> bool:
            told.append(lines[0])
            return True

    stage = Stage(notify=Heard())

    def script() -> Script:
        yield from until(lambda: "READY=1" in told and "WATCHDOG=1" in told)
        os.kill(os.getpid(), signal.SIGHUP)
        yield from until(lambda: told.count("READY=1") == 2)
        stage.boss.stop()

    stage.play(script)

    order = [line for line in told if line != "WATCHDOG=1"]
    assert order == ["READY=1", "RELOADING=1", "READY=1", "STOPPING=1"]


def test_no_worker_at_all_is_refused():
    with pytest.raises(ValueError, match="workers must be at least 1, not 0"):
        Supervisor(obedient, workers=0, name="none")


ORPHANS = """
import json, os, signal, sys, time
from so.support.supervisor import Supervisor

def obedient(lifeline):
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    lifeline.send(os.getpid())
    while True:
        signal.pause()

def stubborn(lifeline):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    lifeline.send(os.getpid())
    while True:
        time.sleep(600)

def tell(child, pid):
    print(json.dumps(pid), flush=True)

run = {"obedient": obedient, "stubborn": stubborn}[sys.argv[1]]
Supervisor(run, workers=2, name="orphans", grace_seconds=0.2, on_message=tell).run()
"""


@pytest.mark.parametrize("kind", ["obedient", "stubborn"])
def test_children_end_when_the_supervisor_is_killed(kind):
    with subprocess.Popen(
        [sys.executable, "-c", ORPHANS, kind], stdout=subprocess.PIPE, text=True
    ) as boss:
        pids = [json.loads(boss.stdout.readline()) for _ in range(2)]

        boss.kill()
        boss.wait()

    deadline = time.monotonic() + DEADLINE_SECONDS
    while any(is_alive(pid) for pid in pids):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_child_can_ask_whether_its_supervisor_lives():
    stage = Stage(lambda lifeline: 0 if lifeline.parent_alive() else 9, workers=1)
    stage._answer = lambda ending: False

    stage.play(lambda: iter(()))

    assert stage.exits[0].code == 0
