"""Who may import whom, and what keeps the inside of a room readable.

Read from the syntax trees: imports for types alone and imports inside functions count, since they
are what a reader follows.
"""

from __future__ import annotations

import ast
import functools
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from so.settings import TOPICS, settings_class
from so.settings.database import MysqlSettings, SqliteSettings
from so.support.settings import Settings
from tests.support.syntax import FILES, MODULES, ROOT, imports_of, statements, tree_of

# room → what it may import of ours. A room is named by its longest prefix here.
LOW = ("so.errors", "so.support", "so.settings")
SYSTEMS = ("so.systems",)
MAY_IMPORT: dict[str, tuple[str, ...]] = {
    "so.errors": (),
    "so.support": ("so.errors", "so.support"),
    "so.settings": ("so.errors", "so.support", "so.settings"),
    "so.config": LOW,
    "so.container": (*LOW, "so.container"),
    "so.db": (*LOW, "so.db"),
    "so.http": (*LOW, "so.http"),
    "so.server": (*LOW, "so.server"),
    "so.systems.activity": (*LOW, "so.db", "so.systems.activity"),
    "so.systems.auth": (*LOW, "so.db", "so.systems.auth"),
    "so.systems.cache": (*LOW, "so.db", "so.systems.cache"),
    "so.systems.notifications": (*LOW, "so.db", "so.systems.notifications"),
    "so.systems.queue": (*LOW, "so.db", "so.systems.queue"),
    "so.systems.queue.tables": (*LOW, "so.db", "so.systems.queue.tables"),
    "so.systems.sessions": (*LOW, "so.db", "so.systems.sessions"),
    "so.systems.worker": (*LOW, "so.db", "so.systems.queue", "so.systems.worker"),
    "so.systems": (),
    "so.edge": (*LOW, "so.http", *SYSTEMS, "so.edge"),
    "so.application": (
        *LOW, "so.config", "so.container", "so.db", "so.http", "so.server", *SYSTEMS, "so.edge",
        "so.application",
    ),
    "so.shortcuts": (
        *LOW, "so.config", "so.container", "so.db", "so.http", *SYSTEMS, "so.application",
    ),
    "so.console": ("so",),
    "so.web": (
        *LOW, "so.config", "so.container", "so.db", "so.http", *SYSTEMS, "so.edge",
        "so.application", "so.web",
    ),
    "so.testing": ("so",),
    "so.release": (*LOW, "so.db", "so.release"),
    "so.wsgi": ("so.application",),
    "so.__main__": ("so.console",),
    "so": (),
}  # fmt: skip
# Both come with mysql-connector-python; the second is its compiled half.
OUTSIDE_THE_STANDARD_LIBRARY = {
    "mysql": "so.db.dialects.mysql",
    "_mysql_connector": "so.db.dialects.mysql",
}


def room_of(module: str) -> str:
    rooms = [room for room in MAY_IMPORT if module == room or module.startswith(room + ".")]
    return max(rooms, key=len)


def is_allowed(imported: str, allowed: tuple[str, ...]) -> bool:
    return any(imported == name or imported.startswith(name + ".") for name in allowed)


# Each goes through all files at once and tells all that is wrong: a test for each of five hundred
# files and five rules took longer to collect and report than to run.
def test_a_room_imports_only_what_the_house_allows():
    wrong = []
    for module, file in MODULES.items():
        room = room_of(module)
        for line, imported, _ in imports_of(file):
            is_ours = imported.partition(".")[0] == "so"
            is_version = room == "so.application" and imported == "so"  # __version__ alone
            if is_ours and not is_version and not is_allowed(imported, MAY_IMPORT[room]):
                wrong.append(f"{file}:{line}: {room} must not import {imported}")

    assert wrong == [], MAY_IMPORT


def test_the_framework_imports_the_standard_library_and_itself_only():
    wrong = []
    for module, file in MODULES.items():
        for line, imported, _ in imports_of(file):
            top = imported.partition(".")[0]
            if top in ("so", "__future__") or top in sys.stdlib_module_names:
                continue
            home = OUTSIDE_THE_STANDARD_LIBRARY.get(top, "nobody")
            if module != home:
                wrong.append(f"{file}:{line}: {home} may import {imported}")

    assert wrong == []


def test_no_module_reads_objects_back_by_running_them():
    dangerous = ("pickle", "marshal", "shelve", "dill")

    assert [
        f"{file}:{line}: {imported} runs code that a row could hold"
        for file in FILES
        for line, imported, _ in imports_of(file)
        if imported.partition(".")[0] in dangerous
    ] == []


def test_every_module_says_what_it_is_for():
    assert [file for file in FILES if not ast.get_docstring(tree_of(file))] == []


# What is called as a setting is, and is something else: (file below so/, name).
NO_SETTINGS = {
    ("http/cookies.py", "path"), ("http/response.py", "path"), ("testing.py", "path"),
    ("support/journal.py", "ident"), ("support/supervisor.py", "grace_seconds"),
    ("systems/queue/job.py", "queue"), ("systems/queue/job.py", "timeout"),
}  # fmt: skip
ONE_DEFAULT = "take the default from the field: `QueueSettings.tries`, `app.settings(…)`"


