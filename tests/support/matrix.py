"""`make matrix`: the suite on each interpreter and each database server that this machine has.

A cell is one run of pytest, warnings being errors: in it and in every process that it starts. Each
interpreter runs both halves, SQLite and the MariaDB that the suite starts itself; each server that
is named runs with the interpreter that runs this. What was run is written into docs/versions.md
between its two marks, in place of older rows of the same cell or of parts of it; what is missing
is named there.

    MATRIX_PART=tests/db     only these paths, separated by spaces (else the whole suite)
    MATRIX_PYTHONS=/opt/python3.14/bin/python3.14   further interpreters, separated by spaces
    MATRIX_SERVERS=mysql://root@127.0.0.1:3306      servers, separated by spaces
    MATRIX_ONLY=3.14         only cells whose names have this in them
    MATRIX_ENGINE=sqlite     that half of the tests alone; mysql: the half on the server
    MATRIX_JOBS=2            processes at once
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

ROOT = Path(__file__).parent.parent.parent
PAGE = ROOT / "docs" / "versions.md"
VENVS = ROOT / ".matrix"
MARKS = ("<!-- what `make matrix` found -->", "<!-- end -->")
HEAD = (
    "| Python | SQLite | server | part | passed | failed | skipped | date |",
    "|---|---|---|---|---|---|---|---|",
)
PYTHONS = ("3.11", "3.12", "3.13", "3.14", "3.15")
"""The versions that are promised; a missing one is named."""
SERVERS = ("MariaDB 10.6", "MariaDB 10.11", "MariaDB 11.8", "MySQL 8.4", "MySQL 9")
_ABOUT = "import sys, sqlite3; print(sys.version.split()[0], sqlite3.sqlite_version)"
_VERSION = """
import sys
from so.db.connection import Connection
with Connection(sys.argv[1]) as one: print(one.server.product, *one.server.version)
"""
_COUNT = re.compile(r"(\d+) (passed|failed|skipped|error)")


@dataclass
class Cell:
    """One interpreter beside one server."""

    python: str
    version: str
    sqlite: str
    server: str
    url: str | None = None
    counts: dict[str, int] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What tells it from the others."""
        return f"Python {self.version}, SQLite {self.sqlite}, {self.server}"

    def row(self, part: str) -> str:
        """Its line of the table."""
        failed = self.counts.get("failed", 0) + self.counts.get("error", 0)
        if os.environ.get("MATRIX_ENGINE") == "mysql":
            part += ", its half"
        figures = (self.counts.get("passed", 0), failed, self.counts.get("skipped", 0))
        day = datetime.now(UTC).date()
        return (
            f"| {self.version} | {self.sqlite} | {self.server} | {part} | "
            f"{' | '.join(map(str, figures))} | {day} |"
        )


def interpreters() -> Iterator[str]:
    """Every Python that is found: on PATH, of pyenv, and those of MATRIX_PYTHONS."""
    pyenv = sorted(Path.home().glob(".pyenv/versions/*/bin/python3"))
    on_path = [shutil.which(f"python3.{minor}") for minor in range(11, 20)]
    yield from [*os.environ.get("MATRIX_PYTHONS", "").split(), *map(str, pyenv)]
    yield from filter(None, on_path)


def known(pythons: Iterable[str]) -> dict[tuple[str, str], str]:
    """The interpreters that are new enough by their version and that of their SQLite."""
    found: dict[tuple[str, str], str] = {}
    for python in pythons:
        done = subprocess.run([python, "-c", _ABOUT], capture_output=True, text=True)
        words = done.stdout.split()
        if len(words) == 2 and tuple(map(int, re.findall(r"\d+", words[0])[:2])) >= (3, 11):
            found.setdefault((words[0], words[1]), python)
    return found


def venv_of(version: str, python: str) -> str:
    """The Python of a virtual environment with the test tools, made the first time."""
    folder = VENVS / version
    inside = folder / "bin" / "python"
    if not (folder / "ready").exists():
        subprocess.run([python, "-m", "venv", "--without-pip", "--clear", folder], check=True)
        # A pip that is new enough for the newest Python; not each one brings its own.
        place = next(folder.glob("lib/python*/site-packages"))
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--upgrade", "pip"]
        subprocess.run([*pip, f"--target={place}"], check=True)
        install = [str(inside), "-m", "pip", "install", "--quiet"]
        wanted = (ROOT / "requirements-dev.txt").read_text("utf-8").splitlines()
        for line in filter(None, (line.partition("#")[0].strip() for line in wanted)):
            if subprocess.run([*install, line]).returncode:  # its tests are skipped
                print(f"Python {version} has no {line}: not to be had for it", flush=True)
        (folder / "ready").touch()
    return str(inside)


def own_server() -> str:
    """The server that the suite starts for itself."""
    found = shutil.which("mariadbd", path=os.environ.get("PATH", "") + ":/usr/sbin")
    if found is None:
        return "none"
    text = subprocess.run([found, "--version"], capture_output=True, text=True).stdout
    version = re.search(r"(\d+\.\d+\.\d+)-MariaDB", text)
    return f"MariaDB {version.group(1)}" if version else "MariaDB"


