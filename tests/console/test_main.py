"""The entry of `bin/sixorbit` and of the console script."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from so import set_current
from so.console.main import main

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def process(monkeypatch):
    """What main() changes in its process is put back."""
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    signal.signal(signal.SIGTERM, before)
    set_current(None)


def test_it_runs_the_command_and_gives_its_exit_code(process, tmp_path, capsys):
    assert main(["--version"], tmp_path) == 0
    assert "SixOrbit" in capsys.readouterr().out
    assert main(["nothing"], tmp_path) == 1
    assert "Command not found: nothing" in capsys.readouterr().err


def test_the_application_is_the_nearest_folder_with_settings(
    process, tmp_path, monkeypatch, capsys
):
    monkeypatch.delenv("SIXORBIT_BASE", raising=False)
    (tmp_path / "erp" / "config").mkdir(parents=True)
    (tmp_path / "erp" / "config" / "app.py").write_text("config = {'name': 'Nearest'}")
    (tmp_path / "erp" / "app" / "deep").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "erp" / "app" / "deep")

    assert main(["config:show", "app.name"]) == 0
    assert capsys.readouterr().out == '"Nearest"\n'
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SIXORBIT_BASE", str(tmp_path / "erp"))
    assert main(["config:show", "app.name"]) == 0


def test_a_folder_of_nothing_is_an_application_as_well(process, tmp_path, monkeypatch):
    monkeypatch.delenv("SIXORBIT_BASE", raising=False)
    monkeypatch.chdir(tmp_path)

    assert main(["about"]) == 0


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_is_an_exit_code(tmp_path, number, code):
    folder = tmp_path / "app" / "commands"
    folder.mkdir(parents=True)
    for package in (folder, folder.parent):
        (package / "__init__.py").touch()
    (folder / "wait.py").write_text(
        "import time\nfrom so import command\n"
        "@command('wait')\ndef wait(self):\n    self.line('ready')\n    time.sleep(60)\n"
    )
    start = (
        f"import sys\nfrom so.console.main import main\nsys.exit(main(['wait'], {str(tmp_path)!r}))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", start],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        # Whoever runs the tests in the background has let them ignore SIGINT.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stdout is not None
    with process, process.stdout:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        assert process.wait(60) == code


def test_whoever_reads_no_further_hears_no_complaint():
    words = [sys.executable, str(ROOT / "bin" / "sixorbit"), "list"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        said = process.stderr.read()

    assert said == b""
