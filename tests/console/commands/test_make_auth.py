"""`make:auth` writes pages and tests into an application, and they pass."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from so.application import Application
from so.console import Kernel
from so.console.commands.make_auth import MODULES
from so.console.output import Output

ROOT = Path(__file__).resolve().parents[3]
STUBS = ROOT / "so" / "console" / "stubs" / "accounts"


def run(base: Path, *words: str) -> tuple[int, str]:
    out = io.StringIO()
    with Application(base) as app:
        code = Kernel(app).run(list(words), Output(out, out))
    return code, out.getvalue()


@pytest.fixture
def fresh(tmp_path: Path) -> Path:
    """A new application as `bin/sixorbit new` writes it."""
    with Application(ROOT) as app:
        assert Kernel(app).run(["new", str(tmp_path / "shop")], Output(io.StringIO())) == 0
    return tmp_path / "shop"


def command(base: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *words], cwd=base, capture_output=True, text=True, check=False
    )


def test_a_new_application_has_accounts_whose_tests_pass(fresh: Path):
    made = command(fresh, "bin/sixorbit", "make:auth")
    assert made.returncode == 0, made.stdout + made.stderr
    assert command(fresh, "bin/sixorbit", "db:install").returncode == 0
    assert command(fresh, "bin/sixorbit", "migrate").returncode == 0
    assert command(fresh, "bin/sixorbit", "migrate:refresh").returncode == 0

    tested = command(fresh, "-m", "unittest", "tests.test_accounts")
    assert tested.returncode == 0, tested.stderr
    assert "Ran 8 tests" in tested.stderr
    line = "print(sorted(u.name for u in User.factory(2).create(name='Bob')))"
    assert command(fresh, "bin/sixorbit", "shell", f"--execute={line}").stdout == "['Bob', 'Bob']\n"
    created = command(fresh, "bin/sixorbit", "user:create", "ada@x.y", "--name=Ada", "-n")
    assert "/reset-password/" in created.stdout, created.stdout + created.stderr


def test_it_is_done_once_and_writes_over_nothing(fresh: Path):
    (fresh / "tests" / "test_accounts.py").write_text("# mine\n")
    assert command(fresh, "bin/sixorbit", "make:auth").returncode == 0
    assert (fresh / "tests" / "test_accounts.py").read_text() == "# mine\n"

    again = command(fresh, "bin/sixorbit", "make:auth")
    assert again.returncode == 1
    assert "there already" in again.stderr


def test_a_user_model_that_is_there_stays_and_is_told_what_it_lacks(fresh: Path):
    text = (
        '"""Models."""\n\nfrom so import Model, TwoFactor\n\n\n'
        "class User(TwoFactor, Model):\n    pass\n"
    )
    (fresh / "app" / "models.py").write_text(text)

    made = command(fresh, "bin/sixorbit", "make:auth", "--json")

    assert (fresh / "app" / "models.py").read_text() == text
    told = json.loads(made.stdout)
    assert "HasApiTokens, HasRoles, MustVerifyEmail, Notifiable" in told["left"][0]
    assert "app/accounts/login.py" in told["created"]
    assert told["changed"] == ["app/routes.py"]


def test_nothing_is_written_beside_a_module_that_is_no_python(fresh: Path):
    (fresh / "app" / "models.py").write_text("class User(:\n")

    made = command(fresh, "bin/sixorbit", "make:auth")

    assert made.returncode == 1
    assert "models.py is no Python, so nothing was written" in made.stderr
    assert not (fresh / "app" / "accounts").exists()


@pytest.mark.parametrize("name", [name for name in MODULES if name != "pages"])
def test_the_demo_uses_what_it_writes(name: str):
    assert (ROOT / "app" / "accounts" / f"{name}.py").read_text() == (
        STUBS / f"{name}.py.txt"
    ).read_text()
