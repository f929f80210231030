"""Readiness and figures of an application; the rules and the dashboard made of them."""

from __future__ import annotations

import json
import re
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from so.application import Application
from so.application.vitals import KeptAnswer, Late
from so.server.metrics import Board
from so.server.pages import server_families
from so.support.exposition import Family, counter, gauge, open_metrics, prometheus
from so.systems.queue import Job

DEPLOY = Path(__file__).parents[2] / "deploy"
SAMPLE = re.compile(
    r'([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{((?:[a-z_]+="(?:[^"\\\n]|\\["\\n])*",?)*)\})?'
    r" (NaN|[+-]Inf|-?[0-9.]+(?:e[+-]?[0-9]+)?)"
)
HISTOGRAM = ("_bucket", "_sum", "_count")


class Post(Job):
    def handle(self) -> None:
        """Nothing."""


@pytest.fixture
def app(db_config: dict[str, Any], tmp_path: Path) -> Iterator[Application]:
    folder = tmp_path / "application"
    (folder / "app").mkdir(parents=True)
    (folder / "storage" / "backups").mkdir(parents=True)
    (folder / "storage" / "backups" / "one.backup.tar.gz").touch()
    (folder / "app" / "__init__.py").touch()
    (folder / "app" / "schedule.py").write_text(
        "def define(schedule):\n    schedule.command('cache:gc').hourly()\n"
    )
    config = {
        "database": {"default": "main", "connections": {"main": db_config}},
        "app": {"key": "k" * 32},
        "server": {"ready_seconds": 0, "metrics_seconds": 0, "metrics_series": 3},
    }
    with Application(folder, config) as app:
        yield app


def read(text: str) -> dict[str, dict[str, float]]:
    """A page of figures as a strict reader takes it: name → labels → value."""
    assert text.endswith("\n")
    kinds: dict[str, str] = {}
    found: dict[str, dict[str, float]] = {}
    current = ""
    for line in text.splitlines():
        if line.startswith("# HELP "):
            current = line.split(" ")[2]
            assert current not in kinds, f"{current} comes twice"
            continue
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name == current
            assert (kind == "counter") == name.endswith("_total")
            kinds[name] = kind
            continue
        match = SAMPLE.fullmatch(line)
        assert match, line
        name, labels = match[1], match[2] or ""
        allowed = (
            [current + end for end in HISTOGRAM] if kinds[current] == "histogram" else [current]
        )
        assert name in allowed, line
        assert labels not in found.setdefault(name, {}), f"{line} comes twice"
        found[name][labels] = float(match[3])
    return found


def figures(app: Application) -> dict[str, dict[str, float]]:
    return read(prometheus(app.vitals.families()))


def test_labels_are_escaped_and_histograms_add_up():
    odd = 'a"b\\c\nd\ud800'
    families = [
        gauge("one", "Up\nand \\ down").add(1.5, name=odd).add(float("nan"), name="n"),
        counter("two", "More.", 3),
        Family("three", "histogram", "Times.").add_buckets((0.1, 1.0), (1, 2, 4), 9.5, queue="q"),
    ]

    found = read(prometheus(families))

    assert found["one"]['name="a\\"b\\\\c\\nd?"'] == 1.5
    assert found["two_total"] == {"": 3}
    assert found["three_bucket"]['queue="q",le="1"'] == 3
    assert found["three_bucket"]['queue="q",le="+Inf"'] == 7 == found["three_count"]['queue="q"']
    assert "# HELP one Up\\nand \\\\ down\n" in prometheus(families)
    assert "# TYPE two counter\ntwo_total 3\n" in "".join(open_metrics(families))
    assert open_metrics(families).endswith("# EOF\n")


def test_the_figures_tell_queue_schedule_cache_sessions_and_database(app):
    app.queue.push(Post(), "mail")
    app.make("cache").put("a", 1)
    app.make("cache").get("a")
    app.make("cache").get("b")

    found = figures(app)

    assert set(found["so_collector_up"].values()) == {1}
    assert found["so_database_up"] == {'connection="main"': 1}
    assert found["so_queue_pending"] == {'queue="default"': 0, 'queue="mail"': 1}
    assert found["so_queue_workers"] == {"": 0}
    assert found["so_schedule_tasks"] == {"": 1}
    assert found["so_schedule_overdue_seconds"] == {'task="cache:gc @ 0 * * * * UTC"': 0}
    assert (found["so_cache_hits_total"][""], found["so_cache_misses_total"][""]) == (1, 1)
    assert found["so_sessions_active"] == {"": 0}
    assert found["so_backup_newest_timestamp_seconds"][""] > 0


def test_a_schedule_that_nobody_runs_is_overdue(app):
    figures(app)
    app.clock.travel(2 * 3600)

    (late,) = figures(app)["so_schedule_overdue_seconds"].values()

    assert 3600 <= late <= 7200


def test_queues_beyond_the_limit_share_one_series(app):
    for number in range(6):
        app.queue.push(Post(), f"tenant-{number}")

    found = figures(app)["so_queue_pending"]

    assert len(found) == 4
    assert found['queue="(others)"'] == 4
    assert sum(found.values()) == 6


def test_a_part_that_fails_costs_its_own_figures_only(app):
    app.db.statement("drop table queue_workers")
    try:
        found = figures(app)
    finally:
        app.install_tables()

    assert found["so_collector_up"]['part="queue"'] == 0
    assert found["so_collector_up"]['part="cache"'] == 1
    assert "so_sessions_active" in found


