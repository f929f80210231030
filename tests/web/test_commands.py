"""`docs` and `openapi` on the command line, in a real application."""

from __future__ import annotations

import json

import pytest

from so.application import Application
from so.console.kernel import Kernel
from so.http.errors import ErrorHandler
from so.testing import Client

PROVIDERS = ["so.web.docs.DocsProvider", "so.web.openapi.OpenApiProvider"]
CONFIG = {
    "app": {"providers": PROVIDERS, "name": "Acme", "env": "testing", "debug": True},
    "database": {"default": "memory", "connections": {"memory": ":memory:"}},
    "docs": {"order": []},
    "logging": {"default": "null"},
}


@pytest.fixture
def app(tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "queue-system.md").write_text("# Queue\n\nJobs run later.\n")
    (tmp_path / "docs" / "cache-system.md").write_text("# Cache\n\nKept answers.\n")
    (tmp_path / "public").mkdir()
    (tmp_path / "public" / "a.txt").write_text("static")
    with Application(tmp_path, CONFIG) as app:
        app.make("router").get("/api/things/{id}", lambda id: {"id": id})
        yield app


@pytest.fixture
def kernel(app):
    return Kernel(app)


def test_docs_lists_the_guides(kernel):
    assert kernel.call("docs") == 0
    assert "queue-system" in kernel.output()
    assert kernel.call("docs --json") == 0
    assert [guide["slug"] for guide in json.loads(kernel.output())] == [
        "cache-system",
        "queue-system",
    ]


def test_docs_prints_the_guide_that_is_meant(kernel):
    assert kernel.call("docs queue") == 0
    assert kernel.output() == "# Queue\n\nJobs run later.\n"
    assert kernel.call("docs queue --json") == 0
    assert json.loads(kernel.output())["title"] == "Queue"


def test_docs_of_nothing_names_what_there_is(kernel):
    assert kernel.call("docs zzz") == 1
    assert "choose from cache-system, queue-system" in kernel.output()


def test_docs_searches(kernel):
    assert kernel.call("docs --search=jobs") == 0
    assert "queue-system: Queue\n  Jobs run later." in kernel.output()
    assert kernel.call("docs --search=jobs --json") == 0
    assert json.loads(kernel.output()) == [
        {"guide": "queue-system", "heading": "Queue", "id": "queue"}
    ]
    assert kernel.call("docs --search=nowhere") == 1


def test_openapi_prints_the_document(kernel):
    assert kernel.call("openapi") == 0
    document = json.loads(kernel.output())

    assert document["info"]["title"] == "Acme"
    assert list(document["paths"]) == ["/api/things/{id}"]


def test_openapi_may_describe_other_routes(kernel):
    kernel.call("openapi --all")
    assert "/docs/{page}" in json.loads(kernel.output())["paths"]
    kernel.call("openapi --prefix=/docs")
    assert "/api/things/{id}" not in json.loads(kernel.output())["paths"]


def test_openapi_writes_a_file(kernel, tmp_path):
    file = tmp_path / "openapi.json"

    assert kernel.call(f"openapi --output={file}") == 0
    assert "1 routes described" in kernel.output()
    assert json.loads(file.read_text())["openapi"] == "3.1.0"
    assert kernel.call(f"openapi --output={tmp_path}/no/file") == 1
    assert "No such file" in kernel.output()


@pytest.mark.parametrize("command", ["docs", "openapi"])
def test_without_its_provider_a_command_says_which_to_add(tmp_path, command):
    with Application(tmp_path, {**CONFIG, "app": {"providers": []}}) as app:
        kernel = Kernel(app)

        assert kernel.call(command) == 1
        assert "to app.providers" in kernel.output()


def test_the_application_serves_guides_static_files_and_errors(app):
    client = Client(app)

    client.get("/docs/queue-system").assert_ok().assert_see("Jobs run later.")
    client.get("/static/a.txt").assert_ok().assert_see("static")
    client.get("/docs/nothing").assert_not_found()
    assert isinstance(app.errors, ErrorHandler)


def test_the_debug_page_of_an_application_lists_its_queries(app):
    def action():
        app.make("db").select("select 42 as answer")
        raise ValueError

    app.make("router").get("/broken", action)

    page = Client(app, headers={"Accept": "text/html"}).get("/broken")

    page.assert_status(500).assert_see("Queries (1)").assert_see("select 42 as answer")
