"""Names that follow from names: an `OrderLine` is kept in `order_lines`.

English plurals by rule, with the irregular words that business tables use. A word it gets wrong
is no disaster: a model says `table = "…"`.
"""

from __future__ import annotations

import re
from functools import cache

_IRREGULAR = {
    "person": "people",
    "man": "men",
    "woman": "women",
    "child": "children",
    "foot": "feet",
    "tooth": "teeth",
    "goose": "geese",
    "mouse": "mice",
    "ox": "oxen",
    "die": "dice",
    "leaf": "leaves",
    "life": "lives",
    "knife": "knives",
    "wife": "wives",
    "shelf": "shelves",
    "half": "halves",
    "loaf": "loaves",
    "thief": "thieves",
    "wolf": "wolves",
    "self": "selves",
    "axis": "axes",
    "analysis": "analyses",
    "basis": "bases",
    "crisis": "crises",
    "diagnosis": "diagnoses",
    "hypothesis": "hypotheses",
    "synthesis": "syntheses",
    "thesis": "theses",
    "criterion": "criteria",
    "phenomenon": "phenomena",
    "datum": "data",
    "medium": "media",
    "index": "indices",
    "matrix": "matrices",
    "vertex": "vertices",
    "quiz": "quizzes",
    "hero": "heroes",
    "potato": "potatoes",
    "tomato": "tomatoes",
    "echo": "echoes",
    "veto": "vetoes",
    "cargo": "cargoes",
}
_ALREADY_PLURAL = frozenset(_IRREGULAR.values())
_UNCOUNTABLE = frozenset(
    "advice aircraft audio cash data deer equipment evidence feedback fish furniture hardware"
    " information knowledge luggage media metadata money music news offspring"
    " personnel progress research rice series sheep software species staff swine traffic".split()
)
_BEFORE_CAPITAL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


@cache
def snake(name: str) -> str:
    """`OrderLine` → `order_line`, `HTTPRequest` → `http_request`."""
    return _BEFORE_CAPITAL.sub("_", name).lower()


@cache
def plural(name: str) -> str:
    """The plural of a snake_case *name*, by its last word: `order_line` → `order_lines`."""
    head, joint, word = name.rpartition("_")
    return head + joint + _plural_word(word)


def _plural_word(word: str) -> str:
    if word in _UNCOUNTABLE or word in _ALREADY_PLURAL:
        return word
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if word.endswith("y") and len(word) > 1 and word[-2] not in "aeiou":
        return word[:-1] + "ies"
    if word.endswith(("s", "x", "z", "ch", "sh")):
        return word + "es"
    return word + "s"
