"""What people type by habit, and what they are told."""

from __future__ import annotations

import errno
import subprocess
import sys

import pytest

import so
from so import Command
from so.console import Kernel
from so.console.commands import COMMANDS
from so.support import habits


@pytest.fixture
def kernel(app) -> Kernel:
    return Kernel(app)


def told(kernel, line):
    kernel.call(line)
    return kernel.output()


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("tinker", "Did you mean this?\n    shell\n"),
        ("tinkr", "Did you mean this?\n    shell\n"),
        ("artisan", "Did you mean this?\n    list\n"),
        ("queue:listen", "Did you mean this?\n    queue:work\n"),
        ("db:wipe", "Did you mean this?\n    migrate:fresh\n"),
        ("queue:table", "Did you mean this?\n    db:install\n"),
        ("make:modle", "Did you mean this?\n    make:model\n"),
        ("config:cache", "Here nothing is compiled: "),
        ("vendor:publish", "Here nothing is published: "),
        ("queue:abracadabra", "`list queue` names those that begin so.\n"),
        ("abracadabra", "Command not found: abracadabra\n"),
    ],
)
def test_a_command_of_elsewhere_names_what_does_it_here(kernel, typed, words):
    assert words in told(kernel, typed)


def test_no_command_of_ours_is_told_to_be_another_one():
    assert not habits.COMMANDS.keys() & COMMANDS.keys()
    named = {one for one in habits.COMMANDS.values() if " " not in one}
    assert named <= COMMANDS.keys() | {"list"}


def test_no_name_of_ours_is_told_to_be_missing():
    assert not habits.NAMES.keys() & set(dir(so))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Route", "did you mean 'Router'?"),
        ("dd", "use `breakpoint()`"),
        ("now", 'take `app("clock").now()`'),
        ("Mail", "write a `Notification`"),
    ],
)
def test_an_import_of_elsewhere_says_what_does_it_here(name, words):
    with pytest.raises(ImportError) as caught:
        exec(f"from so import {name}")

    assert f"cannot import name {name!r} from 'so'" in str(caught.value)
    assert words in str(caught.value)


def test_who_asks_whether_a_name_is_there_gets_no():
    assert not hasattr(so, "dd")
    assert getattr(so, "Route", None) is None
    from so import testing  # a room is imported as before

    assert testing.Client


@pytest.mark.parametrize(
    ("line", "code", "words"),
    [
        ("x =", 1, "SyntaxError: invalid syntax"),
        ("dd(1)", 1, "There is no dd here: use `breakpoint()`"),
        ("Collection([1, 2]).sum()", 0, ""),
    ],
)
def test_a_line_of_the_shell_that_fails_says_so(kernel, capsys, line, code, words):
    assert kernel.call("shell", {"--execute": line}) == code

    printed = capsys.readouterr()
    assert words in printed.err
    assert "code.py" not in printed.err


def test_a_seeder_that_is_not_there_drops_nothing(kernel, app):
    app.install_tables()
    before = app.db.select("select count(*) as n from sqlite_master")

    for command in ("migrate:fresh --seed", "migrate:refresh --seeder=Nope", "migrate --seed"):
        assert kernel.call(command) == 1
        assert "no seeder" in kernel.output()

    assert app.db.select("select count(*) as n from sqlite_master") == before


def test_check_names_a_misspelt_variable_of_env(kernel, app):
    app.dotenv.update(DB_CONECTION="mysql", APP_NAME="x", SHIPPING_LABEL_PRINTER="hall 3")

    assert "! nothing reads DB_CONECTION of .env; did you mean DB_CONNECTION?" in told(
        kernel, "check"
    )
    assert "SHIPPING" not in kernel.output()
    assert "APP_NAME" not in kernel.output()


def test_a_place_without_rights_is_no_traceback(app):
    def handle(self):
        raise PermissionError(errno.EACCES, "Permission denied", "/srv/erp")

    Refused = type("Refused", (Command,), {"signature": "refused", "handle": handle})
    kernel = Kernel(app)
    kernel.register(Refused)

    assert told(kernel, "refused") == "PermissionError: [Errno 13] Permission denied: '/srv/erp'\n"


def test_a_word_of_python_names_no_class(kernel):
    assert kernel.call("make:model class") == 2
    assert "'class' is no class name" in kernel.output()


def test_the_options_of_test_reach_what_runs_the_tests(kernel, monkeypatch):
    ran = []
    done = subprocess.CompletedProcess([], 0)
    monkeypatch.setattr(subprocess, "run", lambda words, **_: ran.append(words) or done)

    for line in ("test -k home", "test --filter=home -v", "test tests/test_a.py", "test -- -x"):
        assert kernel.call(line) == 0

    assert [words[3:] for words in ran] == [
        ["-k", "home"],
        ["-khome", "-v"],
        ["tests/test_a.py"],
        ["-x"],
    ]
    assert {words[0] for words in ran} == {sys.executable}
