"""The Markdown our guides are written in, element by element."""

from __future__ import annotations

import re

import pytest

from so.web.highlight import highlighted
from so.web.markdown import plain, render, slug


def html(source: str) -> str:
    return str(render(source).html)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("one\ntwo", "<p>one\ntwo</p>"),
        ("one\n\ntwo", "<p>one</p>\n<p>two</p>"),
        ("a  \nb\\\nc", "<p>a<br>b<br>c</p>"),
        ("**bold** and __bold__", "<p><strong>bold</strong> and <strong>bold</strong></p>"),
        ("*it* and _it_", "<p><em>it</em> and <em>it</em></p>"),
        ("**bo *in* ld**", "<p><strong>bo <em>in</em> ld</strong></p>"),
        ("***both***", "<p><strong><em>both</em></strong></p>"),
        ("~~gone~~", "<p><del>gone</del></p>"),
        ("snake_case_name and 2 * 3 * 4", "<p>snake_case_name and 2 * 3 * 4</p>"),
        ("`a < b` and ``x ` y``", "<p><code>a &lt; b</code> and <code>x ` y</code></p>"),
        ("`` `ticks` ``", "<p><code>`ticks`</code></p>"),
        ("`**not bold**`", "<p><code>**not bold**</code></p>"),
        (r"\*plain\* \[x\]", "<p>*plain* [x]</p>"),
        ("<script>alert(1)</script> & co", "<p>&lt;script&gt;alert(1)&lt;/script&gt; &amp; co</p>"),
        ("<!-- a\ncomment -->text", "<p>text</p>"),
        ("---", "<hr>"),
        ("* * *", "<hr>"),
        ("> a\n> b\nc\n\nd", "<blockquote><p>a\nb\nc</p></blockquote>\n<p>d</p>"),
        ("- a\n- b", "<ul><li>a</li><li>b</li></ul>"),
        ("- a\n\n- b", "<ul><li><p>a</p></li><li><p>b</p></li></ul>"),
        ("1. a\n2. b", "<ol><li>a</li><li>b</li></ol>"),
        ("3) a", '<ol start="3"><li>a</li></ol>'),
        ("- a\n  - b\n    1. c\n- d",
         "<ul><li>a\n<ul><li>b\n<ol><li>c</li></ol></li></ul></li><li>d</li></ul>"),
        ("- a\n  more\n  lines\nlazy", "<ul><li>a\nmore\nlines\nlazy</li></ul>"),
        ("- a\n\n  second\n- b", "<ul><li><p>a</p>\n<p>second</p></li><li><p>b</p></li></ul>"),
        ("- a\n\nafter", "<ul><li>a</li></ul>\n<p>after</p>"),
        ("- a\n+ b", "<ul><li>a</li></ul>\n<ul><li>b</li></ul>"),
        ("text\n- a", "<p>text</p>\n<ul><li>a</li></ul>"),
        ("-", "<ul><li></li></ul>"),
        ("- [ ] todo\n- [x] done",
         '<ul><li class="task"><input type="checkbox" disabled> todo</li>'
         '<li class="task"><input type="checkbox" disabled checked> done</li></ul>'),
        ("| a | b | c |\n|---|:-:|--:|\n| 1 | `x|y` | 3 |\n| 4 \\| 5 |",
         '<div class="table"><table><thead><tr><th>a</th><th class="center">b</th>'
         '<th class="right">c</th></tr></thead><tbody><tr><td>1</td>'
         '<td class="center"><code>x|y</code></td><td class="right">3</td></tr><tr><td>4 | 5</td>'
         '<td class="center"></td><td class="right"></td></tr></tbody></table></div>'),
        ("a | b\n--- | ---",
         '<div class="table"><table><thead><tr><th>a</th><th>b</th></tr></thead></table></div>'),
        ("a | b\n---", "<p>a | b</p>\n<hr>"),
        ("```\n<b>\n\n# no heading\n```",
         '<pre tabindex="0"><code>&lt;b&gt;\n\n# no heading\n</code></pre>'),
        ("[a **b**](/x)", '<p><a href="/x">a <strong>b</strong></a></p>'),
        ("[a](/x_(y) \"title\")", '<p><a href="/x_(y)">a</a></p>'),
        ("[`[x]`](/y)", '<p><a href="/y"><code>[x]</code></a></p>'),
        ("see https://a.example/b, and <http://c.example>",
         '<p>see <a href="https://a.example/b">https://a.example/b</a>, and '
         '<a href="http://c.example">http://c.example</a></p>'),
        ("<ann@x.example>", '<p><a href="mailto:ann@x.example">ann@x.example</a></p>'),
        ("![alt](a.png \"title\") ![b](c.png)",
         '<p><img src="a.png" alt="alt" title="title" loading="lazy"> '
         '<img src="c.png" alt="b" loading="lazy"></p>'),
        ("[x](javascript:alert(1)) ![y](data:text/html,z)",
         '<p><a href="#">x</a> <img src="#" alt="y" loading="lazy"></p>'),
        ("", ""),
    ],
)  # fmt: skip
def test_each_element_becomes_its_html(source, expected):
    assert html(source) == expected


