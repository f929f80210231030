"""What a page in a browser is measured by: does every element fit, and can everybody use it."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tests.support.browser import Browser

# Every element that is drawn, and not the document: what is clipped is cut off all the same.
_WIDE = """
const found = [];
for (const one of document.body.querySelectorAll('*')) {
  const box = one.getBoundingClientRect(), style = getComputedStyle(one);
  if (!box.width || !box.height || style.visibility === 'hidden') continue;
  if (one.closest('svg') && one.tagName !== 'svg') continue;
  let scroller = arguments[0] ? one.parentElement : null;
  while (scroller && !/auto|scroll/.test(getComputedStyle(scroller).overflowX))
    scroller = scroller.parentElement;
  if (scroller) continue;
  if (box.right > innerWidth + 0.5 || box.left < -0.5)
    found.push(`${one.tagName}.${one.className} ${Math.round(box.left)}..${Math.round(box.right)}`);
}
return found.slice(0, 5);
"""
# Short words that the page tears in two, letter by letter, for want of room.
_TORN = r"""
const torn = new Set(), texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (texts.nextNode()) {
  const text = texts.currentNode, place = text.parentElement;
  if (!place.checkVisibility() || place.closest('pre, code, .skip, .unseen')) continue;
  for (const word of text.data.matchAll(/\p{L}{3,12}/gu)) {
    const range = document.createRange();
    range.setStart(text, word.index);
    range.setEnd(text, word.index + word[0].length);
    const lines = new Set([...range.getClientRects()].map(box => Math.round(box.top)));
    if (lines.size > 1) torn.add(word[0]);
  }
}
return [...torn];
"""
_AXE = """
const done = arguments[arguments.length - 1];
axe.run(document, arguments[0]).then(
  found => done(found.violations.filter(v => ['serious', 'critical'].includes(v.impact)).map(
    v => `${v.id}: ${v.nodes.slice(0, 3).map(n => n.html.slice(0, 160)).join(' | ')}`)),
  error => done([String(error)]));
"""
EVERYTHING: dict[str, Any] = {"resultTypes": ["violations"]}
CONTRAST: dict[str, Any] = {**EVERYTHING, "runOnly": ["color-contrast"]}


def too_wide(browser: Browser, *, may_scroll: bool = False) -> list[str]:
    """The first elements that reach beyond the screen; not those within a part that scrolls."""
    script = {"script": _WIDE, "args": [may_scroll]}
    found: list[str] = browser.ask("POST", "/execute/sync", script)
    return found


def torn_words(browser: Browser) -> list[str]:
    """The short words of the page that is open which stand on two lines."""
    found: list[str] = browser.run(_TORN)
    return found


def bring_checker(browser: Browser) -> None:
    """Put the accessibility checker into every page that is opened from now on."""
    browser.devtools("Page.addScriptToEvaluateOnNewDocument", source=_source())


def faults(browser: Browser, rules: dict[str, Any] = EVERYTHING) -> list[str]:
    """What the accessibility checker finds serious or critical on the page that is open."""
    found: list[str] = browser.ask("POST", "/execute/async", {"script": _AXE, "args": [rules]})
    return found


def _source() -> str:
    given = os.environ.get("SIXORBIT_AXE")  # a newer one than Python's package holds
    if not given:
        spec = find_spec("axe_core_python")
        assert spec is not None, "axe-core-python is missing: `make setup`"
        assert spec.origin is not None
        given = str(Path(spec.origin).with_name("axe.min.js"))
    return Path(given).read_text("utf-8")
