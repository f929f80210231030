"""Databases into files and back: SQLite by its own online copy, a server by its own tools.

A server's password goes to its tools in a file without a name, which is gone with the last who has
it open: never on the command line, which every user of the machine could see.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from so.db import schema
from so.errors import ReleaseError
from so.support.progress import steps

if TYPE_CHECKING:
    from so.db.connection import Connection

DUMPERS = ("mariadb-dump", "mysqldump")
CLIENTS = ("mariadb", "mysql")
_ONE_SNAPSHOT = (
    *("--single-transaction", "--quick", "--routines", "--triggers", "--hex-blob"),
    *("--no-tablespaces", "--default-character-set=utf8mb4"),
)
LOOK_SECONDS = 0.5  # between two looks at how far it is
ATTEMPTS = 5
_CHANGED = "Error 1412"  # a table was made anew since the snapshot, as by a migration
_END = b"-- Dump completed"


def suffix(connection: Connection) -> str:
    """How a dump's file name ends."""
    return ".sqlite" if connection.dialect.name == "sqlite" else ".sql"


def dump(connection: Connection, target: Path) -> None:
    """Write what *connection* holds at one moment to *target*, while others go on writing."""
    if connection.dialect.name == "sqlite":
        schema.backup(connection, target)
        return
    events = ["--events"] if _has_events(connection) else []
    words = [*_ONE_SNAPSHOT, *events, str(connection.config["database"])]
    size = _bytes_in(connection)
    step = steps(lambda: size)

    def told() -> int:
        return min(target.stat().st_size, size - 1)  # the dump of it may well be longer

    for attempt in range(1, ATTEMPTS + 1):
        with target.open("wb") as out:
            target.chmod(0o600)
            try:
                _run(DUMPERS, connection.config, words, _watch(step, told), stdout=out)
                break
            except ReleaseError as error:
                if _CHANGED not in str(error) or attempt == ATTEMPTS:
                    raise
        time.sleep(LOOK_SECONDS)
    with target.open("rb") as dumped:
        dumped.seek(max(target.stat().st_size - 200, 0))
        if _END not in dumped.read():
            raise ReleaseError(f"the dump of {connection.config['database']!r} was cut off")


def load(config: Mapping[str, Any], source: Path) -> None:
    """Run a dump on the server that *config* names."""
    with source.open("rb") as dumped:
        words = ["--binary-mode", "--default-character-set=utf8mb4", str(config["database"])]
        step = steps(lambda: source.stat().st_size)
        # The client reads on from the same place in the same open file.
        told = partial(os.lseek, dumped.fileno(), 0, os.SEEK_CUR)
        _run(CLIENTS, config, words, _watch(step, told), stdin=dumped)


def _watch(step: Callable[[int], None], told: Callable[[], int]) -> Callable[[], None]:
    """A function that tells *step* how much further it has come, as *told* says."""
    before = 0

    def look() -> None:
        nonlocal before
        now = told()
        if now > before:
            step(now - before)
            before = now

    return look


def _bytes_in(connection: Connection) -> int:
    sql = (
        "select coalesce(sum(data_length), 0) from information_schema.tables"
        " where table_schema = database()"
    )
    return int(connection.scalar(sql, (), False))


def _has_events(connection: Connection) -> bool:
    sql = "select count(*) from information_schema.events where event_schema = database()"
    return bool(connection.scalar(sql))


def _run(
    programs: tuple[str, ...],
    config: Mapping[str, Any],
    words: list[str],
    look: Callable[[], None],
    **io: Any,
) -> None:
    program = next((found for name in programs if (found := shutil.which(name))), None)
    if program is None:
        raise ReleaseError(
            f"the server's own tool is needed and is not installed: {' or '.join(programs)} "
            "(the client package of MariaDB or MySQL brings it)"
        )
    with _login(config) as file:
        first = [f"--defaults-extra-file=/dev/fd/{file}", *_without_numbers(program)]
        words = [program, *first, *words]
        with subprocess.Popen(words, stderr=subprocess.PIPE, pass_fds=[file], **io) as process:  # noqa: S603 - the system's program
            said = _ended(process, look).decode("utf-8", "replace").strip()
    if process.returncode:
        raise ReleaseError(f"{Path(program).name} failed: {said or f'exit {process.returncode}'}")


def _without_numbers(program: str) -> list[str]:
    """Not to write which transactions a dump was made by: the server that reads it has its own."""
    is_mysqls = Path(program).resolve().name == "mysqldump"
    return ["--loose-set-gtid-purged=OFF"] if is_mysqls else []


def _ended(process: subprocess.Popen[bytes], look: Callable[[], None]) -> bytes:
    """What *process* said on its error stream; it is killed where this is interrupted."""
    try:
        while True:
            try:
                return process.communicate(timeout=LOOK_SECONDS)[1]
            except subprocess.TimeoutExpired:
                look()
    except BaseException:
        process.kill()
        raise


@contextmanager
def _login(config: Mapping[str, Any]) -> Iterator[int]:
    """A descriptor of the options that let a tool in."""
    hosts = config.get("host")
    host = str(hosts[0] if isinstance(hosts, list | tuple) else str(hosts).split(",")[0])
    options = {"user": config.get("username"), "password": config.get("password")}
    if config.get("unix_socket"):
        options["socket"] = config["unix_socket"]
    else:
        name, _, port = host.partition(":")
        options |= {"host": name, "port": port or config.get("port"), "protocol": "tcp"}
    for ours, theirs in (("ssl_ca", "ssl-ca"), ("ssl_cert", "ssl-cert"), ("ssl_key", "ssl-key")):
        options[theirs] = config.get(ours)
    with tempfile.TemporaryFile("w+", encoding="utf-8") as file:
        file.write("[client]\n")
        file.writelines(f'{k}="{_quoted(v)}"\n' for k, v in options.items() if v)
        file.flush()
        file.seek(0)  # there are systems on which who opens it reads on from here
        yield file.fileno()


def _quoted(value: Any) -> str:
    return str(value).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
