"""The whole suite under branch coverage, child processes included; fails below the floor."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def main() -> int:
    for old in ROOT.glob(".coverage*"):
        old.unlink()
    python = sys.executable
    environ = {**os.environ, "COVERAGE_PROCESS_START": str(ROOT / "pyproject.toml")}
    tests = [python, "-m", "coverage", "run", "-m", "pytest", "-q"]
    code = subprocess.run([*tests, *sys.argv[1:]], cwd=ROOT, env=environ, check=False).returncode
    subprocess.run([python, "-m", "coverage", "combine", "-q"], cwd=ROOT, check=False)
    report = subprocess.run([python, "-m", "coverage", "report"], cwd=ROOT, check=False).returncode
    return code or report


if __name__ == "__main__":
    sys.exit(main())
