"""A bundle: made here, installed there with Python alone, and brought up to date, or back."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from so.application.application import let_be_found
from so.errors import ReleaseError
from so.release import wheels
from so.release.alone import LOCK, alone
from so.release.bundle import Upgrade, interrupted
from so.release.sealed import Sealed

ROOT = Path(__file__).resolve().parents[2]


def run(*words: object, cwd: Path | str = "/", **env: str) -> subprocess.CompletedProcess[str]:
    """Python without any installed package."""
    command = [sys.executable, "-S", *map(str, words)]
    environ = {"PATH": os.environ["PATH"], **env}
    return subprocess.run(
        command, cwd=cwd, env=environ, capture_output=True, text=True, check=False, umask=0o077
    )


@pytest.fixture(scope="module")
def erp(tmp_path_factory) -> Path:
    """An application made by `new`, with something that must not travel."""
    base = tmp_path_factory.mktemp("made") / "erp"
    assert run(ROOT / "bin" / "sixorbit", "new", base).returncode == 0
    (base / "storage" / "secret.txt").write_text("stays here")
    (base / ".git").mkdir()
    return base


@pytest.fixture(scope="module")
def bundle(erp, tmp_path_factory) -> Path:
    file = tmp_path_factory.mktemp("bundle") / "erp.bundle.tar.gz"
    done = run(erp / "bin" / "sixorbit", "bundle", file, cwd=erp)
    assert done.returncode == 0, done.stderr
    return file


@pytest.fixture
def unpacked(bundle, tmp_path) -> Path:
    with tarfile.open(bundle) as archive:
        archive.extractall(tmp_path / "unpacked", filter="data")
    return tmp_path / "unpacked"


@pytest.fixture(scope="module")
def installed_once(bundle, tmp_path_factory) -> Path:
    """An installation nobody changes: it was compiled, so that copies of it start at once."""
    folder = tmp_path_factory.mktemp("installed")
    with tarfile.open(bundle) as archive:
        archive.extractall(folder / "unpacked", filter="data")
    done = run(folder / "unpacked" / "install.py", folder / "srv")
    assert done.returncode == 0, done.stderr
    return folder / "srv"


@pytest.fixture
def installed(installed_once, tmp_path) -> Path:
    shutil.copytree(installed_once, tmp_path / "srv")
    return tmp_path / "srv"


def test_it_holds_application_framework_and_guides_and_nothing_of_the_machine(bundle):
    files = set(Sealed.read(bundle).manifest["files"])

    assert {
        "so/__init__.py",
        "app/routes.py",
        "config/app.py",
        "bin/sixorbit",
        "install.py",
    } <= files
    assert {"docs/deployment.md", ".env.example", "sbom.cdx.json"} <= files
    assert [name for name in files if name.startswith(("storage", ".git", ".env"))] == [
        ".env.example"
    ]


def test_it_says_what_it_is_made_of(bundle, unpacked):
    bill = json.loads((unpacked / "sbom.cdx.json").read_text())

    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.5")
    assert [part["name"] for part in bill["components"]] == ["so-framework"]


def test_what_was_installed_is_sound_and_serves(installed):
    sixorbit = installed / "bin" / "sixorbit"

    for command in (["db:install"], ["migrate", "--force"], ["check"], ["route:list"]):
        done = run(sixorbit, *command, cwd=installed)
        assert done.returncode == 0, done.stdout + done.stderr

    assert (installed / ".env").stat().st_mode & 0o777 == 0o600
    for folder in ("so", "app", "config"):
        assert list((installed / folder / "__pycache__").glob("*.pyc")), folder


def test_a_file_that_was_changed_on_the_way_is_named(unpacked, tmp_path):
    (unpacked / "so" / "errors.py").write_text("")

    done = run(unpacked / "install.py", tmp_path / "srv")

    assert done.returncode == 1
    assert "so/errors.py is missing or was changed" in done.stderr
    assert not (tmp_path / "srv").exists()


def test_a_folder_with_something_in_it_is_left_alone(unpacked, tmp_path):
    (tmp_path / "srv").mkdir()
    (tmp_path / "srv" / "mine").write_text("")

    done = run(unpacked / "install.py", tmp_path / "srv")

    assert (done.returncode, "is not empty" in done.stderr) == (1, True)


def test_a_wheel_comes_along_and_is_found(erp, tmp_path):
    wheel = tmp_path / "tiny-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("tiny.py", "answer = 42\n")
        about = "tiny-1.0.dist-info/"
        archive.writestr(about + "METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n")
        archive.writestr(
            about + "WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(about + "RECORD", "")
    file = tmp_path / "x.tar.gz"
    assert (
        run(erp / "bin" / "sixorbit", "bundle", file, f"--wheel={wheel}", cwd=erp).returncode == 0
    )
    with tarfile.open(file) as archive:
        archive.extractall(tmp_path / "unpacked", filter="data")

    done = subprocess.run(
        [sys.executable, tmp_path / "unpacked" / "install.py", tmp_path / "srv"],
        capture_output=True, text=True,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    shell = run(tmp_path / "srv/bin/sixorbit", "shell", "--execute=import tiny; print(tiny.answer)")
    assert "42" in shell.stdout
    bill = json.loads((tmp_path / "unpacked" / "sbom.cdx.json").read_text())
    assert [part["name"] for part in bill["components"]] == ["so-framework", "tiny"]


def test_an_installation_that_was_interrupted_is_begun_again(unpacked, tmp_path):
    target = tmp_path / "srv"
    (target / "so").mkdir(parents=True)
    (target / "so" / "half.py").touch()
    assert "is not empty" in run(unpacked / "install.py", target).stderr

    (target / ".installing").touch()  # what a killed one has left
    done = run(unpacked / "install.py", target)

    assert done.returncode == 0, done.stderr
    assert not (target / "so" / "half.py").exists()
    assert not (target / ".installing").exists()


def test_an_installation_without_room_says_so_and_leaves_nothing(unpacked, tmp_path):
    (tmp_path / "file").touch()

    done = run(unpacked / "install.py", tmp_path / "file" / "srv")

    assert done.returncode == 1
    assert "cannot install into" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("kind", ["bundle", "zipapp", "backup"])
def test_what_cannot_be_written_is_said_in_a_sentence_and_leaves_nothing(erp, kind):
    """/dev/full has room for nothing; a folder in it is no folder."""
    ending = {"bundle": "tar.gz", "zipapp": "pyz", "backup": "backup.tar.gz"}[kind]

    done = run(erp / "bin" / "sixorbit", kind, f"/dev/full/x.{ending}", cwd=erp)

    assert done.returncode == 1
    assert "cannot write" in done.stderr
    assert "Traceback" not in done.stderr


# --- upgrade --------------------------------------------------------------------------------------


def changed(erp: Path, tmp_path: Path, **files: str) -> Path:
    """A bundle of *erp* with other files in it."""
    copy = tmp_path / "next"
    shutil.copytree(erp, copy)  # compiled, as it is
    for name, text in files.items():
        (copy / name.replace("__", "/").replace("_py", ".py").replace("_sql", ".sql")).write_text(
            text
        )
    with (copy / ".env.example").open("a") as file:
        file.write("\nBRAND_NEW=7\n")
    target = tmp_path / "next.bundle.tar.gz"
    assert run(copy / "bin" / "sixorbit", "bundle", target, cwd=copy).returncode == 0
    return target


def hidden_below(base: Path) -> list[Path]:
    """The code that another user, such as that of the services, could not read."""
    places = [one for name in ("so", "app", "config", "bin") for one in (base / name).rglob("*")]
    wanted = [(one, 0o055 if one.is_dir() else 0o044) for one in (base, *places)]
    return [one for one, bits in wanted if one.stat().st_mode & bits != bits]


def test_a_new_version_takes_the_place_of_the_old_one_which_is_kept(erp, installed, tmp_path):
    (installed / "storage" / "app" / "upload.txt").write_text("mine")
    (installed / "vendor").mkdir()
    (installed / "vendor" / "mine.py").touch()
    before = (installed / ".env").read_bytes()
    assert hidden_below(installed) == []  # though all is done with a umask of 077
    file = changed(
        erp, tmp_path, app__routes_py='"""New."""\n',
        **{"database__migrations__2026_01_01_000000_new_sql": "create table novelties (id int);\n"},
    )  # fmt: skip

    done = run(installed / "bin/sixorbit", "upgrade", file, cwd=installed)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "setting new: BRAND_NEW=7" in done.stdout
    assert (installed / "app" / "routes.py").read_text() == '"""New."""\n'
    assert list((installed / "so" / "__pycache__").glob("errors.*.pyc"))
    assert hidden_below(installed) == []
    assert ((installed / ".env").read_bytes(), (installed / ".env").stat().st_mode & 0o777) == (
        before,
        0o600,
    )
    assert (installed / "storage" / "app" / "upload.txt").read_text() == "mine"
    assert (installed / "vendor" / "mine.py").exists()
    (kept,) = (installed / ".upgrades").iterdir()
    assert "def home" in (kept / "app" / "routes.py").read_text()
    assert run(installed / "bin/sixorbit", "db:table", "novelties", cwd=installed).returncode == 0


@pytest.mark.parametrize(
    "files",
    [
        {"app__routes_py": "def (\n"},
        {"database__migrations__2026_01_01_000000_bad_sql": "create nonsense;\n"},
    ],
)
def test_a_version_that_does_not_work_gives_way_to_the_old_one(erp, installed, tmp_path, files):
    done = run(
        installed / "bin/sixorbit", "upgrade", changed(erp, tmp_path, **files), cwd=installed
    )

    assert done.returncode == 1
    assert "The old version is back in its place." in done.stderr
    assert "def home" in (installed / "app" / "routes.py").read_text()
    assert run(installed / "bin/sixorbit", "route:list", cwd=installed).returncode == 0
    assert not list(installed.glob(".unfinished*"))


@pytest.mark.parametrize("steps", [0, 1, 3, 6])
def test_an_upgrade_that_was_killed_is_undone_by_hand_or_by_the_next_one(
    bundle, erp, tmp_path, steps
):
    """Killed between any two moves: the entries of both versions are mixed, or one is missing."""
    base, folder = tmp_path / "srv ü", tmp_path / "new"
    for place, version in ((base, "old"), (folder, "new")):
        for name in ("so", "bin", "app", "config"):
            (place / name).mkdir(parents=True)
            (place / name / "version").write_text(version)
        (place / "bin" / "sixorbit").touch()
    (folder / "brand-new").write_text("new")
    upgrade = Upgrade(base, Sealed.read(bundle), "1")
    moves = iter(range(steps))

    def killed(source: Path, target: Path) -> None:
        if next(moves, None) is None:
            raise KeyboardInterrupt
        source.rename(target)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("so.release.back.move", killed)
        with pytest.raises(KeyboardInterrupt):
            upgrade.forward(folder)
    assert interrupted(base) == upgrade.kept  # which `check` names

    for _ in range(2):  # any number of times
        done = run(upgrade.kept / "PUT-BACK.py")
        assert done.returncode == 0, done.stderr

    versions = {name: (base / name / "version").read_text() for name in ("so", "app", "config")}
    assert versions == {"so": "old", "app": "old", "config": "old"}
    assert not (base / "brand-new").exists()
    assert interrupted(base) is None


def test_what_an_older_version_left_interrupted_is_named_where_it_is(bundle, installed):
    """It kept the version before in storage/, and noted the whole path."""
    kept = installed / "storage" / "upgrades" / "20260101"
    (installed / ".upgrading").write_text(str(kept))

    done = run(installed / "bin/sixorbit", "upgrade", bundle, cwd=installed)

    assert interrupted(installed) == kept  # which `check` names
    assert done.returncode == 1
    assert f"{kept}/PUT-BACK.py" in " ".join(done.stderr.split())
    assert (installed / ".upgrading").exists()


def test_where_there_is_no_room_the_old_version_stays(bundle, tmp_path, monkeypatch):
    base, folder = tmp_path / "srv", tmp_path / "new"
    for place, version in ((base, "old"), (folder, "new")):
        for name in ("so", "bin", "app"):
            (place / name).mkdir(parents=True)
            (place / name / "version").write_text(version)
        (place / "bin" / "sixorbit").touch()
    (base / ".upgrades").write_text("a file where a folder should be")
    upgrade = Upgrade(base, Sealed.read(bundle), "1")

    with pytest.raises(OSError, match="upgrades"):
        upgrade.forward(folder)
    upgrade.back()

    assert (base / "so" / "version").read_text() == "old"


def test_an_older_version_has_to_be_asked_for(bundle, installed):
    upgrade = Upgrade(installed, Sealed.read(bundle), "1")

    assert upgrade.is_older("2.0.1")
    assert upgrade.is_older("10.0")
    assert not upgrade.is_older("2.0.0")
    assert not upgrade.is_older("1.9.12")


def test_without_its_framework_the_command_says_what_may_have_happened(tmp_path):
    shutil.copytree(ROOT / "bin", tmp_path / "bin")

    done = run(tmp_path / "bin" / "sixorbit", "list")

    assert done.returncode == 1
    assert "so/ is missing" in done.stderr
    assert "PUT-BACK.py" in done.stderr
    assert "Traceback" not in done.stderr


def test_pretending_shows_the_settings_and_changes_nothing(erp, installed, tmp_path):
    before = (installed / "app" / "routes.py").stat().st_mtime_ns

    done = run(
        installed / "bin/sixorbit", "upgrade", changed(erp, tmp_path), "--pretend", cwd=installed
    )

    assert (done.returncode, "BRAND_NEW" in done.stdout) == (0, True)
    assert "nothing was done" in done.stdout
    assert (installed / "app" / "routes.py").stat().st_mtime_ns == before


def test_another_file_is_no_bundle(installed, tmp_path):
    (tmp_path / "x.tar.gz").write_bytes(b"nothing")

    done = run(installed / "bin/sixorbit", "upgrade", tmp_path / "x.tar.gz", cwd=installed)

    assert done.returncode == 1
    assert "damaged or was cut off" in done.stderr


# --- wheels ---------------------------------------------------------------------------------------


def wheel_of(folder: Path, version: str, tag: str = "py3-none-any", **files: str) -> Path:
    """A wheel of a distribution called tiny."""
    folder.mkdir(exist_ok=True)
    wheel = folder / f"tiny-{version}-{tag}.whl"
    about = f"tiny-{version}.dist-info/"
    files = {f"{name}.py": text for name, text in files.items()}
    files |= {about + "METADATA": f"Metadata-Version: 2.1\nName: tiny\nVersion: {version}\n"}
    record = "".join(f"{name},,\n" for name in [*files, about + "RECORD"])
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, text in {**files, about + "RECORD": record}.items():
            archive.writestr(name, text)
    return wheel


def with_wheels(erp: Path, target: Path, *taken: Path) -> Path:
    words = [f"--wheel={wheel}" for wheel in taken]
    done = run(erp / "bin" / "sixorbit", "bundle", target, *words, cwd=erp)
    assert done.returncode == 0, done.stderr
    return target


def test_an_upgrade_puts_the_wheels_it_brings_in_the_place_of_those_before(
    erp, installed, tmp_path
):
    wheels.unpack(
        [wheel_of(tmp_path / "1", "1.0", tiny="answer = 1", gone="")], installed / "vendor"
    )
    (installed / "vendor" / "mine.py").write_text("")
    new = wheel_of(tmp_path / "2", "2.0", tiny="answer = 2")

    done = run(
        installed / "bin/sixorbit", "upgrade", with_wheels(erp, tmp_path / "b.tar.gz", new),
        cwd=installed,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout + done.stderr
    shell = run(installed / "bin/sixorbit", "shell", "--execute=import tiny; print(tiny.answer)")
    assert shell.stdout == "2\n"
    names = {one.name for one in (installed / "vendor").iterdir()} - {"__pycache__"}
    assert names == {"tiny.py", "mine.py", "tiny-2.0.dist-info"}
    (kept,) = (installed / ".upgrades").iterdir()
    run(kept / "PUT-BACK.py")
    assert "answer = 1" in (installed / "vendor" / "tiny.py").read_text()


@pytest.mark.parametrize("by", ["upgrade", "install"])
def test_a_wheel_for_another_machine_is_refused_before_anything_is_changed(
    erp, installed, tmp_path, by
):
    foreign = wheel_of(tmp_path / "1", "1.0", "cp39-cp39-win_amd64")
    file = with_wheels(erp, tmp_path / "b.tar.gz", foreign)

    if by == "upgrade":
        done = run(installed / "bin/sixorbit", "upgrade", file, cwd=installed)
        assert not (installed / ".upgrades").exists()
    else:
        with tarfile.open(file) as archive:
            archive.extractall(tmp_path / "unpacked", filter="data")
        done = run(tmp_path / "unpacked" / "install.py", tmp_path / "empty")
        assert not (tmp_path / "empty").exists()

    assert done.returncode == 1
    assert "tiny-1.0-cp39-cp39-win_amd64.whl is for another machine" in done.stderr
    assert "Traceback" not in done.stderr


def test_of_wheels_for_several_machines_the_one_that_fits_is_taken(tmp_path):
    here = wheel_of(tmp_path / "w", "1.0", tiny="answer = 'any'")
    wheel_of(tmp_path / "w", "1.0", "cp39-cp39-win_amd64")
    wheel_of(tmp_path / "w", "1.0", "cp399-cp399-any")

    assert wheels.chosen((tmp_path / "w").iterdir()) == [here]


@pytest.mark.parametrize(
    ("tag", "answer"),
    [
        ("py3-none-any", True),
        ("py2.py3-none-any", True),
        ("py311-none-any", True),
        ("cp32-abi3-any", True),
        ("py2-none-any", False),
        ("py399-none-any", False),
        ("cp32-cp32-any", False),
        ("pp311-pypy311_pp73-any", False),
        ("py3-none-win_amd64", False),
        ("py3-none-manylinux_9_99_x86_64", False),
        (f"cp3{sys.version_info.minor}-cp3{sys.version_info.minor}-any", True),
        ("any", False),
    ],
)
def test_a_wheels_name_says_whether_it_fits(tag, answer):
    assert wheels.fits(f"tiny-1.0-{tag}.whl") is answer


def test_scripts_and_names_that_lead_out_of_a_wheel_are_not_unpacked(tmp_path):
    wheel = tmp_path / "tiny-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("tiny-1.0.data/purelib/tiny.py", "answer = 3")
        archive.writestr("tiny-1.0.data/scripts/tiny", "#!python")
    wheels.unpack([wheel], tmp_path / "vendor")
    assert [one.name for one in (tmp_path / "vendor").rglob("*")] == ["tiny.py"]

    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("../out.py", "")
    with pytest.raises(ReleaseError, match="no plain file below it"):
        wheels.unpack([wheel], tmp_path / "vendor")
    assert not (tmp_path / "out.py").exists()


def test_a_bundle_that_was_cut_off_before_it_was_unpacked_is_not_installed(unpacked, tmp_path):
    (unpacked / "MANIFEST.json").unlink()

    done = run(unpacked / "install.py", tmp_path / "srv")

    assert (done.returncode, "the bundle was cut off" in done.stderr) == (1, True)


# --- several at once ------------------------------------------------------------------------------


def test_an_installation_beside_another_leaves_it_alone(unpacked, tmp_path):
    target = tmp_path / "srv"
    target.mkdir()
    (target / ".installing").touch()
    (target / "of the other").touch()
    with alone(target, "the other"):
        done = run(unpacked / "install.py", target)

    assert done.returncode == 1
    assert "another installation, upgrade or restore is under way" in done.stderr
    assert (target / "of the other").exists()


def test_an_upgrade_beside_another_does_not_undo_it(bundle, installed):
    (installed / ".upgrading").write_text("1")
    with alone(installed, "the other"):
        done = run(installed / "bin/sixorbit", "upgrade", bundle, cwd=installed)

    assert done.returncode == 1
    assert "another installation, upgrade or restore is under way" in done.stderr
    assert (installed / ".upgrading").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can look as another user")
def test_the_services_user_cannot_hold_the_lock(tmp_path):
    with alone(tmp_path, "once"):
        pass
    os.seteuid(33)
    try:
        with pytest.raises(PermissionError):
            os.open(tmp_path / LOCK, os.O_RDONLY)
    finally:
        os.seteuid(0)


def test_the_folder_is_free_again_when_whoever_worked_in_it_has_ended(tmp_path):
    second = alone(tmp_path, "two")
    with alone(tmp_path, "one"), pytest.raises(ReleaseError, match="under way"):
        second.__enter__()
    with alone(tmp_path, "three"):
        pass


def test_an_upgrade_that_goes_back_names_the_migrations_that_stay(erp, installed, tmp_path):
    """Schema and data are of both versions: expand, then contract."""
    file = changed(
        erp, tmp_path,
        **{"database__migrations__2026_01_01_000000_new_sql": "create table novelties (id int);\n"},
    )  # fmt: skip

    done = run(
        installed / "bin/sixorbit", "upgrade", file, "--health=http://127.0.0.1:9/", cwd=installed
    )

    assert done.returncode == 1
    assert "does not answer" in done.stderr
    assert "Migrations that ran stay: 2026_01_01_000000_new" in done.stderr


def test_what_a_bundle_brought_goes_before_what_the_system_has(tmp_path, monkeypatch):
    """And behind Python's own modules."""
    library, site = "/usr/lib/python3", str(tmp_path / "lib" / "site-packages")
    monkeypatch.setattr("sys.path", [str(tmp_path), library, site])
    vendor = str(tmp_path / "vendor")

    let_be_found(tmp_path)
    assert sys.path == [str(tmp_path), library, site]  # there is none

    (tmp_path / "vendor").mkdir()
    sys.path.append(vendor)  # as one who began it by hand may have done
    for _ in range(2):
        let_be_found(tmp_path)
        assert sys.path == [str(tmp_path), library, vendor, site]
