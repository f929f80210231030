"""Python files that makers write into: a class at the end of a module, with its imports."""

from __future__ import annotations

import ast
from pathlib import Path

from so.errors import CommandError


def append_class(module: Path, name: str, text: str) -> None:
    """Put the class of the template *text* at the end of *module*, with the imports it lacks."""
    source = module.read_text("utf-8-sig")
    tree = ast.parse(source)
    if any(isinstance(node, ast.ClassDef) and node.name == name for node in tree.body):
        raise CommandError(f"{module} has a class {name} already: choose another name")
    wanted = [node for node in ast.parse(text).body if isinstance(node, ast.ImportFrom)]
    known = {alias.asname or alias.name for node in _imports(tree) for alias in node.names}
    lines = source.splitlines()
    missing = [
        f"from {node.module} import {alias.name}"
        for node in wanted
        for alias in node.names
        if alias.name not in known
    ]
    place = max((node.end_lineno or 0 for node in _header(tree)), default=0)
    gap = [""] if missing and place and not _imports(tree) else []
    lines[place:place] = [*gap, *missing]
    body = text[text.index("\nclass ") :].strip("\n")
    module.write_text("\n".join([*lines, "", "", body, ""]), encoding="utf-8")


def _imports(tree: ast.Module) -> list[ast.Import | ast.ImportFrom]:
    return [node for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom))]


def _header(tree: ast.Module) -> list[ast.stmt]:
    """The docstring and the imports."""
    first = tree.body[:1] if ast.get_docstring(tree) is not None else []
    return [*first, *_imports(tree)]
