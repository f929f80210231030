"""A real Galera cluster of three MariaDB nodes on this machine, for tests that kill nodes.

Needs mariadbd, galera and rsync, and root (the state transfer refuses to run as root, so the nodes
run as user `mysql`). It takes about 12 seconds to form.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import time
from pathlib import Path

from so.db.connection import Connection
from so.errors import QueryError
from tests.support.mariadb import ServerFailed, ServerMissing, _die_with_parent, _tool, free_port
from tests.support.places import place

PROVIDERS = ("/usr/lib/galera/libgalera_smm.so", "/usr/lib64/galera-4/libgalera_smm.so")
# Short timeouts, so that the cluster notices a dead node in 2 seconds and not in 6.
QUICK = (
    "evs.suspect_timeout=PT1S;evs.inactive_timeout=PT3S;evs.inactive_check_period=PT0.2S;"
    "evs.keepalive_period=PT0.3S;evs.install_timeout=PT3S"
)
FORMING_SECONDS = 120


class Node:
    """One node: its ports, its folder, its process."""

    def __init__(self, number: int, folder: Path) -> None:
        self.number = number
        self.folder = folder / f"node{number}"
        self.folder.mkdir()
        self.port = free_port()
        self.group, self.ist, self.sst = free_port(), free_port(), free_port()
        self.process: subprocess.Popen[bytes] | None = None

    def config(self, database: str | None = None) -> dict[str, object]:
        """Settings of a connection to this node alone."""
        return {
            "driver": "mysql",
            "host": "127.0.0.1",
            "port": self.port,
            "username": "root",
            "database": database,
            "connect_timeout": 2,
        }

    def kill(self) -> None:
        """`kill -9`."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def is_synced(self) -> bool:
        """Whether it answers and takes part."""
        try:
            with Connection(self.config()) as connection:
                status = dict(connection.select_tuples("show status like 'wsrep_local_state_c%'"))
        except QueryError:
            return False
        return status.get("wsrep_local_state_comment") == "Synced"


class Cluster:
    """Three nodes."""

    def __init__(self) -> None:
        self.provider = next((path for path in PROVIDERS if Path(path).exists()), None)
        if self.provider is None or shutil.which("rsync") is None or os.geteuid() != 0:
            raise ServerMissing("a cluster needs galera-4, rsync and root")
        self.folder = place("so-galera-")
        self.folder.chmod(0o755)
        self.nodes = [Node(number, self.folder) for number in (1, 2, 3)]

    def form(self) -> None:
        """Start node after node."""
        first = self.nodes[0]
        subprocess.run(
            [
                _tool("mariadb-install-db"),
                "--no-defaults",
                "--user=mysql",
                f"--datadir={first.folder / 'data'}",
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
            ],
            capture_output=True,
            check=True,
            timeout=120,
        )
        for node in self.nodes:
            self.start(node, new=node is first)

    def start(self, node: Node, *, new: bool = False) -> None:
        """Start *node* and wait until it takes part."""
        (node.folder / "data").mkdir(exist_ok=True)
        user = pwd.getpwnam("mysql")
        for path in (node.folder, node.folder / "data"):
            os.chown(path, user.pw_uid, user.pw_gid)
        with (node.folder / "out.log").open("ab") as log:
            node.process = subprocess.Popen(
                [*self._command(node), *(["--wsrep-new-cluster"] if new else [])],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=_die_with_parent,
            )
        deadline = time.monotonic() + FORMING_SECONDS
        while not node.is_synced():
            if node.process.poll() is not None or time.monotonic() > deadline:
                raise ServerFailed((node.folder / "out.log").read_text(errors="replace")[-3000:])
            time.sleep(0.1)

    def _command(self, node: Node) -> list[str]:
        members = ",".join(f"127.0.0.1:{other.group}" for other in self.nodes)
        return [
            _tool("mariadbd"),
            "--no-defaults",
            "--user=mysql",
            f"--datadir={node.folder / 'data'}",
            f"--tmpdir={node.folder}",
            f"--socket={node.folder / 's.sock'}",
            f"--pid-file={node.folder / 'pid'}",
            f"--port={node.port}",
            "--bind-address=127.0.0.1",
            "--skip-name-resolve",
            "--binlog-format=ROW",
            "--default-storage-engine=InnoDB",
            "--innodb-autoinc-lock-mode=2",
            "--innodb-flush-log-at-trx-commit=0",
            "--innodb-buffer-pool-size=64M",
            "--innodb-log-file-size=16M",
            "--wsrep-on=ON",
            f"--wsrep-provider={self.provider}",
            "--wsrep-cluster-name=sixorbit",
            f"--wsrep-cluster-address=gcomm://{members}",
            f"--wsrep-node-name=node{node.number}",
            "--wsrep-node-address=127.0.0.1",
            f"--wsrep-node-incoming-address=127.0.0.1:{node.port}",
            "--wsrep-sst-method=rsync",
            f"--wsrep-sst-receive-address=127.0.0.1:{node.sst}",
            "--wsrep-slave-threads=2",
            "--wsrep-provider-options="
            f"gmcast.listen_addr=tcp://127.0.0.1:{node.group};"
            f"ist.recv_addr=127.0.0.1:{node.ist};gcache.size=32M;{QUICK}",
        ]

    def hosts(self) -> str:
        """As a `host` setting."""
        return ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)

    def config(self, database: str, **more: object) -> dict[str, object]:
        """Settings of a connection that knows all nodes."""
        return {**self.nodes[0].config(database), "host": self.hosts(), **more}

    def stop(self) -> None:
        """End all nodes and delete their folders."""
        for node in self.nodes:
            if node.process is not None and node.process.poll() is None:
                node.kill()
        shutil.rmtree(self.folder, ignore_errors=True)
