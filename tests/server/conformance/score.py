"""The score of any server on the cases: `python -m tests.server.conformance.score [NAME…]`.

NAME is so, or gunicorn, waitress, cheroot where they are installed (`PEERS` in the environment
names the Python that has them). `-v` lists what failed.
"""

import os
import sys
import tempfile
from pathlib import Path

from tests.server.conformance.cases import CASES
from tests.server.conformance.runner import Wrong, check
from tests.server.processes import Server, free_port, serve_argv

APP = "tests.server.conformance.app:application"
PEER_SECONDS = 3.0


def command(name: str, port: int) -> list[str]:
    python = os.environ.get("PEERS", sys.executable)
    if name == "so":
        return serve_argv(APP, port, workers=1, pages="off")
    if name == "gunicorn":
        return [python, "-m", "gunicorn", "-k", "gthread", "--threads", "4", "-b",
                f"127.0.0.1:{port}", "--log-level", "critical", APP]  # fmt: skip
    if name == "waitress":
        return [python, "-m", "waitress", f"--listen=127.0.0.1:{port}", APP]
    if name == "cheroot":
        call = (
            "from cheroot.wsgi import Server; from tests.server.conformance.app import application;"
            f"Server(('127.0.0.1', {port}), application).start()"
        )
        return [python, "-c", call]
    raise SystemExit(f"unknown server {name}")


def main() -> None:
    names = [name for name in sys.argv[1:] if not name.startswith("-")] or ["so"]
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            port = free_port()
            server = Server(command(name, port), port, Path(folder) / "log")
            failed = []
            try:
                server.wait_ready()
                for case in CASES:
                    try:
                        check(case, server.address, PEER_SECONDS)
                    except (Wrong, OSError, ValueError, KeyError, EOFError) as problem:
                        failed.append(f"  {case.clause}: {case.name}: {problem}")
            finally:
                server.stop()
        print(f"{name}: {len(CASES) - len(failed)} of {len(CASES)}")
        if "-v" in sys.argv:
            print("\n".join(failed))


if __name__ == "__main__":
    main()
