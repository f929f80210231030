"""The guide for the first hour, done as it says: its files written, its commands run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest

from so.db.connection import Connection

ROOT = Path(__file__).resolve().parents[2]
GUIDE = (ROOT / "docs" / "getting-started.md").read_text("utf-8")
BLOCK = re.compile(r"^```(bash|sql|python file)\n(.*?)^```", re.DOTALL | re.MULTILINE)
SECONDS = 120


def run(folder: Path, *words: str) -> str:
    environ = {k: v for k, v in os.environ.items() if not k.startswith(("DB_", "APP_", "COVERAGE"))}
    done = subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env=environ,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, (words, done.stdout, done.stderr)
    return done.stdout


@pytest.fixture(params=["sqlite", "mysql"])
def settings(request):
    """What the engine needs in .env."""
    if request.param == "sqlite":
        yield ""
        return
    server = request.getfixturevalue("mariadb")
    name = f"so_guide_{uuid4().hex[:8]}"
    with Connection(server.config()) as connection:
        connection.statement(f"create database {name}")
    config = server.config(name)
    yield (
        f"DB_CONNECTION=mariadb\nDB_HOST={config['host']}\nDB_PORT={config['port']}\n"
        f"DB_DATABASE={name}\nDB_USERNAME={config['username']}\nDB_PASSWORD='{config['password']}'\n"
    )
    with Connection(server.config()) as connection:
        connection.statement(f"drop database {name}")


def test_the_first_hour_goes_as_the_guide_says(tmp_path, settings):
    run(ROOT, "bin/sixorbit", "new", str(tmp_path / "shop"))
    shop = tmp_path / "shop"
    with (shop / ".env").open("a") as env:
        env.write(settings)
    output = {}
    for kind, text in BLOCK.findall(GUIDE):
        if kind == "bash":
            for line in text.splitlines():
                script, *words = line.split()
                if script == "bin/sixorbit" and words[0] != "new":
                    output[words[0]] = run(shop, script, *words)
                elif script == "rm":
                    (shop / words[0]).unlink()
            continue
        file = shop / text.splitlines()[0].split(" ", 1)[1]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    assert "DONE" in output["queue:work"]
    assert "products" in output["route:list"]
    run(shop, "-m", "unittest", "discover", "-s", "tests", "-t", ".")
