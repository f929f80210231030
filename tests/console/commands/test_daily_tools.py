"""The commands of every day: looking at what is there, starting anew, a shell, completion."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from so import Application
from so.console import Kernel

ROOT = Path(__file__).resolve().parents[3]
MODELS = '''"""The models."""

from so import Model, relation


class Author(Model):
    timestamps = False
    fillable = ["name"]
    hidden = ["secret"]
    casts = {"born": "date"}

    @relation
    def books(self):
        return self.has_many(Book)


class Book(Model):
    timestamps = False


Author.saved(lambda author: None)
'''
SEEDER = """from so import DB, Seeder


class Other(Seeder):
    def run(self):
        DB.table("authors").insert({"name": "Other"})


class DatabaseSeeder(Seeder):
    def run(self):
        DB.table("authors").insert({"name": "Seeded"})
        self.call(Other)
"""
_SHOP = """\
create table authors (
    id {key}, name varchar(50) not null default 'x', secret text, born date
);
create table books (
    id {key}, author_id {whole},
    foreign key (author_id) references authors (id) on delete cascade
);
create index books_author on books (author_id);
-- rollback
drop table books;
drop table authors;
"""
SQL = {
    "sqlite": _SHOP.format(key="integer primary key", whole="integer"),
    "mysql": _SHOP.format(key="int primary key auto_increment", whole="int"),
}


@pytest.fixture
def erp(tmp_path: Path, empty_db_config: dict[str, Any], engine: str):
    """An application in a folder of its own, with two models and a migration."""
    for name, text in {
        "app/__init__.py": "",
        "app/models.py": MODELS,
        "database/seeders/all.py": SEEDER,
        f"database/migrations/2026_01_01_000000_shop.{engine}.sql": SQL[engine],
    }.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    settings = {
        "app": {"env": "testing", "key": "k" * 40, "providers": [], "routes": []},
        "database": {"default": "main", "connections": {"main": empty_db_config}},
        "logging": {"default": "null", "channels": {}},
    }
    with Application(tmp_path, settings) as app:
        yield app


@pytest.fixture
def kernel(erp: Application) -> Kernel:
    return Kernel(erp)


def output_of(kernel: Kernel, line: str) -> Any:
    assert kernel.call(line) == 0, kernel.output()
    return json.loads(kernel.output()) if "--json" in line else kernel.output()


def test_fresh_drops_whatever_is_there_and_builds_everything(erp, kernel):
    erp.db.statement("create table strange (id int)")
    output_of(kernel, "migrate --force")
    erp.db.table("authors").insert({"name": "old"})

    output_of(kernel, "migrate:fresh --seed --force")

    assert erp.db.table("authors").order_by("id").pluck("name") == ["Seeded", "Other"]
    assert kernel.call("db:check") == 0
    assert kernel.call("db:table strange") == 1


def test_reset_undoes_all_and_refresh_brings_it_back(erp, kernel):
    output_of(kernel, "migrate --force")
    output_of(kernel, "migrate:reset --force")
    assert kernel.call("db:table authors") == 1

    output_of(kernel, "migrate --force")
    erp.db.table("authors").insert({"name": "old"})
    output_of(kernel, "migrate:refresh --seeder=Other --force")

    assert erp.db.table("authors").pluck("name") == ["Other"]


def test_a_database_is_shown_with_its_tables(erp, kernel, engine):
    output_of(kernel, "migrate --force")

    shown = output_of(kernel, "db:show --json")

    assert shown["engine"] == engine
    assert {"authors", "books"} <= {table["name"] for table in shown["tables"]}
    assert shown["bytes"] > 0
    assert "authors" in output_of(kernel, "db:show")


def test_a_table_is_shown_with_columns_indexes_and_foreign_keys(erp, kernel):
    output_of(kernel, "migrate --force")

    shown = output_of(kernel, "db:table books --json")

    assert [column["name"] for column in shown["columns"]] == ["id", "author_id"]
    assert not shown["columns"][0]["nullable"]
    assert "books_author" in {index["name"] for index in shown["indexes"]}
    (key,) = shown["foreign_keys"]
    assert (key["columns"], key["foreign_table"], key["on_delete"]) == (
        "author_id",
        "authors",
        "CASCADE",
    )
    assert "books_author" in output_of(kernel, "db:table books")


def test_a_table_that_is_not_there_is_named_with_the_nearest(erp, kernel):
    output_of(kernel, "migrate --force")

    assert kernel.call("db:table autors") == 1

    assert "did you mean 'authors'?" in kernel.output()


def test_a_model_is_shown(erp, kernel):
    output_of(kernel, "migrate --force")

    shown = output_of(kernel, "model:show Author --json")

    assert shown["table"] == "authors"
    assert shown["relations"] == ["books"]
    attributes = {one["name"]: one for one in shown["attributes"]}
    assert attributes["name"]["fillable"]
    assert attributes["secret"]["hidden"]
    assert attributes["born"]["cast"] == "date"
    assert re.fullmatch(r"saved: app/models\.py:\d+", shown["listeners"][0])


def test_listeners_are_listed(erp, kernel):
    listed = {one["event"]: one["listener"] for one in output_of(kernel, "event:list --json")}

    assert re.fullmatch(r"app/models\.py:\d+", listed["Author.saved"])


def test_a_task_is_run_by_a_part_of_its_name(erp, kernel):
    ran: list[str] = []
    schedule = erp.make("schedule")
    schedule.call(lambda: ran.append("report")).daily().name("report of the day")
    schedule.call(lambda: ran.append("tidy")).daily().name("tidy up")
    erp.install_tables()

    output_of(kernel, "schedule:test report")

    assert ran == ["report"]
    assert kernel.call("schedule:test nothing") == 1
    assert "report of the day, tidy up" in kernel.output()


def test_the_shell_knows_models_and_helpers(erp, kernel, capsys):
    output_of(kernel, "migrate --force")

    assert kernel.run(["shell", "--execute=print(Author.count(), DB.scalar('select 1'))"]) == 0

    assert "0 1" in capsys.readouterr().out


def test_a_line_that_fails_in_the_shell_is_told_by_the_exit_code(erp, kernel, capsys):
    assert kernel.run(["shell", "--execute=1/0"]) == 1
    assert kernel.run(["shell", "--execute=for n in (1, 2):\n    print(n)\nprint(n + 1)"]) == 0

    assert "ZeroDivisionError" in capsys.readouterr().err


def test_a_job_is_sent_when_its_line_ends_in_the_shell(erp, kernel, monkeypatch, capsys):
    """Where `_` would hold what was dispatched until another line gives something."""
    assert kernel.call("db:install") == 0
    typed = (
        "from tests.crash.queue_jobs import Plain\ndispatch(Plain('x'))\nDB.table('jobs').count()\n"
    )
    monkeypatch.setattr("sys.stdin", io.StringIO(typed))

    assert kernel.run(["shell"]) == 0

    assert "<dispatch of Plain: job 1>\n>>> 1\n" in capsys.readouterr().out


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_command_is_completed(kernel, shell):
    text = output_of(kernel, f"completion {shell}").replace("\\:", ":")

    assert all(name in text for name in kernel.get_commands())


def test_bash_takes_what_is_printed(kernel):
    text = output_of(kernel, "completion bash")

    assert subprocess.run([shutil.which("bash"), "-n", "-c", text], check=False).returncode == 0


@pytest.mark.parametrize(
    ("typed", "replies"),
    [
        ("sixorbit cache:", {"clear", "forget", "gc", "stats"}),  # bash has taken `cache:` already
        ("bin/sixorbit make:mo", {"model"}),
        ("sixorbit tes", {"test"}),
        ("sixorbit help queue:pa", {"pause"}),
        ("sixorbit make:model Or", set()),  # names of files, as bash does by itself
        ("sixorbit help list ba", set()),
    ],
)
def test_bash_completes_as_it_is_without_anything_installed(kernel, typed, replies):
    """Its `:` parts words, and a reply with the code of a missing function would be thrown away."""
    text = output_of(kernel, "completion bash")
    line = f"COMP_LINE={typed!r} COMP_POINT={len(typed)}"
    script = f'{text}\n{line}; _sixorbit; echo "$?" "${{COMPREPLY[@]}}"'

    done = subprocess.run(["bash", "--norc", "-c", script], capture_output=True, text=True)

    code, *found = done.stdout.split()
    assert (code, set(found), done.stderr) == ("0", replies, "")


TYPED = {
    "queue:wo": {"queue:work"},
    "help queue:pa": {"queue:pause"},
    "make:model queue:wo": set(),  # names of files
    "activity:er": {"activity:erase"},
}
# What zsh itself would make of the list, for which it asks for a terminal.
_ZSH = """compdef() {{ : }}; _files() {{ : }}
_describe() {{ print -rl -- ${{${{(@P)2}}//\\\\:/:}} | grep "^$words[CURRENT]" | cut -d: -f1,2 }}
{text}
words=(sixorbit {typed}) CURRENT=$#words; _sixorbit"""
_FISH = "{text}\ncomplete -C 'sixorbit {typed}'"


@pytest.mark.parametrize(("shell", "script"), [("zsh", _ZSH), ("fish", _FISH)], ids=["zsh", "fish"])
def test_other_shells_complete(shell, script):
    if (program := shutil.which(shell)) is None:
        pytest.skip(f"NO SHELL {shell}: what it completes is not tried")
    with Application(ROOT) as app:
        text = output_of(Kernel(app), f"completion {shell}")

    for typed, wanted in TYPED.items():
        words = [program, "-c", script.format(text=text, typed=typed)]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        names = {line.partition("\t")[0] for line in done.stdout.splitlines()}
        assert (names, done.stderr) == (wanted, ""), typed


def test_another_shell_is_refused(kernel):
    assert kernel.call("completion powershell") == 2

    assert "bash, zsh or fish" in kernel.output()


def test_the_name_of_a_group_lists_it(kernel):
    text = output_of(kernel, "queue")

    assert "queue:work" in text
    assert "cache:clear" not in text


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("tinker", "shell"), ("seed", "db:seed"), ("routes", "route:list"), ("maintenance", "down")],
)
def test_words_of_other_frameworks_are_understood(kernel, typed, meant):
    assert kernel.call(typed) == 1

    assert meant in kernel.output()


KINDS = [
    ("request", "StoreOrder"), ("policy", "OrderPolicy"), ("resource", "Order"),
    ("factory", "Author"), ("event", "OrderShipped"), ("listener", "SendNotice"),
    ("rule", "Iban"), ("cast", "Point"),
    ("mail", "InvoiceDue"), ("observer", "OrderObserver"), ("exception", "StockTooLow"),
    ("test", "OrdersTest"),
    ("seeder", "ShopSeeder"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "name"), KINDS)
def test_what_a_maker_writes_is_python_and_is_never_overwritten(erp, kernel, kind, name):
    text = output_of(kernel, f"make:{kind} {name}")
    file = erp.base_path(text.partition(": ")[2].strip())

    compile(file.read_text(), str(file), "exec")

    before = file.read_text()
    assert kernel.call(f"make:{kind} {name}") == 1
    assert file.read_text() == before


def test_a_model_comes_with_all_that_was_asked_for(erp, kernel):
    output_of(kernel, "make:model OrderLine -mcfsr")

    assert "class OrderLine(Model)" in erp.base_path("app/models.py").read_text()
    assert list(erp.database_path("migrations").glob("*_create_order_lines_table.*"))
    for place in ("app/controllers", "database/factories", "database/seeders"):
        assert list(erp.base_path(place).glob("order_line*.py")), place


def test_a_made_factory_makes_records(erp, kernel):
    output_of(kernel, "migrate --force")
    output_of(kernel, "make:factory Author")
    author = erp.import_module("app.models").Author

    assert author.factory(2).create().count() == 2


def test_the_tests_of_a_new_application_run_with_the_standard_library_alone(tmp_path):
    environ = {**os.environ, "PYTHONPATH": ""}

    def run(*words: object, cwd: Path = tmp_path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-S", *map(str, words)]
        return subprocess.run(command, cwd=cwd, env=environ, capture_output=True, text=True)

    assert run(ROOT / "bin" / "sixorbit", "new", "erp").returncode == 0
    base = tmp_path / "erp"
    assert run("bin/sixorbit", "make:test", "PagesTest", cwd=base).returncode == 0

    done = run("bin/sixorbit", "test", cwd=base)

    assert done.returncode == 0, done.stdout + done.stderr
