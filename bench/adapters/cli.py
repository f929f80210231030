"""The command list of a fresh application, compiled as docs/deployment.md says."""

import compileall
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
    compileall.compile_dir(folder, quiet=1)
    return {"argv": [sys.executable, "bin/sixorbit", "list"], "env": {}, "cwd": str(folder)}
