"""What keeps the inside of a room readable: circles, names, inheritance, sizes.

tests/test_architecture.py says which room may import which; here it is about the files of one
room. Imports for types alone and imports inside functions count: they are what a reader follows.
"""

from __future__ import annotations

import ast
from collections import defaultdict

from tests.support.syntax import FILES, MODULES, imports_of, module_name, tree_of

# Files that name each other, and why they do. Nothing else may, and no more than three of them.
CIRCLES = [
    {"so.systems.queue.job", "so.systems.queue.pending"},  # Job.dispatch() gives what holds a Job
    {"so.http.response", "so.http.files"},  # Response.file() gives a kind of Response
    # One login at three heights: all of them, one, and one remembered.
    {"so.systems.auth.authentication", "so.systems.auth.guard", "so.systems.auth.recall"},
]
# Class names that stand twice, and why.
TWINS = {
    "Kernel": "what runs a request, and what runs a command line: both are named so to users",
    "DatabaseStore": "of a cache and of sessions: the driver `database` of either",
    "RateLimiter": "auth may not import the cache: it says by a Protocol what it asks of one",
    "Reservation": "as RateLimiter",
}
TABLES = "so.systems.queue.tables"
MOST_LINES = 600
LONGER = {}
MOST_BASES = 6
# Classes that are a table of contents: their bases are the chapters, each of which stands alone.
CONTENTS = {
    "so.db.query.query.Query",
    "so.db.query.query.JoinClause",
    "so.db.model.query.ModelQuery",
}


def named_in(module: str) -> set[str]:
    """The modules of ours that *module* imports, wherever it does."""
    found: set[str] = set()
    for _, source, names in imports_of(MODULES[module]):
        inner = {f"{source}.{name}" for name in names} & MODULES.keys()
        found |= inner or {source}
        if len(inner) < len(names):
            found.add(source)
    return (found & MODULES.keys()) - {module}


def circles(graph: dict[str, set[str]]) -> list[set[str]]:
    """Sets of modules in which each leads to each (Tarjan's strongly connected components)."""
    index: dict[str, int] = {}
    lowest: dict[str, int] = {}
    path: list[str] = []
    found: list[set[str]] = []

    def visit(module: str) -> None:
        index[module] = lowest[module] = len(index)
        path.append(module)
        for other in graph[module]:
            if other not in index:
                visit(other)
                lowest[module] = min(lowest[module], lowest[other])
            elif other in path:
                lowest[module] = min(lowest[module], index[other])
        if lowest[module] == index[module]:
            at = path.index(module)
            found.append(set(path[at:]))
            del path[at:]

    for module in graph:
        if module not in index:
            visit(module)
    return [circle for circle in found if len(circle) > 1]


def classes() -> dict[str, dict[str, ast.ClassDef]]:
    """Module → name → definition of the classes at its top."""
    return {
        module: {node.name: node for node in tree_of(file).body if isinstance(node, ast.ClassDef)}
        for module, file in MODULES.items()
    }


def parents_of_classes() -> dict[str, set[str]]:
    """Full name of a class → full names of the classes of ours that it is made from."""
    known = classes()
    meant = {
        f"{module}.{name}": f"{source}.{name}"
        for module, file in MODULES.items()
        for _, source, names in imports_of(file)
        for name in names
    }
    found = {}
    for module, own in known.items():
        for name, node in own.items():
            bases = [base.value if isinstance(base, ast.Subscript) else base for base in node.bases]
            named = [f"{module}.{base.id}" for base in bases if isinstance(base, ast.Name)]
            found[f"{module}.{name}"] = {home(one, meant) for one in named}
    return found


def home(name: str, meant: dict[str, str]) -> str:
    """Where the class is defined that is imported as *name*."""
    while name in meant:
        name = meant[name]
    return name


def kinds_of(name: str, parents: dict[str, set[str]]) -> set[str]:
    """What a class is, itself included, as far as it is ours; a table of contents is one thing."""
    found = {name}
    for parent in parents[name]:
        if parent in parents:
            found |= {parent} if parent in CONTENTS else kinds_of(parent, parents)
    return found


def test_files_name_each_other_only_where_a_reason_is_given():
    found = circles({module: named_in(module) for module in MODULES})

    told = [sorted(circle) for circle in found if circle not in CIRCLES]
    assert not told, f"these files name each other: let one take what it needs: {told}"
    assert len(CIRCLES) <= 3


def test_a_class_name_means_one_thing():
    places: dict[str, list[str]] = defaultdict(list)
    for module, own in classes().items():
        for name in own:
            places[name].append(module)

    told = {n: at for n, at in places.items() if len(at) > 1 and n[0] != "_" and n not in TWINS}
    assert not told, f"these names stand twice: give the inner one its adjective: {told}"
    assert len(TWINS) <= 5


def test_no_file_is_longer_than_can_be_held_in_mind():
    for file in FILES:
        count = len(file.read_text("utf-8").splitlines())
        assert count <= MOST_LINES or module_name(file) in LONGER, f"{file} has {count} lines"


def test_a_class_is_few_things_unless_it_is_a_table_of_contents():
    parents = parents_of_classes()
    for name in parents.keys() - CONTENTS:
        found = kinds_of(name, parents)
        assert len(found) <= MOST_BASES, f"{name} is {len(found)} things: {sorted(found)}"


def test_the_tables_of_the_queue_know_nothing_else_of_it():
    for module in MODULES:
        if module.startswith(TABLES):
            queue = {name for name in named_in(module) if name.startswith("so.systems.queue")}
            assert all(name.startswith(TABLES) for name in queue), f"{module} imports {queue}"
