"""docs/deployment.md and docs/air-gap.md followed to the letter, without a network or rights."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from tests.support.users import USER, python_for_all

ROOT = Path(__file__).resolve().parents[2]


def test_from_a_bundle_to_a_restored_installation_as_the_guides_say():
    """Install, check, serve, schedule, backup, upgrade and restore, as a user without rights."""
    if os.geteuid() != 0 or not shutil.which("runuser"):
        pytest.skip("only root can make an installation for another user")
    python = python_for_all()
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
