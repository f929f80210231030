"""The files in deploy/ are what the command prints, say the same things, and systemd takes them."""

import os
import re
import shutil
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

import pytest

from so.console.commands.systemd import TASKS, units
from tests.support.needed import lacking
from tests.support.users import python_for_all

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
UNITS = sorted((DEPLOY / "systemd").iterdir())


def verify(folder: Path, name: str) -> str:
    """What `systemd-analyze verify` has to say; a misspelt key is a warning only, exit 0."""
    tool = shutil.which("systemd-analyze")
    if tool is None:
        lacking("systemd-analyze, to verify the units: install the package systemd")
    found = subprocess.run([tool, "verify", str(folder / name)], capture_output=True, text=True)
    return found.stdout + found.stderr + (f"exit {found.returncode}" if found.returncode else "")


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_has_nothing_to_say_about_a_unit(unit, tmp_path):
    # In a folder of their own: beside foreign units in /etc, others would be verified as well.
    shutil.copytree(DEPLOY / "systemd", tmp_path / "units")

    assert verify(tmp_path / "units", unit.name) == ""


def test_the_check_would_see_a_misspelt_key(tmp_path):
    shutil.copytree(DEPLOY / "systemd", tmp_path / "units")
    file = tmp_path / "units" / "sixorbit-web.service"
    file.write_text(file.read_text().replace("WatchdogSec=", "WatchDogSec="))

    assert "WatchDogSec" in verify(tmp_path / "units", "sixorbit-web.service")


def test_the_units_are_those_the_command_writes():
    wanted = units("/srv/sixorbit", "www-data", "/usr/bin/env python3", "127.0.0.1:8000")

    assert {unit.name: unit.read_text() for unit in UNITS} == wanted


def test_the_command_writes_units_with_the_paths_of_this_installation(tmp_path):
    command = [sys.executable, str(ROOT / "bin" / "sixorbit"), "systemd:units"]
    subprocess.run(
        [*command, f"--write={tmp_path}", "--user=erp", "--listen=/run/erp.sock"], check=True
    )
    web = (tmp_path / "sixorbit-web.service").read_text()

    assert f"ExecStart={sys.executable} {ROOT}/bin/sixorbit serve\n" in web
    assert "User=erp\n" in web
    assert "ListenStream=/run/erp.sock\n" in (tmp_path / "sixorbit-web.socket").read_text()
    for name in ("sixorbit-web.service", "sixorbit-worker@.service", "sixorbit-cache-gc.timer"):
        assert verify(tmp_path, name) == ""

    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert "# --- sixorbit-web.socket" in printed
    as_json = subprocess.run([*command, "--json"], check=True, capture_output=True, text=True)
    assert '"sixorbit-web.socket"' in as_json.stdout


def test_the_command_says_when_it_cannot_write(tmp_path):
    (tmp_path / "file").write_text("")
    command = [sys.executable, str(ROOT / "bin" / "sixorbit"), "systemd:units"]

    found = subprocess.run(
        [*command, f"--write={tmp_path}/file/units"], capture_output=True, text=True
    )

    assert found.returncode == 1
    assert "cannot write the units" in found.stderr


def test_crontab_and_timers_name_the_same_commands_at_the_same_times():
    lines = (DEPLOY / "crontab").read_text().splitlines()
    # Those of a sealed trail are there, but for the # in front.
    jobs = [line.removeprefix("#") for line in lines if re.match(r"#?[0-9*/]+ ", line)]
    jobs = [job for job in jobs if "schedule:run" not in job]  # a service of its own under systemd
    found = {}
    for job in jobs:
        minute, hour, *_ = job.split()
        command = re.search(r"bin/sixorbit (\S+)", job)[1]
        often = {"0 *": "hourly", "* *": "minutely", "*/5 *": "*:0/5"}.get(f"{minute} {hour}")
        found[command] = often or f"*-*-* {int(hour):02}:{int(minute):02}:00"

    assert found == {command: when for command, (_, when, _) in TASKS.items()}


def test_supervisor_runs_what_the_services_run():
    config = ConfigParser(interpolation=None)
    config.read(DEPLOY / "supervisor" / "sixorbit.conf")

    web, worker = config["program:sixorbit-web"], config["program:sixorbit-worker"]
    assert web["command"].endswith("bin/sixorbit serve")
    assert worker["command"].endswith("bin/sixorbit queue:work --sleep=3 --tries=3")
    schedule = config["program:sixorbit-schedule"]
    assert schedule["command"].endswith("bin/sixorbit schedule:work")
    for program in (web, worker, schedule):
        assert 'APP_ENV="production"' in program["environment"]
        assert program["stopsignal"] == "TERM"
        assert int(program["stopwaitsecs"]) > 30


