"""`bin/sixorbit list` as a whole process, beside the interpreter alone and a bare argparse program.

python bench/cli.py
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parent.parent
ROUNDS = 15
PROGRAMS = {
    "interpreter": ["-I", "-S", "-c", "pass"],
    "argparse, json, sqlite3": ["-c", "import argparse, json, sqlite3"],
    "sixorbit list": [str(ROOT / "bin" / "sixorbit"), "list"],
}


def once(words: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL, cwd=ROOT)
    return (time.perf_counter() - start) * 1000


def main() -> None:
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    times: dict[str, list[float]] = {name: [] for name in PROGRAMS}
    for _ in range(ROUNDS + 1):
        for name, words in PROGRAMS.items():
            times[name].append(once(words))
    for name, values in times.items():
        print(f"{name:<26} {median(values[1:]):7.1f} ms   (best {min(values[1:]):.1f})")


if __name__ == "__main__":
    main()
