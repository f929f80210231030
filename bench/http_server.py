"""Our web server under load: `python bench/http_server.py [SECONDS]`; needs wrk.

Four routes through the whole framework, two processes with four threads, 32 connections, kept
alive and closed each time, and one connection alone; then with 1,000 idle ones beside. Beside the
peers it is run by the side-by-side benchmarks, with bench/bench_adapter.py.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
TICK = os.sysconf("SC_CLK_TCK")
UNITS = {"us": 0.001, "ms": 1.0, "s": 1000.0}
ECHO = """wrk.method = "POST"
wrk.body = '{"customer": 17, "lines": [{"sku": "A-1", "quantity": 3}]}'
wrk.headers["Content-Type"] = "application/json"
"""


def command(port: int) -> tuple[list[str], dict[str, str]]:
    """How the adapter starts the server."""
    spec = importlib.util.spec_from_file_location("adapter", HERE / "adapters" / "http_server.py")
    assert spec is not None
    assert spec.loader is not None
    adapter = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(adapter)
    how = adapter.http_server(port, 2, 4)
    return how["argv"], {**os.environ, **how["env"]}


def family(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *map(int, children)]


def cpu_seconds(pid: int) -> float:
    total = 0
    for each in family(pid):
        fields = Path(f"/proc/{each}/stat").read_text().rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICK


def pss_mb(pid: int) -> float:
    total = 0
    for each in family(pid):
        found = re.search(r"^Pss:\s+(\d+)", Path(f"/proc/{each}/smaps_rollup").read_text(), re.M)
        total += int(found[1]) if found else 0
    return total / 1024


def load(pid: int, port: int, path: str, seconds: int, *options: str) -> str:
    before = cpu_seconds(pid)
    argv = ["wrk", f"-d{seconds}s", "--latency", *options, f"http://127.0.0.1:{port}{path}"]
    out = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    used = cpu_seconds(pid) - before
    done = int(find(r"(\d+) requests in", out)[0])
    rate = float(find(r"Requests/sec:\s+([\d.]+)", out)[0])
    number, unit = find(r"99%\s+([\d.]+)(us|ms|s)", out)
    failed = " ".join(re.findall(r"(?:Socket errors|Non-2xx).*", out))
    p99, micros = float(number) * UNITS[unit], used / max(done, 1) * 1e6
    return f"{rate:9,.0f} req/s  p99 {p99:6.2f} ms  {micros:5.1f} µs CPU  {failed}"


def find(pattern: str, text: str) -> tuple[str, ...]:
    found = re.search(pattern, text)
    if found is None:
        raise SystemExit(f"wrk said something else than expected:\n{text}")
    return found.groups()


@contextlib.contextmanager
def idle_connections(port: int, count: int) -> Iterator[None]:
    links = []
    for _ in range(count):
        links.append(socket.create_connection(("127.0.0.1", port)))
        links[-1].sendall(b"GET /plain HTTP/1.1\r\nHost: a\r\n\r\n")
        links[-1].recv(4096)
    yield
    for link in links:
        link.close()


def wait_for(port: int) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with (
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", port), 1) as link,
        ):
            link.sendall(b"GET /plain HTTP/1.0\r\n\r\n")
            if link.recv(100):
                return
        time.sleep(0.005)
    raise SystemExit("the server did not start")


def main() -> None:
    if shutil.which("wrk") is None:
        raise SystemExit("wrk is missing: install the package wrk")
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    argv, environ = command(port)
    begun = time.perf_counter()
    server = subprocess.Popen(argv, env=environ, stdout=subprocess.DEVNULL)
    script = Path(environ["SIXORBIT_BASE"]) / "echo.lua"
    script.write_text(ECHO)
    try:
        wait_for(port)
        pid = server.pid
        print(f"start-up {1000 * (time.perf_counter() - begun):.0f} ms, idle {pss_mb(pid):.1f} MB")
        many = ("-t2", "-c32")
        for name, path, options in (
            ("plain", "/plain", many),
            ("json", "/json/42", many),
            ("echo", "/echo", (*many, "-s", str(script))),
            ("10 kB", "/big", many),
            ("json, closed", "/json/42", (*many, "-H", "Connection: close")),
            ("json, alone", "/json/42", ("-t1", "-c1")),
        ):
            print(f"{name:16} {load(pid, port, path, seconds, *options)}")
        with idle_connections(port, 1000):
            print(f"{'json, 1000 idle':16} {load(pid, port, '/json/42', seconds, *many)}")
            print(f"with 1,000 idle connections {pss_mb(pid):.1f} MB")
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    main()