def test_every_command_that_is_deployed_exists():
    from so.console.commands import COMMANDS

    text = "\n".join(file.read_text() for file in DEPLOY.rglob("*") if file.is_file())
    named = set(re.findall(r"bin/sixorbit ([a-z:-]+)", text)) | set(TASKS)

    assert named <= set(COMMANDS)


@pytest.mark.parametrize(
    "unit", ["sixorbit-web.service", "sixorbit-worker@.service", "sixorbit-schedule.service"]
)
def test_systemd_finds_little_that_a_service_could_do_beyond_its_work(unit):
    tool = shutil.which("systemd-analyze")
    if tool is None:
        pytest.skip("NO systemd-analyze: the test above fails for it in CI")
    words = [tool, "security", "--offline=yes", str(DEPLOY / "systemd" / unit)]

    found = subprocess.run(words, capture_output=True, text=True)

    exposure = re.search(r"Overall exposure level for \S+: ([0-9.]+)", found.stdout)
    assert exposure, found.stdout + found.stderr
    assert float(exposure[1]) <= 3.0


def test_every_service_runs_in_production():
    services = [unit for unit in UNITS if unit.suffix == ".service"]

    assert services
    for unit in services:
        assert "\nEnvironment=APP_ENV=production SIXORBIT_UNIT=%n\n" in unit.read_text()


def test_a_service_that_runs_as_local_is_refused(tmp_path):
    words = [sys.executable, ROOT / "bin" / "sixorbit", "cache:gc"]
    environ = {**os.environ, "APP_ENV": "local", "SIXORBIT_UNIT": "sixorbit-web.service"}

    found = subprocess.run(words, capture_output=True, text=True, env=environ)

    assert found.returncode == 1
    assert "sixorbit-web.service runs with APP_ENV=local" in found.stderr


@pytest.fixture
def installation(tmp_path_factory):
    """A folder as the guide makes it, with a Python that everybody may run."""
    import tempfile

    python = python_for_all()
    if python is None:
        pytest.skip("only root can look as another user, with a Python that user may run")
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        base.chmod(0o755)
        for name in ("so", "config", "bin", "app", "database", "docs"):
            shutil.copytree(ROOT / name, base / name, ignore=shutil.ignore_patterns("__pycache__"))
        (base / "storage").mkdir()
        (base / ".env").write_text(f"APP_ENV=production\nAPP_KEY={os.urandom(20).hex()}\n")
        (base / ".env").chmod(0o640)
        yield base, python


def test_check_as_the_service_user_sees_what_that_user_cannot_read(installation):
    base, python = installation

    found = subprocess.run(
        [python, base / "bin" / "sixorbit", "check", "--as=www-data"],
        capture_output=True,
        text=True,
    )

    assert found.returncode == 1
    assert f"chown root:GROUP {base}/.env" in found.stderr
    assert "Traceback" not in found.stderr


def test_check_as_the_service_user_is_content_with_an_installation_as_the_guide_makes_it(
    installation,
):
    base, python = installation
    shutil.chown(base / ".env", "root", "www-data")
    shutil.chown(base / "storage", "www-data", "www-data")
    service = {"user": "www-data", "group": "www-data", "extra_groups": [], "cwd": base}
    for command in (["db:install"], ["migrate", "--force"]):
        words = [python, "bin/sixorbit", *command]
        subprocess.run(words, check=True, capture_output=True, **service)

    found = subprocess.run(
        [python, base / "bin" / "sixorbit", "check", "--as=www-data"],
        capture_output=True,
        text=True,
    )

    faults = [line for line in found.stderr.splitlines() if "SESSION_SECURE_COOKIE" not in line]
    assert faults == []


def test_check_as_somebody_unknown_says_how_to_make_the_user():
    words = [sys.executable, str(ROOT / "bin" / "sixorbit"), "check", "--as=nobody-here"]

    found = subprocess.run(words, capture_output=True, text=True)

    assert found.returncode == 1
    assert "there is no user 'nobody-here': `useradd --system nobody-here`" in found.stderr
