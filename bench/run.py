"""Every benchmark of our own half, one after the other, each in a process of its own.

python bench/run.py             # all of them
python bench/run.py orm router  # some of them
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
NOT_PARTS = {"run", "bench_adapter", "side_by_side", "peers"}


def main() -> int:
    known = sorted(file.stem for file in HERE.glob("*.py") if file.stem not in NOT_PARTS)
    wanted = sys.argv[1:] or known
    unknown = sorted(set(wanted) - set(known))
    if unknown:
        print(f"no benchmark {', '.join(unknown)}: there are {', '.join(known)}", file=sys.stderr)
        return 2
    failed = 0
    for part in wanted:
        print(f"\n== {part}", flush=True)
        failed += (
            subprocess.run([sys.executable, str(HERE / f"{part}.py")], check=False).returncode != 0
        )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