@functools.cache
def defaults_of_settings() -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}

    def look(kind: type[Settings]) -> None:
        for name, told in kind.told().items():
            if told.part is not None:
                look(told.part)
            found.setdefault(name, set()).add(repr(kind.default_of(name)))

    for kind in (*map(settings_class, TOPICS), SqliteSettings, MysqlSettings):
        look(kind)
    return found


def defaults_in(node: ast.AST) -> list[tuple[str, ast.expr | None]]:
    """The names that *node* gives a default, as a parameter or as a field."""
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        return [(node.target.id, node.value)]
    if not isinstance(node, ast.FunctionDef):
        return []
    places = [*node.args.posonlyargs, *node.args.args]
    last = places[len(places) - len(node.args.defaults) :]
    named = zip(last, node.args.defaults, strict=True)
    keywords = zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
    return [(arg.arg, default) for arg, default in [*named, *keywords]]


def doubled(file: Path) -> Iterator[str]:
    """The places where *file* tells the default of a setting again."""
    known, place = defaults_of_settings(), file.relative_to(ROOT / "so").as_posix()
    for node in ast.walk(tree_of(file)):
        for name, default in defaults_in(node):
            # True, None, 0 and "" say too little to be a second telling.
            said = default.value if isinstance(default, ast.Constant) else None
            is_known = said and said is not True and repr(said) in known.get(name, ())
            if is_known and (place, name) not in NO_SETTINGS:
                yield f"{file}:{node.lineno}: {name}={said!r}"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args[1:]:
            asked = ast.unparse(node.func.value)
            is_reading = node.func.attr in ("get", "string", "integer", "boolean", "array")
            is_config = asked.endswith(("app.config", "self.config")) or asked == "config"
            if is_reading and is_config:
                yield f"{file}:{node.lineno}"


def test_a_setting_has_one_default_and_that_is_its_field():
    files = [file for file in FILES if ROOT / "so" / "settings" not in file.parents]

    assert [place for file in files for place in doubled(file)] == [], ONE_DEFAULT


@pytest.mark.parametrize("file", sorted((ROOT / "config").glob("*.py")), ids=lambda file: file.stem)
def test_a_file_of_the_frameworks_settings_reads_the_fields_and_tells_no_default(file):
    calls = [
        ast.unparse(node.func) for node in ast.walk(tree_of(file)) if isinstance(node, ast.Call)
    ]
    assert calls == ["env.settings"]


def test_the_table_of_rooms_names_real_modules():
    for room in MAY_IMPORT:
        path = ROOT / room.replace(".", "/")
        assert path.is_dir() or path.with_suffix(".py").is_file(), f"{room} is not there"


def test_what_the_queue_is_made_of_does_not_name_the_queue():
    """Parts take the tables they work on, or the half that takes jobs in."""
    room = ROOT / "so" / "systems" / "queue"
    above = {"__init__.py", "queue.py"}
    for file in room.rglob("*.py"):
        if file.relative_to(room).as_posix() not in above:
            named = [imported for _, imported, _ in imports_of(file)]
            assert "so.systems.queue.queue" not in named, f"{file} names the Queue"


# --- the inside of a room -------------------------------------------------------------------------

# Files that name each other, and why they do. Nothing else may, and never three.
CIRCLES = [
    {"so.systems.queue.job", "so.systems.queue.pending"},  # Job.dispatch() gives what holds a Job
    {"so.http.response", "so.http.files"},  # Response.file() gives a kind of Response
]
# Class names that stand twice, and why.
TWINS = {
    "Kernel": "what runs a request, and what runs a command line: both are named so to users",
}
TABLES = "so.systems.queue.tables"
MOST_LINES = 600
LONGEST_FUNCTION = 40
MOST_BASES = 6
# Classes that are a table of contents: their bases are the chapters, each of which stands alone.
CONTENTS = {
    "so.db.query.query.Query",
    "so.db.query.query.JoinClause",
    "so.db.model.query.ModelQuery",
    "so.db.model.base.Model",
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
    assert len(CIRCLES) <= 2
    assert all(len(circle) == 2 for circle in CIRCLES)


def test_a_class_name_means_one_thing():
    places: dict[str, list[str]] = defaultdict(list)
    for module, own in classes().items():
        for name in own:
            places[name].append(module)

    told = {n: at for n, at in places.items() if len(at) > 1 and n[0] != "_" and n not in TWINS}
    assert not told, f"these names stand twice: give the inner one its adjective: {told}"
    assert len(TWINS) <= 2


def test_no_file_is_longer_than_can_be_held_in_mind():
    for file in FILES:
        count = len(file.read_text("utf-8").splitlines())
        assert count <= MOST_LINES, f"{file} has {count} lines"


def test_a_function_is_seen_at_one_glance():
    for file in FILES:
        for node in statements(tree_of(file)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                count = (node.end_lineno or 0) - node.lineno + 1
                assert count <= LONGEST_FUNCTION, f"{file}: {node.name} has {count} lines"


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
