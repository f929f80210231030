"""What the house promises about itself: its tables, its settings, its pages, its package."""

from __future__ import annotations

import functools
import importlib
import pkgutil
import re
import subprocess
from pathlib import Path

import pytest

import so.console.commands
from so import Command, Config, Env
from so.console.commands import COMMANDS
from so.console.signature import Signature
from tests.support.reference import reference, topics, variables, written
from tests.support.stub import stub

ROOT = Path(__file__).resolve().parent.parent
EXAMPLE = ROOT / ".env.example"
# As features.md prints them, with their values.
OF_THE_FEATURE_LIST = {
    "ACTIVITY_LOG_ENABLED": ("activity.enabled", True),
    "QUEUE_CONNECTION": ("queue.default", "database"),
    "CACHE_DRIVER": ("cache.default", "database"),
    "CACHE_PREFIX": ("cache.prefix", "so_cache"),
    "SESSION_DRIVER": ("session.driver", "database"),
    "SESSION_LIFETIME": ("session.lifetime", 120),
    "SESSION_COOKIE": ("session.cookie", "so_session"),
    "SESSION_SECURE_COOKIE": ("session.secure", None),
    "NOTIFICATION_CHANNEL": ("notifications.default", ["database"]),
    "QUEUE_NOTIFICATIONS": ("notifications.queue", False),
    "NOTIFICATION_PRUNE_DAYS": ("notifications.prune_days", 30),
}


@pytest.fixture
def no_environment(monkeypatch):
    """Nothing of what config/ reads is set."""
    Env.clear()
    for topic in topics():
        for name in variables(topic):
            monkeypatch.delenv(name, raising=False)
    yield
    Env.clear()


def all_variables() -> dict[str, str]:
    return {name: meaning for topic in topics() for name, (_, meaning) in variables(topic).items()}


# --- commands -------------------------------------------------------------------------------------


def command_classes() -> dict[str, tuple[str, type[Command]]]:
    found = {}
    for info in pkgutil.iter_modules(so.console.commands.__path__):
        module = importlib.import_module(f"so.console.commands.{info.name}")
        for cls in vars(module).values():
            is_command = isinstance(cls, type) and issubclass(cls, Command) and cls.signature
            if is_command and cls.__module__ == module.__name__:
                found[Signature.parse(cls.signature).name] = (info.name, cls)
    return found


def test_the_table_of_commands_has_each_class_and_alone_says_what_it_is_for():
    classes = command_classes()

    assert sorted(classes) == sorted(COMMANDS)
    for name, (module, cls) in classes.items():
        assert COMMANDS[name][:2] == (module, cls.__name__)
        assert COMMANDS[name][2]
        assert not cls.description, f"{name} is described in the table already"


# --- settings -------------------------------------------------------------------------------------


def test_every_variable_of_the_settings_has_a_meaning():
    assert [name for name, meaning in all_variables().items() if not meaning] == []


def test_the_variables_of_the_feature_list_have_their_names_and_values(no_environment):
    config = Config(ROOT / "config")

    assert set(OF_THE_FEATURE_LIST) <= set(all_variables())
    for key, value in OF_THE_FEATURE_LIST.values():
        assert config.get(key) == value


def test_env_example_lists_every_variable_with_its_default_and_meaning(tmp_path):
    text = EXAMPLE.read_text("utf-8")
    lines = re.findall(r"^(?:# )?([A-Z][A-Z0-9_]*=.*)$", text, re.MULTILINE)
    (tmp_path / ".env").write_text("\n".join(lines))
    values = Env.read(tmp_path / ".env")

    for topic in topics():
        for name, (default, _) in variables(topic).items():
            assert values.get(name) is not None, f"{name} is not in .env.example"
            assert any(same(values[name], one) for one in defaults(name)), (name, default)
    assert set(values) <= set(all_variables()), "it lists what nobody reads"
    # Beside the value, or on the line above where both together would be too long.
    explained = re.findall(r"^# [^=\n]+\n(?:# )?([A-Z][A-Z0-9_]*=)", text, re.MULTILINE)
    bare = [line for line in lines if "  # " not in line]
    assert [line for line in bare if line.partition("=")[0] + "=" not in explained] == []


def same(value: str, default: str) -> bool:
    """Whether *value* in `.env` is what *default* says in Python; 10 is 10.0."""
    text = written(default)
    return value == text or (text.endswith(".0") and value == text[:-2])


def defaults(name: str) -> list[str]:
    """Every default that config/ gives *name*: a few have another one on each engine."""
    read = [pair for topic in topics() for one in topic.settings for pair in one.variables]
    return [default for variable, default in read if variable == name]


# --- pages ----------------------------------------------------------------------------------------


def test_the_types_of_the_short_names_are_current():
    """`make written` writes them."""
    assert (ROOT / "so" / "__init__.pyi").read_text("utf-8") == stub()


def test_the_reference_is_current():
    """`make written` writes it, and the types of the short names."""
    assert (ROOT / "docs" / "reference.md").read_text("utf-8") == reference()


def test_the_pages_name_every_command_setting_and_variable():
    text = "\n".join(page.read_text("utf-8") for page in (ROOT / "docs").glob("*.md"))
    words = set(re.findall(r"[\w.:-]+", text))
    settings = {setting.key for topic in topics() for setting in topic.settings}

    assert set(COMMANDS) - words == set()
    assert set(all_variables()) - words == set()
    assert {key for key in settings if f"`{key}`" not in text} == set()