def test_an_application_is_ready_while_its_databases_answer(app, caplog):
    assert app.vitals.fault() is None

    connection = dict(app.config.get("database.connections.main"))
    broken = {**connection, "port": 1, "unix_socket": None, "host": "127.0.0.1"}
    if connection["driver"] == "sqlite":
        Path(connection["database"]).unlink()
        fault = app.vitals.fault()
    else:
        config = {"database": {"default": "main", "connections": {"main": broken}}}
        with Application(app.base_path(), config) as other:
            fault = other.vitals.fault()

    assert fault == "the database 'main' cannot be reached"
    assert caplog.text.count("not ready: ") == 1


def test_what_does_not_answer_in_time_is_an_answer_and_later_ones_do_not_wait_again():
    gate, asked = threading.Event(), []

    def look() -> str:
        asked.append(1)
        assert gate.wait(10)
        return "found"

    kept = KeptAnswer(look, seconds=60, patience=0.05)
    for _ in range(3):
        with pytest.raises(Late):
            kept.get()
    gate.set()
    patient = threading.Event()
    while not patient.wait(0.01):
        try:
            assert kept.get() == "found"
            break
        except Late:
            continue

    assert kept.get() == "found"
    assert len(asked) <= 2


def test_a_look_is_shared_by_all_who_ask():
    asked = []
    kept = KeptAnswer(lambda: asked.append(1) or len(asked), seconds=60, patience=5)

    threads = [threading.Thread(target=kept.get) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert kept.get() == 1


def test_a_look_that_fails_does_not_leave_everybody_waiting(recwarn):
    threading.excepthook, before = lambda _: None, threading.excepthook
    outcomes: list[Any] = [RuntimeError("once"), "found"]

    def look() -> Any:
        outcome = outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    kept = KeptAnswer(look, seconds=60, patience=0.2)
    try:
        with pytest.raises(Late):
            kept.get()
        assert kept.get() == "found"
    finally:
        threading.excepthook = before


def named(text: str) -> set[str]:
    return set(re.findall(r"\b(?:so|sixorbit|process)_[a-z_]+", text))


def test_rules_and_dashboard_name_no_figure_that_does_not_exist(app):
    page = prometheus([*server_families(Board().read()), *app.vitals.families()])
    known = set(read(page)) | named(page)
    rules = (DEPLOY / "prometheus" / "sixorbit.rules.yml").read_text()
    asked = [line for line in rules.splitlines() if line.strip().startswith("expr:")]
    board = json.loads((DEPLOY / "grafana" / "sixorbit.json").read_text())
    exprs = [target["expr"] for panel in board["panels"] for target in panel["targets"]]

    assert named("\n".join(asked)) | named("\n".join(exprs)) <= known
    assert len(asked) >= 15
    assert len(exprs) >= 30


def test_every_system_has_a_rule():
    rules = (DEPLOY / "prometheus" / "sixorbit.rules.yml").read_text()

    for part in ("queue", "schedule", "cache", "sessions", "database", "backup", "disk"):
        assert f"so_{part}_" in rules


FUNCTIONS = {"rate", "increase", "histogram_quantile", "time", "clamp_min", "max_over_time"}
WORDS = {"by", "sum", "max", "min", "avg", "count", "and", "or", "unless", "on", "ignoring", "le"}


def test_every_rule_and_panel_is_well_formed(app):
    """What promtool would say, where it is not installed."""
    text = (DEPLOY / "prometheus" / "sixorbit.rules.yml").read_text()
    rules = text.split("      - alert: ")[1:]
    keys = ("expr", "for", "labels", "annotations", "summary", "description")
    board = json.loads((DEPLOY / "grafana" / "sixorbit.json").read_text())
    exprs = [re.search(r"expr: '(.*)'\n", rule)[1] for rule in rules]
    exprs += [target["expr"] for panel in board["panels"] for target in panel["targets"]]

    assert [
        (r.split()[0], k) for r in rules for k in keys if not re.search(rf"^ +{k}:", r, re.M)
    ] == []
    assert [r for r in rules if not re.search(r"\n +for: \d+[smhd]\n", r)] == []
    assert [(e, wrong) for e in exprs if (wrong := wrong_in(e))] == []


def wrong_in(expr: str) -> str:
    """What is no PromQL in *expr*, as far as brackets, ranges, labels and names tell."""
    bare = re.sub(r'"[^"]*"', '""', expr)
    unclosed = bare
    while unclosed != (
        unclosed := re.sub(r"\([^()\[\]{}]*\)|\[[^()\[\]{}]*\]|{[^()\[\]{}]*}", "", unclosed)
    ):
        pass
    if set(unclosed) & set("()[]{}\"'"):
        return "a bracket or quote is not closed"
    if any(
        not re.fullmatch(r"\d+[smhd]|\$__rate_interval", one)
        for one in re.findall(r"\[(.*?)\]", bare)
    ):
        return "a range is no duration"
    if any(
        not re.fullmatch(r'(\w+(=|!=|=~|!~)"",?\s*)*', one) for one in re.findall(r"{(.*?)}", bare)
    ):
        return "a selector of labels"
    words = set(re.findall(r"[a-z_]+(?=\s*\()", bare)) - FUNCTIONS - WORDS
    return f"unknown functions: {words}" if words else ""


def test_promtool_takes_the_rules():
    if (tool := shutil.which("promtool")) is None:
        pytest.skip("NO promtool: the rules are not checked by Prometheus itself")
    import subprocess

    file = DEPLOY / "prometheus" / "sixorbit.rules.yml"
    done = subprocess.run([tool, "check", "rules", str(file)], capture_output=True, text=True)

    assert done.returncode == 0, done.stdout + done.stderr
