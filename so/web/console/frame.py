"""The frame of every page of the console: navigation, messages, one style sheet, one script.

No asset comes from anywhere else. The script only refreshes what is on the page; without it a
reload does the same.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from so.support.markup import Markup, h, join
from so.support.places import shipped

MENU = (
    ("", "Overview"), ("/queue", "Queue"), ("/failed", "Failed"), ("/batches", "Batches"),
    ("/workers", "Workers"), ("/schedule", "Schedule"), ("/sessions", "Sessions"),
    ("/cache", "Cache"), ("/audit", "Audit"), ("/notifications", "Notifications"),
    ("/database", "Database"), ("/requests", "Requests"),
)  # fmt: skip


_JOB = re.compile(r"\bjob (\d+)\b")


@dataclass(frozen=True)
class Frame:
    """What all pages share."""

    brand: str
    prefix: str
    home: str
    guides: str | None
    refresh_seconds: int

    def draw(
        self, title: str, body: object, *, path: str, nonce: str, notes: list[tuple[str, str]]
    ) -> str:
        """The whole document for the page at *path* below the prefix."""
        head = h(
            "head",
            h("meta", charset="utf-8"),
            h("meta", name="viewport", content="width=device-width,initial-scale=1"),
            h("title", f"{title} · {self.brand} console"),
            h("link", rel="icon", href="data:,"),
            h("style", Markup(_file("console.css")), nonce=nonce),
        )
        page = h(
            "body",
            h("a", "Skip to content", href="#content", class_="skip"),
            self._header(path),
            h(
                "main",
                h("h1", title),
                [self._note(*note) for note in notes],
                body,
                id="content",
                tabindex="-1",
            ),
            self._script(nonce),
            data_refresh=self.refresh_seconds or None,
        )
        return "<!doctype html>\n" + h("html", head, page, lang="en")

    def _header(self, path: str) -> Markup:
        current = "/" + path.strip("/").partition("/")[0] if path.strip("/") else ""
        current = {"/jobs": "/queue", "/document": "/audit"}.get(current, current)
        entries = [
            h(
                "li",
                h(
                    "a",
                    text,
                    href=f"{self.prefix}{place}" or "/",
                    aria_current="page" if place == current else None,
                ),
            )
            for place, text in MENU
        ]
        return h(
            "header",
            h("a", h("b", self.brand), href=self.home or "/", title="Back to the application"),
            h("nav", h("ul", entries), aria_label="Console"),
            h("a", "Guides", href=self.guides) if self.guides else None,
            h("p", id="live", class_="soft", role="status"),
        )

    def _note(self, kind: str, text: str) -> Markup:
        """What was done, or why not; a job that does it is led to."""
        words: list[object] = list(_JOB.split(text))
        for odd in range(1, len(words), 2):
            words[odd] = h("a", f"job {words[odd]}", href=f"{self.prefix}/jobs/{words[odd]}")
        return h("p", words, class_=f"note {kind}", role="alert" if kind == "bad" else "status")

    def _script(self, nonce: str) -> Markup:
        return h("script", Markup(_file("console.js")), nonce=nonce)


def _file(name: str) -> str:
    return shipped(f"web/console/{name}").decode()


def policy(nonce: str) -> str:
    """The Content-Security-Policy under which a page with *nonce* runs."""
    return (
        f"default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; "
        "connect-src 'self'; img-src 'self' data:; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    )


def document(parts: list[Any]) -> Markup:
    """Several parts below each other."""
    return join(parts)
