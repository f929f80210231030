"""The guides at /docs: pages, search, formats, caching, and names that are none."""

from __future__ import annotations

import os
import re
from typing import Any

import pytest

from so.http.errors import ErrorHandler
from so.http.kernel import Kernel
from so.http.router import Router
from so.testing import Client
from so.web.docs import DocsProvider
from so.web.docs_site import DocsSite
from so.web.guides import MOST_HITS, Guides

QUEUE = """# Queue system

Jobs run <later>, in the background.

## Retries

A job that fails is tried again. See [sessions](session-system.md#storage).

### Back-off

Between tries the worker waits.
"""


@pytest.fixture
def folder(tmp_path):
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "queue-system.md").write_text(QUEUE)
    (docs / "session-system.md").write_text(
        "# Sessions\n\nWho is logged in.\n\n## Storage\n\nRows."
    )
    (docs / "cache-system.md").write_text("The cache, without a heading.")
    (docs / "Not A Slug.md").write_text("# Hidden")
    (docs / "notes.txt").write_text("hidden")
    (tmp_path / "secret.md").write_text("# Secret")
    return docs


@pytest.fixture
def guides(folder):
    return Guides(folder, ["queue-system", "gone", "session-system"])


@pytest.fixture
def client(guides):
    site = DocsSite(guides, "ERP guides")
    router = Router()
    router.get("/docs", site.index)
    router.get("/docs/search", site.search)
    router.get("/docs/pictures/{name}", site.picture)
    router.get("/docs/{page}", site.show)
    return Client(Kernel(router, ErrorHandler()), headers={"Accept": "text/html"})


# --- pages ----------------------------------------------------------------------------------------


def test_the_index_lists_every_guide_in_reading_order(client):
    page = client.get("/docs").assert_ok()

    cards = re.findall(r"<li><a href=\"([^\"]+)\"><strong>([^<]+)</strong>", page.text)
    assert cards == [
        ("/docs/queue-system", "Queue system"),
        ("/docs/session-system", "Sessions"),
        ("/docs/cache-system", "Cache system"),
    ]
    page.assert_see("Jobs run &lt;later&gt;, in the background.").assert_dont_see("Hidden")


def test_a_guide_is_a_page_with_contents_and_neighbours(client):
    page = client.get("/docs/session-system").assert_ok()

    page.assert_see("<title>Sessions · ERP guides</title>").assert_see('<h2 id="storage">')
    page.assert_see('rel="prev"').assert_see('rel="next"')
    page.assert_see('<a href="/docs/session-system" aria-current="page">')
    first = client.get("/docs/queue-system")
    first.assert_see('<a href="#retries" class="l2">').assert_dont_see('rel="prev"')
    first.assert_see('<a href="/docs/session-system#storage">sessions</a>')
    client.get("/docs/cache-system").assert_dont_see('rel="next"')


@pytest.mark.parametrize(
    "name",
    ["gone", "../secret", "..%2fsecret", "secret", "%2e%2e%2fsecret", "notes", "Not%20A%20Slug",
     "QUEUE-SYSTEM.md", "queue-system.md", "<b>", "a" * 3000],
)  # fmt: skip
def test_a_name_that_no_guide_has_is_a_real_404(client, name):
    page = client.get(f"/docs/{name}")

    assert page.status == 404
    page.assert_dont_see("<b>").assert_dont_see("# Secret")
    client.get(f"/docs/{name}", headers={"Accept": "application/json"}).assert_json({"status": 404})


def test_a_404_names_the_guide_that_was_meant(client):
    client.get("/docs/queue").assert_not_found().assert_see("/docs/queue-system")
    client.get("/docs/sesion-system").assert_see("Did you mean /docs/session-system?")


def test_the_pages_load_nothing_from_elsewhere(client):
    for path in ("/docs", "/docs/queue-system", "/docs/search?q=job"):
        page = client.get(path)

        loaded = re.findall(r"<(?:link|script|img|iframe)|url\(|@import|src=", page.text)
        assert loaded == []
        assert "default-src 'none'" in page.headers.get("Content-Security-Policy")


def test_a_page_can_be_had_as_markdown_or_json(client):
    markdown = client.get("/docs/queue-system?format=md")
    data = client.get("/docs/queue-system?format=json").json()

    assert markdown.text == QUEUE
    markdown.assert_header("Content-Type", "text/markdown; charset=utf-8")
    assert (data["slug"], data["title"], data["markdown"]) == (
        "queue-system", "Queue system", QUEUE,
    )  # fmt: skip
    assert (data["previous"], data["next"]) == (None, "/docs/session-system")
    assert [heading["id"] for heading in data["headings"]] == [
        "queue-system",
        "retries",
        "back-off",
    ]
    assert "<h1" in data["html"]


def test_the_index_can_be_had_as_markdown_or_json(client):
    client.get("/docs?format=md").assert_see(
        "- [Sessions](/docs/session-system): Who is logged in."
    )
    listed = client.get("/docs", headers={"Accept": "application/json"}).json("guides")
    assert [guide["slug"] for guide in listed] == ["queue-system", "session-system", "cache-system"]
    client.get("/docs", headers={"Accept": "application/json"}, data={"format": "html"}).assert_see(
        "<!doctype html>"
    )


def test_a_page_the_browser_holds_is_not_sent_again(client, folder):
    etag = client.get("/docs/queue-system").headers.get("ETag")

    again = client.get("/docs/queue-system", headers={"If-None-Match": etag})
    assert (again.status, again.body) == (304, b"")

    path = folder / "queue-system.md"
    path.write_text(QUEUE + "\nMore.")
    os.utime(path, ns=(1, 1))
    changed = client.get("/docs/queue-system", headers={"If-None-Match": etag})
    changed.assert_ok().assert_see("More.")


