"""Reading SQL text just far enough: where are its literals, quoted names and placeholders?

Every question of this room about a text (is it a read? does it lock? where are its `?`?) is
answered here by one tokenizer per dialect, so that a question mark in a string is never taken for
a placeholder. It is no parser and never changes a meaning.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from so.errors import InvalidArgumentError, SchemaError

SQLITE_TOKEN: Final = re.compile(
    r"""
    '[^']*(?:''[^']*)*'                 # a string
  | "[^"]*(?:""[^"]*)*"                 # a quoted name
  | `[^`]*(?:``[^`]*)*`
  | \[[^\]]*\]
  | --[^\n]*
  | /\*.*?(?:\*/|\Z)
  | \? | ;
  | (?<![\w:]):[A-Za-z_]\w*
    """,
    re.VERBOSE | re.DOTALL,
)

MYSQL_TOKEN: Final = re.compile(
    r"""
    '[^'\\]*(?:(?:''|\\.)[^'\\]*)*'     # a string, backslash escapes
  | "[^"\\]*(?:(?:""|\\.)[^"\\]*)*"     # a string as well, without ANSI_QUOTES
  | `[^`]*(?:``[^`]*)*`
  | --(?=\s|\Z)[^\n]*
  | \#[^\n]*
  | /\*.*?(?:\*/|\Z)
  | \? | ;
  | (?<![\w:]):[A-Za-z_]\w*
    """,
    re.VERBOSE | re.DOTALL,
)

# `/*! … */` and MariaDB's `/*M! … */` are no comments to a server: what they hold is run.
# `set statement x = 1 for …` is about the statement behind it alone.
_SKIPPED: Final = re.compile(
    r"(?:\s|\ufeff|\(|;|--[^\n]*(?:\n|\Z)|\#[^\n]*(?:\n|\Z)|/\*(?!M?!).*?(?:\*/|\Z)"
    r"|/\*M?!\d*|\*/|set\s+statement\s[^;'\"]*?\sfor\b)+",
    re.DOTALL | re.IGNORECASE,
)
_WORD: Final = re.compile(r"[A-Za-z_]+")
_MAIN_VERB: Final = re.compile(r"\b(select|insert|update|delete|replace)\b", re.IGNORECASE)
_LOCKING: Final = re.compile(r"\bfor\s+(?:update|share)\b|\block\s+in\s+share\s+mode\b", re.I)
_TEMPORARY: Final = re.compile(r"\s+(?:or\s+replace\s+)?temporary\s+table\b", re.IGNORECASE)
_COMMITS_TOO: Final = re.compile(
    r"set\s+(?:password|default\s+role)\b|load\s+index\b", re.IGNORECASE
)
_EXPLAINED_PRAGMA: Final = re.compile(r"explain\s+(?:query\s+plan\s+)?pragma\b", re.IGNORECASE)
_COMMENT: Final = re.compile(r"--[^\n]*|/\*(?!M?!).*?(?:\*/|\Z)", re.DOTALL)
_READS: Final = frozenset(
    ("select", "show", "explain", "describe", "desc", "values", "table", "check", "help")
)
_COMMITTING: Final = frozenset(
    ("create", "alter", "drop", "rename", "truncate", "grant", "revoke", "analyze", "optimize")
    + ("repair", "lock", "unlock", "install", "uninstall", "flush", "reset", "cache", "change")
    + ("stop", "check", "import")
)
# What reads or changes rows and tables, and nothing about the session that runs it.
_ORDINARY: Final = frozenset(
    (
        "select",
        "with",
        "insert",
        "update",
        "delete",
        "replace",
        "values",
        "table",
        "explain",
        "show",
    )
    + ("describe", "desc", "create", "alter", "drop", "truncate", "rename", "reindex", "vacuum")
)
_OF_THE_SESSION: Final = re.compile(
    r"(?<!@)@(?!@)|\bget_lock\s*\(|\blast_insert_id\s*\(\s*[^\s)]", re.IGNORECASE
)
# An insert leaves its id in the session in any case: one that says which, as counters and locks do,
# leaves no more. As a trace it cost each request that takes a lock a connection of its own.
_OF_THE_SESSION_OF_AN_INSERT: Final = re.compile(r"(?<!@)@(?!@)|\bget_lock\s*\(", re.IGNORECASE)
_CREATES_TEMPORARY: Final = re.compile(
    r"create\s+(?:or\s+replace\s+)?temp(?:orary)?\b"
    r"|create\s+(?:\w+\s+){1,2}?(?:if\s+not\s+exists\s+)?[`\"'\[]?temp[`\"'\]]?\s*\.",
    re.IGNORECASE,
)
_ASKING_PRAGMA: Final = re.compile(
    r"pragma\s+(?:\w+\s*\.\s*)?(?:\w+|(?:table_x?info|table_list|index_list|index_x?info"
    r"|foreign_key_list|foreign_key_check|integrity_check|quick_check|wal_checkpoint|optimize"
    r"|incremental_vacuum)\s*(?:\(.*\)|=.*))[\s;]*\Z",
    re.IGNORECASE | re.DOTALL,
)
_ENDING: Final = frozenset(("begin", "start", "commit", "end", "xa"))
_TO_SAVEPOINT: Final = re.compile(r"rollback\s+(?:(?:transaction|work)\s+)?to\b", re.IGNORECASE)
_AUTOCOMMIT: Final = re.compile(r"\bautocommit\b", re.IGNORECASE)
_LITERAL: Final = re.compile(r"'(?:[^'\\]|''|\\.)*'|\"(?:[^\"\\]|\"\"|\\.)*\"", re.DOTALL)
_PREPARED: Final = re.compile(
    rf"(?:execute\s+immediate|prepare\s+\S+\s+from)\s*((?:(?:{_LITERAL.pattern})\s*)+)",
    re.IGNORECASE | re.DOTALL,
)
_BLOCK: Final = re.compile(
    r"(?:\w+\s*:\s*)?(?:if|case|loop|while|repeat|for|begin)\b", re.IGNORECASE
)
_STEP: Final = re.compile(
    r"(?:;|\b(?:then|else|do|loop|repeat|begin|atomic)\b)(?!\s*(?:begin|end)\b)\s*", re.IGNORECASE
)
_MYSQLS_ALONE = re.compile(r"/\*M?!\d*\s*(?!set\b)[a-z][^;]*", re.IGNORECASE)
_RUN_COMMENTS: Final = ("/*!", "/*M!")
_OF_CODE: Final = (*_RUN_COMMENTS, ";")
_LONGEST_REMEMBERED: Final = 20_000
_COMMENTS: Final = ("--", "/*", "#")
# Byte order marks, spaces of no width, and wide ones, as web pages and word processors leave them.
INVISIBLE: Final = "\ufeff\u200b\u2060\u00a0\u202f\u2007"
_BLANKS: Final = dict.fromkeys(map(ord, INVISIBLE), " ")


def verb(sql: str) -> str:
    """The first keyword of *sql* in lower case, comments and opening parentheses skipped."""
    return _verb(sql)[0]


def _verb(sql: str) -> tuple[str, int]:
    """The first keyword, and where it stands."""
    skipped = _SKIPPED.match(sql)
    start = skipped.end() if skipped else 0
    word = _WORD.match(sql, start)
    return (word.group().lower() if word else ""), start


@lru_cache(maxsize=4096)
def is_read(sql: str) -> bool:
    """True when *sql* changes nothing, so that running it a second time does no harm."""
    first = verb(sql)
    if first == "with":
        return main_verb(sql) == "select"
    if first == "pragma":
        return "=" not in sql
    return first in _READS


def main_verb(sql: str) -> str:
    """The verb of a statement behind its `with` clause; the first one at the outer level."""
    depth = 0
    last = 0
    for match in SQLITE_TOKEN.finditer(sql + ";"):
        for piece in re.finditer(r"[()]|\b[A-Za-z]+\b", sql[last : match.start()]):
            depth += {"(": 1, ")": -1}.get(piece.group(), 0)
            if depth == 0 and _MAIN_VERB.fullmatch(piece.group()):
                return piece.group().lower()
        last = match.end()
    return "with"


@lru_cache(maxsize=4096)
def is_locking(sql: str) -> bool:
    """True for `select … for update` and its like, which must see the writer."""
    return _LOCKING.search(sql) is not None


@lru_cache(maxsize=4096)
def commits_implicitly(sql: str) -> bool:
    """True for what makes MySQL commit the running transaction without saying so."""
    first, behind = _verb(sql)
    if first not in _COMMITTING:
        return _COMMITS_TOO.match(sql, behind) is not None
    if first in ("create", "drop"):
        start = re.search(first, sql, re.IGNORECASE)
        return not (start and _TEMPORARY.match(sql, start.end()))
    return True


def is_ordinary(sql: str) -> bool:
    """True for what is about rows and tables alone.

    Everything else (settings, variables, locks, temporary tables, attached files, transactions in
    plain SQL) may change what the next user of the same session finds.
    """
    return _is_ordinary(sql) if len(sql) <= _LONGEST_REMEMBERED else _is_ordinary.__wrapped__(sql)


@lru_cache(maxsize=4096)
def _is_ordinary(sql: str) -> bool:
    first, behind = _verb(sql)
    if first == "pragma":
        return _ASKING_PRAGMA.match(sql, behind) is not None
    if first not in _ORDINARY:
        return False
    if first == "create" and _CREATES_TEMPORARY.match(_COMMENT.sub(" ", sql[behind:])):
        return False
    if first == "explain" and _EXPLAINED_PRAGMA.match(_COMMENT.sub(" ", sql[behind:])):
        return False  # SQLite sets it all the same
    trace = _OF_THE_SESSION_OF_AN_INSERT if first == "insert" else _OF_THE_SESSION
    return trace.search(sql) is None or trace.search(_code(sql)) is None


def _code(sql: str) -> str:
    """*sql* without its literals, quoted names and comments."""
    return MYSQL_TOKEN.sub(lambda m: m.group() if m.group().startswith(_OF_CODE) else " ", sql)


def ends_transaction(sql: str) -> bool:
    """True for what begins, commits or rolls back a transaction in plain SQL; savepoints do not."""
    first, start = _verb(sql)
    if first == "set":
        return _AUTOCOMMIT.search(sql, start) is not None
    if first == "rollback":
        return _TO_SAVEPOINT.match(sql, start) is None
    return first in _ENDING


def carried(sql: str) -> list[str]:
    """The statements that *sql* carries within, as far as it tells: prepared, or in a block.

    `execute immediate '…'`, `prepare p from '…'`, and MariaDB's `if … then …; end if` and its like.
    """
    first, behind = _verb(sql)
    if first in _ORDINARY:
        return []
    text = _COMMENT.sub(" ", sql[behind:])
    prepared = _PREPARED.match(text)
    if prepared:
        literals = _LITERAL.findall(prepared.group(1))
        inner = "".join(one[1:-1].replace(one[0] * 2, one[0]) for one in literals)
        return [inner, *carried(inner)]
    if not _BLOCK.match(text):
        return []
    code = _code(text)
    return [code[step.end() :] for step in _STEP.finditer(code)]


def backtick_names(sql: str) -> str:
    """*sql* with `"name"` written as `` `name` ``, which SQLite never takes for a string.

    SQLite reads a double-quoted name that matches no column as a string literal, so a misspelt
    column would match silently instead of failing.
    """
    if '"' not in sql:
        return sql
    return SQLITE_TOKEN.sub(_backtick, sql)


def _backtick(match: re.Match[str]) -> str:
    token = match.group()
    if token[0] != '"':
        return token
    return "`" + token[1:-1].replace('""', '"').replace("`", "``") + "`"


def cut(sql: str, *, named: bool, token: re.Pattern[str]) -> tuple[list[str], list[str]]:
    """*sql* cut at its placeholders: n + 1 pieces, and the n names (empty texts for `?`)."""
    pieces, names = [], []
    last = 0
    for match in token.finditer(sql):
        found = match.group()
        if (found[0] == ":") if named else (found == "?"):
            pieces.append(sql[last : match.start()])
            names.append(found[1:])
            last = match.end()
    pieces.append(sql[last:])
    return pieces, names


@lru_cache(maxsize=512)
def enclosed(sql: str, token: re.Pattern[str]) -> str:
    """*sql* in parentheses; ValueError for text that would not stay within them."""
    depth, last, end = 0, 0, ")"
    for match in token.finditer(sql):
        found = match.group()
        depth = _depth(sql[last : match.start()], depth)
        last = match.end()
        if found[:2] == "/*" and not found.endswith("*/"):
            depth = -1
        # A comment up to the end of the line would swallow what follows.
        end = "\n)" if last == len(sql) and (found[:2] == "--" or found[0] == "#") else ")"
    if _depth(sql[last:], depth) != 0:
        raise InvalidArgumentError(
            f"SQL beside conditions of the framework must be complete in itself, with as many "
            f"parentheses and quotes opened as closed: {sql:.200}"
        )
    return f"({sql}{end}"


def _depth(piece: str, depth: int) -> int:
    """How many parentheses are open behind *piece*; -1 once one too many was closed."""
    for char in piece:
        if depth >= 0 and char in "()":
            depth += 1 if char == "(" else -1
        elif char in "'\"`":
            return -1
    return depth


def statements(script: str, dialect: str) -> list[str]:
    """The statements of a *script*, without their final semicolons; comments stay with the next.

    Triggers with `begin … end` are kept whole: SQLite knows where they end, MySQL scripts say it
    with `delimiter //` as in its own client. Nothing but comments is left out: what this does not
    understand goes to the database, which says so. Characters that nobody sees, such as a byte
    order mark or a no-break space, count as blanks outside of literals. Raises SchemaError for a
    text, name or comment that does not end.
    """
    token = SQLITE_TOKEN if dialect == "sqlite" else MYSQL_TOKEN
    clean = _checked(script, token, "'\"`[" if dialect == "sqlite" else "'\"`")
    found = _sqlite_statements(clean) if dialect == "sqlite" else _mysql_statements(clean)
    if dialect == "sqlite":
        return [text for text in found if not _is_passed_over(text)]
    return [text for text in found if not _is_comment(text, token, _RUN_COMMENTS)]


def _is_passed_over(text: str) -> bool:
    """True for a comment of SQLite; SchemaError for what MySQL would run in one, settings apart."""
    if not _is_comment(text, SQLITE_TOKEN, ()):
        return False
    hidden = _MYSQLS_ALONE.search(text)
    if hidden:
        raise SchemaError(
            f"MySQL alone runs what stands in the comment {hidden.group():.60}…: take it out of "
            "the comment, or write a file for each engine (.sqlite.sql, .mysql.sql)"
        )
    return True


def _checked(script: str, token: re.Pattern[str], quotes: str) -> str:
    """*script* with blanks for what is invisible; SchemaError where something does not end."""
    parts: list[str] = []
    last = 0
    for match in token.finditer(script):
        parts.append(_checked_code(script, last, match.start(), quotes))
        found = match.group()
        if found.startswith("/*") and (len(found) < 4 or not found.endswith("*/")):
            raise _endless("comment", script, match.start())
        parts.append(found)
        last = match.end()
    parts.append(_checked_code(script, last, len(script), quotes))
    return "".join(parts)


def _checked_code(script: str, start: int, end: int, quotes: str) -> str:
    code = script[start:end]
    for quote in quotes:
        if quote in code:
            raise _endless(f"text or name in {quote}", script, start + code.index(quote))
    return code.translate(_BLANKS)


def _endless(what: str, script: str, position: int) -> SchemaError:
    line = script.count("\n", 0, position) + 1
    return SchemaError(f"the {what} that begins in line {line} has no end: close it")


def _is_comment(text: str, token: re.Pattern[str], kept: tuple[str, ...]) -> bool:
    """True for what holds nothing to run."""

    def bare(match: re.Match[str]) -> str:
        found = match.group()
        return "" if found.startswith(_COMMENTS) and not found.startswith(kept or "\0") else found

    return not token.sub(bare, text).strip(" \t\r\n\f;")


def _sqlite_statements(script: str) -> Iterator[str]:
    start = 0
    for match in SQLITE_TOKEN.finditer(script):
        if match.group() == ";" and sqlite3.complete_statement(script[start : match.end()]):
            yield script[start : match.start()].strip()
            start = match.end()
    yield script[start:].strip()


def _mysql_statements(script: str) -> Iterator[str]:
    start = position = 0
    delimiter = ";"
    while match := _end_of_statement(delimiter).search(script, position):
        position = match.end()
        if match["end"] or match["delimiter"]:
            yield script[start : match.start()].strip()
            start = position
        if match["delimiter"]:
            delimiter = match["delimiter"]
    yield script[start:].strip()


@lru_cache(maxsize=32)
def _end_of_statement(delimiter: str) -> re.Pattern[str]:
    """The next end of a statement, line that sets a delimiter, or token with neither in it."""
    return re.compile(
        rf"^[ \t]*delimiter[ \t]+(?P<delimiter>\S+)[ \t]*$ | (?P<end>{re.escape(delimiter)}) |"
        + MYSQL_TOKEN.pattern,
        MYSQL_TOKEN.flags | re.MULTILINE | re.IGNORECASE,
    )
