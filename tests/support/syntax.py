"""The framework's files as syntax trees, each read once for all tests that look at code."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / "so").rglob("*.py"))
_BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")


def module_name(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(file): file for file in FILES}


@functools.cache
def tree_of(file: Path) -> ast.Module:
    return ast.parse(file.read_text("utf-8"))


def statements(node: ast.AST) -> Iterator[ast.stmt]:
    """Every statement in *node*, at any depth: a tenth of its nodes."""
    for block in _BLOCKS:
        for inner in getattr(node, block, ()):
            if isinstance(inner, ast.stmt):
                yield inner
            yield from statements(inner)


@functools.cache
def imports_of(file: Path) -> list[tuple[int, str, tuple[str, ...]]]:
    """Line, module and names of every import, those within functions included."""
    found: list[tuple[int, str, tuple[str, ...]]] = []
    for node in statements(tree_of(file)):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name, ()) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}:{node.lineno}: relative import; write the full name"
            names = tuple(alias.name for alias in node.names)
            found.append((node.lineno, str(node.module), names))
    return found
