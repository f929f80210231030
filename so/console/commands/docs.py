"""`docs` reads the guides in the terminal, `openapi` writes the API's document."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from so.console.command import Command
from so.errors import CommandError


class Docs(Command):
    """Prints one guide, the list of them, or what a search finds."""

    signature = (
        "docs {guide? : Its name or the beginning of it, such as queue} "
        "{--search= : Words that a section must hold}"
    )

    def handle(self) -> int:
        """Print what was asked for; a name that no guide has is an error."""
        guides = _bound(self.app, "guides", "so.web.docs.DocsProvider")
        if self.option("search"):
            return self._search(guides, str(self.option("search")))
        name = self.argument("guide")
        return self._list(guides) if name is None else self._show(guides, str(name))

    def _list(self, guides: Any) -> int:
        found = list(guides.all().values())
        if self.wants_json:
            self.json([{"slug": g.slug, "title": g.title, "summary": g.summary} for g in found])
        else:
            self.table(["Guide", "Title"], [[guide.slug, guide.title] for guide in found])
        return 0

    def _show(self, guides: Any, name: str) -> int:
        guide = guides.nearest(name)
        if guide is None:
            known = ", ".join(guides.all())
            raise CommandError(f"there is no guide called {name!r}: choose from {known}")
        if self.wants_json:
            self.json({"slug": guide.slug, "title": guide.title, "markdown": guide.source})
        else:
            self.line(guide.source.rstrip())
        return 0

    def _search(self, guides: Any, query: str) -> int:
        hits = [hit.section for hit in guides.search(query)]
        if self.wants_json:
            self.json([{"guide": s.guide.slug, "heading": s.heading, "id": s.id} for s in hits])
            return 0
        for section in hits:
            self.info(f"{section.guide.slug}: {section.heading}")
            self.line(f"  {section.text[:160]}")
        if not hits:
            self.comment(f"nothing holds all of {query!r}")
        return 0 if hits else 1


class OpenApiCommand(Command):
    """Writes the OpenAPI 3.1 document of the application's routes."""

    signature = (
        "openapi {--output= : File to write to, instead of printing} "
        "{--prefix=@openapi.prefix : Only routes whose path begins so} "
        "{--all : Every route, pages included}"
    )

    def handle(self) -> int:
        """Write the document as JSON."""
        api = _bound(self.app, "openapi", "so.web.openapi.OpenApiProvider")
        if self.option("prefix") is not None:
            api.prefix = str(self.option("prefix")).strip("/")
        if self.option("all"):
            api.prefix = ""
        text = json.dumps(api.document(), ensure_ascii=False, indent=2)
        if not self.option("output"):
            self.line(text)
            return 0
        file = Path(str(self.option("output")))
        try:
            file.write_text(text + "\n", "utf-8")
        except OSError as error:
            raise CommandError(f"cannot write {file}: {error.strerror}") from error
        count = len(api.routes())
        facts = {"file": str(file), "routes": count}
        self.report_done(facts, f"{count} routes described in {file}")
        return 0


def _bound(app: Any, name: str, provider: str) -> Any:
    if not app.bound(name):
        raise CommandError(f"this application has no {name}: add {provider!r} to app.providers")
    return app.make(name)
