"""The demo as one file: it serves, migrates, works its queue, and makes new applications."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import urllib.request
import zipapp
import zipfile
from pathlib import Path

import pytest

from so.errors import ReleaseError
from so.release.zipapp import laid_down, run, write_zipapp
from tests.server.processes import free_port, wait_until

ROOT = Path(__file__).resolve().parents[2]
PRODUCTION = (
    "APP_ENV=production\nAPP_KEY=Zk3vQp9mXr7sLd2wTg5hZk3vQp9mXr7s\nAPP_URL=http://127.0.0.1\n"
)


def call(
    archive: Path, *words: object, cwd: Path | None = None, **env: str
) -> subprocess.CompletedProcess[str]:
    """The archive by a Python that knows nothing of this tree."""
    command = [sys.executable, "-I", "-S", archive, *words]
    return subprocess.run(
        list(map(str, command)),
        cwd=cwd or "/",
        env={"PATH": os.environ["PATH"], **env},
        capture_output=True,
        text=True,
        check=False,
    )


def ok(archive: Path, *words: object) -> str:
    done = call(archive, *words)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def packed(tmp_path_factory) -> Path:
    target = tmp_path_factory.mktemp("packed") / "demo.pyz"
    write_zipapp(ROOT, target)
    return target


@pytest.fixture(scope="module")
def demo(packed, tmp_path_factory) -> Path:
    """The archive in a folder of its own, whose name is no easy one, with tables and data."""
    home = tmp_path_factory.mktemp("a b ü")
    shutil.copy(packed, home / "demo.pyz")
    (home / ".env").write_text(PRODUCTION)
    ok(home / "demo.pyz", "demo:seed", "--orders=3")
    return home / "demo.pyz"


def get(url: str) -> bytes:
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=10) as page:
        found: bytes = page.read()
    return found


@pytest.mark.parametrize("how", [(), ("--simple",)], ids=["server", "simple"])
def test_it_serves_routes_and_guides(demo, tmp_path, how):
    port = free_port()
    with (tmp_path / "log").open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-I", "-S", demo, "serve", f"--port={port}", *how],
            cwd=tmp_path,
            stdout=log,
            stderr=log,
        )
    url = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        assert server.poll() is None, (tmp_path / "log").read_text()
        try:
            return b"<html" in get(f"{url}/login")
        except OSError:
            return False

    try:
        wait_until(answers, "the archive to serve")
        assert b"Deployment" in get(f"{url}/docs/deployment")
    finally:
        server.send_signal(signal.SIGTERM)
        assert server.wait(30) == 0


def test_it_works_its_queue_with_its_data_beside_it(demo):
    line = "dispatch(__import__('app.jobs').jobs.GenerateMonthlyReport('2026-01', 1))"
    ok(demo, "shell", f"--execute={line}")

    assert "DONE" in ok(demo, "queue:work", "--queue=reports", "--stop-when-empty")
    assert (demo.parent / "storage" / "reports").is_dir()
    assert (demo.parent / "storage" / "database.sqlite").is_file()
    line = "print(__import__('app.models').models.Report.first().path)"
    path = ok(demo, "shell", f"--execute={line}").strip()
    assert path.startswith(str(demo.parent / "storage" / "reports"))  # and outlives this version


def test_new_makes_the_same_application_from_archive_and_folder(packed, tmp_path):
    ok(packed, "new", tmp_path / "a" / "erp")
    words = [sys.executable, "-I", "-S", ROOT / "bin" / "sixorbit", "new", tmp_path / "b" / "erp"]
    subprocess.run(list(map(str, words)), check=True, capture_output=True)

    assert contents(tmp_path / "a" / "erp") == contents(tmp_path / "b" / "erp")

    # And what it made runs as an archive made by the standard library.
    target = tmp_path / "there" / "erp.pyz"
    target.parent.mkdir()
    zipapp.create_archive(tmp_path / "b" / "erp", target, main="so.console.main:main")
    ok(target, "key:generate")
    assert "APP_KEY=base64:" in (target.parent / ".env").read_text()


def contents(place: Path) -> dict[str, bytes]:
    found = (file for file in place.rglob("*") if file.is_file() and file.name != ".env")
    return {
        str(file.relative_to(place)): file.read_bytes()
        for file in found
        if "__pycache__" not in file.parts
    }


def test_a_backup_of_it_comes_back_beside_it(demo, tmp_path):
    ok(demo, "backup", tmp_path / "one.backup.tar.gz")
    home = tmp_path / "again"
    home.mkdir()
    shutil.copy(demo, home)

    ok(home / "demo.pyz", "restore", tmp_path / "one.backup.tar.gz")

    assert (home / ".env").read_text() == PRODUCTION
    assert not (home / ".env").is_symlink()
    assert "there already" in ok(home / "demo.pyz", "demo:seed")


def test_units_run_it(demo):
    units = ok(demo, "systemd:units")

    assert f" {demo} serve\n" in units
    assert f"WorkingDirectory={demo.parent}\n" in units


def test_a_new_archive_takes_the_place_of_the_old_with_the_same_data(packed, tmp_path):
    archive = tmp_path / "demo.pyz"
    places = []
    for number in range(5):
        shutil.copy(packed, archive)
        with zipfile.ZipFile(archive, "a") as more:
            more.writestr("app/version.txt", str(number))
        places.append(laid_down(archive, tmp_path))
        (tmp_path / "storage" / "kept.txt").touch()
        os.utime(places[-1], (number, number))

    assert (places[-1] / "app" / "version.txt").read_text() == "4"
    assert (places[-1] / "storage" / "kept.txt").exists()
    assert [place.is_dir() for place in places] == [False, False, True, True, True]
    assert laid_down(archive, tmp_path) == places[-1]


def test_where_nobody_may_write_it_runs_from_a_private_folder(packed, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    home = tmp_path / "sealed"
    home.mkdir()
    (home / "storage").touch()  # a file: not even root can write below it

    place = laid_down(packed, home)

    assert place.is_relative_to(tmp_path)
    assert (place.parent.stat().st_mode & 0o777, os.readlink(place / ".env")) == (
        0o700,
        str(home / ".env"),
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_what_the_services_have_laid_down_is_not_what_root_runs(packed, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    theirs = laid_down(packed, tmp_path)
    shutil.chown(tmp_path / "storage", 33, 33)

    place = laid_down(packed, tmp_path)

    assert place != theirs
    assert place.is_relative_to(tmp_path / "tmp")
    assert place.parent.stat().st_mode & 0o777 == 0o755  # they begin from there what root begins
    assert (place / "storage").resolve() == tmp_path / "storage"


def test_on_windows_it_says_how_to_unpack_it(packed, monkeypatch):
    monkeypatch.delattr("os.getuid")

    with pytest.raises(ReleaseError, match="-m zipfile -e demo.pyz demo"):
        run(packed, ["list"])


def test_where_no_storage_can_be_it_says_where_to_name_one_and_works_with_that(packed, tmp_path):
    home = tmp_path / "opt"
    home.mkdir()
    shutil.copy(packed, home / "erp.pyz")
    (home / "storage").touch()  # a file: not even root can make a folder there
    own = {"SIXORBIT_BASE": str(tmp_path / "var"), "TMPDIR": str(tmp_path)}

    refused = call(home / "erp.pyz", "migrate", TMPDIR=str(tmp_path))
    listed = call(home / "erp.pyz", "list", TMPDIR=str(tmp_path))
    done = call(home / "erp.pyz", "key:generate", **own)
    units = call(home / "erp.pyz", "systemd:units", **own).stdout

    assert (refused.returncode, refused.stdout, listed.returncode) == (1, "", 0)
    assert f"storage/ is looked for in {home}, where this user may not make it" in refused.stderr
    assert "SIXORBIT_BASE=/var/lib/erp python3" in refused.stderr
    assert done.stdout == f"APP_KEY written to {tmp_path / 'var' / '.env'}.\n"
    assert units.count(f'SIXORBIT_UNIT=%n "SIXORBIT_BASE={tmp_path / "var"}"\n') == 4


def test_an_archive_of_the_framework_alone_is_no_application(tmp_path):
    shutil.copytree(ROOT / "so", tmp_path / "src" / "so", ignore=shutil.ignore_patterns("*.pyc"))
    zipapp.create_archive(tmp_path / "src", tmp_path / "so.pyz", main="so.console.main:main")

    done = call(tmp_path / "so.pyz", "list", cwd=tmp_path)

    assert done.returncode == 0
    assert not (tmp_path / "storage").exists()
