"""The table of built-in rules, filled by the modules `*_rules.py` as they are imported.

A rule is a test `(value, params, at) -> bool`: *params* are the texts behind the colon, *at* the
place under test, through which a rule sees its siblings and the field's other rules.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from so.http.validation.fields import At, Params

Test = Callable[[Any, Params, At], bool]
ParamsCheck = Callable[[str, Params], None]


@dataclass(frozen=True, slots=True)
class Definition:
    """What is known of a rule by its name.

    *implicit* rules run even where the value is absent or blank; *least* is how many parameters
    the rule needs; *check* raises InvalidRuleError for parameters that make no sense.
    """

    name: str
    test: Test
    implicit: bool = False
    least: int = 0
    check: ParamsCheck | None = None


RULES: Final[dict[str, Definition]] = {}

EXCLUDING: Final = frozenset(
    {"exclude", "exclude_if", "exclude_unless", "exclude_with", "exclude_without"}
)
"""Rules whose failing removes the field instead of giving a message."""

RAW_PARAMETER: Final = frozenset({"regex", "not_regex"})
"""Rules whose parameter is one text, commas and all."""


def rule(
    name: str,
    *,
    implicit: bool = False,
    least: int = 0,
    check: ParamsCheck | None = None,
) -> Callable[[Test], Test]:
    """Enter a test into the table under *name*."""

    def enter(test: Test) -> Test:
        RULES[name] = Definition(name, test, implicit, least, check)
        return test

    return enter
