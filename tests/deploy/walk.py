"""The guides followed to the letter, as a program: from a bundle to a restored installation.

    unshare --net python3 -m tests.deploy.walk FOLDER PYTHON USER

The lines come out of docs/air-gap.md, docs/deployment.md, deploy/supervisor and deploy/crontab;
what differs is the folder, the user, and the port. There is no network but the machine itself.
"""

from __future__ import annotations

import fcntl
import grp
import http.client
import pwd
import re
import shlex
import socket
import struct
import subprocess
import sys
import time
from configparser import ConfigParser
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PORT = 8000
SECONDS = 60
EDITED = "APP_ENV=production\nSESSION_SECURE_COOKIE=true"  # what the guide says to edit


def guide(name: str, heading: str) -> list[str]:
    """The command lines of the first block below *heading*, comments off, continued ones joined."""
    text = (ROOT / "docs" / f"{name}.md").read_text("utf-8").partition(f"## {heading}\n")[2]
    block = re.search(r"^```bash\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    assert block, heading
    lines = block[1].replace("\\\n", " ").splitlines()
    return [re.sub(r"\s+#.*", "", line).strip() for line in lines]


class Walk:
    """One installation of one user."""

    def __init__(self, folder: Path, python: str, user: str) -> None:
        self.folder, self.user = folder, user
        self.group = grp.getgrgid(pwd.getpwnam(user).pw_gid).gr_name
        self.srv = folder / "srv"
        self.services: dict[str, subprocess.Popen[bytes]] = {}
        # What `#!/usr/bin/env python3` finds.
        (folder / "bin").mkdir()
        (folder / "supervisor").mkdir()  # for /var/log
        (folder / "bin" / "python3").symlink_to(python)
        self.environ = {"PATH": f"{folder / 'bin'}:/usr/sbin:/usr/bin:/sbin:/bin"}

    def sh(self, line: str, *, as_user: bool = False, cwd: Path | None = None) -> str:
        """Run a line of a guide as root, or as the service user."""
        words = ["sh", "-euc", line]
        if as_user:
            words = ["runuser", "-u", self.user, "--", *words]
        done = subprocess.run(
            words,
            cwd=cwd or self.srv,
            env=self.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        print(f"# {line}\n{done.stdout.rstrip()}", flush=True)
        if done.returncode:
            sys.exit(f"{line} ended with {done.returncode}")
        return done.stdout

    # --- the way ---

    def install(self) -> None:
        """docs/air-gap.md, from a new application: the bundle, unpacked and installed."""
        self.sh(f"python3 {ROOT}/bin/sixorbit new {self.folder}/erp", cwd=self.folder)
        bundle, *_ = guide("air-gap", "Making the file")
        self.sh(bundle.replace("erp.bundle", f"{self.folder}/erp.bundle"), cwd=self.folder / "erp")
        for line in guide("air-gap", "Installing it"):
            self.sh(line.replace("/srv/erp", str(self.srv)), cwd=self.folder)
        env = (self.srv / ".env").read_text("utf-8")
        (self.srv / ".env").write_text(re.sub("(?m)^(# )?APP_ENV=.*", EDITED, env), "utf-8")

    def deploy(self) -> None:
        """docs/deployment.md: rights, tables, the check. Users and units are another machine's."""
        skipped = ("useradd", "cp ", "systemctl", "bin/sixorbit key:generate")
        for line in guide("deployment", "A first installation, with systemd"):
            if not line.startswith(skipped) and "systemd:units" not in line:
                theirs = line.replace("sixorbit:sixorbit", f"{self.user}:")
                theirs = theirs.replace("root:sixorbit", f"root:{self.group}")
                theirs = theirs.replace("-u sixorbit", f"-u {self.user}")
                self.sh(theirs.replace("--as=sixorbit", f"--as={self.user}"))

    def start(self) -> None:
        """The programs of deploy/supervisor, as supervisord would start them."""
        config = ConfigParser(interpolation=None)
        config.read(self.srv / "deploy" / "supervisor" / "sixorbit.conf")
        for section in config.sections():
            program = config[section]
            name = section.removeprefix("program:")
            pairs = shlex.split(program["environment"].replace(",", " "))
            environ = dict(pair.replace("%(program_name)s", name).split("=", 1) for pair in pairs)
            self.services[name] = subprocess.Popen(
                self._here(program["command"]).split(),
                cwd=self._here(program["directory"]),
                env={**self.environ, **environ},
                stdout=Path(self._here(program["stdout_logfile"])).open("ab"),  # noqa: SIM115
                stderr=subprocess.STDOUT,
                user=self.user,
                group=self.group,
                extra_groups=[],
            )

    def _here(self, text: str) -> str:
        return text.replace("/srv/sixorbit", str(self.srv)).replace("/var/log", str(self.folder))

    def cron(self, command: str) -> str:
        """The line of deploy/crontab for *command*, run by the service user."""
        lines = (self.srv / "deploy" / "crontab").read_text("utf-8").splitlines()
        (line,) = (one for one in lines if f"bin/sixorbit {command}" in one)
        call = line.split(" ", 5)[5].replace("$SIXORBIT", str(self.srv))
        return self.sh(f"APP_ENV=production; export APP_ENV; {call}", as_user=True)

    def get(self, path: str, wanted: int = 200) -> str:
        """What the web server answers, as soon as it does."""
        until = time.monotonic() + SECONDS
        while True:
            try:
                link = http.client.HTTPConnection("127.0.0.1", PORT, timeout=10)
                link.request("GET", path)
                answer = link.getresponse()
                if answer.status == wanted or time.monotonic() > until:
                    break
            except OSError:
                if time.monotonic() > until:
                    sys.exit(f"nothing answers; {self.logs()}")
            time.sleep(0.1)
        assert answer.status == wanted, (path, answer.status, self.logs())
        return answer.read().decode()

    def wait_for(self, text: str, path: str = "/") -> None:
        """Until the page at *path* has *text*: processes leave and come one by one."""
        until = time.monotonic() + SECONDS
        while text not in self.get(path):
            assert time.monotonic() < until, f"{text!r} does not come; {self.logs()}"
            time.sleep(0.1)

    def logs(self) -> str:
        """What the services have written."""
        return "\n".join(f.read_text("utf-8") for f in (self.folder / "supervisor").glob("*.log"))

    def upgrade(self) -> None:
        """docs/air-gap.md: a new version, its reload, its health."""
        routes = self.folder / "erp" / "app" / "routes.py"
        routes.write_text(routes.read_text("utf-8").replace("It works.", "The second version."))
        self.sh(f"bin/sixorbit bundle {self.folder}/erp-2.bundle.tar.gz", cwd=self.folder / "erp")
        pid = self.services["sixorbit-web"].pid
        (self.folder / "bin" / "systemctl").write_text(f"#!/bin/sh\nkill -HUP {pid}\n")
        (self.folder / "bin" / "systemctl").chmod(0o755)
        for line in guide("air-gap", "Bringing a new version"):
            self.sh(line.replace("erp-2.bundle", f"{self.folder}/erp-2.bundle"))
        # What root may be told to run stands where only root writes, and storage/ has none of it.
        assert [one.stat().st_uid for one in (self.srv / ".upgrades").rglob("PUT-BACK.py")] == [0]
        assert not [one for one in (self.srv / "storage").rglob("*") if one.lstat().st_uid == 0]

    def restore(self) -> None:
        """The backup that cron wrote, into an empty folder and over what is there."""
        (backup, *_) = sorted((self.srv / "storage" / "backups").glob("*.backup.tar.gz"))
        self.sh(f"bin/sixorbit restore {backup} --into={self.folder}/rehearsal")
        assert (self.folder / "rehearsal" / "storage" / "database.sqlite").is_file()
        self.sh("bin/sixorbit down")
        self.get("/", 503)
        self.stop()
        self.sh(f"bin/sixorbit restore {backup} --only=database --force")
        self.sh("bin/sixorbit up")
        self.start()

    def stop(self) -> None:
        """As supervisord does: TERM, then wait."""
        for service in self.services.values():
            service.terminate()
        for name, service in self.services.items():
            service.wait(SECONDS)
            print(f"# {name} ended with {service.returncode}", flush=True)
        self.services = {}


def raise_loopback() -> None:
    """In a network of its own even the machine itself cannot be reached at first."""
    flags = struct.pack("16sh22x", b"lo", 1)  # IFF_UP
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, 0x8914, flags)  # SIOCSIFFLAGS


def main(folder: str, python: str, user: str) -> None:
    """All of it; exits with a word about what failed."""
    raise_loopback()
    walk = Walk(Path(folder), python, user)
    walk.install()
    walk.deploy()
    walk.start()
    try:
        assert "It works." in walk.get("/")
        assert walk.get("/readyz") == "ok\n"
        walk.cron("schedule:run")
        walk.cron("backup")
        walk.upgrade()
        walk.wait_for("The second version.")
        walk.restore()
        assert "The second version." in walk.get("/")
        walk.wait_for("so_queue_workers 1\n", "/metrics")
    finally:
        walk.stop()
    print("# arrived", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