# --- tests ----------------------------------------------------------------------------------------

# Folders of tests that belong to no room: they try the whole of it, or what stands beside so/.
ACROSS = {"acceptance", "browser", "chaos", "cluster", "crash", "demo", "deploy", "docs", "fuzz"}
# Tests of the house itself; another file beside them is named for a module beside so/__init__.py.
OF_THE_HOUSE = {"application", "architecture", "house", "public_names", "typing"}
WITHIN = {"so/web/console/pages": "tests/web/console"}  # every page is tried in the same ways


def test_the_tests_of_a_room_stand_where_the_room_stands():
    for folder in {file.parent for file in (ROOT / "tests").rglob("test_*.py")}:
        room = folder.relative_to(ROOT / "tests")
        belongs = any((ROOT / "so" / place / "__init__.py").exists() for place in places(room))
        assert belongs or room.parts[0] in ACROSS, f"{room} is no room of so/"
    for file in (ROOT / "tests").glob("test_*.py"):
        name = file.stem.removeprefix("test_")
        assert name in OF_THE_HOUSE or (ROOT / "so" / f"{name}.py").exists(), f"{name}: which room?"


def places(room: Path) -> list[Path]:
    """The room itself, or the one whose corner it is."""
    return [room, room.parent] if room.parent.parts else [room]


@pytest.mark.parametrize(
    "room",
    [
        file.parent.relative_to(ROOT).as_posix()
        for file in sorted((ROOT / "so").rglob("__init__.py"))
        if len(list(file.parent.glob("*.py"))) > 2
    ],
)
def test_a_room_has_tests_of_its_own(room):
    place = ROOT / WITHIN.get(room, room.replace("so", "tests", 1))

    assert list(place.glob("test_*.py")), f"{place.relative_to(ROOT)} has no test"


# --- tests ----------------------------------------------------------------------------------------

SKIPPED = re.compile(r'(?:pytest\.skip\(|\breason=)\s*f?"([^"{]+)')
BLOCK = re.compile(
    r"^( {0,4})def (\w+)\(.*?(?=^\1[\w@#\"']|^[\w@#\"']|\Z)", re.MULTILINE | re.DOTALL
)
QUOTED = re.compile(r'"""(?:[^"]|"(?!""))*"""')  # whose lines may begin anywhere
CALLED = re.compile(r"(?<![\w.])(\w+)\(")


@functools.cache
def sources_of_tests() -> dict[Path, str]:
    return {file: file.read_text("utf-8") for file in (ROOT / "tests").rglob("*.py")}


def test_what_is_skipped_stands_in_the_list_with_its_reason():
    page = (ROOT / "tests" / "README.md").read_text("utf-8")
    listed = re.findall(r"`([^`]+)`", "".join(re.findall(r"^\| (`.*?) \|", page, re.MULTILINE)))
    said = {text for file, code in sources_of_tests().items() for text in SKIPPED.findall(code)}
    said -= {"NOT RUN HERE: "}

    wrong = [one for one in said if not any(one.startswith(text.rstrip("…")) for text in listed)]
    gone = [text for text in listed if not any(one.startswith(text.rstrip("…")) for one in said)]

    assert (wrong, gone) == ([], [])


def test_every_test_checks_something():
    """By itself, or by a function that it calls."""
    blocks = [
        (file, m[2], m[0])
        for file, code in sources_of_tests().items()
        for m in BLOCK.finditer(QUOTED.sub("''", code))
    ]
    bodies: dict[str, dict[Path, str]] = {}  # of a name in each file that defines it
    for file, name, text in blocks:
        there = bodies.setdefault(name, {})
        there[file] = there.get(file, "") + text

    def checks(file: Path, text: str, depth: int = 3) -> bool:
        if re.search(r"\bassert|\b(?:raises|warns)\(|\braise AssertionError", text):
            return True
        called = CALLED.findall(text.partition("(")[2]) if depth else []
        return any(
            checks(place, body, depth - 1)
            for there in [bodies.get(name, {}) for name in called]
            for place, body in there.items()
            if place == file or file not in there
        )

    found = [(file, name) for file, name, text in blocks if name[:5] == "test_"]
    assert len(found) > 4000
    assert [
        f"{file.relative_to(ROOT)}: {name}"
        for file, name, text in blocks
        if name.startswith("test_") and not checks(file, text)
    ] == []


# --- files ----------------------------------------------------------------------------------------


def test_no_file_speaks_of_the_machine_it_was_written_on():
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listed.returncode:
        pytest.skip("this is no git checkout")
    # Written in pieces, so that this file does not find itself.
    places = ["/wo" + "rk/", "/ro" + "ot/", "py" + "pi.org", "pythonhos" + "ted", "npm" + "js.org"]
    forbidden = re.compile("|".join(map(re.escape, places)))
    found = []
    for name in listed.stdout.decode().split("\0"):
        file = ROOT / name
        if name and file.is_file():
            for number, line in enumerate(file.read_text("utf-8", "replace").splitlines(), 1):
                if forbidden.search(line):
                    found.append(f"{name}:{number}: {line.strip()[:80]}")
    assert found == []
