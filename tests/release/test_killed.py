"""SIGKILL at random moments of what ships: nothing half, and a way on that is said.

A rehearsal of minutes, behind SIXORBIT_SLOW=1; SIXORBIT_KILLS says how many times each is killed.
What it found has quick tests of its own beside it (test_bundle.py, test_backup.py).
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from typing import Any

import pytest

from so.db.connection import Connection
from so.db.tables import drop_all
from so.release import back
from so.release.sealed import Sealed, digest_of
from tests.release.test_backup import ROWS, Place, backed_up, elsewhere, items, place

__all__ = ["elsewhere", "place"]  # fixtures

ROOT = Path(__file__).resolve().parents[2]
KILLS = int(os.environ.get("SIXORBIT_KILLS", "40"))
pytestmark = pytest.mark.skipif(
    os.environ.get("SIXORBIT_SLOW") != "1", reason="a rehearsal of minutes: set SIXORBIT_SLOW=1"
)


def ended(*words: object, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *map(str, words)],
        env={**os.environ, **env}, capture_output=True, text=True, check=False,
    )  # fmt: skip


def killed(seconds: float, *words: object, **env: str) -> bool:
    """Whether it was killed; False where it ended before."""
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(
        [sys.executable, *map(str, words)],
        env={**os.environ, **env}, start_new_session=True, **quiet,
    )  # fmt: skip
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return True
    return False


def seconds_of(work: Any) -> float:
    begun = time.monotonic()
    done = work()
    assert done.returncode == 0, done.stdout + done.stderr
    return time.monotonic() - begun


def strangers(base: Path, bundle: Path) -> list[str]:
    """The files of *bundle* that are not in *base* as it says, but for those of its own."""
    files = Sealed.read(bundle).manifest["files"]
    own = ("install.py", "sbom.cdx.json")
    return [
        n for n, about in files.items() if n not in own and digest_of(base / n) != about["sha256"]
    ]


@pytest.fixture(scope="module")
def bundles(tmp_path_factory) -> tuple[Path, Path]:
    """Two versions of one application, the second with a migration."""
    folder = tmp_path_factory.mktemp("bundles")
    erp = folder / "erp"
    assert ended(ROOT / "bin" / "sixorbit", "new", erp).returncode == 0
    made = []
    for number in (1, 2):
        routes = (erp / "app" / "routes.py").read_text()
        (erp / "app" / "routes.py").write_text(routes.replace("It works", f"It works {number}"))
        migration = erp / "database" / "migrations" / f"2026_01_0{number}_000000_n{number}.sql"
        migration.write_text(f"create table n{number} (id integer primary key);\n")
        made.append(folder / f"{number}.bundle.tar.gz")
        assert ended(erp / "bin" / "sixorbit", "bundle", made[-1]).returncode == 0
    return made[0], made[1]


def test_an_installation_that_was_killed_anywhere_is_begun_again(bundles, tmp_path):
    with tarfile.open(bundles[0]) as archive:
        archive.extractall(tmp_path / "unpacked", filter="data")
    target, dice, count = tmp_path / "srv", random.Random(1), 0
    install = (tmp_path / "unpacked" / "install.py", target)
    most = seconds_of(lambda: ended(*install))
    shutil.rmtree(target)

    for _ in range(KILLS):
        count += killed(dice.uniform(0, most), *install)
        if not (target / ".installing").exists():
            if (target / "so").is_dir():  # it had come to its end
                shutil.rmtree(target)
            continue
        if dice.random() < 0.5:  # now and then several in a row
            done = ended(*install)
            assert done.returncode == 0, done.stderr
            assert strangers(target, bundles[0]) == []
            shutil.rmtree(target)

    print(f"\ninstall: {count} of {KILLS} killed within {most:.1f} s")


def variables(config: dict[str, Any]) -> list[str]:
    """The lines of `.env` for a database of the tests."""
    if config["driver"] == "sqlite":
        return []
    keys = {"DB_CONNECTION": "driver", "DB_HOST": "host", "DB_PORT": "port",
            "DB_SOCKET": "unix_socket", "DB_DATABASE": "database", "DB_USERNAME": "username",
            "DB_PASSWORD": "password"}  # fmt: skip
    return [f"\n{name}={config[key]}" for name, key in keys.items() if config.get(key)]


@pytest.fixture
def installed(bundles, tmp_path, empty_db_config) -> Path:
    with tarfile.open(bundles[0]) as archive:
        archive.extractall(tmp_path / "unpacked", filter="data")
    assert ended(tmp_path / "unpacked" / "install.py", tmp_path / "srv").returncode == 0
    base = tmp_path / "srv"
    settings = (base / ".env").read_text()
    (base / ".env").write_text("".join([settings, *variables(empty_db_config)]))
    for words in (["db:install"], ["migrate", "--force"]):
        done = ended(base / "bin" / "sixorbit", *words)
        assert done.returncode == 0, done.stderr
    return base


def test_an_upgrade_that_was_killed_anywhere_goes_back_or_on(bundles, installed, empty_db_config):
    """Whatever stands there after the kill is the one version or the other, or says the mend."""
    dice, counts = random.Random(2), dict.fromkeys(("killed", "by hand", "by the next"), 0)
    entry, pristine = installed / "bin" / "sixorbit", installed.with_name("pristine")
    shutil.copytree(installed, pristine)
    most = seconds_of(lambda: ended(entry, "upgrade", bundles[1]))

    for _ in range(KILLS):
        shutil.rmtree(installed)
        shutil.copytree(pristine, installed)
        if not killed(dice.uniform(0, most), entry, "upgrade", bundles[1]):
            continue
        counts["killed"] += 1
        if not (installed / back.UNDER_WAY).exists():
            assert is_one_version(installed, bundles)
        elif dice.random() < 0.5 or not entry.exists() or not (installed / "so").is_dir():
            (script,) = (installed / back.FOLDER).glob(f"*/{back.SCRIPT}")
            assert ended(script).returncode == 0
            counts["by hand"] += 1
            assert is_one_version(installed, bundles)
        else:
            done = ended(entry, "upgrade", bundles[1])
            assert done.returncode == 1, done.stderr
            assert "the version before it is back in its place" in done.stderr
            counts["by the next"] += 1
        done = ended(entry, "upgrade", bundles[1])
        assert done.returncode == 0, done.stdout + done.stderr
        assert strangers(installed, bundles[1]) == []
        assert not list(installed.glob(".unfinished*"))

    print(f"\nupgrade on {empty_db_config['driver']}: {counts} of {KILLS} within {most:.1f} s")


def is_one_version(base: Path, bundles: tuple[Path, Path]) -> bool:
    return any(strangers(base, bundle) == [] for bundle in bundles)


# --- backup and restore ---------------------------------------------------------------------------


def test_a_backup_killed_anywhere_is_whole_or_not_there(place):
    folder, dice, count = place.base / "storage" / "backups", random.Random(3), 0
    upload = place.base / "storage" / "app" / "large.bin"
    upload.write_bytes(random.Random(1).randbytes(3_000_000))
    words, env = ["-W", "error", "-m", "so", "backup"], place.environ()
    most = seconds_of(lambda: place.run("backup"))

    for _ in range(KILLS):
        count += killed(dice.uniform(0, most), *words, **env)
        for file in folder.glob("*.tar.gz"):
            Sealed.read(file)
    time.sleep(1.1)  # names are by the second
    assert place.run("backup").returncode == 0

    assert [one.name for one in folder.iterdir() if one.name.startswith(".")] == []
    print(f"\nbackup on {place.connection['driver']}: {count} of {KILLS} within {most:.1f} s")


def test_a_restore_killed_anywhere_is_begun_again(place, elsewhere, tmp_path):
    file, dice, count, half = backed_up(place), random.Random(4), 0, 0
    again, env = tmp_path / "again", place.environ(**elsewhere)
    words = ["-W", "error", "-m", "so", "restore", file, f"--into={again}"]
    most = seconds_of(lambda: place.run("restore", file, f"--into={again}", **elsewhere))

    for _ in range(KILLS):
        shutil.rmtree(again, ignore_errors=True)
        emptied(place, elsewhere)
        count += killed(dice.uniform(0, most), *words, **env)
        half += (again / ".restoring").exists()
        done = place.run("restore", file, f"--into={again}", "--force", **elsewhere)
        assert done.returncode == 0, done.stdout + done.stderr
        assert items(place, again, elsewhere) == ROWS
        assert not list(again.glob(".[ru]*"))

    driver = place.connection["driver"]
    print(f"\nrestore on {driver}: {count} of {KILLS} within {most:.1f} s, {half} half")


def emptied(place: Place, elsewhere: dict[str, str]) -> None:
    """The database of a server as it was before; a file goes with its folder."""
    if elsewhere:
        with Connection({**place.connection, "database": elsewhere["DB_DATABASE"]}) as db:
            drop_all(db)