# --- search ---------------------------------------------------------------------------------------


def test_the_search_finds_sections_that_hold_every_word(client):
    page = client.get("/docs/search?q=job+TRIED").assert_ok()

    page.assert_see("1 found for “job TRIED”")
    page.assert_see('<a href="/docs/queue-system#retries">Retries</a>')
    page.assert_see("A <mark>job</mark> that fails is <mark>tried</mark> again.")
    page.assert_see('value="job TRIED"')


def test_the_search_puts_headings_before_text(guides):
    found = [hit.section.heading for hit in guides.search("sessions")]

    assert found[0] == "Sessions"
    assert "Retries" in found


@pytest.mark.parametrize("query", ["", "   ", "nothing-of-that-kind", "<b>", "job gone-word"])
def test_a_search_without_result_is_a_page_all_the_same(client, query):
    page = client.get("/docs/search", {"q": query}).assert_ok()

    page.assert_dont_see("<b>").assert_dont_see('class="hit"')


def test_the_search_answers_programs(client):
    found = client.get("/docs/search?q=waits&format=json").json()

    assert found == {
        "query": "waits",
        "results": [
            {
                "guide": "queue-system",
                "title": "Queue system",
                "heading": "Back-off",
                "url": "/docs/queue-system#back-off",
                "text": "Between tries the worker waits.",
            }
        ],
    }


def test_text_before_the_first_heading_is_found_at_the_guide_itself(guides):
    [hit] = guides.search("without heading")

    assert (hit.section.id, hit.section.heading) == ("", "Cache system")


def test_a_long_search_is_cut_and_long_results_are_bounded(folder):
    sections = "\n".join(f"## Part {n}\n\n{'words ' * 80} needle {'more ' * 80}" for n in range(50))
    (folder / "long.md").write_text(f"# Long\n\n{sections}")
    guides = Guides(folder)

    hits = guides.search("needle")

    assert len(hits) == MOST_HITS
    assert hits[0].snippet.startswith("… ")
    assert hits[0].snippet.endswith("…")
    assert guides.search("needle " * 10_000)


# --- the folder -----------------------------------------------------------------------------------


def test_a_new_guide_is_seen_without_a_restart(guides, folder):
    assert guides.find("deployment") is None

    (folder / "deployment.md").write_text("# Deployment")

    assert guides.find("deployment").title == "Deployment"
    assert guides.find("deployment").summary == ""
    assert len(guides.find("deployment").version) == 20


def test_the_nearest_guide_is_found_for_a_reader_who_types_half_a_name(guides):
    assert guides.nearest("Queue").slug == "queue-system"
    assert guides.nearest("cache-system").slug == "cache-system"
    assert guides.nearest("zzz") is None


def test_without_a_folder_there_are_no_guides(tmp_path):
    assert Guides(tmp_path / "none").all() == {}


# --- the provider ---------------------------------------------------------------------------------


class FakeApp:
    """The little of an application that the provider uses."""

    def __init__(self, base: Any, docs: Any) -> None:
        given = {"docs": docs, "app": {"name": "Acme"}}
        self.settings = lambda kind: kind.from_config(given[kind.topic])
        self.base_path = lambda path: base / path
        self.rooms: dict[str, Any] = {"router": Router()}

    def singleton(self, name: str, make: Any) -> None:
        self.rooms[name] = make(self)

    def make(self, name: str) -> Any:
        return self.rooms[name]

    def resolved(self, name: str) -> bool:
        return name in self.rooms


def provided(folder: Any, docs: Any) -> FakeApp:
    app = FakeApp(folder.parent, docs)
    provider = DocsProvider(app)
    provider.register()
    provider.boot()
    return app


def test_the_provider_serves_the_guides_as_configured(folder):
    app = provided(folder, {"prefix": "help", "middleware": [stamped], "order": ["cache-system"]})
    client = Client(Kernel(app.make("router"), ErrorHandler()))

    page = client.get("/help").assert_ok().assert_see("Acme guides").assert_header("X-Stamp", "1")

    assert page.text.index("/help/cache-system") < page.text.index("/help/queue-system")
    client.get("/help/queue-system").assert_ok()
    client.get("/help/search?q=job").assert_see("found for")
    assert app.make("router").route("docs.show", {"page": "x"}, False) == "/help/x"


def stamped(request, next_):
    return next_(request).header("X-Stamp", "1")


def test_switched_off_nothing_is_served(folder):
    app = provided(folder, {"enabled": False})

    assert app.make("router").routes() == []
    assert app.make("guides").find("queue-system")


def test_it_works_without_any_setting(folder):
    app = provided(folder, None)

    Client(Kernel(app.make("router"), ErrorHandler())).get("/docs/queue-system").assert_ok()


def test_pictures_beside_the_guides_are_served_and_nothing_else_is(client, folder):
    (folder / "pictures").mkdir()
    (folder / "pictures" / "one.png").write_bytes(b"\x89PNG")
    (folder / "pictures" / "notes.txt").write_text("secret")

    answer = client.get("/docs/pictures/one.png").assert_ok()
    answer.assert_header("Content-Type", "image/png").assert_header("ETag")
    for name in ("two.png", "notes.txt", "..%2fqueue-system.md", "%2e%2e%2fone.png"):
        client.get(f"/docs/pictures/{name}").assert_status(404)
