"""The package: built and installed without a network or a build tool, and all of it is there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import so
from so.errors import ReleaseError
from so.release.files import source_files
from so.release.wheel import Project, write_sdist, write_wheel

ROOT = Path(__file__).resolve().parents[2]
OFFLINE = ["--no-index", "--no-deps", "--no-compile", "--quiet", "--disable-pip-version-check"]


def pip(*arguments: object) -> None:
    words = [sys.executable, "-m", "pip", "install", *OFFLINE, *map(str, arguments)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def contents(place: Path) -> set[str]:
    found = (file for file in place.rglob("*") if file.is_file())
    return {str(f.relative_to(place)) for f in found if "__pycache__" not in f.parts}


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    """A copy of the checkout: a build must not need what lies around it, nor write into it."""
    copy = tmp_path_factory.mktemp("source")
    for name, file in source_files(ROOT):
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, copy / name)
    return copy


@pytest.fixture(scope="module")
def installed(source, tmp_path_factory) -> Path:
    """A folder into which `pip install .` has put the project, in pip's isolated environment."""
    site = tmp_path_factory.mktemp("site")
    pip("--target", site, source)
    return site


def test_every_file_of_the_framework_is_installed_with_guides_settings_and_deployment(installed):
    skeleton = {
        f"skeleton/{name}/{file}"
        for name in ("config", "docs", "deploy")
        for file in contents(ROOT / name)
    }

    skeleton |= {"skeleton/.env.example", "skeleton/bin/sixorbit"}

    assert contents(installed / "so") == contents(ROOT / "so") | skeleton


def test_the_metadata_tell_the_version_of_the_code_and_the_extra_for_mysql(installed):
    (metadata,) = installed.glob("so_framework-*.dist-info/METADATA")
    text = metadata.read_text("utf-8")

    assert f"\nVersion: {so.__version__}\n" in text
    assert "\nProvides-Extra: mysql\n" in text
    assert "\nRequires-Python: >=3.11\n" in text


def test_a_build_leaves_nothing_in_the_tree(source, installed):
    built = {name for name in contents(source) if "egg-info" in name or name.startswith("build")}

    assert built == set()


def test_the_source_archive_builds_the_same_wheel(source, tmp_path):
    wheel = write_wheel(Project.at(source), tmp_path)
    sdist = write_sdist(Project.at(source), tmp_path)
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path / "unpacked", filter="data")
    (unpacked,) = (tmp_path / "unpacked").iterdir()
    again = tmp_path / "again"
    again.mkdir()

    assert write_wheel(Project.at(unpacked), again).read_bytes() == wheel.read_bytes()


def test_every_file_of_a_wheel_is_in_its_record(tmp_path):
    with zipfile.ZipFile(write_wheel(Project.at(ROOT), tmp_path)) as wheel:
        (record,) = (name for name in wheel.namelist() if name.endswith("/RECORD"))
        listed = [line.split(",")[0] for line in wheel.read(record).decode().splitlines()]

        assert listed == wheel.namelist()


def test_an_editable_installation_points_to_the_checkout(source, tmp_path):
    pip("--target", tmp_path, "--editable", source)

    assert (tmp_path / "so_framework.pth").read_text("utf-8").strip() == str(source)


def test_a_folder_that_is_no_checkout_is_refused(tmp_path):
    with pytest.raises(ReleaseError, match=r"no pyproject\.toml: run this in a checkout"):
        Project.at(tmp_path)


