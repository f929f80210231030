"""The command list of a fresh application."""

import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def cli():
    folder = Path(tempfile.mkdtemp(prefix="so_cli_")) / "shop"
    subprocess.run(
        [sys.executable, str(ROOT / "bin" / "sixorbit"), "new", str(folder)],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return {"argv": [sys.executable, "bin/sixorbit", "list"], "env": {}, "cwd": str(folder)}
