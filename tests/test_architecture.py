"""Who may import whom, read from the syntax trees: imports inside functions count as well."""

from __future__ import annotations

import ast
import functools
import sys

import pytest

from so.settings import TOPICS, settings_class
from so.settings.database import MysqlSettings, SqliteSettings
from so.support.settings import Settings
from tests.support.syntax import FILES as MODULES
from tests.support.syntax import ROOT, imports_of, module_name, tree_of

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


@pytest.mark.parametrize("file", MODULES, ids=module_name)
def test_a_room_imports_only_what_the_house_allows(file):
    module = module_name(file)
    room = room_of(module)
    allowed = MAY_IMPORT[room]
    for line, imported, _ in imports_of(file):
        if imported.partition(".")[0] != "so":
            continue
        is_version = room == "so.application" and imported == "so"  # __version__ alone
        assert is_version or is_allowed(imported, allowed), (
            f"{file}:{line}: {room} must not import {imported}; it may import {allowed}"
        )


@pytest.mark.parametrize("file", MODULES, ids=module_name)
def test_the_framework_imports_the_standard_library_and_itself_only(file):
    module = module_name(file)
    for line, imported, _ in imports_of(file):
        top = imported.partition(".")[0]
        if top in ("so", "__future__") or top in sys.stdlib_module_names:
            continue
        home = OUTSIDE_THE_STANDARD_LIBRARY.get(top)
        assert home is not None, f"{file}:{line}: {imported} is not in the standard library"
        assert module == home, f"{file}:{line}: only {home} may import {imported}"


@pytest.mark.parametrize("file", MODULES, ids=module_name)
def test_no_module_reads_objects_back_by_running_them(file):
    for line, imported, _ in imports_of(file):
        assert imported.partition(".")[0] not in ("pickle", "marshal", "shelve", "dill"), (
            f"{file}:{line}: {imported} runs code that a row could hold"
        )


@pytest.mark.parametrize("file", MODULES, ids=module_name)
def test_every_module_says_what_it_is_for(file):
    assert ast.get_docstring(tree_of(file)), f"{file} has no docstring"


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


@pytest.mark.parametrize("file", MODULES, ids=module_name)
def test_a_setting_has_one_default_and_that_is_its_field(file):
    if ROOT / "so" / "settings" in file.parents:
        return
    known, place = defaults_of_settings(), file.relative_to(ROOT / "so").as_posix()
    for node in ast.walk(tree_of(file)):
        for name, default in defaults_in(node):
            # True, None, 0 and "" say too little to be a second telling.
            said = default.value if isinstance(default, ast.Constant) else None
            doubled = said and said is not True and repr(said) in known.get(name, ())
            assert not doubled or (place, name) in NO_SETTINGS, (
                f"{file}:{node.lineno}: {name}={said!r}: {ONE_DEFAULT}"
            )
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args[1:]:
            asked = ast.unparse(node.func.value)
            is_reading = node.func.attr in ("get", "string", "integer", "boolean", "array")
            is_config = asked.endswith(("app.config", "self.config")) or asked == "config"
            assert not (is_reading and is_config), f"{file}:{node.lineno}: {ONE_DEFAULT}"


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
    above = {"__init__.py", "queue.py", "care/doctor.py"}  # the doctor looks at it from outside
    for file in room.rglob("*.py"):
        if file.relative_to(room).as_posix() not in above:
            named = [imported for _, imported, _ in imports_of(file)]
            assert "so.systems.queue.queue" not in named, f"{file} names the Queue"
