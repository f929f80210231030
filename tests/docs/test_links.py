"""Every link of README, CONTRIBUTING and the guides leads somewhere, here and at /docs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from so.web.guides import Guides

ROOT = Path(__file__).resolve().parents[2]
GUIDES = sorted((ROOT / "docs").glob("*.md"))
PAGES = [*ROOT.glob("*.md"), *GUIDES, *(ROOT / "bench").glob("*.md")]
FENCE = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
PROMISED = (
    "activity-logging", "queue-system", "notification-system", "cache-system", "session-system",
    "database", "routing", "configuration", "deployment", "coming-from-php", "getting-started",
)  # fmt: skip


def links_of(page: Path) -> list[str]:
    found = LINK.findall(FENCE.sub("", page.read_text("utf-8")))
    return [link for link in found if not link.startswith(("http:", "https:", "mailto:"))]


def target_of(page: Path, path: str) -> Path:
    if path.startswith("/docs"):
        return ROOT / "docs" / f"{path.removeprefix('/docs').strip('/')}.md"
    return page.parent / path if path else page


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_link_of_a_page_leads_to_a_file_and_a_heading(page):
    guides = Guides(ROOT / "docs")
    for link in links_of(page):
        path, _, heading = link.partition("#")
        target = target_of(page, path)
        assert target.exists(), f"{page.name} links to {link}"
        if heading:
            guide = guides.find(target.stem)
            assert guide is not None, f"{page.name} links to {link}"
            assert f'id="{heading}"' in str(guide.document.html), f"{page.name} links to {link}"


@pytest.mark.parametrize("name", PROMISED)
def test_there_is_a_guide(name):
    assert (ROOT / "docs" / f"{name}.md").is_file()


def test_the_order_of_the_guides_names_each_of_them_once():
    names: dict = {}
    exec((ROOT / "config" / "docs.py").read_text("utf-8"), names)

    assert sorted(names["config"]["order"]) == [page.stem for page in GUIDES]
