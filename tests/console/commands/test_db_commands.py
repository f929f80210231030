"""`db:*` and `migrate*` as they are typed, on a small application in a folder of its own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from so.application import Application
from so.console.kernel import Kernel


@pytest.fixture
def base(tmp_path: Path) -> Path:
    for folder in ("config", "storage", "database/migrations", "database/seeders"):
        (tmp_path / folder).mkdir(parents=True)
    return tmp_path


SETTINGS = {
    "app": {"name": "Test", "env": "testing", "key": "0" * 64},
    "database": {
        "default": "main",
        "connections": {
            "main": {"driver": "sqlite", "database": "storage/main.sqlite"},
            "cache": {"driver": "sqlite", "database": "storage/cache.sqlite"},
        },
        "migrations": "database/migrations",
    },
}


@pytest.fixture
def kernel(base: Path) -> Iterator[Kernel]:
    with Application(base, config=SETTINGS) as app:
        yield Kernel(app)


def run(kernel: Kernel, line: str) -> tuple[int, str]:
    code = kernel.call(line.split())
    return code, kernel.output()


def test_install_says_what_it_created_in_both_files(kernel, base):
    code, output = run(kernel, "db:install")

    assert code == 0
    assert "main: created table jobs" in output
    assert "cache: installed" in output
    assert (base / "storage/cache.sqlite").exists()
    assert "main: everything was there already" in run(kernel, "db:install")[1]


def test_install_of_one_connection_as_json(kernel):
    code, output = run(kernel, "db:install --connection=main --json")

    assert code == 0
    assert "table jobs" in json.loads(output)["main"]


def test_check_names_what_is_missing(kernel):
    code, output = run(kernel, "db:check")
    assert code == 1
    assert "main: table jobs is missing" in output
    assert "db:install creates what is missing" in output

    run(kernel, "db:install")

    assert run(kernel, "db:check") == (0, "main: everything is there\ncache: everything is there\n")
    code, output = run(kernel, "db:check --json")
    assert (code, json.loads(output)) == (0, {"main": [], "cache": []})


def test_schema_prints_either_file(kernel):
    assert "autoincrement" in run(kernel, "db:schema")[1]
    assert "engine=InnoDB" in run(kernel, "db:schema --dialect=mysql")[1]
    assert "engine=InnoDB" in run(kernel, "db:schema --dialect=mariadb")[1]
    assert run(kernel, "db:schema --dialect=oracle")[0] == 2


def test_backup_names_the_copy(kernel, base):
    run(kernel, "db:install")

    code, output = run(kernel, "db:backup")
    assert code == 0
    (copy,) = (base / "storage/backups").glob("main-*.sqlite")
    assert str(copy) in output

    code, output = run(kernel, "db:backup storage/mine.sqlite --json")
    assert json.loads(output)["bytes"] == (base / "storage/mine.sqlite").stat().st_size
    assert run(kernel, "db:backup storage/mine.sqlite")[0] == 1


def test_migrate_status_and_rollback(kernel, base):
    (base / "database/migrations/2026_01_01_000000_a.sql").write_text(
        "create table a (n int);\n-- rollback\ndrop table a;"
    )
    (base / "database/migrations/2026_01_02_000000_b.sql").write_text(
        "create table b (n int);\n-- rollback\ndrop table b;"
    )

    code, output = run(kernel, "migrate --pretend")
    assert (code, "create table a (n int);" in output) == (0, True)
    assert list(json.loads(run(kernel, "migrate --pretend --json")[1])) == [
        "2026_01_01_000000_a",
        "2026_01_02_000000_b",
    ]
    assert "pending" in run(kernel, "migrate:status")[1]

    code, output = run(kernel, "migrate --step=1")
    assert code == 0
    assert "2026_01_01_000000_a" in output
    assert "Applied 1 migration" in output
    assert json.loads(run(kernel, "migrate --json")[1]) == ["2026_01_02_000000_b"]
    assert "Nothing to migrate" in run(kernel, "migrate")[1]

    status = json.loads(run(kernel, "migrate:status --json")[1])
    assert [(line["batch"], line["applied"]) for line in status] == [(1, True), (2, True)]

    assert "Undid 2 migrations" in run(kernel, "migrate:rollback --step=2")[1]
    assert "Nothing to roll back" in run(kernel, "migrate:rollback")[1]
    assert run(kernel, "migrate --step=0")[0] == 2


def test_a_failed_migration_exits_with_one(kernel, base):
    (base / "database/migrations/2026_01_01_000000_a.sql").write_text("create tabel a (n int);")

    code, output = run(kernel, "migrate")

    assert code == 1
    assert "2026_01_01_000000_a.sql: statement 1 of 1 failed" in output


def test_make_migration_writes_a_pair_that_runs(kernel, base):
    code, output = run(kernel, "make:migration CreateProductsTable")
    assert code == 0
    names = sorted(path.name[18:] for path in (base / "database/migrations").iterdir())
    assert names == ["create_products_table.mysql.sql", "create_products_table.sqlite.sql"]

    assert "Applied 1 migration" in run(kernel, "migrate")[1]
    assert kernel.app.make("db").scalar("select count(*) from products") == 0
    assert "Undid 1 migration" in run(kernel, "migrate:rollback")[1]


def test_make_migration_in_python(kernel, base):
    assert run(kernel, "make:migration add_things --python")[0] == 0

    assert "Applied 1 migration" in run(kernel, "migrate")[1]
    assert run(kernel, "make:migration ../evil")[0] == 2


def test_seed_runs_a_seeder(kernel, base):
    (base / "database/seeders/database_seeder.py").write_text(
        "class DatabaseSeeder:\n"
        "    def run(self):\n"
        "        from so import DB\n"
        "        DB.statement('create table seeds (n int)')\n"
        "        DB.insert('insert into seeds values (7)')\n"
        "class Empty:\n"
        "    pass\n"
    )

    assert run(kernel, "db:seed")[0] == 0
    assert kernel.app.make("db").scalar("select n from seeds") == 7

    code, output = run(kernel, "db:seed --class=Nosuch")
    assert code == 1
    assert "there are DatabaseSeeder, Empty" in output
    assert run(kernel, "db:seed --class=Empty")[0] == 1


def test_migrate_can_seed(kernel, base):
    (base / "database/seeders/database_seeder.py").write_text(
        "class DatabaseSeeder:\n    def run(self):\n        print('seeding')\n"
    )

    code, output = run(kernel, "migrate --seed")

    assert code == 0
    assert "seeded: DatabaseSeeder" in output


def test_without_any_seeder_the_error_says_how_to_make_one(kernel):
    code, output = run(kernel, "db:seed")

    assert code == 1
    assert "make:seeder" in output


def test_migrations_have_their_folder_without_a_setting(tmp_path):
    folder = tmp_path / "database" / "migrations"
    folder.mkdir(parents=True)
    (folder / "2026_01_01_000000_a.sql").write_text("create table a (id int);")
    settings = {
        "app": {"env": "testing"},
        "logging": {"default": "null"},
        "database": {"default": "m", "connections": {"m": {"driver": "sqlite", "database": "m"}}},
    }

    with Application(tmp_path, settings) as app:
        kernel = Kernel(app)
        assert run(kernel, "migrate")[0] == 0
        assert "applied" in run(kernel, "migrate:status")[1]
        assert run(kernel, "make:migration next_step")[0] == 0