def named_servers() -> Iterator[tuple[str, str]]:
    """Name and address of the servers in MATRIX_SERVERS."""
    names = {"mariadb": "MariaDB", "mysql": "MySQL"}
    for url in os.environ.get("MATRIX_SERVERS", "").split():
        asked = [sys.executable, "-c", _VERSION, url]
        done = subprocess.run(asked, capture_output=True, text=True, cwd=ROOT)
        if done.returncode:
            where = urlsplit(url)
            sys.exit(f"no answer from {where.hostname}:{where.port}: {done.stderr[-300:]}")
        product, *numbers = done.stdout.split()
        yield f"{names[product]} {'.'.join(numbers)}", url


def cells() -> list[Cell]:
    """What can be run here."""
    found = known([*interpreters(), sys.executable])
    own = "none" if os.environ.get("MATRIX_ENGINE") == "sqlite" else own_server()
    every = [Cell(python, *key, own) for key, python in sorted(found.items(), key=_by_number)]
    version, sqlite = subprocess.check_output([sys.executable, "-c", _ABOUT], text=True).split()
    for server, url in named_servers():
        every.append(Cell(found[version, sqlite], version, sqlite, server, url))
    only = os.environ.get("MATRIX_ONLY", "")
    return [cell for cell in every if only in cell.name]


def _by_number(item: tuple[tuple[str, str], str]) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", item[0][0])]


def run(cell: Cell, part: str) -> None:
    """Run the suite in *cell*; its output is shown, its counts are kept."""
    environment = {**os.environ, "PYTHONWARNINGS": "error", "CI": ""}
    environment.pop("SIXORBIT_TEST_MYSQL", None)
    if cell.url:
        environment["SIXORBIT_TEST_MYSQL"] = cell.url
    command = [venv_of(cell.version, cell.python), "-W", "error", "-m", "pytest", "-q"]
    jobs = os.environ.get("MATRIX_JOBS", "2")
    if jobs != "1":
        command += ["-n", jobs]
    if engine := os.environ.get("MATRIX_ENGINE"):
        command += ["-m", "not mysql" if engine == "sqlite" else engine]
    command += ["-p", "no:cacheprovider", "--tb=short", *part.split()]
    print(f"== {cell.name}: {part}", flush=True)
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, errors="replace"
    )
    assert process.stdout is not None
    last = ""
    for line in process.stdout:
        print(line, end="", flush=True)
        last = line if _COUNT.search(line) else last
    process.wait()
    cell.counts = {word: int(number) for number, word in _COUNT.findall(last)}


def missing(rows: Iterable[str]) -> list[str]:
    """Which of the promised versions no row is about."""
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    pythons = {".".join(row[0].split(".")[:2]) for row in cells}
    servers = [f"{row[2]}." for row in cells]
    absent = [f"Python {version}" for version in PYTHONS if version not in pythons]
    return absent + [
        name for name in SERVERS if not any(server.startswith(f"{name}.") for server in servers)
    ]


def written(page: str, new: dict[tuple[str, ...], str]) -> str:
    """*page* with the *new* rows in its table, in place of those of the same cells or parts."""
    before, _, rest = page.partition(MARKS[0])
    table, _, after = rest.partition(MARKS[1])
    lines = [line for line in table.splitlines() if re.match(r"\| \d", line)]
    rows = {key: line for line in lines if not _is_within(key := key_of(line), new)}
    rows.update(new)
    absent = missing(rows.values())
    told = f"No row yet: {', '.join(absent)}." if absent else "None is missing."
    body = "\n".join(
        [MARKS[0], *HEAD, *(rows[key] for key in sorted(rows, key=_numbers)), "", told]
    )
    return f"{before}{body}\n{MARKS[1]}{after}"


def key_of(row: str) -> tuple[str, ...]:
    """Python, SQLite, server and part of a row."""
    return tuple(cell.strip() for cell in row.strip("|").split("|")[:4])


def _is_within(part: tuple[str, ...], wholes: Iterable[tuple[str, ...]]) -> bool:
    """Whether one of *wholes*, a run of the whole suite or of a server's half, has *part* in it."""
    for python, _, server, what in wholes:
        if what == "tests" and part[0] == python and part[2] in (server, "none"):
            return True
        if what == "tests, its half" and part[2] == server and part[3].endswith(", its half"):
            return True
    return False


def _numbers(key: tuple[str, ...]) -> tuple[list[int], str]:
    return [int(number) for number in re.findall(r"\d+", key[0])], key[2]


def main() -> int:
    """Run every cell; 1 if one of them failed."""
    part = os.environ.get("MATRIX_PART", "tests")
    every = cells()
    for cell in every:
        run(cell, part)
        if not cell.counts:
            continue
        row = cell.row(part)
        PAGE.write_text(written(PAGE.read_text("utf-8"), {key_of(row): row}), "utf-8")
    for cell in every:
        print(f"{cell.name}: {cell.counts or 'did not run'}")
    page = PAGE.read_text("utf-8").partition(MARKS[1])[0]
    print(page.strip().splitlines()[-1])
    bad = [c for c in every if c.counts.get("failed") or c.counts.get("error") or not c.counts]
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
