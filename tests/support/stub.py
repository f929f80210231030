"""The types of the names of `so`, for readers and editors: `python -m tests.support.stub`.

`so` looks its names up when they are first used, which no type checker can follow. The stub says
where each comes from; a test keeps it to the table in so/__init__.py.
"""

from __future__ import annotations

import sys

import so


def stub() -> str:
    """The text of so/__init__.pyi."""
    names = {**so._NAMES, "config": "so.shortcuts", "db": "so.shortcuts"}
    lines = [
        "# The types of what so/__init__.py finds when it is asked for.",
        "# Written by `python -m tests.support.stub`; a test keeps it current.",
        "# ruff: noqa: I001",
        "",
    ]
    for module, name in sorted((module, name) for name, module in names.items()):
        line = f"from {module} import {name} as {name}"
        lines.append(
            line if len(line) <= 100 else f"from {module} import (\n    {name} as {name},\n)"
        )
    return "\n".join([*lines, "", "__version__: str", ""])


if __name__ == "__main__":
    sys.stdout.write(stub())
