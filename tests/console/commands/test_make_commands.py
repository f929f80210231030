"""`make:*` and `new`: files that work as they are written."""

from __future__ import annotations

import ast
import resource
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from so.console import Kernel
from so.console.source import with_import
from so.release.files import files_below

ROOT = Path(__file__).resolve().parents[3]

KINDS = {
    "make:controller Product": ("app/controllers/product_controller.py", "ProductController"),
    "make:model OrderLine": ("app/models/order_line.py", "OrderLine"),
    "make:middleware EnsureBranch": ("app/middleware/ensure_branch.py", "EnsureBranch"),
    "make:provider Billing": ("app/providers/billing.py", "Billing"),
    "make:job SendMail": ("app/jobs/send_mail.py", "SendMail"),
    "make:notification Shipped": ("app/notifications/shipped.py", "Shipped"),
    "make:command SyncStock": ("app/commands/sync_stock.py", "SyncStock"),
    "make:seeder Things": ("database/seeders/things_seeder.py", "ThingsSeeder"),
}


def run(kernel, line):
    return kernel.call(line), kernel.output()


@pytest.mark.parametrize("line", KINDS)
def test_the_file_stands_where_it_belongs_and_can_be_run(kernel, tmp_path, line):
    path, name = KINDS[line]

    code, output = run(kernel, line)

    assert code == 0, output
    assert path in output
    text = (tmp_path / path).read_text()
    made: dict = {"__name__": f"made_{name}"}
    exec(compile(text, path, "exec"), made)
    assert isinstance(made[name], type)
    if path.startswith("app/"):
        assert (tmp_path / path).with_name("__init__.py").is_file()


@pytest.mark.parametrize("line", KINDS)
def test_an_existing_file_stays_as_it_is(kernel, tmp_path, line):
    assert kernel.call(line) == 0
    (tmp_path / KINDS[line][0]).write_text("mine")

    code, output = run(kernel, line)

    assert code == 1
    assert "exists already" in output
    assert (tmp_path / KINDS[line][0]).read_text() == "mine"


@pytest.mark.parametrize("name", ["a/b", "1x", "../up", "a-b"])
def test_what_is_no_class_name_is_refused(kernel, tmp_path, name):
    assert run(kernel, f"make:model {name}")[0] == 2
    assert list(tmp_path.rglob("*.py")) == []


def test_a_class_goes_into_the_module_that_holds_its_topic(kernel, tmp_path):
    (tmp_path / "app").mkdir()
    module = tmp_path / "app" / "models.py"
    module.write_text('"""Ours."""\n\nfrom so import DB\n\n\nclass Old:\n    pass\n')

    assert kernel.call("make:model Product") == 0

    assert not (tmp_path / "app" / "models").exists()
    names = [n.name for n in ast.parse(module.read_text()).body if isinstance(n, ast.ClassDef)]
    assert names == ["Old", "Product"]
    made: dict = {"__name__": "ours"}
    exec(module.read_text(), made)
    assert made["Product"].fillable == ["name"]
    code, output = run(kernel, "make:model Product")
    assert code == 1
    assert "has a class Product already" in output


@pytest.mark.parametrize("text", ["", '"""Ours."""\n', "from so import Job\n"])
def test_a_module_gets_the_imports_it_lacks(kernel, tmp_path, text):
    (tmp_path / "app").mkdir()
    module = tmp_path / "app" / "jobs.py"
    module.write_text(text)

    assert kernel.call("make:job Clean") == 0

    assert module.read_text().count("from so import Job") == 1
    exec(module.read_text(), {"__name__": "ours"})


HEADS = {
    "from so import Model\n": "from so import HasRoles, Model\n",
    "from so import (\n    Model,\n    DB,\n)\n": "from so import DB, HasRoles, Model\n",
    "from so import *\n": "from so import *\nfrom so import HasRoles\n",
    "from so import Model  # ours\n": "from so import Model  # ours\nfrom so import HasRoles\n",
    "from so import HasRoles as H\n": "from so import HasRoles as H\nfrom so import HasRoles\n",
    "import re; from so import DB\n": "import re; from so import DB\nfrom so import HasRoles\n",
    "import os\n\nimport numpy\n": "import os\n\nimport numpy\n\nfrom so import HasRoles\n",
    "import os\n\nfrom app import x\n": "import os\n\nfrom app import x\nfrom so import HasRoles\n",
    "from so.web import x\n": "from so import HasRoles\nfrom so.web import x\n",
    '"""Ours."""\n': '"""Ours."""\n\nfrom so import HasRoles\n',
    "X = 1\n": "from so import HasRoles\nX = 1\n",
    "": "from so import HasRoles\n",
}


