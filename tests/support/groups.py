"""A real Group Replication of three MySQL servers on this machine, for tests that kill one.

Needs MySQL's mysqld with its plugin. `SIXORBIT_TEST_MYSQLD` is the command that runs it, with its
own options if it needs any, such as `mysqld --plugin-dir=/opt/mysql/lib/plugin`; else the mysqld on
PATH is taken, if it is MySQL's. It takes about 12 seconds to form and 600 MB of memory a server.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import time
from pathlib import Path
from uuid import uuid4

from so.db.connection import Connection
from so.errors import QueryError
from tests.support.mariadb import ServerFailed, ServerMissing, _die_with_parent, free_port
from tests.support.places import place

FORMING_SECONDS = 120
_USER = "app"


def command() -> list[str]:
    """What runs MySQL's server. Raises ServerMissing."""
    named = os.environ.get("SIXORBIT_TEST_MYSQLD")
    found = shlex.split(named) if named else [shutil.which("mysqld") or ""]
    try:
        told = subprocess.run([*found, "--version"], capture_output=True, text=True).stdout
    except OSError:
        told = ""
    if not told or "mariadb" in told.lower():
        raise ServerMissing("Group Replication needs MySQL's mysqld: name it SIXORBIT_TEST_MYSQLD")
    return found


class Member:
    """One server: its ports, its folder, its process."""

    def __init__(self, number: int, folder: Path) -> None:
        self.number = number
        self.folder = folder / f"member{number}"
        self.folder.mkdir()
        self.port, self.group = free_port(), free_port()
        self.process: subprocess.Popen[bytes] | None = None

    def config(self, database: str | None = None, **more: object) -> dict[str, object]:
        """Settings of a connection to this server alone, as a user who heeds `read_only`."""
        return {
            "driver": "mysql",
            "host": "127.0.0.1",
            "port": self.port,
            "username": _USER,
            "database": database,
            "connect_timeout": 2,
            **more,
        }

    def root(self) -> Connection:
        """A connection through the socket."""
        return Connection(
            {"driver": "mysql", "unix_socket": str(self.folder / "s"), "username": "root"}
        )

    def kill(self) -> None:
        """`kill -9`."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()


class Group:
    """Three members, of which one, the primary, takes writes."""

    def __init__(self) -> None:
        self._command = command()
        self.folder = place("so-group-")
        self.name = str(uuid4())
        self.members = [Member(number, self.folder) for number in (1, 2, 3)]

    def form(self) -> None:
        """Start member after member."""
        for member in self.members:
            done = subprocess.run(
                [*self._base(member), "--initialize-insecure"], capture_output=True, timeout=120
            )
            if done.returncode:
                raise ServerFailed(done.stderr.decode(errors="replace")[-2000:])
            self.start(member, new=member is self.members[0])

    def start(self, member: Member, *, new: bool = False) -> None:
        """Start *member* and wait until it is online."""
        for name in ("s", "s.lock"):
            (member.folder / name).unlink(missing_ok=True)
        with (member.folder / "out.log").open("ab") as log:
            member.process = subprocess.Popen(
                self._options(member),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=_die_with_parent,
            )
        self._until(member, self._answers)
        with member.root() as root:
            if not root.select("select 1 from mysql.user where user = ?", [_USER]):
                self._prepare(root)
            if new:
                root.unprepared("set global group_replication_bootstrap_group = on")
            root.unprepared("start group_replication")
            root.unprepared("set global group_replication_bootstrap_group = off")
        self._until(member, self._is_online)

    def _prepare(self, root: Connection) -> None:
        for sql in (
            "set sql_log_bin = 0",
            f"create user {_USER}@'%' identified by ''",
            f"grant all on *.* to {_USER}@'%'",
            # It is no administrator, whom `super_read_only` alone would stop.
            f"revoke super, connection_admin, system_variables_admin on *.* from {_USER}@'%'",
            "create user recovery@'%' identified by 'recovery'",
            "grant replication slave, connection_admin, backup_admin, group_replication_stream"
            " on *.* to recovery@'%'",
            "set sql_log_bin = 1",
            "change replication source to source_user = 'recovery', source_password = 'recovery'"
            " for channel 'group_replication_recovery'",
        ):
            root.unprepared(sql)

    def _until(self, member: Member, check: object) -> None:
        deadline = time.monotonic() + FORMING_SECONDS
        while not check(member):  # type: ignore[operator]
            assert member.process is not None
            if member.process.poll() is not None or time.monotonic() > deadline:
                raise ServerFailed((member.folder / "out.log").read_text(errors="replace")[-3000:])
            time.sleep(0.1)

    def _answers(self, member: Member) -> bool:
        try:
            with member.root() as root:
                return bool(root.scalar("select 1"))
        except QueryError:
            return False

    def _is_online(self, member: Member) -> bool:
        with member.root() as root:
            own = "member_port = @@port"
            table = "performance_schema.replication_group_members"
            return root.scalar(f"select member_state from {table} where {own}") == "ONLINE"

    def primary(self) -> Member:
        """The member that takes writes now."""
        for member in self.members:
            if member.process is None or member.process.poll() is not None:
                continue
            with member.root() as root:
                port = root.scalar(
                    "select member_port from performance_schema.replication_group_members"
                    " where member_role = 'PRIMARY' and member_state = 'ONLINE'"
                )
            found = [one for one in self.members if one.port == port]
            if found:
                return found[0]
        raise ServerFailed("no member is the primary")

    def _base(self, member: Member) -> list[str]:
        runner, *options = self._command
        # --no-defaults comes first among the server's own options, behind those of a loader.
        at = next((i for i, word in enumerate(options) if word.endswith("mysqld")), -1) + 1
        return [
            runner,
            *options[:at],
            "--no-defaults",
            *options[at:],
            f"--datadir={member.folder / 'data'}",
            *(["--user=root"] if os.geteuid() == 0 else []),
        ]

    def _options(self, member: Member) -> list[str]:
        seeds = ",".join(f"127.0.0.1:{other.group}" for other in self.members)
        return [
            *self._base(member),
            f"--socket={member.folder / 's'}",
            f"--pid-file={member.folder / 'pid'}",
            f"--port={member.port}",
            "--bind-address=127.0.0.1",
            "--mysqlx=OFF",
            "--skip-name-resolve",
            "--innodb-buffer-pool-size=64M",
            # Given to the system at each commit: a killed member has what it said it had.
            "--innodb-flush-log-at-trx-commit=2",
            "--sync-binlog=0",
            f"--server-id={member.number}",
            "--gtid-mode=ON",
            "--enforce-gtid-consistency=ON",
            "--log-bin=binlog",
            "--report-host=127.0.0.1",
            f"--report-port={member.port}",
            "--plugin-load-add=group_replication.so",
            f"--group-replication-group-name={self.name}",
            "--group-replication-start-on-boot=OFF",
            f"--group-replication-local-address=127.0.0.1:{member.group}",
            f"--group-replication-group-seeds={seeds}",
            "--group-replication-ip-allowlist=127.0.0.1",
            "--group-replication-recovery-get-public-key=ON",
            "--group-replication-member-expel-timeout=0",
        ]

    def config(self, database: str, **more: object) -> dict[str, object]:
        """Settings of a connection that knows all members."""
        hosts = ",".join(f"127.0.0.1:{member.port}" for member in self.members)
        return {**self.members[0].config(database), "host": hosts, **more}

    def stop(self) -> None:
        """End all members and delete their folders."""
        for member in self.members:
            if member.process is not None and member.process.poll() is None:
                member.kill()
        shutil.rmtree(self.folder, ignore_errors=True)
