"""Colours for code in the guides: comments, texts, numbers and keywords, by a few patterns.

It need not be right in every corner of a language, only never lose or change a character.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterator

from so.support.markup import Markup, escape, h, join

_SQL = (
    "select from where insert into values update set delete create table index primary key unique "
    "not null default and or on join left inner group by order limit drop alter references if "
    "exists begin commit rollback as in is between like"
).split()
_SHELL = "if then else fi for do done while in case esac function export cd sudo".split()

_STRING = r"\"\"\".*?\"\"\"|'''.*?'''|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'"
_NUMBER = r"\b\d[\d_]*(?:\.\d+)?\b"


def _pattern(comment: str, words: list[str], ignore_case: bool = False) -> re.Pattern[str]:
    names = "|".join(sorted(words, key=len, reverse=True))
    return re.compile(
        rf"(?P<c>{comment})|(?P<s>{_STRING})|(?P<k>\b(?:{names})\b)|(?P<n>{_NUMBER})",
        re.DOTALL | (re.IGNORECASE if ignore_case else re.RegexFlag(0)),
    )


_HASH = r"#[^\n]*"
_PYTHON = _pattern(_HASH, [*keyword.kwlist, "self"])
_CONFIG = _pattern(r"(?:^|(?<=[\s]))[#;][^\n]*", ["true", "false", "null", "yes", "no"])
_LANGUAGES = {
    "python": _PYTHON,
    "py": _PYTHON,
    "sql": _pattern(r"--[^\n]*|/\*.*?\*/", _SQL, ignore_case=True),
    "bash": _pattern(r"(?:^|(?<=\s))#[^\n]*", _SHELL),
    "sh": _pattern(r"(?:^|(?<=\s))#[^\n]*", _SHELL),
    "json": _pattern(r"(?!)", ["true", "false", "null"]),
    "php": _pattern(r"#[^\n]*|//[^\n]*|/\*.*?\*/", "function return new use class".split()),
    "ini": _CONFIG,
    "env": _CONFIG,
    "toml": _CONFIG,
    "yaml": _CONFIG,
    "nginx": _CONFIG,
}


def highlighted(code: str, language: str) -> Markup:
    """*code* escaped, with spans of class c, s, k and n where *language* is known."""
    pattern = _LANGUAGES.get(language.lower())
    return escape(code) if pattern is None else join(_spans(code, pattern))


def _spans(code: str, pattern: re.Pattern[str]) -> Iterator[object]:
    end = 0
    for found in pattern.finditer(code):
        yield code[end : found.start()]
        yield h("span", found[0], class_=found.lastgroup)
        end = found.end()
    yield code[end:]
