"""The entry of `bin/sixorbit` and of the console script: find the application, run the kernel."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from types import FrameType


def main(argv: list[str] | None = None, base_path: str | Path | None = None) -> int:
    """Run *argv* for the application in *base_path*; the process's exit code.

    Without a path it is SIXORBIT_BASE, or the nearest folder upwards that has `config/`.
    """
    signal.signal(signal.SIGTERM, _terminate)
    root = Path(base_path or os.environ.get("SIXORBIT_BASE") or _nearest_root()).resolve()
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    from so.application import Application
    from so.console.kernel import INTERRUPTED, Kernel

    try:
        with Application(root) as app:
            kernel = Kernel(app)
            app.instance(Kernel, kernel)
            return kernel.run(sys.argv[1:] if argv is None else argv)
    except KeyboardInterrupt:
        return INTERRUPTED


def _terminate(signum: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + signum)


def _nearest_root() -> Path:
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "config").is_dir() or (folder / "bin" / "sixorbit").is_file():
            return folder
    return here
