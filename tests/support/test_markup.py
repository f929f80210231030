"""HTML from values nobody has to trust."""

from __future__ import annotations

import pytest

from so.support.markup import Markup, escape, h, join

EVIL = "\"><script>alert(1)</script>'"


def test_attack_xss_children_and_attributes_are_escaped():
    assert "<script" not in h("a", EVIL, [EVIL, (EVIL,)], title=EVIL, href=EVIL)
    assert "<script" not in join([EVIL, None, Markup("<b>")], EVIL)
    assert h("p", escape(None), Markup("<b>")) == "<p><b></p>"
    assert Markup("<b>") + "<i>" == "<b>&lt;i&gt;"


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        " \x01javascript:alert(1)",
        "java\tscr\nipt\r:alert(1)",
        "vbscript:msgbox(1)",
    ],
)
@pytest.mark.parametrize("name", ["href", "src", "action", "formaction"])
def test_attack_xss_a_stored_url_never_runs_a_script(name: str, url: str):
    assert h("a", "x", **{name: url}) == f'<a {name}="#">x</a>'


@pytest.mark.parametrize(
    "url", ["/javascript:x", "https://a.example/?q=javascript:", "#javascript:", "java", "?a=b:c"]
)
def test_other_urls_stay_as_they_are(url: str):
    assert h("a", "x", href=url) == f'<a href="{url}">x</a>'


def test_attributes_come_and_go_by_their_values():
    assert h("input", checked=True, disabled=False, value=None, class_="a", data_id=1) == (
        '<input checked class="a" data-id="1">'
    )
