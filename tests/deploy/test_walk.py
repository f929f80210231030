"""docs/deployment.md and docs/air-gap.md followed to the letter, without a network or rights."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
USER = "www-data"


def runs_for_all(python: str) -> bool:
    code = "import sys; sys.exit(sys.version_info < (3, 11))"
    return (
        Path(python).exists()
        and subprocess.run([python, "-c", code], user=USER, cwd="/", check=False).returncode == 0
    )


def test_from_a_bundle_to_a_restored_installation_as_the_guides_say():
    """Install, check, serve, schedule, backup, upgrade and restore, as a user without rights."""
    if os.geteuid() != 0 or not shutil.which("runuser"):
        pytest.skip("only root can make an installation for another user")
    python = next((p for p in ("/usr/bin/python3", sys.executable) if runs_for_all(p)), None)
    if python is None:
        pytest.skip("NO PYTHON 3.11 that another user may run, the guides are not followed")
    alone = ["unshare", "--net"]
    if subprocess.run([*alone, "true"], capture_output=True, check=False).returncode:
        pytest.skip("NO NETWORK NAMESPACES: `unshare --net` is refused here")
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        words = [*alone, python, "-B", "-m", "tests.deploy.walk", folder, python, USER]

        done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.stdout.endswith("# arrived\n"), done.stdout + done.stderr