def test_headings_have_ids_and_are_listed():
    document = render("# The *Title*\n\n## Use `it`!\n## Use it\n#no heading")

    assert [(h.level, h.text, h.id) for h in document.headings] == [
        (1, "The Title", "the-title"),
        (2, "Use it!", "use-it"),
        (2, "Use it", "use-it-2"),
    ]
    assert document.title == "The Title"
    assert '<h2 id="use-it">' in document.html
    assert "<p>#no heading</p>" in document.html


def test_a_text_without_heading_has_no_title():
    assert render("text").title == ""


def test_code_is_kept_to_the_character():
    source = "```python\nif a < b:  # less\n    return 'x'\n\n    f(1)\n```"

    code = re.search(r"<pre.*?>(.*)</pre>", html(source), re.DOTALL)[1]

    assert re.sub(r"<[^>]+>", "", code) == (
        "if a &lt; b:  # less\n    return &#x27;x&#x27;\n\n    f(1)\n"
    )
    assert 'class="language-python"' in html(source)


def test_a_fence_inside_a_list_is_set_out():
    assert "<code>x = 1\n</code>" in html("- a\n\n  ```\n  x = 1\n  ```")


def test_a_fence_that_is_never_closed_runs_to_the_end():
    assert "<code>a\nb\n</code>" in html("~~~\na\nb")


def test_a_quote_is_ended_by_another_block():
    assert html("> a\n# b").startswith("<blockquote><p>a</p></blockquote>\n<h1")


def test_links_can_be_rewritten():
    document = render("[a](b.md) ![c](d.png)", lambda url: f"/x/{url}")

    assert 'href="/x/b.md"' in document.html
    assert 'src="/x/d.png"' in document.html


def test_ids_are_made_of_words():
    assert slug("Wie geht's, Größe & Co?") == "wie-gehts-größe-co"
    assert slug("!!!") == "section"


def test_plain_words_come_out_of_markup():
    assert plain("<p>a &amp; <b>b</b>\n c</p>") == "a & b c"


@pytest.mark.parametrize(
    ("language", "code", "expected"),
    [
        ("python", 'def f(): "x"  # c', '<span class="k">def</span>'),
        ("py", "x = 12", '<span class="n">12</span>'),
        ("sql", "SELECT 1 -- why", '<span class="c">-- why</span>'),
        ("bash", "echo 'a' # b", '<span class="s">&#x27;a&#x27;</span>'),
        ("json", '{"a": true}', '<span class="k">true</span>'),
        ("ini", "[x]\n; note", '<span class="c">; note</span>'),
        ("unknown", "a < b", "a &lt; b"),
    ],
)
def test_code_is_coloured_and_loses_nothing(language, code, expected):
    marked = highlighted(code, language)

    assert expected in marked
    assert re.sub(r"<[^>]+>", "", marked) == str(highlighted(code, ""))


def test_a_large_guide_is_rendered_quickly_enough_to_be_linear():
    # Doubling the text must about double the output, and neither may hang.
    part = "## Head\n\nSome *text* with `code` and [a link](b.md).\n\n- a\n  - b\n\n"

    one, two = render(part * 100), render(part * 200)

    assert len(two.headings) == 2 * len(one.headings) == 200
