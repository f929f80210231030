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

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
UNITS = sorted((DEPLOY / "systemd").iterdir())


def verify(folder: Path, name: str) -> str:
    """What `systemd-analyze verify` has to say; a misspelt key is a warning only, exit 0."""
    tool = shutil.which("systemd-analyze")
    if tool is None:
        if os.environ.get("CI", "").lower() == "true":
            pytest.fail("CI must have systemd-analyze: install the package systemd")
        pytest.skip("NO systemd-analyze, the units are not verified: install the package systemd")
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
    jobs = [line.removeprefix("#") for line in lines if re.match(r"#?[0-9*]+ ", line)]
    found = {}
    for job in jobs:
        minute, hour, *_ = job.split()
        command = re.search(r"bin/sixorbit (\S+)", job)[1]
        often = {"0 *": "hourly", "* *": "minutely"}.get(f"{minute} {hour}")
        found[command] = often or f"*-*-* {int(hour):02}:{int(minute):02}:00"

    assert found == {command: when for command, (_, when, _) in TASKS.items()}


def test_supervisor_runs_what_the_services_run():
    config = ConfigParser(interpolation=None)
    config.read(DEPLOY / "supervisor" / "sixorbit.conf")

    web, worker = config["program:sixorbit-web"], config["program:sixorbit-worker"]
    assert web["command"].endswith("bin/sixorbit serve")
    assert worker["command"].endswith("bin/sixorbit queue:work --sleep=3 --tries=3")
    for program in (web, worker):
        assert program["stopsignal"] == "TERM"
        assert int(program["stopwaitsecs"]) > 30


def test_every_command_that_is_deployed_exists():
    from so.console.commands import COMMANDS

    text = "\n".join(file.read_text() for file in DEPLOY.rglob("*") if file.is_file())
    named = set(re.findall(r"bin/sixorbit ([a-z:-]+)", text)) | set(TASKS)

    assert named <= set(COMMANDS)
