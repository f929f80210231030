"""The SQL dialects: `grammar_for("sqlite" | "mysql" | "mariadb" | "base", prefix)`.

Read in this order: base.py (select, insert, update, delete), conditions.py (where), names.py
(quoting), sqlite.py and mysql.py (what is theirs), money.py (numbers on SQLite).
"""

from __future__ import annotations

from functools import lru_cache

from so.db.grammar.base import Grammar
from so.db.grammar.mysql import MariaDBGrammar, MySQLGrammar
from so.db.grammar.sqlite import SQLiteGrammar
from so.errors import InvalidArgumentError

_GRAMMARS: dict[str, type[Grammar]] = {
    cls.name: cls for cls in (Grammar, SQLiteGrammar, MySQLGrammar, MariaDBGrammar)
}


def grammar_for(
    dialect: str, prefix: str = "", *, literal: bool = False, bare: frozenset[str] = frozenset()
) -> Grammar:
    """The grammar of *dialect*; the same object each time, so that its quoted names are shared.

    A *literal* one writes the text Laravel documents; else the engine takes what is written. No
    prefix is put before the tables that are named in *bare*.
    """
    return _grammar(dialect, prefix, literal, bare)


@lru_cache(maxsize=64)
def _grammar(dialect: str, prefix: str, literal: bool, bare: frozenset[str]) -> Grammar:
    cls = _GRAMMARS.get(dialect)
    if cls is None:
        raise InvalidArgumentError(
            f"unknown SQL dialect {dialect!r}: use one of {', '.join(sorted(_GRAMMARS))}"
        )
    return cls(prefix, literal=literal, bare=bare)


__all__ = ["Grammar", "MariaDBGrammar", "MySQLGrammar", "SQLiteGrammar", "grammar_for"]
