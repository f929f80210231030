"""What the side-by-side benchmarks ask of the project: one function a part, loaded when asked.

Each part lives in bench/adapters/<part>.py under the same name. The framework is compiled first, as
an installer compiles the peers.
"""

from __future__ import annotations

import compileall
import importlib.util
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
PARTS = (
    "router", "container", "builder", "orm", "http_server", "session_server", "queue", "cache",
    "audit", "cli",
)  # fmt: skip

if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))
compileall.compile_dir(ROOT / "so", quiet=1)


def __getattr__(name: str) -> Any:
    file = HERE / "adapters" / f"{name}.py"
    if name not in PARTS or not file.is_file():
        raise AttributeError(name)
    spec = importlib.util.spec_from_file_location(f"so_bench_{name}", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, name)
