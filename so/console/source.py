"""Python files that makers write into: a class at the end of a module, with its imports."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from pathlib import Path

from so.errors import CommandError


def read(module: Path, otherwise: str) -> tuple[str, ast.Module]:
    """The text of *module*, *otherwise* where there is none, and what Python reads in it.

    CommandError where that is no Python: nobody writes into what he cannot read.
    """
    source = module.read_text("utf-8-sig") if module.is_file() else otherwise
    try:
        return source, ast.parse(source)
    except (SyntaxError, ValueError) as error:
        raise CommandError(
            f"{module} is no Python, so nothing was written: {error}; mend it first"
        ) from error


def append_class(module: Path, name: str, text: str) -> None:
    """Put the class of the template *text* at the end of *module*, with the imports it lacks."""
    source, tree = read(module, "")
    if class_in(tree, name) is not None:
        raise CommandError(f"{module} has a class {name} already: choose another name")
    wanted = [node for node in ast.parse(text).body if isinstance(node, ast.ImportFrom)]
    known = {alias.asname or alias.name for node in _imports(tree) for alias in node.names}
    missing = [
        f"from {node.module} import {alias.name}"
        for node in wanted
        for alias in node.names
        if alias.name not in known
    ]
    body = text[text.index("\nclass ") :].strip("\n")
    module.write_text(f"{with_imports(source, tree, missing)}\n\n{body}\n", encoding="utf-8")


def make_packages(folder: Path) -> None:
    """Let *folder* and the one it is in be packages, where they are none yet."""
    whats = {folder.parent: "This application.", folder: f"The {folder.name} of this application."}
    for each, what in whats.items():
        if not (each / "__init__.py").exists():
            (each / "__init__.py").write_text(f'"""{what}"""\n', encoding="utf-8")


def class_in(tree: ast.Module, name: str) -> ast.ClassDef | None:
    """The class *name* of a module, if it has one."""
    found = (node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name)
    return next(found, None)


def with_imports(source: str, tree: ast.Module, missing: Sequence[str]) -> str:
    """*source* with the lines *missing* behind its imports, or behind its docstring."""
    lines = source.rstrip("\n").split("\n")
    place = max((node.end_lineno or 0 for node in _header(tree)), default=0)
    gap = [""] if missing and place and not _imports(tree) else []
    lines[place:place] = [*gap, *missing]
    return "\n".join(lines).rstrip("\n") + "\n"


def _imports(tree: ast.Module) -> list[ast.Import | ast.ImportFrom]:
    return [node for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom))]


def _header(tree: ast.Module) -> list[ast.stmt]:
    """The docstring and the imports."""
    first = tree.body[:1] if ast.get_docstring(tree) is not None else []
    return [*first, *_imports(tree)]