def test_an_application_can_be_made_by_the_installed_package(installed, tmp_path):
    sixorbit = [sys.executable, installed / "bin" / "sixorbit"]
    alone = {**os.environ, "PYTHONPATH": str(installed)}

    for command, folder in (
        ([*sixorbit, "new", tmp_path / "erp"], tmp_path),
        ([*sixorbit, "list"], tmp_path),
        ([sys.executable, "-I", "-S", "bin/sixorbit", "db:install"], tmp_path / "erp"),
        ([*sixorbit, "check"], tmp_path / "erp"),
    ):
        done = subprocess.run(
            command, cwd=folder, env=alone, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_new_gives_the_same_application_from_a_checkout_and_from_a_package(installed, tmp_path):
    for place, folder in ((ROOT, "a"), (installed, "b")):
        path = {**os.environ, "PYTHONPATH": str(installed) if folder == "b" else ""}
        words = [sys.executable, place / "bin" / "sixorbit", "new", tmp_path / folder]
        subprocess.run(words, cwd=tmp_path, env=path, check=True, capture_output=True)

    assert contents(tmp_path / "a") == contents(tmp_path / "b")


OLDER = sorted(
    file
    for file in Path.home().glob(".pyenv/versions/*/bin/python")
    if tuple(map(int, file.parts[-3].split(".")[:2])) < (3, 11)
)


@pytest.mark.parametrize("python", OLDER, ids=lambda file: file.parts[-3])
def test_an_interpreter_that_is_too_old_hears_so_in_one_sentence(python, tmp_path):
    version = ".".join(python.parts[-3].split(".")[:2])
    sentence = f"SixOrbit needs Python 3.11 or newer; this is {version}"

    def said(*words: object) -> str:
        command = [str(python), "-B", *map(str, words)]
        done = subprocess.run(command, cwd=ROOT, stdout=-1, stderr=subprocess.STDOUT, text=True)
        assert done.returncode == 1
        return done.stdout.strip()

    assert said(ROOT / "bin" / "sixorbit", "list") == sentence
    assert said("-c", "import so").splitlines()[-1] == f"ImportError: {sentence}"
    if not version.startswith("2."):  # `python3 install.py`
        assert said("so/release/install.py", tmp_path) == sentence


def test_pip_of_an_older_python_says_which_one_is_needed(source, tmp_path):
    """Its build hooks, as pip calls them: in one of the real ones if there is one."""
    (python,) = OLDER[-1:] or [Path(sys.executable)]
    code = (
        "import sys; sys.version_info = min(sys.version_info, (3, 10)); import so_build; "
        f"print(so_build.prepare_metadata_for_build_wheel({str(tmp_path)!r}))"
    )
    done = subprocess.run(
        [python, "-B", "-c", code], cwd=source, capture_output=True, text=True, check=True
    )

    text = (tmp_path / done.stdout.strip() / "METADATA").read_text("utf-8")
    assert "\nRequires-Python: >=3.11\n" in text


NEWER = sorted(
    file
    for file in Path.home().glob(".pyenv/versions/*/bin/python")
    if tuple(map(int, file.parts[-3].split(".")[:2])) >= (3, 11)
)


@pytest.mark.skipif(
    "SIXORBIT_SLOW" not in os.environ, reason="a rehearsal of minutes: set SIXORBIT_SLOW=1"
)
@pytest.mark.parametrize("python", NEWER, ids=lambda file: file.parts[-3])
@pytest.mark.parametrize("kind", ["wheel", "sdist", "folder"])
def test_what_is_built_installs_offline_in_an_environment_of_each_python(
    source, tmp_path, python, kind
):
    subprocess.run([python, "-m", "venv", tmp_path / "venv"], check=True)
    own = tmp_path / "venv" / "bin" / "python"
    built = source
    if kind != "folder":
        write = write_wheel if kind == "wheel" else write_sdist
        built = write(Project.at(source), tmp_path)
    offline = {"PATH": os.environ["PATH"], "PIP_CONFIG_FILE": os.devnull}
    words = [own, "-m", "pip", "install", "--no-index", "--quiet", built]
    subprocess.run(words, check=True, env=offline)
    erp = tmp_path / "erp"

    for command, folder in (
        ([tmp_path / "venv" / "bin" / "sixorbit", "new", erp], tmp_path),
        ([own, "bin/sixorbit", "db:install"], erp),
        ([own, "bin/sixorbit", "check"], erp),
        ([own, "bin/sixorbit", "test"], erp),
    ):
        done = subprocess.run(command, cwd=folder, env=offline, capture_output=True, text=True)
        assert done.returncode == 0, (command, done.stdout, done.stderr)
