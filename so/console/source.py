"""Python files that makers write into: a class at the end of a module, with its imports."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from so.errors import CommandError

_WIDTH = 88  # what the strictest of the usual settings takes
_OWN = ("app", "config", "database", "so", "tests")  # folders of an application


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
    for node in ast.parse(text).body:
        if isinstance(node, ast.ImportFrom) and node.module:
            source = with_import(source, node.module, [alias.name for alias in node.names])
    body = text[text.index("\nclass ") :].strip("\n")
    module.write_text(f"{source.rstrip()}\n\n\n{body}\n".lstrip(), encoding="utf-8")


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


def with_import(source: str, module: str, names: Sequence[str]) -> str:
    """*source* with what it lacks of *names*, imported where tools that sort imports put it."""
    tree = ast.parse(source)
    found = _imports(tree)
    missing = set(names) - {alias.asname or alias.name for node in found for alias in node.names}
    lines = source.rstrip("\n").split("\n")
    if not missing:
        return source
    for node in found:
        place = slice(node.lineno - 1, node.end_lineno)
        if _is_plain(node, module, "\n".join(lines[place])):
            missing |= {alias.name for alias in node.names}
            lines[place] = [_line(module, missing)]
            break
    else:
        _insert(lines, tree, module, _line(module, missing))
    return "\n".join(lines).rstrip("\n") + "\n"


def _is_plain(node: ast.stmt, module: str, text: str) -> bool:
    """Whether *node*, of which *text* are the lines, can be written anew with further names."""
    if not isinstance(node, ast.ImportFrom) or (node.module, node.level) != (module, 0):
        return False
    is_alone = len(ast.parse(text).body) == 1 and "#" not in text and node.col_offset == 0
    return is_alone and not any(alias.asname or alias.name == "*" for alias in node.names)


def _line(module: str, names: Iterable[str]) -> str:
    """Constants first, then classes, then functions, as sorters have it."""
    told = sorted(names, key=lambda name: (not name.isupper(), name[:1].islower(), name))
    line = f"from {module} import {', '.join(told)}"
    if len(line) <= _WIDTH:
        return line
    return "\n".join([f"from {module} import (", *(f"    {name}," for name in told), ")"])


def _insert(lines: list[str], tree: ast.Module, module: str, line: str) -> None:
    """Put *line* among the imports of *tree*, which *lines* are, or behind its docstring."""
    group, key = _group(module), (_group(module), True, module)
    before = [node for node in _imports(tree) if _key(node) <= key]
    after = [node for node in _imports(tree) if _key(node) > key]
    if before and (_key(before[-1])[0] == group or not after or _key(after[0])[0] != group):
        gap = [""] if _key(before[-1])[0] != group else []
        lines[before[-1].end_lineno : before[-1].end_lineno] = [*gap, line]
    elif after:
        gap = [""] if _key(after[0])[0] != group else []
        lines[after[0].lineno - 1 : after[0].lineno - 1] = [line, *gap]
    elif ast.get_docstring(tree) is not None:
        lines[tree.body[0].end_lineno : tree.body[0].end_lineno] = ["", line]
    else:
        lines[:0] = [line]


def _key(node: ast.Import | ast.ImportFrom) -> tuple[int, bool, str]:
    is_from = isinstance(node, ast.ImportFrom)
    module = node.module or "" if is_from else node.names[0].name  # type: ignore[union-attr]
    return _group(module), is_from, module


def _group(module: str) -> int:
    """`__future__`, the standard library, packages, the application and its framework."""
    root = module.partition(".")[0]
    if root == "__future__":
        return 0
    if root in sys.stdlib_module_names:
        return 1
    return 3 if root in ("", *_OWN) else 2


def _imports(tree: ast.Module) -> list[ast.Import | ast.ImportFrom]:
    return [node for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom))]
