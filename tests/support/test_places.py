"""A folder in memory is no leak: neither after a test nor after a test that was killed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.support.places import place

ROOT = Path(__file__).resolve().parents[2]
KILLED = """
import os, signal, sys
from tests.support.places import place
print(place("so-try-", sys.argv[1]), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_process_left_is_deleted_by_the_next_and_no_other_folder(tmp_path):
    mine, strange = place("so-try-", str(tmp_path)), tmp_path / "so-try-of-somebody"
    strange.mkdir()
    command = [sys.executable, "-c", KILLED, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    left = Path(done.stdout.strip())
    assert left.parent == tmp_path, done.stderr
    assert left.is_dir()

    new = place("so-try-", str(tmp_path))

    assert sorted(tmp_path.iterdir()) == sorted([mine, strange, new])
