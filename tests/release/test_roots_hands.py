"""What root does in an installation whose storage/ belongs to somebody who means ill."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.users import USER, python_for_all

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.skipif(python_for_all() is None, reason="for root, and a Python for all")


class Installation:
    """As the guide makes it: code and settings are root's, storage/ is the services'."""

    def __init__(self, base: Path) -> None:
        self.base, self.storage = base, base / "storage"
        self.secret = base.parent / "secret"

    def run(self, *words: object) -> subprocess.CompletedProcess[str]:
        command = [python_for_all() or "", str(self.base / "bin" / "sixorbit")]
        return subprocess.run(
            [*command, *map(str, words)], cwd=self.base, capture_output=True, text=True, check=False
        )

    def theirs(self, place: Path) -> Path:
        os.chown(place, *self.user, follow_symlinks=False)
        return place

    @property
    def user(self) -> tuple[int, int]:
        about = self.storage.stat()
        return about.st_uid, about.st_gid


@pytest.fixture(scope="module")
def made() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        base = Path(folder, "srv")
        python = str(python_for_all())
        for words in ([ROOT / "bin" / "sixorbit", "new", base], ["-m", "compileall", "-q", base]):
            subprocess.run([python, *map(str, words)], check=True, capture_output=True, cwd=folder)
        shutil.rmtree(base / "storage")
        yield base


@pytest.fixture
def place(made: Path) -> Iterator[Installation]:
    (made / ".env").write_text(
        f"APP_ENV=production\nAPP_KEY={os.urandom(20).hex()}\nLOG_CHANNEL=file\nSESSION_SECURE_COOKIE=true\n"
    )
    shutil.chown(made / ".env", "root", USER)
    (made / ".env").chmod(0o640)
    for name in ("logs", "app"):
        (made / "storage" / name).mkdir(parents=True)
    for one in (made / "storage", *(made / "storage").iterdir()):
        shutil.chown(one, USER, USER)
    (made.parent / "secret").write_text("secret")
    (made.parent / "secret").chmod(0o600)
    yield Installation(made)
    for one in (made / "storage", made / ".upgrades"):
        shutil.rmtree(one, ignore_errors=True)


def test_what_root_makes_is_the_services_and_a_link_of_theirs_leads_root_nowhere(place):
    elsewhere = place.base.parent / "elsewhere"
    elsewhere.mkdir()
    for name in ("logs/so.log", "down.json", "app/x"):
        planted = place.storage / name
        planted.parent.mkdir(exist_ok=True)
        place.theirs(planted.parent)
        planted.symlink_to(elsewhere / "made")
        place.theirs(planted)

    assert place.run("db:install").returncode == 0
    assert place.run("down").returncode == 0
    assert place.run("upgrade", "/nothing").returncode == 1

    assert list(elsewhere.iterdir()) == []
    assert {one.lstat().st_uid for one in place.storage.rglob("*")} == {place.user[0]}
    elsewhere.rmdir()


def test_a_backup_of_roots_holds_nothing_that_only_root_may_read(place):
    place.run("db:install")
    shutil.copy(place.secret, place.storage / "app" / "mine")  # root's, as by a swapped folder
    (place.storage / "app" / "mine").chmod(0o600)

    done = place.run("backup")

    assert "Permission denied" in done.stderr or "permission denied" in done.stderr
    assert list(place.storage.glob("backups/*.tar.gz")) == []


def test_a_key_is_not_read_through_a_link(place):
    place.theirs(place.storage / "app").rmdir()
    (place.base / ".env").write_text("APP_ENV=local\n")
    (place.storage / "app.key").symlink_to(place.secret)

    done = place.run("key:generate", "--rotate")

    assert done.returncode == 0, done.stderr
    assert "secret" not in (place.base / ".env").read_text()


# --- restoring ------------------------------------------------------------------------------------


@pytest.fixture
def backup(place) -> Path:
    """One that the timer has written, of a database and an upload."""
    place.theirs(place.storage / "app").joinpath("deep").mkdir()
    (place.storage / "app" / "deep" / "x").write_text("upload")
    for one in ("app/deep", "app/deep/x"):
        place.theirs(place.storage / one)
    assert place.run("db:install").returncode == 0
    assert place.run("backup").returncode == 0
    (file,) = (place.storage / "backups").iterdir()
    return file


def test_what_root_restores_is_the_services_and_settings_are_not_taken_from_them(place, backup):
    mended = place.base / "config" / "app.py"
    before = mended.read_text()
    mended.write_text(before + "\n# mended since\n")

    refused = place.run("restore", backup, "--force")

    assert refused.returncode == 1
    assert "config/app.py is another than that in" in refused.stderr
    mended.write_text(before)
    done = place.run("restore", backup, "--force")  # it has the very settings that are here
    assert done.returncode == 0, done.stdout + done.stderr
    assert (place.storage / "app" / "deep" / "x").read_text() == "upload"
    assert [one for one in place.storage.rglob("*") if one.lstat().st_uid == 0] == []
    env = (place.base / ".env").stat()
    assert (env.st_uid, env.st_gid, env.st_mode & 0o777) == (0, place.user[1], 0o640)
    shutil.rmtree(next(place.base.glob(".before-restore-*")))


def test_settings_that_are_restored_where_none_were_can_be_read_by_the_services(place, backup):
    roots = Path(shutil.copy(backup, place.base.parent))
    shutil.rmtree(place.base / "config")
    (place.base / ".env").unlink()

    umask = os.umask(0o077)
    done = place.run("restore", roots, "--force")
    os.umask(umask)

    assert done.returncode == 0, done.stdout + done.stderr  # which that user has looked through
    env, config = (place.base / ".env").stat(), (place.base / "config").stat()
    assert (env.st_uid, env.st_gid, env.st_mode & 0o777) == (0, place.user[1], 0o640)
    assert (config.st_uid, config.st_gid, config.st_mode & 0o777) == (0, place.user[1], 0o750)


def test_an_upload_is_not_restored_through_a_folder_that_became_a_link(place, backup):
    elsewhere = place.base.parent / "elsewhere"
    elsewhere.mkdir()
    shutil.rmtree(place.storage / "app")
    (place.storage / "app").symlink_to(elsewhere)

    done = place.run("restore", backup, "--force", "--only=uploads")

    assert done.returncode == 1
    assert list(elsewhere.iterdir()) == []
    elsewhere.rmdir()


# --- what check sees ------------------------------------------------------------------------------


def test_check_names_code_that_root_runs_and_the_services_could_change(place):
    place.theirs(place.base / "app")

    done = place.run("check")
    os.chown(place.base / "app", 0, 0)

    assert done.returncode == 1
    assert f"{place.base}/app may be changed by {USER}, and root runs what is" in done.stderr
