"""The suite under branch coverage, child processes included; fails below the floor.

    python -m tests.support.coverage_run -n 4            `make check`: the suite and its coverage
    python -m tests.support.coverage_run --suite -n 4    `make test`: the suite

The suite takes minutes, and `.ci/run` asks for it twice. With COVERAGE=keep in the environment,
`make test` runs under coverage and leaves a record of what it measured: the files of the checkout,
the interpreter, the packages, the arguments. `make check` uses it once, and only where all of that
is still the same, to the byte; otherwise it runs the suite itself, as it does for everybody else.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import distributions
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RECORD = ".coverage-record.json"  # hidden from git and swept away with the data, by its name
DATA = ".coverage"


def main(words: Sequence[str]) -> int:
    keeping = os.environ.get("COVERAGE") == "keep"
    if words[:1] == ["--suite"]:
        return kept(words[1:]) if keeping else pytest(words[1:])
    if keeping and taken(ROOT, words):
        print("The suite has passed under coverage just now, on this very checkout: `make test`.")
        return coverage("report")
    code, report = measured(words), coverage("report")
    return code or report


def pytest(words: Sequence[str], *before: str) -> int:
    """Run the suite; *before* stands between Python and pytest."""
    return run(*before, "-m", "pytest", "-q", *words)


def measured(words: Sequence[str]) -> int:
    """Run the suite under coverage; the code of pytest."""
    for old in ROOT.glob(f"{DATA}*"):
        old.unlink()
    os.environ["COVERAGE_PROCESS_START"] = str(ROOT / "pyproject.toml")
    code = pytest(words, "-m", "coverage", "run")
    del os.environ["COVERAGE_PROCESS_START"]
    combined = coverage("combine", "-q")
    return code or combined


def coverage(*words: str) -> int:
    return run("-m", "coverage", *words)


def run(*words: str) -> int:
    return subprocess.run([sys.executable, *words], cwd=ROOT, check=False).returncode


# --- the record -----------------------------------------------------------------------------------


def kept(words: Sequence[str]) -> int:
    """Run the suite under coverage, and remember of what if it passed."""
    before = state(ROOT, words)
    code = measured(words)
    if code == 0 and before is not None and state(ROOT, words) == before:
        record = {"state": before, "data": digest(ROOT / DATA)}
        (ROOT / RECORD).write_text(json.dumps(record), "utf-8")
    return code


def taken(root: Path, words: Sequence[str]) -> bool:
    """Whether there is a record of *root* as it is; it is gone afterwards, whatever it says."""
    file, data = root / RECORD, root / DATA
    if not (file.is_file() and data.is_file()):
        return False
    record = json.loads(file.read_text("utf-8"))
    file.unlink()
    now = {"state": state(root, words), "data": digest(data)}
    return now["state"] is not None and record == now


def state(root: Path, words: Sequence[str]) -> str | None:
    """All that the outcome of the suite hangs on, as one digest; None outside a git checkout."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=root, capture_output=True, check=False,
    )  # fmt: skip
    if listed.returncode:
        return None
    found = hashlib.sha256()
    for part in (*_around(words), *_files(root, listed.stdout.split(b"\0"))):
        found.update(b"%d:%s" % (len(part), part))
    return found.hexdigest()


def _around(words: Sequence[str]) -> list[bytes]:
    packages = sorted(f"{one.name} {one.version}" for one in distributions())
    ours = ("SIXORBIT_", "PYTHON", "PYTEST_ADDOPTS")
    environ = sorted(f"{k}={v}" for k, v in os.environ.items() if k.startswith(ours))
    return [text.encode() for text in (sys.version, *words, *packages, *environ)]


def _files(root: Path, names: Sequence[bytes]) -> list[bytes]:
    found = []
    for name in sorted({one for one in names if one}):
        file = root / os.fsdecode(name)
        there = file.is_file()
        mode = b"%o" % file.stat().st_mode if there else b"gone"
        found += [name, mode, digest(file).encode() if there else b""]
    return found


def digest(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
