"""The demo's API, fuzzed from its own document: no 5xx, and no status the document lacks."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings

from so.application import Application
from so.testing import Client

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = 25  # of valid and as many of invalid requests, for each operation


@pytest.fixture
def demo(tmp_path):
    files = {
        name: {"driver": "sqlite", "database": str(tmp_path / f"{name}.sqlite")}
        for name in ("sqlite", "cache")
    }
    config = {
        "app": {"env": "testing", "key": "k" * 40, "storage": str(tmp_path), "debug": False},
        "database": {"default": "sqlite", "connections": files},
        "auth": {"scrypt": {"ln": 4, "r": 1, "p": 1}},
        "queue": {"wake_path": str(tmp_path / "queue")},
        "logging": {"default": "null"},
    }
    with Application(ROOT, config) as app:
        app.install_tables()
        from so.console.kernel import Kernel

        assert Kernel(app).call("migrate --force") == 0
        app.import_module("app.seed").seed(30)
        # It would answer 429 to nearly everything, which is its own test's matter.
        app.make("router").registry.alias(
            "throttle", lambda request, next_, *limits: next_(request)
        )
        yield app


def test_the_demo_answers_nothing_that_its_document_does_not_foresee(demo):
    login = {"email": "admin@demo.example", "password": "demo-password"}
    token = Client(demo).post("/api/v1/login", json=login).json("data.token")
    document = demo.make("openapi").document()
    schema = schemathesis.openapi.from_dict(document)
    schema.app = demo
    answers: Counter[int] = Counter()

    for found in schema.get_all_operations():
        operation = found.ok()
        if not operation.path.endswith("/logout"):  # after it all the rest would be 401
            foreseen = {int(status) for status in operation.definition.raw["responses"]}
            fuzz(operation, {"Authorization": f"Bearer {token}"}, foreseen, answers)

    assert {200, 201, 202, 401, 404, 422} <= set(answers)


def fuzz(operation, headers, foreseen, answers) -> None:
    quiet = settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
        derandomize=True,
    )
    for mode in schemathesis.GenerationMode:

        @quiet
        @given(case=operation.as_strategy(generation_mode=mode))
        def run(case):
            status = case.call(headers=headers).status_code
            answers[status] += 1
            assert status < 500, f"{operation.label} answered {status}"
            assert status in foreseen, f"{operation.label} answered {status}"

        run()