@pytest.mark.parametrize("head", HEADS)
def test_an_import_stands_where_sorters_put_it_and_takes_nothing_away(head):
    made = with_import(head, "so", ["HasRoles"])

    assert made == HEADS[head]
    assert with_import(made, "so", ["HasRoles"]) == made


def test_many_names_are_imported_one_a_line():
    made = with_import("", "so", [f"Name{number}" for number in range(20)])

    assert made.startswith("from so import (\n    Name0,\n")
    assert {alias.name for alias in ast.parse(made).body[0].names} >= {"Name0", "Name19"}


def test_a_command_that_was_made_is_listed_and_runs(make_app):
    app = make_app()
    assert Kernel(app).call("make:command SyncStock") == 0

    assert run(Kernel(app), "app:sync-stock") == (0, "done\n")


def test_a_controller_that_was_made_can_be_registered_as_it_says(make_app):
    app = make_app()
    assert Kernel(app).call("make:controller Product") == 0
    file = app.base_path("app/controllers/product_controller.py")
    names: dict = {"__name__": "ours"}
    exec(file.read_text(), names)
    controller = names["ProductController"]
    assert "Router.api_resource(" in controller.__doc__

    routes = app.make("router").api_resource("products", controller)

    assert len(routes) == 5


def test_a_new_application_runs_at_once(kernel, tmp_path):
    target = tmp_path / "shop"

    code, output = run(kernel, f"new {target}")

    assert code == 0, output
    assert (target / ".env").stat().st_mode & 0o777 == 0o600
    assert (target / ".env.example").is_file()
    for words in (
        ["list"], ["make:model", "Product"], ["db:install"], ["check"], ["docs", "queue-system"],
    ):  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-I", "-S", "bin/sixorbit", *words],
            cwd=target,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, (words, done.stdout, done.stderr)
    code, output = run(kernel, f"new {target}")
    assert code == 1
    assert "is not empty: name a new folder" in output


@pytest.mark.parametrize("inside", ["", "lib/"])
def test_a_new_application_is_made_from_an_archive_as_well(tmp_path, inside):
    archive = tmp_path / "framework.zip"
    with zipfile.ZipFile(archive, "w") as out:
        for name in ("so", "config", "docs", "bin/sixorbit", ".env.example"):
            for file in files_below(ROOT / name):
                out.write(file, f"{inside}{file.relative_to(ROOT).as_posix()}")

    done = new_from(archive / inside, tmp_path)

    assert done.returncode == 0, done.stderr
    checked = subprocess.run(
        [sys.executable, "-I", "-S", "bin/sixorbit", "db:install"],
        cwd=tmp_path / "shop",
        capture_output=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stderr
    copied = {f.relative_to(tmp_path / "shop") for f in files_below(tmp_path / "shop" / "so")}
    assert copied == {f.relative_to(ROOT) for f in files_below(ROOT / "so")}


def test_from_an_archive_that_lacks_something_nothing_is_made(tmp_path):
    archive = tmp_path / "framework.zip"
    with zipfile.ZipFile(archive, "w") as out:
        for file in files_below(ROOT / "so"):
            out.write(file, file.relative_to(ROOT).as_posix())

    done = new_from(archive, tmp_path)

    assert done.returncode == 1
    assert "config/ or bin/sixorbit is missing" in done.stderr
    assert [entry.name for entry in tmp_path.iterdir()] == ["framework.zip"]


def test_what_cannot_be_written_to_the_end_is_not_there_at_all(tmp_path):
    done = new_from(ROOT, tmp_path, largest_file=10_000)

    assert done.returncode == 1
    assert "File too large" in done.stderr
    assert list(tmp_path.iterdir()) == []


def new_from(
    path: Path, folder: Path, largest_file: int = resource.RLIM_INFINITY
) -> subprocess.CompletedProcess[str]:
    limits = (largest_file, resource.RLIM_INFINITY)
    return subprocess.run(
        [sys.executable, "-m", "so", "new", "shop"],
        cwd=folder,
        env={"PYTHONPATH": str(path), "PYTHONDONTWRITEBYTECODE": "1"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limits),
        capture_output=True,
        text=True,
        check=False,
    )
